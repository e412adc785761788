//! Too much at once.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::{Site, drawing, read_reply};

#[test]
fn overload_is_an_answer() {
    let site = Site::with(4, |config| {
        config.limits.searches = 2;
        config.limits.waiting = 6;
        config.limits.patience = Duration::from_secs(10);
    });
    site.embedder.query_ms.store(60, Ordering::SeqCst);
    let began = Instant::now();
    let replies: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..40)
            .map(|n| {
                let site = &site;
                scope.spawn(move || site.post("/api/search", &drawing(n)))
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let done = replies.iter().filter(|reply| reply.status == 200).count();
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert_eq!(done + busy.len(), 40);
    assert!(done >= 8 && !busy.is_empty(), "{done} answers, {} refused", busy.len());
    assert!(busy.iter().all(|reply| reply.header("retry-after") == "1"));
    assert!(site.embedder.most_running.load(Ordering::SeqCst) <= 2);
    assert!(began.elapsed() < Duration::from_secs(20));
    // And it is over when it is over.
    site.post("/api/search", &drawing(0)).ok();
    assert!((site.metric("sbir_searches_waiting") - 0.0).abs() < 1e-9);
}

#[test]
fn patience_ends() {
    let site = Site::with(1, |config| {
        config.limits.searches = 1;
        config.limits.patience = Duration::from_millis(150);
    });
    site.embedder.query_ms.store(1500, Ordering::SeqCst);
    let mut first = site.connect();
    site.write(&mut first, "POST", "/api/search", &[], &drawing(0));
    while site.embedder.running.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let began = Instant::now();
    assert_eq!(site.post("/api/search", &drawing(1)).status, 503);
    assert!(began.elapsed() < Duration::from_millis(1200));
    // Cheap requests go on meanwhile.
    site.get("/api/health").ok();
    assert_eq!(read_reply(&mut first).status, 200);
}

#[test]
fn superseded_searches_do_not_run() {
    let site = Site::with(1, |config| config.limits.searches = 1);
    site.embedder.query_ms.store(500, Ordering::SeqCst);
    let mut first = site.connect();
    site.write(&mut first, "POST", "/api/search", &[], &drawing(0));
    while site.embedder.running.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    // Eight more of the same page, each given up for the next.
    for number in 1..9 {
        let mut stream = site.connect();
        site.write(&mut stream, "POST", "/api/search", &[], &drawing(number));
        std::thread::sleep(Duration::from_millis(20));
        drop(stream);
    }
    site.post("/api/search", &drawing(9)).ok();
    assert_eq!(site.embedder.queries.load(Ordering::SeqCst), 2, "given-up searches were run");
    assert_eq!(read_reply(&mut first).status, 200);
}

#[test]
fn event_streams_are_bounded() {
    let site = Site::with(1, |config| config.limits.streams = 2);
    let mut open: Vec<_> = (0..2).map(|_| site.connect()).collect();
    for stream in &mut open {
        site.write(stream, "GET", "/api/events", &[], b"");
        std::io::Read::read_exact(stream, &mut [0; 12]).unwrap();
    }
    let refused = site.get("/api/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    drop(open);
    let began = Instant::now();
    while site.metric("sbir_event_streams") > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(10), "closed streams keep their place");
        std::thread::sleep(Duration::from_millis(50));
    }
}
