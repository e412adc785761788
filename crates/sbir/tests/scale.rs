//! The same commands on a file, a Qdrant collection and a PostgreSQL database, and several servers of one gallery.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sbir_objects::{Bytes, Key, Options, Place};
use sbir_servers::{Postgres, S3, skipped};
use serde_json::Value;

use crate::serve::Serving;
use crate::util::Dir;

const PHOTO: &str = "fscoco/images/3/000000003001.jpg";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn qdrant() -> Option<sbir_servers::qdrant::Qdrant> {
    sbir_servers::qdrant::Qdrant::start().map_err(|error| skipped("Qdrant", &error)).ok()
}

/// What every gallery must do, whatever it lies on.
fn goes_through_the_commands(dir: &Dir, gallery: &str) {
    let run = |args: &[&str]| dir.run(&[args, &["--gallery", gallery]].concat());
    run(&["search", PHOTO]).fails(1, &["no gallery"]);
    let first = json(&run(&["index", "fscoco/images", "--json"]).ok());
    assert_eq!((&first["embedded"], &first["failed"]), (&24.into(), &0.into()), "{first}");
    let again = json(&run(&["index", "fscoco/images", "--json"]).ok());
    assert_eq!((&again["unchanged"], &again["embedded"]), (&24.into(), &0.into()), "{again}");

    let found = json(&run(&["search", PHOTO, "-k", "5", "--json"]).ok());
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 5);
    assert!(hits[0]["path"].as_str().unwrap().ends_with(PHOTO), "{found}");
    assert!(hits[0]["score"].as_f64().unwrap() > 0.999, "{found}");
    let under = run(&["search", PHOTO, "--under", "fscoco/images/7", "--json"]).ok();
    assert_eq!(json(&under)["hits"].as_array().unwrap().len(), 2);
    run(&["search", PHOTO, "--html", "found.html"]).ok();
    assert!(dir.read("found.html").contains("data:image/jpeg"));

    assert_eq!(run(&["gallery", "list"]).ok().lines().count(), 24);
    let info = json(&run(&["gallery", "info", "--json"]).ok());
    assert_eq!((&info["photos"], &info["roots"][0]["photos"]), (&24.into(), &24.into()));
    let moved = dir.join("fscoco/images/3/moved.jpg");
    std::fs::rename(dir.join(PHOTO), &moved).unwrap();
    let verified = json(&run(&["gallery", "verify", "--json"]).ok());
    assert_eq!((&verified["missing"], &verified["new"]), (&1.into(), &1.into()), "{verified}");
    let after = json(&run(&["index", "fscoco/images", "--json"]).ok());
    assert_eq!(
        (&after["moved"], &after["embedded"], &after["removed"]),
        (&1.into(), &0.into(), &0.into())
    );
    assert_eq!(run(&["gallery", "list"]).ok().matches("moved.jpg").count(), 1);
    std::fs::rename(&moved, dir.join(PHOTO)).unwrap();
    run(&["index", "fscoco/images"]).ok();

    run(&["gallery", "compact"]).ok();
    run(&["gallery", "export", "out.npy"]).ok();
    let text = run(&["gallery", "import", "out.npy"]).ok();
    assert_eq!(text, "0 photos added, 24 replaced\n");
}

/// Another encoder of the same dimension: the bundled one for other pictures.
fn other_encoder(dir: &Dir) {
    dir.run(&["convert", "bundled", "other.safetensors", "--image-size", "128"]).ok();
}

#[test]
fn a_collection_on_qdrant_takes_every_command() {
    let Some(server) = qdrant() else { return };
    let dir = Dir::new();
    dir.fscoco();
    let gallery = server.url("photos");
    goes_through_the_commands(&dir, &gallery);

    // Another encoder is refused, until the photos are embedded anew beside the old vectors.
    other_encoder(&dir);
    let with = |args: &[&str]| {
        dir.run(&[args, &["--gallery", &gallery, "--model", "other.safetensors"]].concat())
    };
    with(&["search", PHOTO]).fails(1, &["--model"]);
    with(&["index", "fscoco/images"]).fails(1, &["--model"]);
    with(&["index", "fscoco/images", "--reembed"]).ok();
    let found = json(&with(&["search", PHOTO, "--json"]).ok());
    assert!(found["hits"][0]["path"].as_str().unwrap().ends_with(PHOTO), "{found}");
    dir.run(&["search", PHOTO, "--gallery", &gallery]).fails(1, &["--model"]);
    dir.run(&["gallery", "compact", "--old", "--gallery", &gallery]).ok();
    with(&["search", PHOTO]).ok();
}

