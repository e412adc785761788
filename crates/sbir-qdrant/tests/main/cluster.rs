//! Three nodes, three shards, two replicas, and what befalls them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sbir_gallery::{Error, RelPath, Result, SearchOptions, Selector, VectorStore as _};
use sbir_qdrant::{Options, Qdrant};
use sbir_servers::qdrant::{Cluster, Node};
use sbir_servers::skipped;
use serde_json::Value;

use crate::support::{eventually, numbers, record, records, space, vector};

/// The clusters have two cores here: one at a time.
static TURN: Mutex<()> = Mutex::new(());

const PATIENCE: Duration = Duration::from_secs(90);

fn cluster() -> Option<(MutexGuard<'static, ()>, Cluster)> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match Cluster::start(3) {
        Ok(cluster) => Some((turn, cluster)),
        Err(error) => {
            skipped("a cluster of Qdrant", &error);
            None
        }
    }
}

fn open(cluster: &Cluster) -> Qdrant {
    let options = Options { shards: Some(3), replicas: Some(2), ..Options::default() };
    Qdrant::connect(&cluster.url("photos"), options).unwrap()
}

/// Waits until every replica has what the others have.
fn healed(cluster: &mut Cluster, gallery: &Qdrant) {
    cluster.wait_until_whole().unwrap();
    eventually("every replica is back", PATIENCE, || {
        let states: Vec<_> =
            (0..cluster.len()).map(|index| replicas(cluster.node(index))).collect();
        let (mut live, mut counts) = (true, BTreeMap::<u64, Vec<u64>>::new());
        for state in &states {
            let empty = Vec::new();
            let shards = |name: &str| state[name].as_array().unwrap_or(&empty).clone();
            let all = [shards("local_shards"), shards("remote_shards")].concat();
            live &= all.len() == 6 && all.iter().all(|shard| shard["state"] == "Active");
            live &= shards("shard_transfers").is_empty();
            for shard in shards("local_shards") {
                let count = shard["points_count"].as_u64().unwrap();
                counts.entry(shard["shard_id"].as_u64().unwrap()).or_default().push(count);
            }
        }
        let alike = counts.values().all(|counts| counts.len() == 2 && counts[0] == counts[1]);
        let problem = format!("{states:?}");
        let gallery = "cluster".to_owned();
        if live && alike { Ok(()) } else { Err(Error::BadAnswer { gallery, problem }) }
    });
    eventually("it is ready", PATIENCE, || gallery.ready());
}

/// What a node knows of the gallery's replicas.
fn replicas(node: &Node) -> Value {
    let ask = |path: &str| -> Value {
        let body = node.get(path).unwrap_or_default();
        serde_json::from_str::<Value>(&body).unwrap_or_default()["result"].clone()
    };
    let collections = ask("/collections")["collections"].as_array().cloned().unwrap_or_default();
    let names = collections.iter().filter_map(|collection| collection["name"].as_str());
    let name = names.into_iter().find(|name| name.starts_with("photos-")).unwrap_or("none");
    ask(&format!("/collections/{name}/cluster"))
}

/// Photos are written and searched by other threads while something happens. What was acknowledged is there afterwards,
/// no search failed, and none missed a photo that was there before.
fn through(
    cluster: &mut Cluster,
    gallery: &Qdrant,
    from: usize,
    event: impl FnOnce(&mut Cluster),
) -> usize {
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(from));
    let searches = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (stop, acknowledged, searches) = (&stop, &acknowledged, &searches);
        scope.spawn(move || {
            let mut next = from;
            while !stop.load(Ordering::Relaxed) {
                // A photo that was not acknowledged is written again, as `sbir index` does.
                eventually("photos are written", PATIENCE, || {
                    gallery.upsert(&records(next..next + 50))
                });
                next += 50;
                acknowledged.store(next, Ordering::Relaxed);
            }
        });
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let known = acknowledged.load(Ordering::Relaxed);
                let number = searches.fetch_add(1, Ordering::Relaxed) * 7 % known.max(1);
                let hits = gallery.search(&vector(number as u64), &SearchOptions::nearest(3));
                let hits = hits.expect("searches go on");
                assert_eq!((hits.items.len(), hits.items[0].photo.size), (3, number as u64));
            }
        });
        let more = |photos: usize, rounds: usize| {
            let (photos, rounds) = (
                acknowledged.load(Ordering::Relaxed) + photos,
                searches.load(Ordering::Relaxed) + rounds,
            );
            let began = Instant::now();
            while acknowledged.load(Ordering::Relaxed) < photos
                || searches.load(Ordering::Relaxed) < rounds
            {
                assert!(began.elapsed() < PATIENCE, "it does not go on");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        more(200, 10);
        event(cluster);
        more(500, 50);
        stop.store(true, Ordering::Relaxed);
    });
    let all = acknowledged.load(Ordering::Relaxed);
    assert_eq!(numbers(gallery).unwrap(), (0..all).collect::<Vec<_>>());
    all
}

