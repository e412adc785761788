//! HEIC pictures beside what libheif makes of them.
//!
//! `scripts/parity/heic.py` wrote the files with x265 and the pictures beside them with libde265.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sbir_data::{Error, Transform, Upright};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn pictures_are_those_that_libheif_sees() {
    for name in ["photo", "turned", "clear", "deep", "grey"] {
        let found = Upright::load(&golden(&format!("{name}.heic")), None).unwrap();
        let expected = image::open(golden(&format!("{name}.heic.png"))).unwrap().into_rgb8();
        assert_eq!([found.width, found.height], [expected.width(), expected.height()], "{name}");
        assert_eq!(found.full_size, [found.width, found.height]);
        let pairs = || found.pixels.chunks_exact(3).zip(expected.as_raw().chunks_exact(3));
        let count = f64::from(found.width * found.height);
        let light =
            |p: &[u8]| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
        let off = pairs().map(|(a, b)| (light(a) - light(b)).abs()).sum::<f64>() / count;
        assert!(off < 1.0, "{name}: brightness off by {off} on average");
        // Colour is coded at half size, and brought to full size in another way.
        let colours = pairs().flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| a.abs_diff(*b));
        let off = colours.map(f64::from).sum::<f64>() / count / 3.0;
        assert!(off < 4.0, "{name}: off by {off} on average");
    }
}

#[test]
fn content_decides_and_all_ways_read_it() {
    let bytes = fs_err::read(golden("photo.heic")).unwrap();
    let values = Transform::origin(48).load_bytes(Path::new("named.jpg"), &bytes).unwrap();
    assert_eq!(values.len(), 3 * 48 * 48);
    let reduced = Upright::decode(Path::new("photo"), &bytes, Some(30)).unwrap();
    assert_eq!(([reduced.width, reduced.height], reduced.full_size), ([39, 30], [117, 90]));
    // HEIF, but of another codec.
    let mut avif = bytes;
    avif[8..12].copy_from_slice(b"avif");
    let brands = avif[..64].windows(4).position(|brand| brand == b"heic").unwrap();
    avif[brands..brands + 4].copy_from_slice(b"avis");
    let error = Upright::decode(Path::new("photo"), &avif, None).unwrap_err();
    assert!(matches!(error, Error::NotAnImage { .. }), "{error}");
}

#[test]
fn parts_and_lies_are_refused_soon() {
    let whole = fs_err::read(golden("photo.heic")).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        let start = std::time::Instant::now();
        let error = Upright::decode(Path::new("lying.heic"), bytes, None).unwrap_err();
        assert!(start.elapsed().as_millis() < 500, "{what}: {:?}", start.elapsed());
        let message = error.to_string();
        assert!(message.contains("lying.heic") && message.lines().count() == 1, "{message}");
    };
    for end in [12, 40, 200, 420, whole.len() / 2] {
        refused(&whole[..end], &format!("{end} bytes"));
    }
    // A size in the container that the coded picture does not have costs nothing.
    let at = whole.windows(4).position(|name| name == b"ispe").unwrap() + 8;
    for size in [[60_000_u32, 60_000], [0, 90], [u32::MAX, u32::MAX]] {
        let mut lying = whole.clone();
        lying[at..at + 4].copy_from_slice(&size[0].to_be_bytes());
        lying[at + 4..at + 8].copy_from_slice(&size[1].to_be_bytes());
        let start = std::time::Instant::now();
        let found = Upright::decode(Path::new("lying.heic"), &lying, None);
        assert!(start.elapsed().as_millis() < 500, "{size:?}: {:?}", start.elapsed());
        assert!(found.is_err() || found.unwrap().full_size == [117, 90], "{size:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_files_give_a_picture_or_an_error(
        file in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        head: bool,
        end in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        let names = ["photo.heic", "turned.heic", "clear.heic", "deep.heic"];
        let mut bytes = fs_err::read(golden(names[file])).unwrap();
        for (place, value) in changes {
            // Half of the time among the boxes before the coded picture.
            let place = place.index(if head { 450 } else { bytes.len() });
            bytes[place] = value;
        }
        if !whole {
            bytes.truncate(end.index(bytes.len()));
        }
        match Upright::decode(Path::new("changed"), &bytes, Some(16)) {
            Ok(found) => prop_assert_eq!(found.pixels.len() as u32, found.width * found.height * 3),
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
        }
    }
}
