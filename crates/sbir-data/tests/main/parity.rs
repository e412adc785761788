//! The transform against Pillow and torchvision: `scripts/parity/transform.py` makes the expected results.

use std::path::Path;

use sbir_data::{Alpha, Orientation, Transform};

/// How far a result is from the expected one.
struct Difference {
    largest: u8,
    /// The share of values that are off by more than 1.
    beyond_one: f64,
    /// The share of values that are off at all.
    any: f64,
}

fn difference(found: &[u8], expected: &[u8]) -> Difference {
    assert_eq!(found.len(), expected.len());
    let off: Vec<u8> = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).collect();
    let share =
        |above: u8| off.iter().filter(|off| **off > above).count() as f64 / off.len() as f64;
    Difference {
        largest: off.iter().copied().max().unwrap_or(0),
        beyond_one: share(1),
        any: share(0),
    }
}

/// The transform whose values are the resized 8-bit ones, and those as `[side, side, 3]`.
fn resized(transform: &Transform, path: &Path) -> Vec<u8> {
    let transform = Transform { mean: [0.0; 3], std: [1.0 / 255.0; 3], ..transform.clone() };
    let values = transform.load_image(path).unwrap();
    let plane = transform.side * transform.side;
    (0..plane)
        .flat_map(|place| [0, 1, 2].map(|channel| values[channel * plane + place].round() as u8))
        .collect()
}

/// Compares every case of a folder; gives the differences of its JPEG cases.
fn check(folder: &Path) -> Vec<Difference> {
    let cases = fs_err::read_to_string(folder.join("cases.txt")).unwrap();
    let expected = fs_err::read(folder.join("expected.bin")).unwrap();
    let mut expected = expected.as_slice();
    let mut jpeg = Vec::new();
    for case in cases.lines() {
        let fields: Vec<&str> = case.split(' ').collect();
        let [input, side, filter, orientation, alpha, bar] = fields[..] else { panic!("{case}") };
        let side: usize = side.parse().unwrap();
        let (result, rest) = expected.split_at(side * side * 3);
        expected = rest;
        let transform = Transform {
            resize: filter.parse().unwrap(),
            orientation: orientation.parse::<Orientation>().unwrap(),
            alpha: alpha.parse::<Alpha>().unwrap(),
            ..Transform::origin(side)
        };
        let difference = difference(&resized(&transform, &folder.join(input)), result);
        match bar {
            "exact" => assert_eq!(difference.largest, 0, "{case}: {:.4} differ", difference.any),
            "jpeg" => {
                assert!(
                    difference.beyond_one <= 0.005,
                    "{case}: {:.4} are off by more than 1",
                    difference.beyond_one
                );
                jpeg.push(difference);
            }
            _ => panic!("{case}"),
        }
    }
    assert!(expected.is_empty());
    jpeg
}

#[test]
fn small_pictures_are_pillows() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    assert_eq!(check(&golden).len(), 7);
}

/// By hand, on real files: see `scripts/parity/transform.py`.
#[test]
#[ignore = "needs the results that scripts/parity/transform.py makes of real photos"]
fn against_pillow() {
    let folder = std::env::var_os("SBIR_PARITY").expect("SBIR_PARITY names the folder of results");
    let differences = check(Path::new(&folder));
    let files = differences.len() as f64;
    let mean = |share: fn(&Difference) -> f64| differences.iter().map(share).sum::<f64>() / files;
    eprintln!(
        "{files} JPEG files: {:.4} % of values off by more than 1 (worst file {:.4} %), {:.2} % off at all, largest {}",
        100.0 * mean(|d| d.beyond_one),
        100.0 * differences.iter().map(|d| d.beyond_one).fold(0.0, f64::max),
        100.0 * mean(|d| d.any),
        differences.iter().map(|d| d.largest).max().unwrap_or(0)
    );
}
