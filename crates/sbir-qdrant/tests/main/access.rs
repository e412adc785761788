//! Keys, addresses, threads, and what goes to stdout.

use std::process::Command;
use std::time::{Duration, Instant};

use sbir_gallery::{Error, VectorStore as _};
use sbir_qdrant::{Key, Options, Qdrant, Tls};
use sbir_servers::{qdrant, skipped};

use crate::support::{node, open, records, space};

#[test]
fn a_key_is_asked_for() {
    let server = match qdrant::Qdrant::start_with_key("open sesame") {
        Ok(server) => server,
        Err(error) => return skipped("Qdrant", &error),
    };
    let with = |key: Option<&str>| {
        let options = Options { key: key.map(Key::new), ..Options::default() };
        Qdrant::connect(&server.url("keys"), options).unwrap()
    };
    for key in [None, Some("simsalabim")] {
        let gallery = with(key);
        for error in [
            gallery.stats().unwrap_err(),
            gallery.ready().unwrap_err(),
            gallery.ensure(&space("keys")).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Refused { .. }), "{error:?}");
            let message = error.to_string();
            assert!(message.contains("QDRANT_API_KEY"), "{message}");
            assert!(!message.contains("simsalabim"), "{message}");
        }
    }
    let gallery = with(Some("open sesame"));
    gallery.ensure(&space("keys")).unwrap();
    gallery.upsert(&records(0..3)).unwrap();
    assert_eq!(gallery.stats().unwrap().photos, 3);
}

#[test]
fn tls_shows_the_key_to_the_right_server_only() {
    let names = || vec!["localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names()).unwrap();
    let other = rcgen::generate_simple_self_signed(names()).unwrap();
    let identity = [own.cert.pem(), own.signing_key.serialize_pem()];
    let server = match qdrant::Qdrant::start_with_tls("open sesame", identity) {
        Ok(server) => server,
        Err(error) => return skipped("Qdrant", &error),
    };
    let with = |host: &str, tls: Tls| {
        let url = server.url("tls").replace("127.0.0.1", host);
        let deadline = Duration::from_secs(5);
        let key = Some(Key::new("open sesame"));
        Qdrant::connect(&url, Options { key, tls, deadline, ..Options::default() }).unwrap()
    };
    let trusted = || Tls::Authority(own.cert.pem().into());
    let gallery = with("localhost", trusted());
    gallery.ensure(&space("tls")).unwrap();
    gallery.upsert(&records(0..3)).unwrap();
    assert_eq!(gallery.stats().unwrap().photos, 3);
    // Another authority, another name, none, and plain text.
    for gallery in [
        with("localhost", Tls::Authority(other.cert.pem().into())),
        with("127.0.0.1", trusted()),
        with("localhost", Tls::System),
        with("localhost", Tls::Off),
    ] {
        let error = gallery.stats().unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. } | Error::TimedOut { .. }), "{error:?}");
    }
}

#[test]
fn a_key_does_not_travel_in_plain_text() {
    let with = |tls: Tls| {
        let options = Options { key: Some(Key::new("sesame")), tls, ..Options::default() };
        Qdrant::connect("qdrant://localhost,photos.example/a", options)
    };
    let error = with(Tls::Off).unwrap_err().to_string();
    assert!(error.contains("photos.example") && error.contains("QDRANT_TLS"), "{error}");
    with(Tls::System).unwrap();
    for options in [
        Options { key: Some(Key::new("a\nb sesame")), ..Options::default() },
        Options { tls: Tls::Authority(b"no certificate".to_vec()), ..Options::default() },
    ] {
        let shown = format!("{options:?}");
        let error = Qdrant::connect("qdrant://localhost/a", options).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::BadAddress { .. }), "{error:?}");
        assert!(!message.contains("sesame") && !shown.contains("sesame"), "{message} {shown}");
    }
}

#[test]
fn nobody_there_is_said_soon() {
    let [port] = sbir_servers::free_ports().unwrap();
    let gallery = open(&format!("qdrant://127.0.0.1:{port}/none"));
    let began = Instant::now();
    let error = gallery.stats().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    gallery.ready().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    // One that takes connections and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("qdrant://{}/silent", listener.local_addr().unwrap());
    let options = Options { deadline: Duration::from_secs(2), ..Options::default() };
    let gallery = Qdrant::connect(&url, options).unwrap();
    let began = Instant::now();
    let error = gallery.stats().unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. } | Error::Unreachable { .. }), "{error:?}");
    gallery.ready().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_dead_node_in_the_address_is_passed_over() {
    let Some(server) = node() else { return };
    let [port] = sbir_servers::free_ports().unwrap();
    let gallery = open(&format!("qdrant://127.0.0.1:{port},{}/passed", server.address()));
    gallery.ensure(&space("passed")).unwrap();
    gallery.upsert(&records(0..10)).unwrap();
    assert_eq!(gallery.stats().unwrap().photos, 10);
}

#[test]
fn any_thread_may_call_and_drop() {
    let Some(server) = node() else { return };
    let url = server.url("threads");
    open(&url).ensure(&space("threads")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async move {
        // On a thread that drives futures, which must not drive another runtime.
        let gallery = open(&url);
        gallery.upsert(&records(0..5)).unwrap();
        let elsewhere = gallery.clone();
        let photos = tokio::task::spawn_blocking(move || elsewhere.stats().unwrap().photos);
        assert_eq!(photos.await.unwrap(), 5);
        drop(gallery);
    });
}

/// A client of the other version's server says so on stdout unless it is told not to; there go only results.
#[test]
fn nothing_is_printed() {
    let Some(server) = node() else { return };
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "access::child", "--ignored", "--nocapture"])
        .env("SBIR_TEST_URL", server.url("printed"))
        .output()
        .unwrap();
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{errors}");
    // The test harness prints its own.
    let lines: Vec<_> = printed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("running 1 test"))
        .filter(|line| !line.starts_with("test "))
        .collect();
    assert_eq!(lines, ["photos: 5"], "{printed}");
    assert_eq!(errors, "");
}

#[test]
#[ignore = "run by nothing_is_printed"]
fn child() {
    let gallery = open(&std::env::var("SBIR_TEST_URL").unwrap());
    gallery.ensure(&space("printed")).unwrap();
    gallery.upsert(&records(0..5)).unwrap();
    println!("\nphotos: {}", gallery.stats().unwrap().photos);
}