#[test]
fn a_database_takes_every_command_and_galleries_are_copied() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(error) => return skipped("PostgreSQL", &error),
    };
    server.create_database("photos").unwrap();
    let dir = Dir::new().with_env("PGPASSWORD", Postgres::PASSWORD);
    dir.fscoco();
    let gallery = server.url("photos");
    goes_through_the_commands(&dir, &gallery);

    let copied =
        |from: &str, to: &str| json(&dir.run(&["gallery", "copy", from, to, "--json"]).ok());
    let report = copied(&gallery, "copy.sbir");
    assert_eq!((&report["photos"], &report["copied"]), (&24.into(), &24.into()), "{report}");
    assert_eq!(copied(&gallery, "copy.sbir")["present"], 24);
    if let Some(qdrant) = qdrant() {
        let there = qdrant.url("copy");
        assert_eq!(copied("copy.sbir", &there)["copied"], 24);
        let found = dir.run(&["search", PHOTO, "--gallery", &there, "--json"]).ok();
        assert!(json(&found)["hits"][0]["path"].as_str().unwrap().ends_with(PHOTO), "{found}");
    }
    other_encoder(&dir);
    let anew = ["index", "fscoco/images", "--reembed", "--model", "other.safetensors"];
    dir.run(&[&anew[..], &["--gallery", &gallery]].concat()).fails(2, &["--reembed"]);
}

#[test]
fn addresses_that_are_none_are_refused_without_their_secrets() {
    let dir = Dir::new();
    dir.write("d.json", r#"{"canvas": 9, "strokes": [[[1, 1], [8, 8]]]}"#);
    for gallery in [
        "mysql://me:secret@host/photos",
        "qdrant://me:secret@host/photos",
        "postgres://me:secret@host/db",
    ] {
        let said = dir.run(&["search", "d.json", "--gallery", gallery]).fails(2, &["--gallery"]);
        assert!(!said.contains("secret"), "{said}");
    }
    let nobody = "qdrant://127.0.0.1:1/photos";
    dir.run(&["search", "d.json", "--gallery", nobody]).fails(1, &["127.0.0.1:1"]);
}

/// Sends a request to one server after the other until one answers whole, as a proxy does.
struct Proxy<'a> {
    servers: [&'a str; 2],
    next: AtomicUsize,
}

impl Proxy<'_> {
    fn send(&self, request: &str) -> (u16, String) {
        for _ in 0..4 {
            let server = self.servers[self.next.fetch_add(1, Ordering::Relaxed) % 2];
            if let Some(answer) = ask(server, request) {
                return answer;
            }
        }
        panic!("no server answers");
    }
}

fn ask(server: &str, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    // Broken off where it is shorter than it says.
    if length.is_some_and(|length| length.parse() != Ok(bytes.len() - head - 4)) {
        return None;
    }
    Some((status, text))
}

