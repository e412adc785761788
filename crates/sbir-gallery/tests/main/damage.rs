//! Galleries that are damaged, or none.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::mpsc;
use std::time::Duration;

use sbir_gallery::{
    Error, Gallery, Hits, IndexOptions, NoProgress, SearchOptions, VectorStore as _, index,
};

use crate::support::{Colours, DIMENSION, Place};

const PAGE: u64 = 8192;

/// Overwrites a page of a gallery that nobody has open.
fn overwrite(place: &Place, page: u64) {
    let mut file = fs::File::options().write(true).open(place.gallery_path()).unwrap();
    file.seek(SeekFrom::Start(page * PAGE)).unwrap();
    file.write_all(&[0xA5; PAGE as usize]).unwrap();
}

#[test]
fn every_damaged_page_is_detected_and_the_gallery_can_be_made_again() {
    let place = Place::with_photos(150);
    place.index(&Colours::new());
    let sound = fs::read(place.gallery_path()).unwrap();
    let pages = sound.len() as u64 / PAGE;
    assert!(pages > 10, "{pages}");
    for page in 1..pages {
        fs::write(place.gallery_path(), &sound).unwrap();
        let _ = fs::remove_file(place.gallery_path().with_file_name("gallery.sbir-vectors"));
        overwrite(&place, page);
        let problems = match Gallery::open(&place.gallery_path()) {
            Ok(gallery) => sbir_gallery::verify(&gallery, false).unwrap().problems,
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "page {page}: {error}");
                vec![error.to_string()]
            }
        };
        assert!(!problems.is_empty(), "page {page} of {pages}");
    }
    // The remedy that the message names.
    for suffix in ["", "-vectors", "-wal", "-shm"] {
        let _ =
            fs::remove_file(place.gallery_path().with_file_name(format!("gallery.sbir{suffix}")));
    }
    assert_eq!(place.index(&Colours::new()).snapshot.embedded, 150);
}

#[test]
fn searches_and_runs_on_damaged_pages_name_the_remedy() {
    let place = Place::with_photos(150);
    place.index(&Colours::new());
    let pages = fs::metadata(place.gallery_path()).unwrap().len() / PAGE;
    for page in 1..pages {
        overwrite(&place, page);
    }
    let _ = fs::remove_file(place.gallery_path().with_file_name("gallery.sbir-vectors"));
    let damaged = |error: Error| {
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("index again"), "{error}");
    };
    match Gallery::open(&place.gallery_path()) {
        Err(error) => damaged(error),
        Ok(gallery) => {
            damaged(gallery.search(&[0.1; DIMENSION], &SearchOptions::default()).unwrap_err());
            let options = IndexOptions::default();
            damaged(
                index(&gallery, &[place.root()], &Colours::new(), &options, &NoProgress)
                    .unwrap_err(),
            );
        }
    }
}

#[test]
fn a_flipped_bit_in_a_vector_is_detected() {
    let place = Place::with_photos(40);
    place.index(&Colours::new());
    let gallery = place.gallery();
    let record = gallery.scan(None, 1).unwrap().items.remove(0);
    let first: Vec<u8> = record.embedding[..8]
        .iter()
        .flat_map(|value| half::f16::from_f32(*value).to_le_bytes())
        .collect();
    drop(gallery);
    let mut bytes = fs::read(place.gallery_path()).unwrap();
    let at = bytes.windows(first.len()).position(|window| window == first).unwrap();
    bytes[at + 3] ^= 4;
    fs::write(place.gallery_path(), bytes).unwrap();
    let gallery = place.gallery();
    let problems = sbir_gallery::verify(&gallery, false).unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("checksum"), "{problems:?}");
    let error = gallery.search(&[0.1; DIMENSION], &SearchOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

/// Changes the tables as no program of ours does.
fn tamper(place: &Place, statements: &str) {
    let connection = rusqlite::Connection::open(place.gallery_path()).unwrap();
    connection.execute_batch(statements).unwrap();
}

/// Searches, which has to end.
fn search(gallery: Gallery) -> Result<Hits, Error> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let options = SearchOptions::nearest(10_000);
        let _ = sender.send(gallery.search(&[0.1; DIMENSION], &options));
    });
    receiver.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn searches_end_where_rows_do_not_fit_each_other() {
    let damaged = |gallery: Gallery, what: &str| {
        let error = search(gallery).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error}");
    };
    let place = Place::with_photos(4);
    place.index(&Colours::new());
    let gallery = place.gallery();
    let template = gallery.scan(None, 1).unwrap().items.remove(0);
    assert_eq!(gallery.search(&template.embedding, &SearchOptions::default()).unwrap().searched, 4);
    // Rows that go without a word, as when an older copy of the file is put in its place: no damage.
    tamper(&place, "DELETE FROM photo WHERE id = 1; DELETE FROM embedding WHERE id = 1;");
    let hits = search(gallery).unwrap();
    assert_eq!((hits.searched, hits.items.len()), (3, 3));

    tamper(&place, "DELETE FROM root;");
    damaged(place.gallery(), "photos without a root");

    let place = Place::with_photos(1);
    place.index(&Colours::new());
    tamper(&place, "UPDATE meta SET value = 1000 WHERE name = 'floor';");
    damaged(place.gallery(), "compacted in the future");

    // So many that the derived file is written, which is made of the vectors alone.
    let place = Place::with_photos(1);
    place.index(&Colours::new());
    let gallery = place.gallery();
    let records: Vec<_> = (0..1100)
        .map(|number| {
            let mut record = template.clone();
            record.photo.path = crate::support::rel(&format!("made/{number}"));
            record
        })
        .collect();
    gallery.upsert(&records).unwrap();
    tamper(&place, "DELETE FROM photo WHERE id = 7;");
    gallery.compact().unwrap();
    assert!(place.gallery_path().with_file_name("gallery.sbir-vectors").exists());
    damaged(gallery, "a vector without a photo");
    damaged(place.gallery(), "a vector without a photo, opened anew");
}

