//! Who may ask.

use sbir_server::ROUTES;

use crate::support::{Site, drawing};

fn concrete(path: &str) -> String {
    path.replace("{id}", "1")
}

#[test]
fn other_names_are_refused() {
    let site = Site::new();
    let port = site.address.port();
    for path in ["/", "/api/gallery", "/api/photos/1", "/assets/js/main.js", "/api/metrics"] {
        let reply = site.send("GET", path, &[("Host", &format!("evil.example:{port}"))], b"");
        assert_eq!(reply.status, 421, "{path}");
        assert!(!String::from_utf8_lossy(&reply.body).contains("bar0"));
    }
    assert_eq!(site.send("GET", "/", &[("Host", &format!("localhost:{port}"))], b"").status, 200);
    assert_eq!(site.send("GET", "/", &[("Host", "")], b"").status, 421);
    let twice = [("Host", site.host()), ("host", "evil.example".into())];
    let twice: Vec<_> = twice.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert!(matches!(site.send("GET", "/", &twice, b"").status, 400 | 421));
    assert!(site.metric("sbir_refused_total{reason=\"host\"}") >= 6.0);
}

#[test]
fn listed_names_are_known() {
    let site = Site::start(1, |_| {}, |config| config.hosts = vec!["photos.home".into()]);
    // Such a name may lead here from elsewhere, through a proxy on this machine: it needs a token as any other way.
    let token = site.url.split("?token=").nth(1).expect("no token in the address").to_owned();
    let bearer = format!("Bearer {token}");
    for (host, status) in [("photos.home", 200), (&*site.host(), 200), ("photos.house", 421)] {
        let headers = [("Host", host), ("Authorization", &bearer)];
        assert_eq!(site.send("GET", "/api/health", &headers, b"").status, status, "{host}");
    }
    for host in ["photos.home", &site.host()] {
        assert_eq!(site.send("GET", "/api/health", &[("Host", host)], b"").status, 401, "{host}");
    }
    // The page's own origin is that of the proxy.
    let cookie = site.send("GET", &format!("/?token={token}"), &[("Host", "photos.home")], b"");
    let cookie = cookie.header("set-cookie").split(';').next().unwrap().to_owned();
    let origin = |origin| {
        let headers = [("Host", "photos.home"), ("Cookie", &*cookie), ("Origin", origin)];
        site.send("POST", "/api/search", &headers, &drawing(1)).status
    };
    assert_eq!(origin("https://photos.home"), 200);
    assert_eq!(origin("https://photos.house"), 403);
}