fn wait_for(server: &Serving, path: &str, status: u16) {
    let began = Instant::now();
    while server.send("GET", path, "").0 != status {
        assert!(began.elapsed() < Duration::from_secs(60), "{path}: not {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn one_of_two_servers_dies_unseen_behind_a_proxy() {
    let Some(qdrant) = qdrant() else { return };
    let dir = Dir::new();
    dir.fscoco();
    let gallery = qdrant.url("photos");
    dir.run(&["index", "fscoco/images", "--gallery", &gallery]).ok();
    let token = "a-token-that-both-of-them-know".to_owned();
    let start = || {
        let env = [("SBIR_TOKEN", token.clone())];
        Serving::of(&dir, &gallery, &["--host", "photos.test"], &env)
    };
    let (mut one, two) = (start(), start());
    let addresses = [one.address().to_owned(), two.address().to_owned()];
    let servers = [&*addresses[0], &*addresses[1]];
    let proxy = Proxy { servers, next: AtomicUsize::new(0) };
    let request = |method: &str, path: &str, more: &str, body: &str| {
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: photos.test\r\nConnection: close\r\n{more}Content-Length: {length}\r\n\r\n{body}"
        )
    };
    // What one of them gave, both take.
    let (status, answer) = proxy.send(&request("GET", &format!("/?token={token}"), "", ""));
    assert_eq!(status, 303, "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let drawing = r#"{"canvas": 100, "strokes": [[[10, 10], [80, 20], [50, 90], [10, 10]]]}"#;
    let (mut expected, mut ids) = (None, Vec::new());
    for round in 0..40 {
        if round == 15 {
            one.kill();
        }
        let (status, answer) = proxy.send(&request("POST", "/api/search", &cookie, drawing));
        assert_eq!(status, 200, "{answer}");
        let answer = json(answer.split_once("\r\n\r\n").unwrap().1);
        let hits = answer["hits"].as_array().unwrap();
        ids = hits.iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(*expected.get_or_insert_with(|| hits.clone()), *hits);
        let photo = format!("/api/thumbnails/{}", ids[round % ids.len()]);
        assert_eq!(proxy.send(&request("GET", &photo, &cookie, "")).0, 200, "{photo}");
        assert_eq!(proxy.send(&request("GET", "/api/gallery/sample?count=3", &cookie, "")).0, 200);
    }
    assert!(ids.len() > 5);
    assert_eq!(proxy.send(&request("POST", "/api/search", "", drawing)).0, 401);
}

#[test]
fn readiness_tells_of_the_store() {
    let Some(mut qdrant) = qdrant() else { return };
    let dir = Dir::new();
    dir.fscoco();
    let gallery = qdrant.url("photos");
    // Nothing to serve yet.
    let serve = ["serve", "--gallery", &gallery, "--listen", "127.0.0.1:0", "--no-open"];
    dir.run(&serve).fails(1, &["no gallery", "sbir index"]);
    dir.run(&["index", "fscoco/images", "--gallery", &gallery]).ok();
    let server = Serving::of(&dir, &gallery, &[], &[]);
    wait_for(&server, "/api/ready", 200);
    qdrant.node().kill();
    let (status, body) = server.send("GET", "/api/ready", "");
    assert_eq!(status, 503, "{body}");
    let drawing = r#"{"canvas": 100, "strokes": [[[10, 10], [80, 20]]]}"#;
    assert_eq!(server.send("POST", "/api/search", drawing).0, 503);
    assert_eq!(server.send("GET", "/api/health", "").0, 200);
    qdrant.node().restart().unwrap();
    wait_for(&server, "/api/ready", 200);
    assert_eq!(server.send("POST", "/api/search", drawing).0, 200);
}

#[test]
fn photos_in_object_storage_are_embedded_found_and_shown() {
    let server = match S3::start() {
        Ok(server) => server,
        Err(error) => return skipped("S3", &error),
    };
    let environment = S3::environment(server.address());
    let mut dir = Dir::new();
    for (name, value) in &environment {
        dir = dir.with_env(name, value);
    }
    dir.fscoco();
    let own = environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let options = Options { environment: Some(own.collect()), ..Options::default() };
    let bucket = Place::open("s3://photos/set".as_ref(), &options).unwrap();
    for (name, photo) in [("a/1.jpg", PHOTO), ("a/2.jpg", "fscoco/images/7/000000007001.jpg")] {
        let bytes = std::fs::read(dir.join(photo)).unwrap();
        bucket.put(&Key::new(name).unwrap(), Bytes::from(bytes)).unwrap();
    }
    dir.run(&["manifest", "s3://photos/set", "--out", "m.jsonl"]).ok();
    dir.run(&[
        "embed",
        "--manifest",
        "m.jsonl",
        "--out",
        "s3://photos/pieces",
        "--model",
        "bundled",
    ])
    .ok();
    dir.run(&["load", "s3://photos/pieces", "--gallery", "g.sbir", "--manifest", "m.jsonl"]).ok();
    let found = json(
        &dir.run(&["search", PHOTO, "--gallery", "g.sbir", "--html", "f.html", "--json"]).ok(),
    );
    assert_eq!(found["hits"][0]["path"], "s3://photos/set/a/1.jpg", "{found}");
    assert!(found["hits"][0]["score"].as_f64().unwrap() > 0.999);
    assert_eq!(dir.read("f.html").matches("data:image/jpeg").count(), 2);

    let serving = Serving::of(&dir, "g.sbir", &[], &environment);
    for path in ["/api/thumbnails/1", "/api/photos/1", "/api/gallery?under=s3://photos/set/a"] {
        assert_eq!(ask_for(&serving, path), 200, "{path}");
    }
    bucket.put(&Key::new("a/2.jpg").unwrap(), Bytes::from_static(b"no photo now")).unwrap();
    assert_eq!(ask_for(&serving, "/api/photos/2"), 410);
    drop(server);
    // What is kept is shown all the same only while the store can say that it is still that photo.
    assert_eq!(ask_for(&serving, "/api/photos/1"), 503);
}

/// The status of an answer, whatever its bytes.
fn ask_for(server: &Serving, path: &str) -> u16 {
    let host = server.address();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    ask(host, &request).unwrap().0
}
