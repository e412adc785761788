//! Servers that die, stall, or do not want.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sbir_gallery::{Error, RelPath, SearchOptions, VectorStore as _};
use sbir_postgres::{Options, Postgres};

use crate::support::{DIMENSION, Random, open, options, record, server, space};

/// Ends other threads, also where this one panics.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Far more than any deadline here.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_while_photos_are_written() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    let (acknowledged, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (gallery, acknowledged, done) = (&gallery, &acknowledged, &done);
            scope.spawn(move || {
                let mut random = Random(thread);
                for batch in 0.. {
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    let names: Vec<_> = (0..20).map(|i| format!("{thread}/{batch}/{i}")).collect();
                    let records: Vec<_> =
                        names.iter().map(|name| record(name, &random.vector(DIMENSION))).collect();
                    match gallery.upsert(&records) {
                        Ok(()) => acknowledged.lock().unwrap().extend(names),
                        Err(Error::Unreachable { .. } | Error::TimedOut { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let _end = AtEnd(&done);
        let count = || acknowledged.lock().unwrap().len();
        for _ in 0..3 {
            let before = count();
            sbir_servers::wait_for("writing", LONG, || count() >= before + 200).unwrap();
            server.kill();
            server.restart().unwrap();
        }
        let before = count();
        // The same clients go on.
        sbir_servers::wait_for("writing", LONG, || count() >= before + 100).unwrap();
    });
    server.kill();
    server.restart().unwrap();
    let acknowledged = acknowledged.into_inner().unwrap();
    for names in acknowledged.chunks(1000) {
        let paths: Vec<_> =
            names.iter().map(|name| RelPath::new(name.clone().into()).unwrap()).collect();
        let found = gallery.lookup("/photos".as_ref(), &paths).unwrap();
        let lost = found.iter().filter(|photo| photo.is_none()).count();
        assert_eq!(lost, 0, "of {}", acknowledged.len());
    }
    // Counts were kept up with the rows.
    let counted: u64 =
        server.sql("photos", "SELECT count(*) FROM sbir.photo").unwrap().parse().unwrap();
    assert_eq!(gallery.stats().unwrap().photos, counted);
    assert!(counted >= acknowledged.len() as u64);
}

#[test]
fn searches_fail_in_time_while_the_server_is_gone_and_go_on_when_it_is_back() {
    let Some(server) = server() else { return };
    let deadline = Duration::from_secs(4);
    let impatient = Options { deadline, ..options() };
    let gallery = Postgres::connect(&server.url("photos"), impatient).unwrap();
    gallery.ensure(&space()).unwrap();
    let mut random = Random(1);
    let records: Vec<_> =
        (0..500).map(|i| record(&format!("{i}"), &random.vector(DIMENSION))).collect();
    gallery.upsert(&records).unwrap();
    let query = random.vector(DIMENSION);
    let search = || gallery.search(&query, &SearchOptions::default());
    let before = search().unwrap();
    let failed = std::thread::scope(|scope| {
        // It is killed within one of these.
        let searching = scope.spawn(|| {
            loop {
                let began = Instant::now();
                if let Err(error) = search() {
                    return (error, began.elapsed());
                }
            }
        });
        std::thread::sleep(Duration::from_millis(300));
        server.kill();
        searching.join().unwrap()
    });
    let (error, took) = failed;
    assert!(matches!(error, Error::Unreachable { .. } | Error::TimedOut { .. }), "{error}");
    assert!(took < deadline + LONG / 4, "{took:?}");
    assert_eq!(error.to_string().lines().count(), 1);
    assert!(gallery.ready().is_err());
    let error = Postgres::connect(&server.url("photos"), options()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    server.restart().unwrap();
    assert_eq!(search().unwrap(), before);
    gallery.ready().unwrap();
    // A restart within a call is not even seen.
    server.stop();
    std::thread::scope(|scope| {
        let searching = scope.spawn(search);
        std::thread::sleep(Duration::from_millis(200));
        server.restart().unwrap();
        assert_eq!(searching.join().unwrap().unwrap(), before);
    });
}

#[test]
fn a_stalled_server_is_given_up_in_time() {
    let Some(server) = server() else { return };
    let deadline = Duration::from_secs(2);
    let gallery =
        Postgres::connect(&server.url("photos"), Options { deadline, ..options() }).unwrap();
    gallery.ensure(&space()).unwrap();
    let one = record("a", &[1.0; DIMENSION]);
    gallery.upsert(std::slice::from_ref(&one)).unwrap();
    server.stall();
    type Call<'a> = &'a dyn Fn() -> Result<(), Error>;
    let calls: [(&str, Call<'_>); 4] = [
        ("search", &|| gallery.search(&one.embedding, &SearchOptions::default()).map(drop)),
        ("upsert", &|| gallery.upsert(std::slice::from_ref(&one))),
        ("stats", &|| gallery.stats().map(drop)),
        ("ready", &|| gallery.ready()),
    ];
    for (name, call) in calls {
        let began = Instant::now();
        let error = call().unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{name}: {error:?}");
        assert!((deadline..deadline + LONG / 4).contains(&began.elapsed()), "{name}");
        assert!(error.to_string().contains("no answer within 2.0 s"), "{error}");
    }
    // A new connection is taken by the system, and then nothing comes.
    let began = Instant::now();
    let error = Postgres::connect(&server.url("photos"), Options { deadline, ..options() });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. } | Error::Unreachable { .. }), "{error:?}");
    assert!(began.elapsed() < deadline + LONG / 4);
    server.resume();
    let hits = gallery.search(&one.embedding, &SearchOptions::default()).unwrap();
    assert_eq!(hits.items.len(), 1);
}

#[test]
fn a_statement_that_takes_too_long_is_ended_by_the_server_too() {
    let Some(server) = server() else { return };
    let deadline = Duration::from_secs(1);
    let gallery =
        Postgres::connect(&server.url("photos"), Options { deadline, ..options() }).unwrap();
    gallery.ensure(&space()).unwrap();
    // Whoever reads waits for this lock.
    std::thread::scope(|scope| {
        let lock = "BEGIN; LOCK TABLE sbir.photo; SELECT pg_sleep(4); COMMIT";
        scope.spawn(|| server.sql("photos", lock).unwrap());
        let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                    AND relation = 'sbir.photo'::regclass";
        sbir_servers::wait_for("lock", LONG, || server.sql("photos", held).unwrap() == "1")
            .unwrap();
        let error = gallery.list(None, None, 5).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sbir' AND state = 'active'";
    sbir_servers::wait_for("end", LONG, || server.sql("photos", waiting).unwrap() == "0").unwrap();
    gallery.list(None, None, 5).unwrap();
}

#[test]
fn a_build_on_a_stalled_server_is_given_up_and_cancelled() {
    let Some(server) = server() else { return };
    let deadline = Duration::from_secs(1);
    let options = Options { deadline, exact: 10, ..options() };
    let gallery = Postgres::connect(&server.url("photos"), options).unwrap();
    gallery.ensure(&space()).unwrap();
    let mut random = Random(1);
    let records: Vec<_> =
        (0..50).map(|i| record(&format!("{i}"), &random.vector(DIMENSION))).collect();
    gallery.upsert(&records).unwrap();
    let sessions = |condition: &str| {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {condition}");
        server.sql("photos", &count).unwrap()
    };
    let building = "application_name = 'sbir' AND state = 'active' AND query LIKE 'CREATE INDEX%'";
    let locking =
        "application_name = 'psql' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    std::thread::scope(|scope| {
        // The build waits for this lock, as long as it is let. Looks go on, and see that the server is alive.
        let lock = "BEGIN; LOCK TABLE sbir.photo IN ROW EXCLUSIVE MODE; SELECT pg_sleep(600)";
        let locked = scope.spawn(|| server.sql("photos", lock));
        sbir_servers::wait_for("lock", LONG, || sessions(locking) == "1").unwrap();
        let settled = scope.spawn(|| (gallery.settle(), Instant::now()));
        sbir_servers::wait_for("build", LONG, || sessions(building) == "1").unwrap();
        std::thread::sleep(Duration::from_secs(10));
        assert!(!settled.is_finished());
        let began = Instant::now();
        server.stall();
        let (result, ended) = settled.join().unwrap();
        server.resume();
        let error = result.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!(ended - began < LONG / 2, "{:?}", ended - began);
        // Not left to itself for as long as a build may take.
        sbir_servers::wait_for("cancelling", LONG, || sessions(building) == "0").unwrap();
        assert_eq!(sessions(locking), "1");
        server
            .sql(
                "photos",
                &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {locking}"),
            )
            .unwrap();
        assert!(locked.join().unwrap().is_err());
    });
    // The next one builds it.
    gallery.settle().unwrap();
    let valid = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('sbir.photo_embedding') AND indisvalid";
    assert_eq!(server.sql("photos", valid).unwrap(), "1");
}

#[test]
fn what_the_server_does_not_want_is_one_clear_line() {
    let Some(server) = server() else { return };
    let wrong = Options { password: Some("wrong secret".into()), ..options() };
    let began = Instant::now();
    let error = Postgres::connect(&server.url("photos"), wrong).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("PGPASSWORD") && !text.contains("secret"), "{text}");
    // There is no sense in trying again.
    assert!(began.elapsed() < LONG / 4);
    let error = Postgres::connect(&server.url("nowhere"), options()).unwrap_err().to_string();
    assert!(error.contains("\"nowhere\" does not exist") && error.contains("createdb"), "{error}");
    let url = format!("postgres://sbir@127.0.0.1:{}/photos?sslmode=verify-full", server.port());
    let error = Postgres::connect(&url, options()).unwrap_err().to_string();
    assert!(error.contains("sslmode=disable"), "{error}");
    for error in [text, error] {
        assert_eq!(error.lines().count(), 1);
    }
}
