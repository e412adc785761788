//! Photos, manifest and pieces in a real object store, with requests that fail and requests that are slow.

use std::time::Duration;

use sbir_gallery::VectorStore as _;
use sbir_objects::{Extent, Key, Options, Patience, Place};
use sbir_servers::{Fault, Proxy, S3};
use sbir_shards::{
    EmbedOptions, Error, LoadOptions, Manifest, ManifestOptions, NoProgress, embed, load,
    write_manifest,
};

use crate::support::{Colours, Work, options, records};

fn through(proxy: &Proxy) -> Options {
    let own = S3::environment(proxy.address()).map(|(name, value)| (name.to_owned(), value));
    let patience = Patience {
        idle: Duration::from_secs(1),
        attempt: Duration::from_secs(5),
        deadline: Duration::from_secs(30),
        pause: Duration::from_millis(5),
        attempts: 12,
        ..Patience::default()
    };
    Options { environment: Some(own.into()), patience, stop: None }
}

fn with_a_wrong_secret(mut environment: Vec<(String, String)>) -> Vec<(String, String)> {
    for (name, value) in &mut environment {
        if name == "AWS_SECRET_ACCESS_KEY" {
            value.push('x');
        }
    }
    environment
}

fn address(part: &str) -> String {
    format!("s3://{}/{part}", S3::BUCKET)
}

/// Puts the photos of a folder into the bucket.
fn send(work: &Work, to: &Place) {
    for entry in work.place("photos").list().unwrap() {
        let key = entry.unwrap().key;
        let bytes = work.place("photos").get(&key, 1 << 20).unwrap().bytes;
        to.put(&key, bytes).unwrap();
    }
}

#[test]
fn a_bucket_gives_what_a_folder_gives_through_faults_of_every_kind() {
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    let objects = through(&proxy);
    let open = |part: &str| Place::open(address(part).as_ref(), &objects).unwrap();
    let work = Work::with_photos(30);
    std::fs::write(work.root().join("broken ü%20+.jpg"), "no picture").unwrap();
    let photos = open("whole/my photos");
    send(&work, &photos);

    // One of four requests fails or is slow, each in another way.
    proxy.plan(|seen| {
        let faults = [
            Fault::Status(503),
            Fault::Cut,
            Fault::LoseAnswer,
            Fault::Delay(Duration::from_millis(150)),
            Fault::Reset,
            Fault::Status(429),
            Fault::Status(500),
            Fault::Stall(Duration::from_secs(3)),
        ];
        let place = (seen.number / 4) as usize;
        seen.number.is_multiple_of(4).then(|| faults[place % faults.len()])
    });
    let (place, key) = Place::open_file(address("whole/m.jsonl").as_ref(), &objects).unwrap();
    let listing = ManifestOptions { piece: 4, ..ManifestOptions::default() };
    let listed = write_manifest(&photos, (&place, &key), &listing, &mut |_| {}).unwrap();
    assert_eq!((listed.photos, listed.pieces), (31, 8));
    let mut manifest = Manifest::open(&place, &key).unwrap();
    assert_eq!(manifest.digest(), listed.digest);
    assert_eq!(manifest.header().root.to_str(), Some(address("whole/my photos").as_str()));
    let out = open("whole/out");
    let mut failed = 0;
    for shard in ["0/2", "1/2"] {
        let options = options(shard);
        let colours = Colours::new();
        let summary =
            embed(&mut manifest, &out, &colours, &objects, &options, &NoProgress).unwrap();
        assert_eq!(summary.snapshot.written + summary.snapshot.there, 4);
        failed += summary.snapshot.failed;
    }
    assert_eq!(failed, 1);
    let bucket = work.gallery("bucket.sbir");
    let loading = LoadOptions::default();
    let summary = load(&out, Some(&mut manifest), &bucket, &loading, &mut |_| {}).unwrap();
    assert_eq!((summary.photos, summary.failed, summary.missing.len()), (30, 1, 0));
    assert!(proxy.faults() > 12, "{}", proxy.faults());

    work.list(4);
    work.embed("0/1", &Colours::new()).unwrap();
    let folder = work.gallery("folder.sbir");
    work.load_checked(&folder).unwrap();
    // All but where they lie and when they were written.
    let bare = |gallery| {
        let mut records = records(gallery);
        for record in &mut records {
            record.photo.root = "/".into();
            record.photo.mtime_ns = 0;
        }
        records
    };
    assert_eq!(bare(&bucket), bare(&folder));
    let record = &records(&bucket)[0];
    assert!(record.photo.mtime_ns > 1_600_000_000_000_000_000);
    assert_eq!(record.photo.root, photos.root());
}