#[test]
fn a_killed_node_costs_no_photo_and_no_search() {
    let Some((_turn, mut cluster)) = cluster() else { return };
    let gallery = open(&cluster);
    gallery.ensure(&space("cluster")).unwrap();
    gallery.upsert(&records(0..100)).unwrap();
    // The node that the client talks to, then another: the first has to have caught up by then.
    let mut all = 100;
    for index in [0, 2] {
        all = through(&mut cluster, &gallery, all, |cluster| cluster.node(index).kill());
        cluster.launch(index).unwrap();
        healed(&mut cluster, &gallery);
    }
    // Each photo is on two nodes: without any one of them all are there.
    cluster.node(1).kill();
    assert_eq!(eventually("reading", PATIENCE, || numbers(&gallery)).len(), all);
}

#[test]
fn a_stalled_node_is_passed_over() {
    let Some((_turn, mut cluster)) = cluster() else { return };
    let gallery = open(&cluster);
    gallery.ensure(&space("cluster")).unwrap();
    gallery.upsert(&records(0..100)).unwrap();
    let all = through(&mut cluster, &gallery, 100, |cluster| cluster.node(0).stall());
    cluster.node(0).resume();
    healed(&mut cluster, &gallery);
    let all = through(&mut cluster, &gallery, all, |_| ());
    assert_eq!(gallery.stats().unwrap().photos, all as u64);
}

#[test]
fn without_two_of_three_it_says_what_is_missing_and_comes_back() {
    let Some((_turn, mut cluster)) = cluster() else { return };
    let deadline = Duration::from_secs(6);
    let options = Options { shards: Some(3), replicas: Some(2), deadline, ..Options::default() };
    let gallery = Qdrant::connect(&cluster.url("photos"), options).unwrap();
    gallery.ensure(&space("cluster")).unwrap();
    gallery.upsert(&records(0..300)).unwrap();
    let page = gallery.list(None, None, 300).unwrap().items;
    let ids: Vec<_> = page.iter().map(|photo| photo.id).collect();
    let paths: Vec<RelPath> = page.iter().map(|photo| photo.path.clone()).collect();
    cluster.node(1).kill();
    cluster.node(2).kill();

    // Every way to read: none gives the photos of two shards as if they were all.
    type Call<'a> = (&'a str, Box<dyn Fn() -> Result<()> + 'a>);
    let calls: Vec<Call<'_>> = vec![
        ("search", Box::new(|| gallery.search(&vector(1), &SearchOptions::nearest(300)).map(drop))),
        ("list", Box::new(|| gallery.list(None, None, 1000).map(drop))),
        ("scan", Box::new(|| gallery.scan(None, 1000).map(drop))),
        ("get", Box::new(|| gallery.get(&ids).map(drop))),
        ("lookup", Box::new(|| gallery.lookup("/sbir/photos".as_ref(), &paths).map(drop))),
        ("with_content", Box::new(|| gallery.with_content(&[7; 32]).map(drop))),
        ("sample", Box::new(|| gallery.sample(300).map(drop))),
        ("roots", Box::new(|| gallery.roots().map(drop))),
        ("stats", Box::new(|| gallery.stats().map(drop))),
        ("ready", Box::new(|| gallery.ready())),
        ("a new client", Box::new(|| open(&cluster).stats().map(drop))),
    ];
    for (name, call) in &calls {
        let began = Instant::now();
        let error = call().expect_err(name);
        assert!(matches!(error, Error::Incomplete { .. }), "{name}: {error:?}");
        assert!(
            began.elapsed() < deadline + Duration::from_secs(5),
            "{name}: {:?}",
            began.elapsed()
        );
        if *name != "a new client" {
            let message = error.to_string();
            assert!(message.contains("shard ") && message.contains("127.0.0.1"), "{message}");
            assert_eq!(message.lines().count(), 1);
        }
    }
    drop(calls);
    for write in [gallery.upsert(&records(0..600)).err(), gallery.delete(&Selector::All).err()] {
        let error = write.expect("no write is acknowledged");
        let typed = matches!(
            error,
            Error::Incomplete { .. } | Error::TimedOut { .. } | Error::Unreachable { .. }
        );
        assert!(typed, "{error:?}");
    }

    // They come back, and all is well again.
    for index in [1, 2] {
        cluster.launch(index).unwrap();
    }
    healed(&mut cluster, &gallery);
    let found = numbers(&gallery).unwrap();
    assert!((0..300).all(|number| found.contains(&number)), "{}", found.len());
    eventually("writing", PATIENCE, || gallery.upsert(&records(0..600)));
    assert_eq!(numbers(&gallery).unwrap(), (0..600).collect::<Vec<_>>());

    // All at once.
    for index in 0..3 {
        cluster.node(index).kill();
    }
    let error = gallery.stats().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let error = gallery.upsert(&[record(0)]).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    for index in 0..3 {
        cluster.launch(index).unwrap();
    }
    healed(&mut cluster, &gallery);
    assert_eq!(numbers(&gallery).unwrap(), (0..600).collect::<Vec<_>>());
}
