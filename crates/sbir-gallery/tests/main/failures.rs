//! Folders and files that fail: none of them costs what the gallery has.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use sbir_gallery::{Error, IndexOptions, NoProgress, VectorStore as _, index};

use crate::support::{Colours, Place, paths, picture, write_picture};

#[test]
fn a_missing_root_empties_nothing() {
    let place = Place::with_photos(6);
    let colours = Colours::new();
    place.index(&colours);
    colours.taken();
    let away = place.root().with_file_name("away");
    fs::rename(place.root(), &away).unwrap();
    for unmounted in [false, true] {
        if unmounted {
            fs::create_dir(place.root()).unwrap();
        }
        let summary = place.index(&colours);
        assert_eq!(summary.missing_roots, [place.root()]);
        assert_eq!((summary.snapshot.removed, place.paths().len()), (0, 6));
    }
    // Back again.
    fs::remove_dir(place.root()).unwrap();
    fs::rename(&away, place.root()).unwrap();
    assert_eq!(place.index(&colours).snapshot.unchanged, 6);
    // With pruning it is meant.
    fs::remove_dir_all(place.root()).unwrap();
    let prune = IndexOptions { prune: true, ..IndexOptions::default() };
    assert_eq!(place.index_with(&colours, &prune).snapshot.removed, 6);
    assert_eq!((place.paths().len(), colours.taken()), (0, 0));
    // A folder that nobody knows is an error.
    let error =
        index(&place.gallery(), &[place.root()], &colours, &prune, &NoProgress).unwrap_err();
    assert!(matches!(error, Error::NoFolder { .. }), "{error}");
}

#[test]
fn content_on_an_unmounted_disk_is_copied_not_moved() {
    let place = Place::with_photos(4);
    let colours = Colours::new();
    place.index(&colours);
    colours.taken();
    let other = place.root().with_file_name("other");
    fs::create_dir(&other).unwrap();
    fs::copy(place.root().join("0.png"), other.join("here.png")).unwrap();
    let away = place.root().with_file_name("away");
    fs::rename(place.root(), &away).unwrap();
    fs::create_dir(place.root()).unwrap();
    let gallery = place.gallery();
    let summary =
        index(&gallery, &[other], &colours, &IndexOptions::default(), &NoProgress).unwrap();
    assert_eq!((summary.snapshot.moved, colours.taken()), (1, 0));
    assert_eq!(paths(&gallery), ["0.png", "1.png", "here.png", "sub/2.png", "sub/3.png"]);
}

#[test]
fn a_folder_that_vanishes_during_the_run_is_kept() {
    for whole_root in [false, true] {
        let place = Place::with_photos(40);
        place.index(&Colours::new());
        write_picture(&place.root().join("!new.png"), 1000);
        let root = place.root();
        let vanishing = if whole_root { root.clone() } else { root.join("sub") };
        let away = root.with_file_name("away");
        // The run is at its first photo, and the queues hold it up before the last folder.
        for seed in 0..200 {
            write_picture(&root.join(format!("!new{seed}.png")), 2000 + seed);
        }
        let (from, to) = (vanishing.clone(), away.clone());
        let colours = Colours::with_hook(move || fs::rename(from, to).unwrap());
        let options = IndexOptions { batch: 1, ..IndexOptions::default() };
        let summary = place.index_with(&colours, &options);
        assert_eq!(summary.snapshot.removed, 0, "{whole_root}");
        assert!(summary.snapshot.failed > 0, "{whole_root}");
        let kept = place.paths();
        assert_eq!(kept.iter().filter(|path| !path.starts_with('!')).count(), 40, "{whole_root}");
        // It comes back.
        if whole_root {
            let _ = fs::remove_dir_all(&vanishing);
        }
        fs::rename(&away, &vanishing).unwrap();
        let summary = place.index(&Colours::new()).snapshot;
        assert_eq!((summary.removed, summary.failed, place.paths().len()), (0, 0, 241));
    }
}

