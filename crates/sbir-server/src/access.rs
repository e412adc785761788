//! Who may ask: the one place where requests are let in or turned away.
//!
//! Any page in a browser can send requests to 127.0.0.1, and with a name of its own that leads there (DNS rebinding) it
//! could read the answers too. So the `Host` must be one of the server's own names; an `Origin` must be the server's own;
//! and what a browser says about the asking page (`Sec-Fetch-Site`) must not be another site. Beyond the loopback
//! interface, or behind a proxy that leads to it, a token is needed on top, for all that tells anything of the gallery.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::problem::Problem;
use crate::token::Token;

/// What proxies add to a request.
const FORWARDED: [&str; 5] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// How long a browser keeps its cookie, in seconds.
const COOKIE_AGE: u32 = 30 * 24 * 3600;

/// The rules, settled at the start.
#[derive(Debug)]
pub(crate) struct Access {
    port: u16,
    /// Listed names, lowercase, with their port if one was given.
    hosts: Vec<String>,
    token: Option<Token>,
    why_token: String,
    cookie: String,
}

/// The address of this machine that a connection came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAddress(pub(crate) SocketAddr);

impl Access {
    pub(crate) fn new(config: &Config, address: SocketAddr) -> Result<Self> {
        let mut hosts = Vec::new();
        for name in &config.hosts {
            let lower = name.to_ascii_lowercase();
            let sound = split_host(&lower).is_some() && !lower.contains('*');
            if !sound {
                return Err(Error::BadHost { name: name.clone() });
            }
            hosts.push(lower);
        }
        // A name that is not this machine's own means that something forwards requests from elsewhere.
        let outer = hosts.iter().find(|host| !is_loopback(host));
        let why_token = match outer {
            _ if config.token.is_some() => "one was given".to_owned(),
            _ if !address.ip().is_loopback() => {
                format!("{} is reached from elsewhere", address.ip())
            }
            Some(host) => format!("{host} may lead here from elsewhere"),
            None => String::new(),
        };
        let token = match &config.token {
            Some(text) => Some(Token::new(text)?),
            None if why_token.is_empty() => None,
            None => Some(Token::random()?),
        };
        let port = address.port();
        // By the token, not by the port: browsers send cookies to every port of a host, and a proxy may have several
        // servers of one token behind it.
        let tag = token.as_ref().map_or("", Token::tag);
        let cookie = format!("sbir_{tag}");
        Ok(Self { port, hosts, token, why_token, cookie })
    }

    /// Why a token is needed, if it is.
    pub(crate) fn why_token(&self) -> Option<&str> {
        self.token.as_ref().map(|_| self.why_token.as_str())
    }

    /// The token, for the one line that tells it.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether a `Host` is one of this server's. An address can only be this machine's own: the one that the connection
    /// came to, or a loopback address over the loopback interface.
    fn knows_host(&self, host: &str, local: Option<IpAddr>) -> bool {
        let host = host.to_ascii_lowercase();
        let Some((name, port)) = split_host(&host) else { return false };
        if self.hosts.iter().any(|listed| *listed == host || *listed == name) {
            return true;
        }
        if port.unwrap_or(80) != self.port {
            return false;
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(ip) => Some(ip.to_canonical()) == local.map(|local| local.to_canonical()),
            Err(_) => {
                name == "localhost" && local.is_some_and(|local| local.to_canonical().is_loopback())
            }
        }
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let bearer = headers.get_all(AUTHORIZATION).iter().any(|value| {
            let value = value.as_bytes();
            value.split_at_checked(7).is_some_and(|(kind, text)| {
                kind.eq_ignore_ascii_case(b"bearer ") && token.is_token(text)
            })
        });
        let cookie = || {
            headers.get_all(COOKIE).iter().any(|value| {
                value.as_bytes().split(|byte| *byte == b';').any(|pair| {
                    pair.trim_ascii()
                        .strip_prefix(self.cookie.as_bytes())
                        .and_then(|rest| rest.strip_prefix(b"="))
                        .is_some_and(|session| token.is_session(session))
                })
            })
        };
        bearer || cookie()
    }

    /// Answers `/?token=…`: a cookie for the token, and on to the page without it in the address.
    fn sign_in(&self, uri: &Uri) -> Option<Response> {
        let token = self.token.as_ref()?;
        let shown = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        if uri.path() != "/" {
            return None;
        }
        if !token.is_token(shown.as_bytes()) {
            return Some(sign_in_page());
        }
        let cookie = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_AGE}",
            self.cookie,
            token.session()
        );
        Some(
            (
                StatusCode::SEE_OTHER,
                [(LOCATION, "/"), (CACHE_CONTROL, "no-store")],
                [(SET_COOKIE, cookie)],
            )
                .into_response(),
        )
    }
}

/// Whether a listed name means this machine's loopback interface, wherever it is asked for.
fn is_loopback(host: &str) -> bool {
    let name = split_host(host).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Parts `name[:port]`, where the name is a host's: letters, digits, `-`, `.`, or an IPv6 address in brackets.
fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, rest) = host.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None if rest.is_empty() => None,
        None => return None,
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    (!name.is_empty() && name.bytes().all(letters)).then_some((name, port))
}

/// Lets a request in, or answers it here.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match check(&app, &request) {
        Ok(None) => next.run(request).await,
        Ok(Some(answer)) => answer,
        Err((reason, problem)) => {
            app.metrics.refused(reason);
            problem.into_response()
        }
    }
}

