//! `sbir embed`.

use std::fs;

use crate::util::Dir;

/// Header and values of a NumPy file of float32.
fn npy(bytes: &[u8]) -> (String, Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
    let values = bytes[10 + length..]
        .chunks(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
        .collect();
    (header, values)
}

fn embed(dir: &Dir, inputs: &[&str], more: &[&str]) -> crate::util::Ran {
    let fixed =
        ["--no-cuda", "--model", "run/model.safetensors", "--out", "x.npy", "--precision", "f32"];
    dir.run(&[&["embed"], inputs, &fixed, more].concat())
}

const A: &str = "fscoco/images/1/000000001000.jpg";
const B: &str = "fscoco/raster_sketches/2/000000002001.jpg";

#[test]
fn images_and_strokes_in_argument_order() {
    let dir = Dir::new();
    dir.train();
    dir.write(
        "drawn.json",
        r#"{"canvas": 100, "strokes": [[[10, 10], [90, 90]], [[50, 20, 0.5]]]}"#,
    );
    embed(&dir, &[B, A, "drawn.json", A], &[]).ok();
    let (header, values) = npy(&fs::read(dir.join("x.npy")).unwrap());
    assert!(header.contains("'descr': '<f4'") && header.contains("(4, 10)"), "{header}");
    for row in values.chunks(10) {
        let length: f32 = row.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    assert_eq!(values[10..20], values[30..40], "the same picture has the same vector");
    assert_ne!(values[..10], values[10..20]);
    let names: Vec<String> = serde_json::from_str(&dir.read("x.names.json")).unwrap();
    assert_eq!(names, [B, A, "drawn.json", A]);
    // A picture's vector does not depend on what else is in its batch.
    embed(&dir, &[A], &[]).ok();
    let (_, alone) = npy(&fs::read(dir.join("x.npy")).unwrap());
    for (x, y) in alone.iter().zip(&values[10..20]) {
        assert!((x - y).abs() < 1e-5);
    }
}

#[test]
fn a_folder_stands_for_its_files() {
    let dir = Dir::new();
    dir.train();
    dir.write("fscoco/images/1/.hidden", "no picture");
    embed(&dir, &["fscoco/images/2", "fscoco/images/1"], &[]).ok();
    let names: Vec<String> = serde_json::from_str(&dir.read("x.names.json")).unwrap();
    let expected = ["2/000000002000", "2/000000002001", "1/000000001000", "1/000000001001"]
        .map(|name| format!("fscoco/images/{name}.jpg"));
    assert_eq!(names, expected);
}

#[test]
fn unreadable_inputs_fail_the_run_unless_skipped() {
    let dir = Dir::new();
    dir.train();
    dir.write("bad.jpg", "this is no picture");
    embed(&dir, &[A, "bad.jpg", B], &[]).fails(1, &["bad.jpg"]);
    assert!(!dir.join("x.npy").exists() && !dir.join("x.names.json").exists());
    let ran = embed(&dir, &[A, "bad.jpg", B], &["--skip-bad"]);
    assert!(ran.stderr.contains("1 of 3 files were skipped"), "{}", ran.stderr);
    ran.ok();
    let names: Vec<String> = serde_json::from_str(&dir.read("x.names.json")).unwrap();
    assert_eq!(names, [A, B]);
    embed(&dir, &["missing.jpg"], &[]).fails(1, &["missing.jpg"]);
}