#[test]
fn hostile_files_cost_an_error_each() {
    let place = Place::with_photos(4);
    let root = place.root();
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).unwrap();
    let mut png = Vec::new();
    picture(1).write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    let mut jpeg = Vec::new();
    image::DynamicImage::ImageRgb8(picture(2))
        .write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg)
        .unwrap();
    write("empty.jpg", b"");
    write("text.png", b"this is no picture");
    write("truncated.png", &png[..png.len() / 2]);
    write("truncated.jpg", &jpeg[..jpeg.len() / 2]);
    // Sizes that are not there: 60,000 by 60,000 in a header.
    let mut lying = png.clone();
    lying[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
    write("lying.png", &lying);
    let mut lying = jpeg.clone();
    let frame = lying.windows(2).position(|w| w[0] == 0xFF && matches!(w[1], 0xC0 | 0xC2)).unwrap();
    lying[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    write("lying.jpg", &lying);
    let mut lying_bmp = Vec::new();
    picture(3)
        .write_to(&mut std::io::Cursor::new(&mut lying_bmp), image::ImageFormat::Bmp)
        .unwrap();
    lying_bmp[18..26].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F]);
    write("lying.bmp", &lying_bmp);
    // Content decides, not the name.
    write("png.jpg", &png);
    write("photo.heic", b"....ftypheic");
    let heic = include_bytes!("../../../sbir-data/tests/golden/photo.heic");
    write("sound.HEIC", heic);
    write("truncated.heic", &heic[..heic.len() / 2]);
    write("photo.AVIF", b"....ftypavif");
    write("notes.txt", b"no photo");
    let big = fs::File::create(root.join("huge.tif")).unwrap();
    big.set_len(1 << 40).unwrap();
    let summary = place.index(&Colours::new());
    let mut failed: Vec<_> = summary
        .failures
        .iter()
        .map(|failure| failure.path.file_name().unwrap().to_str().unwrap())
        .collect();
    failed.sort_unstable();
    assert_eq!(
        failed,
        [
            "empty.jpg",
            "huge.tif",
            "lying.bmp",
            "lying.jpg",
            "lying.png",
            "photo.heic",
            "text.png",
            "truncated.heic",
            "truncated.jpg",
            "truncated.png"
        ]
    );
    assert_eq!((summary.snapshot.embedded, summary.snapshot.moved), (6, 0));
    assert_eq!(summary.snapshot.unsupported, 1);
    for failure in &summary.failures {
        assert!(failure.message.contains(failure.path.to_str().unwrap()), "{failure:?}");
        assert_eq!(failure.message.lines().count(), 1);
    }
}

#[test]
fn every_format_is_read() {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};

    let place = Place::with_photos(0);
    // Large enough for JPEG's and GIF's losses not to matter.
    let big = image::imageops::resize(&picture(8), 96, 64, image::imageops::FilterType::Nearest);
    let formats =
        [("a.JPG", Jpeg), ("b.png", Png), ("c.webp", WebP), ("d.gif", Gif), ("e.bmp", Bmp)];
    for (name, format) in formats.into_iter().chain([("f.tif", Tiff), ("g.TIFF", Tiff)]) {
        big.save_with_format(place.root().join(name), format).unwrap();
    }
    for (name, golden) in [("h.heic", "photo.heic"), ("i.HEIF", "turned.heic")] {
        let golden =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../sbir-data/tests/golden").join(golden);
        fs::copy(golden, place.root().join(name)).unwrap();
    }
    let summary = place.index(&Colours::new());
    // The two TIFF files are one content.
    let done = (summary.snapshot.embedded + summary.snapshot.moved, summary.snapshot.failed);
    assert_eq!(done, (9, 0), "{:?}", summary.failures);
    let gallery = place.gallery();
    let expected =
        crate::support::vector(&sbir_data::Upright::new(96, 64, big.into_raw()).unwrap());
    for photo in gallery.list(None, None, 10).unwrap().items {
        let name = photo.path.to_string();
        let size = match name.as_str() {
            "h.heic" => [117, 90],
            "i.HEIF" => [90, 117],
            _ => [96, 64],
        };
        assert_eq!([photo.width, photo.height], size, "{name}");
        if size == [96, 64] {
            let embedding = gallery.record(photo.id).unwrap().embedding;
            let score: f32 = embedding.iter().zip(&expected).map(|(a, b)| a * b).sum();
            assert!(score > 0.99, "{name}: {score}");
        }
    }
}

