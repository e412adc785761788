//! Names that are not what one expects, links, and photos opened by number.

use std::fs;
use std::io::Read as _;

use proptest::prelude::*;
use sbir_gallery::{
    Error, Gallery, OpenedPhoto, PhotoId, RelPath, SearchOptions, VectorStore as _, open_photo,
};

use crate::support::{Colours, Place, picture, rel, write_picture};

fn open(gallery: &Gallery, id: PhotoId) -> Result<OpenedPhoto, Error> {
    gallery.record(id).and_then(|record| open_photo(record.photo))
}

fn by_path(gallery: &Gallery, path: &str) -> PhotoId {
    let photos = gallery.list(None, None, 100).unwrap().items;
    photos.iter().find(|photo| photo.path.as_bytes() == path.as_bytes()).unwrap().id
}

#[cfg(unix)]
#[test]
fn any_name_survives() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let place = Place::new();
    let names: [&[u8]; 6] = [
        b"not utf-8 \xff\xfe.png",
        b"two\nlines\r.png",
        b"<img src=x onerror=alert(1)>&amp;'\".png",
        b"fol\xffder/%2e%2e\\..png",
        "emoji 🪑 and \u{202e}gnp.png".as_bytes(),
        b" .png",
    ];
    for (seed, name) in names.iter().enumerate() {
        let path = place.root().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        picture(seed as u32)
            .write_to(&mut std::io::BufWriter::new(&mut file), image::ImageFormat::Png)
            .unwrap();
    }
    assert_eq!(place.index(&Colours::new()).snapshot.embedded, 6);
    assert_eq!(place.index(&Colours::new()).snapshot.unchanged, 6);
    let gallery = place.gallery();
    let photos = gallery.list(None, None, 10).unwrap().items;
    let mut found: Vec<_> = photos.iter().map(|photo| photo.path.as_bytes().to_vec()).collect();
    found.sort();
    let mut expected: Vec<_> = names.map(<[u8]>::to_vec).into();
    expected.sort();
    assert_eq!(found, expected);
    for photo in photos {
        assert_eq!(photo.display().lines().count(), 1);
        assert!(!open(&gallery, photo.id).unwrap().changed);
    }
    let under = place.root().join(OsStr::from_bytes(b"fol\xffder"));
    let options = SearchOptions::nearest(10).under(&under);
    let hits = gallery.search(&[0.1; crate::support::DIMENSION], &options).unwrap();
    assert_eq!((hits.items.len(), hits.searched), (1, 1));
    // A file that cannot be read is told in one line.
    fs::write(place.root().join("bad\nname.png"), "no picture").unwrap();
    let summary = place.index(&Colours::new());
    assert_eq!(summary.failures.len(), 1);
    assert_eq!(summary.failures[0].message.lines().count(), 1, "{:?}", summary.failures);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;

    let place = Place::with_photos(4);
    let outside = place.root().parent().unwrap().join("outside");
    write_picture(&outside.join("secret.png"), 50);
    let root = place.root();
    symlink(&root, root.join("sub/loop")).unwrap();
    symlink(".", root.join("here")).unwrap();
    symlink(&outside, root.join("out")).unwrap();
    symlink(outside.join("secret.png"), root.join("secret.png")).unwrap();
    symlink("missing.png", root.join("dangling.png")).unwrap();
    symlink("ring.png", root.join("ring.png")).unwrap();
    let summary = place.index(&Colours::new());
    assert_eq!((summary.snapshot.embedded, summary.snapshot.links), (4, 6));
    assert_eq!(place.paths(), ["0.png", "1.png", "sub/2.png", "sub/3.png"]);
    // A photo that becomes a link out of its root is not served, nor one whose folder does.
    let gallery = place.gallery();
    let (first, third) = (by_path(&gallery, "0.png"), by_path(&gallery, "sub/3.png"));
    fs::remove_file(root.join("0.png")).unwrap();
    symlink(outside.join("secret.png"), root.join("0.png")).unwrap();
    fs::rename(root.join("sub"), outside.join("sub")).unwrap();
    symlink(outside.join("sub"), root.join("sub")).unwrap();
    for id in [first, third] {
        let error = open(&gallery, id).unwrap_err();
        assert!(matches!(error, Error::PhotoGone { .. }), "{error}");
    }
    // The root itself may be given as a link.
    let link = place.root().parent().unwrap().join("link");
    symlink(&outside, &link).unwrap();
    let options = sbir_gallery::IndexOptions::default();
    sbir_gallery::index(&gallery, &[link], &Colours::new(), &options, &sbir_gallery::NoProgress)
        .unwrap();
    assert_eq!(gallery.roots().unwrap().iter().filter(|info| info.path == outside).count(), 1);
}

#[test]
fn a_photo_that_changed_is_told() {
    let place = Place::with_photos(2);
    place.index(&Colours::new());
    let gallery = place.gallery();
    let id = by_path(&gallery, "0.png");
    let mut bytes = Vec::new();
    let opened = open(&gallery, id).unwrap();
    opened.content.into_file().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, fs::read(place.root().join("0.png")).unwrap());
    assert!(!opened.changed && opened.size == bytes.len() as u64);
    fs::write(place.root().join("0.png"), "other").unwrap();
    assert!(open(&gallery, id).unwrap().changed);
    fs::remove_file(place.root().join("0.png")).unwrap();
    assert!(matches!(open(&gallery, id), Err(Error::PhotoGone { .. })));
    fs::create_dir(place.root().join("0.png")).unwrap();
    assert!(matches!(open(&gallery, id), Err(Error::PhotoGone { .. })));
    assert!(matches!(open(&gallery, PhotoId(12345)), Err(Error::NoPhoto { id: PhotoId(12345) })));
}

#[test]
fn paths_stay_below_their_root() {
    for bad in ["", "/", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a\0b"] {
        assert!(RelPath::new(bad.into()).is_err(), "{bad:?}");
    }
    assert!(rel("a/..b/c.").is_under(b"a"));
    assert!(!rel("ab/c").is_under(b"a"));
    assert_eq!(rel("a/b.png").file_name(), b"b.png");
}

proptest! {
    #[test]
    fn any_sound_path_comes_back(names in prop::collection::vec("[^/\0]{1,12}", 1..5)) {
        let bytes = names.join("/").into_bytes();
        if let Ok(path) = RelPath::new(bytes.clone()) {
            prop_assert_eq!(path.as_bytes(), bytes.as_slice());
            prop_assert_eq!(path.to_string().lines().count().max(1), 1);
            prop_assert!(!path.to_string().chars().any(char::is_control));
            prop_assert_eq!(RelPath::from_path(&path.to_path()).unwrap(), path);
        } else {
            prop_assert!(names.iter().any(|name| name == "." || name == ".."));
        }
    }
}
