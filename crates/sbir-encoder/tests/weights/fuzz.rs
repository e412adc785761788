//! Readers on arbitrary and damaged bytes: any answer but a panic, and never more memory than the
//! file has bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use sbir_encoder::weights::{StateDict, Stored, TensorValues, names, save_pth, save_safetensors};

use super::golden;

/// One file for each test, written over and over.
fn scratch() -> PathBuf {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    FOLDER.path().join(format!("{:?}", std::thread::current().id()))
}

/// Opens the bytes and reads every tensor, as a caller would.
fn exercise(bytes: &[u8]) {
    let path = scratch();
    fs_err::write(&path, bytes).unwrap();
    match StateDict::open(&path) {
        Ok(dict) => {
            for (name, entry) in dict.iter() {
                let size = entry.element_count() * entry.dtype().size();
                assert!(size <= bytes.len(), "{name} takes {size} bytes");
                if let Ok(values) = dict.read_f32(name) {
                    assert_eq!(values.len(), entry.shape().iter().product::<usize>());
                }
            }
            if let Ok(mapping) = names::map(&dict) {
                let _ = mapping.infer_architecture();
                let _ = mapping.check(&[("stem.conv.weight".to_owned(), vec![1])]);
            }
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
}

/// Valid checkpoints to damage; zip checksums of 0 are not checked, so damage gets past them.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut seeds: Vec<Vec<u8>> = [
        "zip.pth",
        "legacy.pth",
        "protocol4.pth",
        "sketchscape.pth",
        "strided.pth",
        "strided_legacy.pth",
        "halves.pth",
        "trainer.pth",
    ]
    .iter()
    .map(|name| fs_err::read(golden(name)).unwrap())
    .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let tensors = [
        TensorValues::new("stages.0.blocks.0.conv_dw.weight", [2, 1, 7, 7], vec![0.5; 98]),
        TensorValues::new("b", [3], vec![1.0; 3]),
    ];
    let metadata = BTreeMap::from([("a".into(), "b".into())]);
    save_safetensors(&path, &tensors, &metadata, Stored::F32).unwrap();
    seeds.push(fs_err::read(&path).unwrap());
    save_pth(&path, &tensors).unwrap();
    seeds.push(fs_err::read(&path).unwrap());
    seeds.into_iter().map(without_checksums).collect()
});

fn without_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(4).position(|window| window == b"PK\x01\x02") {
        at += found + 4;
        if let Some(crc) = bytes.get_mut(at + 12..at + 16) {
            crc.fill(0);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_checkpoints_never_panic(
        seed in 0usize..10,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = SEEDS[seed].clone();
        for (place, value, kind) in edits {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes.insert(at, value),
                _ => drop(bytes.remove(at)),
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        exercise(&bytes);
    }

    /// Sizes and counts are the dangerous numbers: extreme values in their place, length kept.
    #[test]
    fn extreme_numbers_never_panic(
        seed in 0usize..10,
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        number in prop::sample::select(vec![0u64, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 62, u64::MAX]),
        width in prop::sample::select(vec![1usize, 2, 4, 8]),
    ) {
        let mut bytes = SEEDS[seed].clone();
        for place in places {
            let at = place.index(bytes.len() - 8);
            bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        }
        exercise(&bytes);
    }

    #[test]
    fn pickles_of_any_opcodes_never_panic(
        opcodes in prop::collection::vec(
            prop::sample::select(b"NKJMGXUTBCcQRbtldasue)]}(0123hjqr\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x93\x94\x95\x96\x01\x00\xff\x7f\n.".to_vec()),
            0..200,
        ),
    ) {
        // The magic number, the protocol and the system information of the legacy container.
        let legacy = fs_err::read(golden("legacy.pth")).unwrap();
        let object = rposition(&legacy, b"\x80\x02c").unwrap();
        let mut bytes = legacy[..object + 2].to_vec();
        bytes.extend(&opcodes);
        bytes.push(b'.');
        exercise(&bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        head in prop::sample::select(vec![&b""[..], b"PK\x03\x04", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{"]),
        tail in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        exercise(&[head, &tail].concat());
    }
}

proptest! {
    // Fewer, since each syncs two files to disk.
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_saved_is_read_back(
        shapes in prop::collection::vec(prop::collection::vec(0usize..5, 0..4), 0..6),
        values in prop::collection::vec(-1e30f32..1e30, 1..50),
    ) {
        let tensors: Vec<TensorValues<'static>> = shapes
            .iter()
            .enumerate()
            .map(|(number, shape)| {
                let count = shape.iter().product();
                let values: Vec<f32> =
                    values.iter().cycle().skip(number).take(count).copied().collect();
                TensorValues::new(format!("layer {number}.\"é\"\n"), shape.clone(), values)
            })
            .collect();
        let path = scratch();
        save_safetensors(&path, &tensors, &BTreeMap::new(), Stored::F32).unwrap();
        check_read_back(&path, &tensors);
        save_pth(&path, &tensors).unwrap();
        // A pickle's empty dict cannot be told from any other object without weights.
        if !tensors.is_empty() {
            check_read_back(&path, &tensors);
        }
    }
}

fn check_read_back(path: &Path, tensors: &[TensorValues<'_>]) {
    let dict = StateDict::open(path).unwrap();
    assert_eq!(dict.len(), tensors.len());
    for tensor in tensors {
        assert_eq!(dict.get(&tensor.name).unwrap().shape(), tensor.shape);
        assert_eq!(dict.read_f32(&tensor.name).unwrap(), *tensor.values);
    }
}

/// Damage to what is already refused would test nothing.
#[test]
fn the_undamaged_checkpoints_are_read_whole() {
    for bytes in SEEDS.iter() {
        let path = scratch();
        fs_err::write(&path, bytes).unwrap();
        let dict = StateDict::open(&path).unwrap();
        let floats: Vec<&str> = dict
            .iter()
            .filter(|(_, entry)| entry.dtype().is_float())
            .map(|(name, _)| name)
            .collect();
        assert!(!floats.is_empty());
        for name in floats {
            dict.read_f32(name).unwrap();
        }
    }
}

/// Where `pattern` last occurs.
fn rposition(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).rposition(|window| window == pattern)
}
