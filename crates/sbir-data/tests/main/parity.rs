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

/// Compares every case of a folder: the exact ones must be equal; gives the JPEG ones with their differences.
fn check(folder: &Path) -> Vec<(String, Difference)> {
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
            "jpeg" => jpeg.push((case.to_owned(), difference)),
            _ => panic!("{case}"),
        }
    }
    assert!(expected.is_empty());
    jpeg
}

#[test]
fn small_pictures_are_pillows() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let jpeg = check(&golden);
    assert_eq!(jpeg.len(), 7);
    for (case, difference) in jpeg {
        let beyond = difference.beyond_one;
        assert!(beyond <= 0.005, "{case}: {beyond:.4} are off by more than 1");
    }
}

/// By hand, on real files: see `scripts/parity/transform.py`.
#[test]
#[ignore = "needs the results that scripts/parity/transform.py makes of real photos"]
fn against_pillow() {
    let folder = std::env::var_os("SBIR_PARITY").expect("SBIR_PARITY names the folder of results");
    let jpeg = check(Path::new(&folder));
    let files = jpeg.len();
    let beyond: Vec<f64> = jpeg.iter().map(|(_, difference)| difference.beyond_one).collect();
    let mean = beyond.iter().sum::<f64>() / files as f64;
    let any = jpeg.iter().map(|(_, difference)| difference.any).sum::<f64>() / files as f64;
    let worst = beyond.iter().copied().fold(0.0, f64::max);
    let largest = jpeg.iter().map(|(_, difference)| difference.largest).max().unwrap_or(0);
    let over = beyond.iter().filter(|share| **share > 0.005).count();
    eprintln!(
        "{files} JPEG files: {:.3} % of the values off by more than 1, {:.2} % off at all, largest {largest}; worst file \
         {:.3} %, {over} files over 0.5 %",
        100.0 * mean,
        100.0 * any,
        100.0 * worst
    );
    assert!(mean <= 0.005);
}