#[test]
fn a_dimension_that_cannot_be_is_damage() {
    let place = Place::with_photos(2);
    place.index(&Colours::new());
    for dimension in [0, -1, 16_385, 4_000_000_000_u32.into(), i64::MAX] {
        tamper(&place, &format!("UPDATE meta SET value = {dimension} WHERE name = 'dimension'"));
        let Err(error) = Gallery::open(&place.gallery_path()) else { panic!("{dimension}") };
        assert!(matches!(error, Error::Corrupt { .. }), "{dimension}: {error}");
        assert!(error.to_string().contains(&dimension.to_string()), "{error}");
    }
}

#[test]
fn other_files_are_no_galleries() {
    let place = Place::new();
    let path = place.gallery_path();
    assert!(matches!(Gallery::open(&path), Err(Error::NoGallery { .. })));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "some text that is long enough to be a header").unwrap();
    for open in [Gallery::open, Gallery::open_or_create] {
        assert!(matches!(open(&path), Err(Error::NotAGallery { .. })));
    }
    assert_eq!(fs::read(&path).unwrap().len(), 44);
    assert!(Gallery::open(place.folder.path()).is_err());
    fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(other);
    assert!(matches!(Gallery::open(&path), Err(Error::NotAGallery { .. })));
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert!(matches!(Gallery::open(&path), Err(Error::NotAGallery { .. })));
    drop(place.gallery());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(Gallery::open(&path), Err(Error::NewerFormat { found: 99, .. })));
}

#[test]
fn a_derived_file_is_believed_only_when_it_is_whole() {
    let place = Place::with_photos(4);
    place.index(&Colours::new());
    let gallery = place.gallery();
    let template = gallery.scan(None, 1).unwrap().items.remove(0);
    let records: Vec<_> = (0..3000_u32)
        .map(|place| {
            let mut record = template.clone();
            record.photo.path = crate::support::rel(&format!("made/{place}"));
            record.embedding[0] += (place % 97) as f32 * 1e-3;
            record
        })
        .collect();
    gallery.upsert(&records).unwrap();
    gallery.settle().unwrap();
    let vectors = place.gallery_path().with_file_name("gallery.sbir-vectors");
    let sound = fs::read(&vectors).unwrap();
    let query = &template.embedding;
    let ids = |gallery: &Gallery| -> Vec<_> {
        let hits = gallery.search(query, &SearchOptions::nearest(50)).unwrap();
        assert_eq!(hits.searched, 3004);
        hits.items.iter().map(|hit| (hit.photo.id, hit.score.to_bits())).collect()
    };
    let expected = ids(&gallery);
    let check = |what: &str| assert_eq!(ids(&place.gallery()), expected, "{what}");
    check("whole");
    fs::remove_file(&vectors).unwrap();
    assert_eq!(ids(&gallery), expected, "removed while it is mapped");
    check("removed");
    for (at, what) in [(0, "magic"), (20, "rows"), (30, "generation"), (57, "norm"), (70, "header")]
        .into_iter()
        .chain([(1 << 16, "ids"), (sound.len() / 2, "middle"), (sound.len() - 1, "end")])
    {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x40;
        fs::remove_file(&vectors).ok();
        fs::write(&vectors, damaged).unwrap();
        check(what);
    }
    for length in [0, 10, 76, 1 << 16, sound.len() - 1] {
        fs::remove_file(&vectors).ok();
        fs::write(&vectors, &sound[..length]).unwrap();
        check("cut off");
    }
    // Another gallery's file.
    let other = Place::with_photos(4);
    other.index(&Colours::new());
    other.gallery().upsert(&records).unwrap();
    other.gallery().settle().unwrap();
    fs::remove_file(&vectors).ok();
    fs::copy(other.gallery_path().with_file_name("gallery.sbir-vectors"), &vectors).unwrap();
    check("another's");
    // An older one is brought up to date.
    fs::remove_file(&vectors).ok();
    fs::write(&vectors, &sound).unwrap();
    let last = gallery.list(None, None, 10_000).unwrap().items.pop().unwrap().id;
    gallery.delete(&sbir_gallery::Selector::Ids(vec![last])).unwrap();
    let hits = place.gallery().search(query, &SearchOptions::nearest(9999)).unwrap();
    assert_eq!((hits.searched, hits.items.len()), (3003, 3003));
    gallery.compact().unwrap();
    fs::remove_file(&vectors).ok();
    fs::write(&vectors, &sound).unwrap();
    let hits = place.gallery().search(query, &SearchOptions::nearest(9999)).unwrap();
    assert_eq!((hits.searched, hits.items.len()), (3003, 3003), "older than a compaction");
}
