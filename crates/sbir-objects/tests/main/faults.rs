//! An S3 server behind a network and under a load that are not what they should be.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sbir_objects::{Error, Extent, Options, Patience, Place};
use sbir_servers::{Fault, Proxy, S3, free_ports};

use crate::support::{hasty, key, keys, options, place, prefix};

/// Every kind of fault in turn, to three of four requests.
fn often(number: u64) -> Option<Fault> {
    let faults = [
        Fault::Status(503),
        Fault::Status(500),
        Fault::Status(429),
        Fault::Cut,
        Fault::Reset,
        Fault::LoseAnswer,
        Fault::Delay(Duration::from_millis(20)),
        Fault::Stall(Duration::from_secs(3)),
        Fault::Status(408),
    ];
    let place = number / 4 * 3 + number % 4;
    (number % 4 != 3).then(|| faults[place as usize % faults.len()])
}

#[test]
fn all_is_done_through_faults_of_every_kind() {
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    proxy.plan(|seen| often(seen.number));
    let place = place(proxy.address());
    let mut expected = Vec::new();
    for n in 0..6 {
        let name = format!("{n}.bin");
        let bytes = vec![n; 20_000];
        // It is there, whoever was told so: an answer may have been lost.
        place.put_new(&key(&name), bytes.clone().into()).unwrap();
        assert!(!place.put_new(&key(&name), vec![255; 3].into()).unwrap());
        assert_eq!(place.get(&key(&name), 1 << 20).unwrap().bytes, bytes);
        assert_eq!(place.stat(&key(&name)).unwrap().size, 20_000);
        expected.push(name);
    }
    assert_eq!(keys(&place), expected);
    assert!(proxy.faults() >= 30, "{}", proxy.faults());
}

#[test]
fn a_lost_answer_to_a_creation_is_no_failure() {
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    let place = place(proxy.address());
    static PUTS: AtomicU32 = AtomicU32::new(0);
    proxy.plan(|seen| {
        let first = seen.method == "PUT" && PUTS.fetch_add(1, Ordering::SeqCst) == 0;
        first.then_some(Fault::LoseAnswer)
    });
    // Made by the first attempt, of which nobody heard; found by the second.
    assert!(!place.put_new(&key("x"), "1".into()).unwrap());
    assert_eq!(&place.get(&key("x"), 1).unwrap().bytes[..], b"1");
    assert_eq!(PUTS.load(Ordering::SeqCst), 2);
}

#[test]
fn what_does_not_pass_ends_within_the_deadline_and_is_said() {
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    let patience = Patience {
        idle: Duration::from_millis(300),
        deadline: Duration::from_secs(2),
        attempts: 4,
        ..hasty()
    };
    let options = Options { patience, ..options(proxy.address()) };
    let place = Place::open(prefix().as_ref(), &options).unwrap();
    type Expected = fn(&Error) -> bool;
    let cases: [(Fault, Expected); 4] = [
        (Fault::Status(503), |error| matches!(error, Error::Server { status: 503, .. })),
        (Fault::Stall(Duration::from_secs(20)), |error| matches!(error, Error::TimedOut { .. })),
        (Fault::Reset, |error| matches!(error, Error::Unreachable { .. })),
        (Fault::Cut, |error| matches!(error, Error::Unreachable { .. })),
    ];
    place.put(&key("x"), vec![7; 1000].into()).unwrap();
    for (fault, expected) in cases {
        proxy.plan(move |_| Some(fault));
        let before = proxy.requests();
        let began = Instant::now();
        let error = place.get(&key("x"), 2000).unwrap_err();
        assert!(expected(&error) && error.extent() == Extent::Unclear, "{fault:?}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
        assert!(began.elapsed() < Duration::from_secs(10), "{fault:?}");
        assert!((2..=4).contains(&(proxy.requests() - before)), "{fault:?}");
    }
    // What will not get better is not asked again.
    for status in [400, 403] {
        proxy.plan(move |_| Some(Fault::Status(status)));
        let before = proxy.requests();
        let error = place.get(&key("x"), 2000).unwrap_err();
        assert!(error.extent() == Extent::File && error.is_denied() == (status == 403), "{error}");
        assert_eq!(proxy.requests() - before, 1);
    }
}

#[test]
fn nobody_there_is_said() {
    let [port] = free_ports().unwrap();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let options = Options { patience: Patience { attempts: 2, ..hasty() }, ..options(at) };
    let place = Place::open("s3://bucket/x".as_ref(), &options).unwrap();
    let error = place.list().unwrap().next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("AWS_ENDPOINT_URL"), "{error}");
}

#[test]
fn a_stop_ends_what_waits() {
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    let stop: &'static AtomicBool = Box::leak(Box::default());
    let patience = Patience { idle: Duration::from_secs(60), ..Patience::default() };
    let options = Options { patience, stop: Some(stop), ..options(proxy.address()) };
    let place = Place::open(prefix().as_ref(), &options).unwrap();
    proxy.plan(|_| Some(Fault::Stall(Duration::from_secs(60))));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| place.get(&key("x"), 1).unwrap_err());
        std::thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::SeqCst);
        assert!(matches!(waiting.join().unwrap(), Error::Stopped { .. }));
    });
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_stop_within_an_upload_leaves_no_parts() {
    static STOP: AtomicBool = AtomicBool::new(false);
    static REMOVED: AtomicU32 = AtomicU32::new(0);
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    let options = Options { stop: Some(&STOP), ..options(proxy.address()) };
    let place = Place::open(prefix().as_ref(), &options).unwrap();
    proxy.plan(|seen| {
        if seen.method == "DELETE" && seen.target.contains("uploadId=") {
            REMOVED.fetch_add(1, Ordering::SeqCst);
        }
        let second = seen.method == "PUT" && seen.target.contains("partNumber=2");
        if second {
            STOP.store(true, Ordering::SeqCst);
        }
        second.then_some(Fault::Stall(Duration::from_secs(60)))
    });
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(40 << 20).unwrap();
    let error = place.upload(&key("large"), &mut file).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert_eq!(REMOVED.load(Ordering::SeqCst), 1);
}