#[test]
fn a_store_that_fails_ends_the_run_and_costs_no_photo() {
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    let mut objects = through(&proxy);
    objects.patience = Patience { attempts: 3, idle: Duration::from_secs(10), ..objects.patience };
    objects.patience.attempt = Duration::from_secs(20);
    let work = Work::with_photos(12);
    let photos = Place::open(address("failing/photos").as_ref(), &objects).unwrap();
    send(&work, &photos);
    let (place, key) = Place::open_file(address("failing/m.jsonl").as_ref(), &objects).unwrap();
    let listing = ManifestOptions { piece: 4, ..ManifestOptions::default() };
    write_manifest(&photos, (&place, &key), &listing, &mut |_| {}).unwrap();
    let run = || {
        let mut manifest = Manifest::open(&place, &key).unwrap();
        let options = EmbedOptions { batch: 2, readers: 2, ..options("0/1") };
        embed(&mut manifest, &work.out(), &Colours::new(), &objects, &options, &NoProgress)
    };
    // Photos cannot be had: for a while, or with these credentials. The list of them can.
    for (fault, denied) in
        [(Fault::Status(503), false), (Fault::Reset, false), (Fault::Status(403), true)]
    {
        proxy.plan(move |seen| seen.target.contains("failing/photos/").then_some(fault));
        let error = run().unwrap_err();
        let Error::LeftOut { pieces: 3, all: 3, cause, .. } = &error else { panic!("{error}") };
        let expected = match &**cause {
            Error::Objects(error) => !denied && error.extent() == Extent::Unclear,
            Error::NoPhotos { .. } => denied,
            _ => false,
        };
        assert!(expected && error.to_string().lines().count() == 1, "{error}");
        assert!(work.pieces().is_empty(), "{fault:?}");
    }
    // What is wrong with the place ends the run.
    let environment = objects.environment.clone().map(with_a_wrong_secret);
    let wrong = Options { environment, ..objects.clone() };
    let mut manifest = Manifest::open(&place, &key).unwrap();
    proxy.plan(|_| None);
    let options = options("0/1");
    let ended = embed(&mut manifest, &work.out(), &Colours::new(), &wrong, &options, &NoProgress);
    assert!(matches!(ended, Err(Error::Objects(error)) if error.extent() == Extent::Place));
    // One photo alone is denied, one is gone, one is broken over there: its piece is left out, and the others are not.
    let plan = |third: u16| {
        proxy.plan(move |seen| {
            let status =
                |part: &str, status| seen.target.contains(part).then_some(Fault::Status(status));
            status("/3.jpg", 403).or(status("/8.png", 404)).or(status("/5.jpg", third))
        });
    };
    plan(500);
    let error = run().unwrap_err();
    assert!(matches!(&error, Error::LeftOut { pieces: 1, first: 1, .. }), "{error}");
    assert!(error.to_string().contains("/5.jpg: the server answers 500"), "{error}");
    assert_eq!(work.pieces(), ["piece-00000000.sbir-piece", "piece-00000002.sbir-piece"]);
    // One that is refused for good, as with a key of its own to decrypt it, is recorded.
    plan(400);
    let summary = run().unwrap();
    assert_eq!((summary.snapshot.embedded, summary.snapshot.failed), (3, 1));
    let loaded = work.load(&work.gallery("g.sbir")).unwrap();
    assert_eq!((loaded.photos, loaded.failed, loaded.missing.len()), (9, 3, 0));
}

#[test]
fn pieces_cannot_be_written_is_said_at_once() {
    let Some(server) = S3::shared() else { return };
    let proxy = Proxy::start(server.address()).unwrap();
    let objects = through(&proxy);
    let work = Work::with_photos(12);
    work.list(2);
    let out = Place::open(address("unwritable").as_ref(), &objects).unwrap();
    proxy.plan(|seen| {
        let piece = seen.method == "PUT" && seen.target.contains("piece-");
        piece.then_some(Fault::Status(403))
    });
    let error = work.embed_to(&out, "0/1", &Colours::new()).unwrap_err();
    assert!(matches!(&error, Error::Objects(error) if error.is_denied()), "{error}");
    proxy.plan(|_| None);
    assert!(out.stat(&Key::new("job.json").unwrap()).is_ok());
    assert_eq!(work.embed_to(&out, "0/1", &Colours::new()).unwrap().snapshot.written, 6);
    let gallery = work.gallery("g.sbir");
    load(&out, None, &gallery, &LoadOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(gallery.stats().unwrap().photos, 12);
}
