//! Clients that stand still hold nothing for long.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Site, bar, drawing, read_reply};

/// How long until the server closes a connection.
fn time_to_close(mut stream: TcpStream) -> Duration {
    let began = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    began.elapsed()
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let site = Site::with(1, |config| {
        config.limits.connections = 2;
        config.limits.stall = Duration::from_millis(400);
    });
    // More than the system's own buffers take.
    let id = site.id("bar000.jpg");
    let mut file = fs_err::File::create(site.photos.join("bar000.jpg")).unwrap();
    file.write_all(&[0xFF, 0xD8, 0xFF, 0xE0]).unwrap();
    file.set_len(96 << 20).unwrap();
    let stuck: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = site.connect();
            site.write(&mut stream, "GET", &format!("/api/photos/{id}"), &[], b"");
            stream
        })
        .collect();
    let began = Instant::now();
    site.get("/api/health").ok();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    drop(stuck);
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let site = Site::with(1, |config| config.limits.head = Duration::from_millis(300));
    let silent = site.connect();
    let mut half = site.connect();
    write!(half, "GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ", site.host()).unwrap();
    // One that has its answer, and asks for nothing more.
    let mut idle = site.connect();
    write!(idle, "GET /api/health HTTP/1.1\r\nHost: {}\r\n\r\n", site.host()).unwrap();
    for stream in [silent, half, idle] {
        let time = time_to_close(stream);
        assert!(time < Duration::from_secs(10), "{time:?}");
    }
}

#[test]
fn an_event_stream_must_be_asked_for_again() {
    let site = Site::with(1, |config| config.limits.stream_life = Duration::from_millis(300));
    let mut stream = site.connect();
    site.write(&mut stream, "GET", "/api/events", &[], b"");
    let began = Instant::now();
    let text = String::from_utf8(read_reply(&mut stream).body).unwrap();
    assert!(text.starts_with("event: state\n") && text.ends_with("event: again\ndata:\n\n"));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(site.metric("sbir_event_streams") < 0.5);
}

#[test]
fn bodies_that_wait_take_bounded_room() {
    let site = Site::with(2, |config| {
        config.limits.picture_bytes = 1 << 20;
        config.limits.picture_room = 1 << 20;
        config.limits.strokes_bytes = 1 << 20;
        config.limits.strokes_room = 1 << 20;
    });
    let jpeg = bar(1).to_jpeg(80).unwrap();
    let uploads = [("/api/search/image", &jpeg), ("/api/search", &drawing(1))];
    for (path, body) in uploads {
        // All the room is claimed by one that never comes.
        let mut claim = site.connect();
        let host = site.host();
        write!(
            claim,
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\nx",
            1 << 20
        )
        .unwrap();
        wait_for(|| site.metric("sbir_body_bytes") > 1e6);
        let refused = site.post(path, body);
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{path}");
        // The other kind has room of its own, and what has no body needs none.
        for (other, body) in uploads.iter().filter(|(other, _)| *other != path) {
            site.post(other, body).ok();
        }
        site.get("/api/photos/1/similar").ok();
        drop(claim);
        wait_for(|| site.metric("sbir_body_bytes") < 0.5);
        site.post(path, body).ok();
    }
}

#[test]
fn few_decoded_uploads_wait_for_their_search() {
    let site = Site::with(1, |config| {
        config.limits.searches = 1;
        config.limits.pictures = 1;
    });
    site.embedder.query_ms.store(900, std::sync::atomic::Ordering::SeqCst);
    let jpeg = bar(1).to_jpeg(80).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| site.post("/api/search", &drawing(0)).status);
        wait_for(|| site.embedder.running.load(std::sync::atomic::Ordering::SeqCst) > 0);
        let mut uploads: Vec<_> = (0..5).map(|_| site.connect()).collect();
        for upload in &mut uploads {
            site.write(upload, "POST", "/api/search/image", &[], &jpeg);
        }
        // One is decoded and waits for the search; the others wait to be decoded.
        wait_for(|| {
            let waiting = |what: &str| site.metric(&format!("sbir_{what}_waiting"));
            waiting("searches") + waiting("pictures") > 4.5
        });
        assert!(site.metric("sbir_searches_waiting") < 1.5);
        assert_eq!(first.join().unwrap(), 200);
        for mut upload in uploads {
            assert!(matches!(read_reply(&mut upload).status, 200 | 503));
        }
    });
}

#[test]
fn a_refused_body_does_not_cost_the_answer() {
    let site = Site::with(1, |config| {
        config.limits.picture_bytes = 4 << 20;
        config.limits.picture_room = 4 << 20;
    });
    // A client that first sends all of it, and then reads: a server that closes early resets the connection.
    let mut stream = site.connect();
    let host = site.host();
    let bytes = vec![7; 5 << 20];
    write!(
        stream,
        "POST /api/search/image HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    )
    .unwrap();
    stream.write_all(&bytes).unwrap();
    assert_eq!(read_reply(&mut stream).status, 413);
}

#[track_caller]
fn wait_for(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}