/// A JPEG with an EXIF orientation.
fn turned_jpeg(path: &Path, orientation: u8) {
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    let big = image::imageops::resize(&picture(5), 480, 320, image::imageops::FilterType::Nearest);
    big.write_with_encoder(encoder).unwrap();
    let exif = [
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
        &[orientation, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let mut file = fs::File::create(path).unwrap();
    file.write_all(&jpeg[..2]).unwrap();
    file.write_all(&[0xFF, 0xE1]).unwrap();
    file.write_all(&((exif.len() + 2) as u16).to_be_bytes()).unwrap();
    file.write_all(&exif).unwrap();
    file.write_all(&jpeg[2..]).unwrap();
}

#[test]
fn photos_are_indexed_upright() {
    let place = Place::with_photos(0);
    turned_jpeg(&place.root().join("upright.jpg"), 1);
    turned_jpeg(&place.root().join("turned.jpg"), 6);
    place.index(&Colours::new());
    let gallery = place.gallery();
    for photo in gallery.list(None, None, 10).unwrap().items {
        let turned = photo.path.to_string() == "turned.jpg";
        let expected = if turned { [320, 480] } else { [480, 320] };
        assert_eq!([photo.width, photo.height], expected);
        // The photo turned by hand, at full scale.
        let big =
            image::imageops::resize(&picture(5), 480, 320, image::imageops::FilterType::Nearest);
        let big = if turned { image::imageops::rotate90(&big) } else { big };
        let full = sbir_data::Upright::new(expected[0], expected[1], big.into_raw()).unwrap();
        let embedding = gallery.record(photo.id).unwrap().embedding;
        let score: f32 =
            embedding.iter().zip(crate::support::vector(&full)).map(|(a, b)| a * b).sum();
        assert!(score > 0.999, "{}: {score}", photo.path);
    }
}

#[cfg(unix)]
#[test]
fn unreadable_folders_and_files_are_listed_and_kept() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::with_photos(8);
    place.index(&Colours::new());
    let (folder, file) = (place.root().join("sub"), place.root().join("0.png"));
    write_picture(&file, 500);
    for path in [&folder, &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let may_read_all = fs::read_dir(&folder).is_ok();
    let summary = place.index(&Colours::new());
    for path in [&folder, &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    if may_read_all {
        // Permissions mean nothing to this user; `a_folder_that_cannot_be_listed_is_kept` stands in.
        assert_eq!(summary.snapshot.failed, 0);
        return;
    }
    assert_eq!((summary.snapshot.failed, summary.snapshot.removed), (2, 0));
    assert_eq!(place.paths().len(), 8);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_listed_is_kept() {
    // Paths longer than the system takes fail for everybody: folders are made and renamed step by step, so that the
    // photo is indexed while its path is short, and cannot be reached when it is long.
    let place = Place::with_photos(2);
    let long = "d".repeat(200);
    write_picture(&place.root().join("a/b/photo.png"), 9);
    place.index(&Colours::new());
    assert_eq!(place.paths().len(), 3);
    let mut deep = place.root().join("deep");
    fs::create_dir(&deep).unwrap();
    // Each round puts what there is one long name deeper.
    for _ in 0..25 {
        let outer = place.root().join("outer");
        fs::create_dir(&outer).unwrap();
        fs::rename(&deep, outer.join(&long)).unwrap();
        fs::rename(&outer, &deep).unwrap();
    }
    let summary = place.index(&Colours::new());
    assert_eq!(
        (summary.snapshot.failed, summary.snapshot.removed),
        (1, 0),
        "{:?}",
        summary.failures
    );
    assert_eq!(summary.snapshot.unchanged, 3);
    // Taken apart again, for the temporary folder's sake.
    for _ in 0..25 {
        let inner = place.root().join("inner");
        fs::rename(deep.join(&long), &inner).unwrap();
        fs::remove_dir(&deep).unwrap();
        deep = place.root().join("deep");
        fs::rename(&inner, &deep).unwrap();
    }
}

#[test]
fn an_embedder_that_fails_ends_the_run_and_keeps_what_was_done() {
    struct Failing(Colours, std::sync::atomic::AtomicUsize);
    impl sbir_gallery::Embedder for Failing {
        fn fingerprint(&self) -> &str {
            self.0.fingerprint()
        }
        fn dimension(&self) -> usize {
            self.0.dimension()
        }
        fn image_size(&self) -> usize {
            self.0.image_size()
        }
        fn embed_photos(
            &self,
            photos: &[sbir_gallery::Upright],
        ) -> Result<Vec<f32>, sbir_gallery::EmbedError> {
            let call = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            match call {
                0..3 => self.0.embed_photos(photos),
                3 => Ok(vec![f32::NAN; photos.len() * self.dimension()]),
                _ => Err("out of order".into()),
            }
        }
        fn embed_sketch(
            &self,
            _: &sbir_sketch::Sketch,
        ) -> Result<Vec<f32>, sbir_gallery::EmbedError> {
            Err("none".into())
        }
        fn embed_drawing(
            &self,
            _: &sbir_gallery::Upright,
        ) -> Result<Vec<f32>, sbir_gallery::EmbedError> {
            Err("none".into())
        }
    }
    let place = Place::with_photos(30);
    let options = IndexOptions {
        batch: 2,
        write_every: std::time::Duration::ZERO,
        ..IndexOptions::default()
    };
    let failing = Failing(Colours::new(), Default::default());
    let gallery = place.gallery();
    let run = || index(&gallery, &[place.root()], &failing, &options, &NoProgress).unwrap_err();
    assert!(matches!(run(), Error::BadEmbedding { .. }));
    assert_eq!(gallery.stats().unwrap().photos, 6);
    assert_eq!(run().to_string(), "the encoder failed: out of order");
    assert_eq!(gallery.stats().unwrap().photos, 6);
}