fn check(app: &App, request: &Request) -> Result<Option<Response>, (&'static str, Problem)> {
    let access = &app.access;
    let headers = request.headers();
    let local = request.extensions().get::<LocalAddress>().map(|local| local.0.ip());

    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) if access.knows_host(host, local) => host,
        _ => {
            let message = "This server does not go by that name. Use the address that it printed, or list the name with --host.";
            return Err(("host", Problem::new(StatusCode::MISDIRECTED_REQUEST, message)));
        }
    };

    // Such a proxy may have named us as we name ourselves, and carry requests here from anywhere.
    if access.token.is_none() && FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        let message = "This request came through a proxy. List the name that the proxy goes by with --host; a token is needed then.";
        return Err(("host", Problem::new(StatusCode::MISDIRECTED_REQUEST, message)));
    }

    // Browsers name the asking page's origin on everything but plain GETs, and on event streams to other origins.
    let foreign = |message| Err(("origin", Problem::new(StatusCode::FORBIDDEN, message)));
    for origin in headers.get_all(ORIGIN) {
        let own = origin.to_str().ok().and_then(|origin| {
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
        });
        if own.is_none_or(|own| !own.eq_ignore_ascii_case(host)) {
            return foreign("Requests from other sites are refused.");
        }
    }
    let path = request.uri().path();
    if let Some(site) = headers.get("sec-fetch-site")
        && path.starts_with("/api/")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return foreign("Requests from other sites are refused.");
    }

    if request.method() == Method::GET
        && let Some(answer) = access.sign_in(request.uri())
    {
        return Ok(Some(answer));
    }
    // The page's own files tell nothing of the gallery.
    if path.starts_with("/assets/") || access.has_token(headers) {
        return Ok(None);
    }
    if path == "/" {
        app.metrics.refused("token");
        return Ok(Some(sign_in_page()));
    }
    let message = "A token is needed: open the address that the server printed at its start, or send it as `Authorization: Bearer …`.";
    Err(("token", Problem::new(StatusCode::UNAUTHORIZED, message)))
}

fn sign_in_page() -> Response {
    let html = "<!doctype html><html lang=en><meta charset=utf-8>\
        <meta name=viewport content=\"width=device-width, initial-scale=1\"><title>sbir</title>\
        <link rel=stylesheet href=/assets/css/base.css><link rel=stylesheet href=/assets/css/photos.css>\
        <main class=blank><h1>A token is needed</h1>\
        <p>Open the address with <code>?token=…</code> that the server printed when it was started. \
        This browser then remembers it.</p><p><a href=/>Try again</a></p></main></html>";
    (
        StatusCode::UNAUTHORIZED,
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")],
        html,
    )
        .into_response()
}

/// Puts the headers on every answer that keep browsers strict.
pub(crate) async fn strict(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), interest-cohort=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(listen: &str, hosts: &[&str]) -> Access {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        let config = Config { hosts, token: Some("sixteen-letters-".into()), ..Config::default() };
        Access::new(&config, listen.parse().unwrap()).unwrap()
    }

    #[test]
    fn only_own_names_are_known() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let plain = access("127.0.0.1:8420", &["photos.home", "Proxy.example:443"]);
        for host in [
            "localhost:8420",
            "LOCALHOST:8420",
            "127.0.0.1:8420",
            "photos.home",
            "photos.home:99",
            "proxy.example:443",
        ] {
            assert!(plain.knows_host(host, Some(loopback)), "{host}");
        }
        for host in [
            "",
            "localhost",
            "localhost:8421",
            "evil.example",
            "evil.example:8420",
            "127.0.0.2:8420",
            "0.0.0.0:8420",
            "localhost:8420.evil.example",
            "localhost@evil.example:8420",
            "proxy.example",
            "proxy.example:8420",
            "192.168.1.7:8420",
            "127.0.0.1:8420:1",
            "[::1]:8420",
            "localhost.:8420",
            "localhost:+8420",
        ] {
            assert!(!plain.knows_host(host, Some(loopback)), "{host}");
        }
        let outer: IpAddr = "192.168.1.7".parse().unwrap();
        let wide = access("0.0.0.0:8420", &[]);
        assert!(wide.knows_host("192.168.1.7:8420", Some(outer)));
        assert!(!wide.knows_host("192.168.1.8:8420", Some(outer)));
        assert!(!wide.knows_host("localhost:8420", Some(outer)));
        assert!(access("[::1]:80", &[]).knows_host("[::1]", Some("::1".parse().unwrap())));
    }

    #[test]
    fn listed_names_must_be_names() {
        for name in ["", "*", "a/b", "http://a", "a:b", "a b", "*.example"] {
            let config = Config { hosts: vec![name.into()], ..Config::default() };
            let address = "127.0.0.1:1".parse().unwrap();
            assert!(matches!(Access::new(&config, address), Err(Error::BadHost { .. })), "{name}");
        }
    }

    #[test]
    fn beyond_loopback_a_token_is_made() {
        let why = |address: &str, hosts: &[&str]| {
            let hosts = hosts.iter().map(ToString::to_string).collect();
            let config = Config { hosts, ..Config::default() };
            let access = Access::new(&config, address.parse().unwrap()).unwrap();
            assert_eq!(access.token().is_some(), access.why_token().is_some());
            access.why_token().map(str::to_owned)
        };
        for address in ["127.0.0.1:1", "[::1]:1"] {
            assert_eq!(why(address, &[]), None);
            // Names of this machine alone.
            assert_eq!(
                why(address, &["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:9"]),
                None
            );
            // A proxy on this machine carries others here.
            for host in ["photos.home", "photos.home:443", "192.168.0.3", "localhost.evil.example"]
            {
                assert!(why(address, &["localhost", host]).unwrap().contains(host));
            }
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.168.0.3:1"] {
            assert!(why(address, &[]).is_some());
        }
    }
}
