//! Galleries out and in again.

use std::fs;

use sbir_gallery::{Error, VectorStore as _};

use crate::support::{Colours, Place, write_picture};

#[test]
fn an_export_comes_back_as_it_was() {
    let place = Place::with_photos(10);
    write_picture(&place.root().join("two\nlines.png"), 40);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"no\xffutf8.png");
        fs::copy(place.root().join("0.png"), place.root().join(name)).unwrap();
    }
    place.index(&Colours::new());
    let gallery = place.gallery();
    let (npy, jsonl) = (place.folder.path().join("g.npy"), place.folder.path().join("g.jsonl"));
    let count = sbir_gallery::export(&gallery, &npy, &jsonl).unwrap();
    let text = fs::read_to_string(&jsonl).unwrap();
    assert_eq!((text.lines().count() as u64, count), (count, gallery.stats().unwrap().photos));
    assert_eq!(fs::metadata(&npy).unwrap().len(), 128 + count * 48 * 4);

    let other = Place::new();
    let copy = other.gallery();
    let report = sbir_gallery::import(&copy, &npy, &jsonl).unwrap();
    assert_eq!((report.added, report.replaced), (count, 0));
    let (mut a, mut b) =
        (gallery.scan(None, 100).unwrap().items, copy.scan(None, 100).unwrap().items);
    for record in a.iter_mut().chain(&mut b) {
        record.photo.id = sbir_gallery::PhotoId(0);
    }
    assert_eq!(a, b);
    assert_eq!(copy.space().unwrap(), gallery.space().unwrap());
    assert_eq!(sbir_gallery::import(&copy, &npy, &jsonl).unwrap().replaced, count);
    assert_eq!(copy.stats().unwrap().photos, count);
    // The photos are known there, so that an index run has nothing to do.
    let colours = Colours::new();
    let options = sbir_gallery::IndexOptions::default();
    sbir_gallery::index(&copy, &[place.root()], &colours, &options, &sbir_gallery::NoProgress)
        .unwrap();
    assert_eq!(colours.taken(), 0);
}

#[test]
fn files_that_do_not_fit_are_refused_whole() {
    let place = Place::with_photos(6);
    place.index(&Colours::new());
    let (npy, jsonl) = (place.folder.path().join("g.npy"), place.folder.path().join("g.jsonl"));
    sbir_gallery::export(&place.gallery(), &npy, &jsonl).unwrap();
    let (vectors, lines) = (fs::read(&npy).unwrap(), fs::read_to_string(&jsonl).unwrap());
    let first = lines.lines().next().unwrap();
    let mut nan = vectors.clone();
    nan[128 + 48 * 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let cases: Vec<(Vec<u8>, String)> = vec![
        (vectors[..vectors.len() - 1].to_vec(), lines.clone()),
        (vectors[..40].to_vec(), lines.clone()),
        (b"no numbers".to_vec(), lines.clone()),
        (nan, lines.clone()),
        (vectors.clone(), lines.lines().skip(1).map(|line| format!("{line}\n")).collect()),
        (vectors.clone(), format!("{lines}{first}\n")),
        (vectors.clone(), format!("{lines}x")),
        (vectors.clone(), lines.replacen("\"path\":\"1.png\"", "\"path\":\"../1.png\"", 1)),
        (vectors.clone(), lines.replacen("\"sha256\":\"", "\"sha256\":\"zz", 1)),
        (vectors.clone(), lines.replacen("\"root\":\"/", "\"root\":\"", 1)),
        (vectors.clone(), lines.replacen("colours", "others", 1)),
        (vectors.clone(), String::new()),
    ];
    for (case, (vectors, lines)) in cases.into_iter().enumerate() {
        let other = Place::new();
        let gallery = other.gallery();
        fs::write(&npy, vectors).unwrap();
        fs::write(&jsonl, lines).unwrap();
        let error = sbir_gallery::import(&gallery, &npy, &jsonl).unwrap_err();
        assert!(matches!(error, Error::Import { .. }), "case {case}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
        assert_eq!(gallery.stats().unwrap().photos, 0, "case {case}");
    }
}
