//! What is refused for its size, its form or its slowness.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::support::{Site, bar, drawing, read_reply};

#[test]
fn unsound_drawings_are_refused() {
    let site = Site::new();
    let many = |strokes: usize, points: usize| {
        let stroke = format!("[{}]", vec!["[1,2]"; points].join(","));
        format!(r#"{{"canvas":9,"strokes":[{}]}}"#, vec![stroke; strokes].join(","))
    };
    let cases: [(u16, String); 9] = [
        (422, String::new()),
        (422, "{".into()),
        (422, r#"{"canvas":512,"strokes":[]}"#.into()),
        (422, r#"{"canvas":0,"strokes":[[[1,2]]]}"#.into()),
        (422, r#"{"canvas":512,"strokes":[[[1,1e999]]]}"#.into()),
        (422, format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        (413, many(5_001, 1)),
        (413, many(2, 50_001)),
        (413, many(1, 900_000)),
    ];
    for (status, body) in cases {
        let reply = site.post("/api/search", body.as_bytes());
        assert_eq!(reply.status, status, "{}", body.chars().take(80).collect::<String>());
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(!error.is_empty() && !error.contains('\n'));
    }
    site.post("/api/search", &drawing(0)).ok();
}

#[test]
fn options_out_of_range_are_refused() {
    let site = Site::new();
    for query in [
        "k=0",
        "k=1001",
        "k=x",
        "k=-1",
        "min_score=2",
        "min_score=nan",
        "under=relative",
        "line=0",
        "line=1",
        "line=nan",
    ] {
        assert_eq!(site.post(&format!("/api/search?{query}"), &drawing(0)).status, 400, "{query}");
    }
    for query in ["limit=0", "limit=501", "after=x", "under=../.."] {
        assert_eq!(site.get(&format!("/api/gallery?{query}")).status, 400, "{query}");
    }
    for query in ["count=0", "count=101"] {
        assert_eq!(site.get(&format!("/api/gallery/sample?{query}")).status, 400, "{query}");
    }
    let jpeg = bar(0).to_jpeg(80).unwrap();
    assert_eq!(site.post("/api/search/image?kind=song", &jpeg).status, 400);
}

#[test]
fn unsound_pictures_are_refused() {
    let site = Site::with(1, |config| config.limits.picture_bytes = 1 << 20);
    let jpeg = bar(0).to_jpeg(90).unwrap();
    assert_eq!(site.post("/api/search/image", &vec![0; (1 << 20) + 1]).status, 413);
    assert_eq!(site.post("/api/search/image", b"").status, 415);
    assert_eq!(
        site.post("/api/search/image", b"<svg xmlns='http://www.w3.org/2000/svg'/>").status,
        415
    );
    assert_eq!(site.post("/api/search/image", &jpeg[..jpeg.len() / 2]).status, 422);
    // A PNG that claims 60,000 × 60,000 pixels in 45 bytes: refused for its claim, before any pixel.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend([0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60, 8, 2, 0, 0, 0, 0x0F, 0xB0, 0xE2, 0x15]);
    png.extend(b"\0\0\0\0IDAT\x35\xAF\x06\x1E");
    assert_eq!(site.post("/api/search/image", &png).status, 413);
    site.post("/api/search/image", &jpeg).ok();
}

#[test]
fn slow_bodies_do_not_hold_a_place() {
    let site = Site::with(1, |config| config.limits.timeout = Duration::from_millis(400));
    let mut stream = site.connect();
    write!(
        stream,
        "POST /api/search HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\n{{",
        site.host()
    )
    .unwrap();
    let began = Instant::now();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_body_that_breaks_off_is_no_search() {
    let site = Site::new();
    let mut stream = site.connect();
    write!(
        stream,
        "POST /api/search HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\n{{",
        site.host()
    )
    .unwrap();
    drop(stream);
    site.post("/api/search", &drawing(0)).ok();
    assert_eq!(site.embedder.queries.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn connections_are_bounded_not_lost() {
    let site = Site::with(1, |config| config.limits.connections = 2);
    let idle = [site.connect(), site.connect()];
    std::thread::sleep(Duration::from_millis(200));
    let mut third = site.connect();
    site.write(&mut third, "GET", "/api/health", &[], b"");
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 1]).is_err(), "served beyond the bound");
    drop(idle);
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(read_reply(&mut third).status, 200);
}