#[test]
fn a_proxy_that_names_us_as_we_do_is_no_way_around_the_token() {
    let site = Site::new();
    let forwarded =
        [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9"), ("Via", "1.1 a")];
    for header in forwarded {
        for path in ["/", "/api/gallery", "/api/photos/1"] {
            let reply = site.send("GET", path, &[header], b"");
            assert_eq!(reply.status, 421, "{header:?} {path}");
            assert!(reply.json()["error"].as_str().unwrap().contains("--host"));
        }
    }
    let site = Site::with_token();
    let bearer = ("Authorization", "Bearer a-token-of-mine-1");
    for header in forwarded {
        assert_eq!(site.send("GET", "/api/gallery", &[header], b"").status, 401);
        assert_eq!(site.send("GET", "/api/gallery", &[header, bearer], b"").status, 200);
    }
}

#[test]
fn other_sites_are_refused() {
    let site = Site::new();
    let own = format!("http://{}", site.host());
    let other_port = format!("http://127.0.0.1:{}", site.address.port() ^ 1);
    for origin in ["http://evil.example", "null", "", &other_port, "file://"] {
        let post = site.send("POST", "/api/search", &[("Origin", origin)], &drawing(1));
        assert_eq!(post.status, 403, "{origin}");
        let events = site.send("GET", "/api/events", &[("Origin", origin)], b"");
        assert_eq!(events.status, 403, "{origin}");
    }
    assert_eq!(site.send("POST", "/api/search", &[("Origin", &own)], &drawing(1)).status, 200);
    // Programs send no origin.
    assert_eq!(site.post("/api/search", &drawing(1)).status, 200);
    // What an <img> of another site would send.
    for from in ["cross-site", "same-site"] {
        let headers = [("Sec-Fetch-Site", from), ("Sec-Fetch-Mode", "no-cors")];
        for path in ["/api/photos/1", "/api/thumbnails/1", "/api/events", "/api/gallery"] {
            assert_eq!(site.send("GET", path, &headers, b"").status, 403, "{path}");
        }
        // A link to the page is fine.
        assert_eq!(site.send("GET", "/", &headers, b"").status, 200);
    }
    assert_eq!(
        site.send("GET", "/api/photos/1", &[("Sec-Fetch-Site", "same-origin")], b"").status,
        200
    );
    assert!(site.metric("sbir_refused_total{reason=\"origin\"}") >= 10.0);
}

#[test]
fn beyond_loopback_everything_needs_the_token() {
    let site = Site::start(2, |_| {}, |config| config.listen = "0.0.0.0:0".parse().unwrap());
    let token = site.url.split("?token=").nth(1).unwrap().to_owned();
    assert!(token.len() >= 43, "{token}");
    for (method, path) in ROUTES {
        let reply = site.send(&method.to_uppercase(), &concrete(path), &[], b"");
        assert_eq!(reply.status, 401, "{method} {path}");
        assert!(!String::from_utf8_lossy(&reply.body).contains(&token));
    }
    let page = site.get("/");
    assert_eq!(page.status, 401);
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(site.get("/?token=wrong").status, 401);
    assert_eq!(site.get(&format!("/?token={}", &token[..token.len() - 1])).status, 401);
    // The token in the address is taken by the page alone.
    assert_eq!(site.get(&format!("/api/gallery?token={token}")).status, 401);

    let bearer = format!("Bearer {token}");
    assert_eq!(site.send("GET", "/api/metrics", &[("Authorization", &bearer)], b"").status, 200);
    for wrong in
        ["Bearer ", "Bearer x", "Basic abc", &token, &format!("{bearer} ")[..bearer.len() - 1]]
    {
        assert_eq!(site.send("GET", "/api/metrics", &[("Authorization", wrong)], b"").status, 401);
    }

    let reply = site.get(&format!("/?token={token}"));
    assert_eq!((reply.status, reply.header("location")), (303, "/"));
    let cookie = reply.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(&token));
    let pair = cookie.split(';').next().unwrap();
    let with = format!("other=1; {pair}");
    for path in ["/", "/api/gallery", "/api/metrics", "/api/health"] {
        assert_eq!(site.send("GET", path, &[("Cookie", &with)], b"").status, 200, "{path}");
    }
    let (name, _) = pair.split_once('=').unwrap();
    for wrong in
        [format!("{name}={token}"), format!("{name}="), format!("x{pair}"), format!("{pair}0")]
    {
        assert_eq!(
            site.send("GET", "/api/gallery", &[("Cookie", &wrong)], b"").status,
            401,
            "{wrong}"
        );
    }
    // The cookie helps no other site.
    let foreign = [("Cookie", pair), ("Origin", "http://evil.example")];
    assert_eq!(site.send("POST", "/api/search", &foreign, &drawing(1)).status, 403);
}

#[test]
fn a_token_can_be_chosen() {
    let site = Site::with_token();
    assert_eq!(site.get("/api/health").status, 401);
    let bearer = [("Authorization", "Bearer a-token-of-mine-1")];
    assert_eq!(site.send("GET", "/api/health", &bearer, b"").status, 200);
}

#[test]
fn every_answer_is_strict() {
    let site = Site::new();
    let refused = [("Host", "evil.example")];
    let replies = [
        site.get("/"),
        site.get("/assets/js/main.js"),
        site.get("/api/photos/1"),
        site.get("/api/thumbnails/1"),
        site.get("/api/photos/none"),
        site.get("/nowhere"),
        site.post("/api/search", b"{"),
        site.send("GET", "/", &refused, b""),
        site.send("DELETE", "/api/photos/1", &[], b""),
    ];
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 404, 404, 422, 421, 405]);
    for reply in replies {
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe") && !policy.contains("data:"));
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
}
