//! NumPy files, whole and broken.

use std::path::PathBuf;

use fs_err as fs;
use proptest::prelude::*;
use sbir_eval::Error;
use sbir_eval::npy::{Matrix, NpyWriter, read_f32};
use tempfile::TempDir;

/// numpy 2.4.6: np.save('n.npy', np.arange(6, dtype='<f4').reshape(2, 3))
fn saved_by_numpy() -> Vec<u8> {
    let mut bytes =
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
            .to_vec();
    bytes.resize(127, b' ');
    bytes.push(b'\n');
    bytes.extend((0..6).flat_map(|value| (value as f32).to_le_bytes()));
    bytes
}

fn place(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn refused(bytes: &[u8]) -> String {
    let (_folder, path) = place(bytes);
    let text = read_f32(&path, 1 << 20).unwrap_err().to_string();
    assert!(text.contains("x.npy") && !text.contains('\n'), "{text}");
    text
}

#[test]
fn reads_and_writes_what_numpy_writes() {
    let (folder, path) = place(&saved_by_numpy());
    let matrix = read_f32(&path, 6).unwrap();
    assert_eq!(matrix, Matrix { rows: 2, dim: 3, values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0] });

    let copy = folder.path().join("copy.npy");
    let mut writer = NpyWriter::create(&copy, 3).unwrap();
    writer.append(&matrix.values[..3]).unwrap();
    writer.append(&[]).unwrap();
    writer.append(&matrix.values[3..]).unwrap();
    assert!(!copy.exists(), "the name appears at the end only");
    assert_eq!(writer.finish().unwrap(), 2);
    assert_eq!(fs::read(&copy).unwrap(), saved_by_numpy());
}

#[test]
fn an_unfinished_array_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let mut writer = NpyWriter::create(&path, 2).unwrap();
    writer.append(&[1.0; 40_000]).unwrap();
    assert!(matches!(writer.append(&[1.0; 3]), Err(Error::Length { expected: 4, found: 3, .. })));
    drop(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(matches!(NpyWriter::create(&path, 0), Err(Error::ZeroDimension)));
}

#[test]
fn no_rows_are_an_array_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    NpyWriter::create(&path, 768).unwrap().finish().unwrap();
    assert_eq!(read_f32(&path, 0).unwrap(), Matrix { rows: 0, dim: 768, values: vec![] });
}

#[test]
fn broken_files_are_named() {
    let whole = saved_by_numpy();
    assert!(refused(b"").contains("ends within"));
    assert!(refused(b"id,name\n1,chair\n").contains("NumPy file"));
    assert!(refused(&whole[..100]).contains("ends within"));
    assert!(refused(&whole[..150]).contains("22 bytes of values for the shape (2, 3)"));
    let longer = [&whole[..], b"x"].concat();
    assert!(refused(&longer).contains("25 bytes of values"));
    let mut version = whole.clone();
    version[6] = 9;
    assert!(refused(&version).contains("version 9"));
    let mut long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    long.extend_from_slice(&whole[10..]);
    assert!(refused(&long).contains("4294967295 bytes"));
    let folder = tempfile::tempdir().unwrap();
    assert!(read_f32(folder.path(), 9).is_err());
    let missing = read_f32(&folder.path().join("none.npy"), 9).unwrap_err().to_string();
    assert!(missing.contains("none.npy: cannot be read"), "{missing}");
}

#[test]
fn declared_sizes_are_checked_before_memory_is_taken() {
    let declare = |shape: &str| {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.bytes());
        bytes
    };
    assert!(refused(&declare("(4294967296, 4294967296)")).contains("fits in memory"));
    assert!(refused(&declare("(4611686018427387903, 1)")).contains("above the limit"));
    assert!(refused(&declare("(1024, 1024)")).contains("0 bytes of values"));
    let (_folder, path) = place(&saved_by_numpy());
    assert!(matches!(read_f32(&path, 5), Err(Error::NpyTooLarge { found: 6, limit: 5, .. })));
}

proptest! {
    #[test]
    fn arrays_survive_the_disk(dim in 1_usize..9, values in prop::collection::vec(any::<u32>(), 0..300)) {
        let values: Vec<f32> = values.chunks_exact(dim).flatten().map(|&bits| f32::from_bits(bits)).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let mut writer = NpyWriter::create(&path, dim).unwrap();
        writer.append(&values).unwrap();
        writer.finish().unwrap();
        let read = read_f32(&path, 300).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!((read.rows, read.dim), (values.len() / dim, dim));
        prop_assert_eq!(bits(&read.values), bits(&values));
    }

    #[test]
    fn damage_never_panics(place_of in 0_usize..152, byte in any::<u8>(), length in 0_usize..152) {
        let mut bytes = saved_by_numpy();
        bytes[place_of] = byte;
        bytes.truncate(length.max(100));
        let (_folder, path) = place(&bytes);
        if let Ok(matrix) = read_f32(&path, 1000) {
            prop_assert_eq!(matrix.values.len(), matrix.rows * matrix.dim);
        }
    }

    #[test]
    fn headers_of_any_text_never_panic(text in "[{}()\\[\\]'\",:<f4descrshapefortran_order FalsTu0-9éL \\n-]{0,120}") {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.bytes());
        let (_folder, path) = place(&bytes);
        let _ = read_f32(&path, 1000);
    }
}
