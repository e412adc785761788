//! Files as memory.

use std::fs::File;

use sbir_kernels::map::Map;

#[test]
fn a_mapping_outlives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"some bytes").unwrap();
    let map = Map::open(&File::open(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(&map[..], b"some bytes");
}

#[test]
fn a_folder_cannot_be_mapped() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Map::open(&File::open(folder.path()).unwrap()).is_err());
}
