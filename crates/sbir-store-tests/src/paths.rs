//! Paths that are not what one expects.

use std::path::{Path, PathBuf};

use sbir_gallery::{RelPath, SearchOptions};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

/// A folder's names that would break a store which puts them together with its own words.
fn folders() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "a",
        "a b",
        "a%",
        "a%b",
        "a_",
        "a_b",
        "axb",
        "a'b",
        "a\"b",
        "a`b",
        "a\\",
        "a\\b",
        "a\\x62",
        "a\nb",
        "a\r\tb",
        " ",
        "*",
        "a*",
        "a?",
        "a[b]",
        "$1",
        "${a}",
        "{a}",
        "; DROP TABLE photo; --",
        "<b>a</b>&amp;",
        "-",
        "--",
        "ä",
        "a\u{308}",
        "🪑",
        "\u{202e}a",
        "写真",
        "NULL",
        "null",
        "0",
        "a/b",
        "a/bc",
        "a/b.c",
        "a/b/c",
        "..a",
        "a.",
        "A",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into();
    if cfg!(unix) {
        names.extend([
            b"\xff".to_vec(),
            b"a\xfe\xff".to_vec(),
            b"a\xc3".to_vec(),
            b"a\x01\x7f".to_vec(),
        ]);
    }
    // Four kilobytes, alike but for the last folder.
    let long = vec![b"n".repeat(250); 16].join(&b'/');
    names.extend([b"a", b"b"].map(|end| [&long[..], b"/", end].concat()));
    names
}

/// Hostile names of folders and files: each comes back as it was, is found by path, and as a folder takes in exactly
/// what lies below it. Roots lie in one another, and in object stores.
pub fn paths(maker: &Maker<'_>) {
    let store = (maker.open)("paths");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(7), Model::new(maker.exact));
    let roots =
        ["/sbir/x", "/sbir/x/a", "/sbir/x/a/b", "/sbir/x y'\"%_", "s3://bucket", "s3://bucket/a"];
    let folders = folders();
    let mut batch = Vec::new();
    for root in roots {
        for folder in &folders {
            // The folder's name as a file's, and a file in the folder.
            let file = [&folder[..], b"/file.jpg"].concat();
            let names = [&folder[..], &file];
            batch.extend(names.map(|name| record(root, name, random.unit(DIMENSION))));
        }
    }
    for part in batch.chunks(100) {
        model.upsert(&*store, part);
    }
    model.holds(&*store);
    let query = random.unit(DIMENSION);
    for root in roots {
        let mut paths = Vec::new();
        for folder in &folders {
            let path = RelPath::new(folder.clone()).expect("a sound path");
            let place = Path::new(root).join(path.to_path());
            agree(&mut model, &*store, &query, &place);
            paths.push(path);
        }
        let found = store.lookup(Path::new(root), &paths).expect("lookup");
        for (photo, path) in found.iter().zip(&paths) {
            let photo = photo.as_ref().unwrap_or_else(|| panic!("{root}: {path:?}"));
            assert_eq!((photo.root.as_path(), &photo.path), (Path::new(root), path));
        }
        for place in [root.to_owned(), format!("{root}x"), root[..root.len() - 1].to_owned()] {
            agree(&mut model, &*store, &query, Path::new(&place));
        }
    }
    for place in
        ["/", "/sbir", "/sbir/", "/sbir/x/a/", "/sbi", "/sbir/x/a/b/c/file.jpg", "s3://bucket/a/"]
    {
        agree(&mut model, &*store, &query, Path::new(place));
    }
    let below = |folder: &str| PathBuf::from("/sbir/x").join(folder);
    for folder in ["a%", "a_", "a'b", "*", "a\\", "; DROP TABLE photo; --", "a/b", "a"] {
        model.delete_under(&*store, &below(folder));
    }
    model.holds(&*store);
    model.delete_under(&*store, Path::new("s3://bucket/a"));
    model.holds(&*store);
    model.found_enough();
}

/// Lists and searches below a place.
fn agree(model: &mut Model, store: &dyn sbir_gallery::VectorStore, query: &[f32], place: &Path) {
    let mut listed: Vec<_> = store
        .list(Some(place), None, 1000)
        .expect("list")
        .items
        .into_iter()
        .map(|photo| (photo.root, photo.path))
        .collect();
    listed.sort();
    let expected: Vec<_> = model
        .under(Some(place))
        .iter()
        .map(|record| (record.photo.root.clone(), record.photo.path.clone()))
        .collect();
    assert_eq!(listed, expected, "below {place:?}");
    model.search(store, query, &SearchOptions::nearest(20).under(place));
}
