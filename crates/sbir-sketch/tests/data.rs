//! The real data, where it is at hand (`SBIR_DATA`, or `../shared/data` from the workspace's root).

use std::path::{Path, PathBuf};

use sbir_sketch::format::strokes_ndjson;
use sbir_sketch::{LineStyle, read_sketch, render};

/// A folder of the data; `None` after saying so when it is missing, which with `CI=true` is a failure.
fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SBIR_DATA").map(PathBuf::from);
    let near = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = root.unwrap_or_else(near).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let missing = format!("skipped: no data at {}", folder.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    #[allow(clippy::print_stderr, reason = "the contract of skipped tests")]
    {
        eprintln!("{missing}");
    }
    None
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn fscoco_json_and_npy_are_the_same_drawing() {
    let Some(root) = data("fscoco-mini") else { return };
    let mut count = 0;
    let mut differing = 0;
    for user in sorted(&root.join("raw_data")) {
        for json in sorted(&user) {
            let stem = json.file_stem().unwrap();
            let npy = root.join("vector_sketches").join(user.file_name().unwrap()).join(stem);
            let from_json = read_sketch(&json).unwrap();
            let from_npy = read_sketch(&npy.with_extension("npy")).unwrap();
            assert_eq!(from_json.strokes.len(), from_npy.strokes.len());
            for (a, b) in from_json.strokes.iter().zip(&from_npy.strokes) {
                assert_eq!(a.points.len(), b.points.len());
                assert!(a.times.is_some() && b.times.is_none());
                for (a, b) in a.points.iter().zip(&b.points) {
                    assert!(
                        (a[0] * 256.0 - b[0]).abs() < 2e-4 && (a[1] * 256.0 - b[1]).abs() < 2e-4
                    );
                }
            }
            // Six decimals of a share are 0.0001 pixels: now and then a point falls into the next pixel.
            let style = LineStyle::FsCoco;
            let (a, b) = (render(&from_json, 256, &style), render(&from_npy, 256, &style));
            differing += a.pixels.iter().zip(&b.pixels).filter(|(a, b)| a != b).count();
            count += 1;
        }
    }
    assert_eq!(count, 300);
    assert!((differing as f64) < 0.001 * 300.0 * 65_536.0, "{differing} pixels differ");
}

#[test]
fn chair_strokes_are_read_in_full() {
    let Some(root) = data("chairv2") else { return };
    let records: Vec<_> =
        strokes_ndjson::open(&root.join("strokes.ndjson")).unwrap().map(Result::unwrap).collect();
    assert_eq!(records.len(), 952);
    for record in &records {
        let photo = record.photo.as_ref().unwrap();
        assert!(root.join("photo").join(photo).is_file(), "{photo}");
        assert!(!record.sketch.is_blank());
        let raster = render(&record.sketch, 224, &LineStyle::default());
        let ink = raster.pixels.iter().filter(|&&pixel| pixel < 128).count();
        assert!((500..20_000).contains(&ink), "{:?}: {ink}", record.name);
    }
    let last = root.join(format!("strokes.ndjson#{}", records[951].name.as_ref().unwrap()));
    assert_eq!(read_sketch(&last).unwrap(), records[951].sketch);
}
