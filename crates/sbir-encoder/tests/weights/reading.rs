//! Files that PyTorch wrote are read with their values, shapes, order and metadata.

use sbir_encoder::weights::{DType, Format, StateDict};

use super::{golden, known, known_tensor};

/// Asserts that `file` holds the three tensors of `plain` in the script.
fn assert_plain(file: &str, format: Format) -> StateDict {
    let dict = StateDict::open(&golden(file)).unwrap();
    assert_eq!(dict.format(), format, "{file}");
    assert_eq!(dict.names().collect::<Vec<_>>(), ["a.weight", "a.bias", "steps"], "{file}");
    assert_eq!(dict.get("a.weight").unwrap().shape(), [2, 3]);
    assert_eq!(dict.read_f32("a.weight").unwrap(), known("a.weight", 6), "{file}");
    assert_eq!(dict.read_f32("a.bias").unwrap(), known("a.bias", 2), "{file}");
    assert_eq!(dict.get("steps").unwrap().dtype(), DType::I64);
    assert_eq!(dict.get("steps").unwrap().shape(), [0; 0]);
    dict
}

#[test]
fn both_containers_and_newer_pickles_are_read() {
    assert_plain("zip.pth", Format::TorchZip);
    assert_plain("legacy.pth", Format::TorchLegacy);
    assert_plain("protocol4.pth", Format::TorchZip);
}

#[test]
fn weights_are_found_where_trainers_keep_them() {
    for file in ["state_dict.pth", "model.pth", "model_state_dict.pth"] {
        let dict = assert_plain(file, Format::TorchZip);
        assert_eq!(dict.metadata()["epoch"], "3");
        assert!(!dict.metadata().contains_key("rng"));
    }
}

#[test]
fn what_stands_beside_sketchscapes_weights_is_metadata() {
    let dict = assert_plain("sketchscape.pth", Format::TorchZip);
    let metadata = dict.metadata();
    let config: serde_json::Value = serde_json::from_str(&metadata["config"]).unwrap();
    let expected = serde_json::json!({
        "model": "convnext_base", "size": 224, "ratio": 0.5, "tags": ["a", null, true]
    });
    assert_eq!(config, expected);
    assert_eq!(metadata["type"], "model.CLIP_SBIRModel");
    assert_eq!(metadata["timestamp"], "2025-01-02T03:04:05");
    assert!(!metadata.contains_key("state"));
}

#[test]
fn inert_objects_of_a_trainer_do_not_hide_the_weights() {
    let dict = StateDict::open(&golden("trainer.pth")).unwrap();
    assert_eq!(dict.len(), 1);
    assert_eq!(dict.read_f32("w").unwrap(), known("w", 4));
}

#[test]
fn strided_views_are_read_in_row_major_order() {
    let base = known("base", 24);
    for file in ["strided.pth", "strided_legacy.pth"] {
        let dict = StateDict::open(&golden(file)).unwrap();
        let read = |name: &str| (dict.get(name).unwrap().shape().to_vec(), dict.read_f32(name));
        let at = |row: usize, column: usize| base[row * 6 + column];
        let check = |name: &str, shape: &[usize], expected: Vec<f32>| {
            let (found_shape, found) = read(name);
            assert_eq!(
                (found_shape.as_slice(), found.unwrap()),
                (shape, expected),
                "{file} {name}"
            );
        };
        let transposed = (0..6).flat_map(|i| (0..4).map(move |j| (j, i)));
        check("transposed", &[6, 4], transposed.map(|(row, column)| at(row, column)).collect());
        let sliced = (1..4).flat_map(|i| [0, 2, 4].map(|j| (i, j)));
        check("sliced", &[3, 3], sliced.map(|(row, column)| at(row, column)).collect());
        let one = known("one", 3);
        check("expanded", &[3, 4], one.iter().flat_map(|&value| [value; 4]).collect());
        check("conv", &[2, 3, 2, 2], known("conv", 24));
        check("scalar", &[], vec![1.5]);
        check("empty", &[0, 5], vec![]);
        check("whole", &[4, 6], base.clone());
    }
}

#[test]
fn other_float_types_become_f32_and_integers_are_refused() {
    let dict = StateDict::open(&golden("halves.pth")).unwrap();
    for (name, dtype) in [("f16", DType::F16), ("bf16", DType::BF16), ("f64", DType::F64)] {
        assert_eq!(dict.get(name).unwrap().dtype(), dtype);
        assert_eq!(dict.read_f32(name).unwrap(), known(name, 5), "{name}");
    }
    assert_eq!(dict.get("u16").unwrap().dtype(), DType::U16);
    let message = dict.read_f32("u16").unwrap_err().to_string();
    assert!(message.ends_with("u16 holds u16 values, weights must be floating point"), "{message}");
}

#[test]
fn a_tensor_that_is_not_there_is_named_with_the_nearest() {
    let dict = StateDict::open(&golden("zip.pth")).unwrap();
    let message = dict.read_f32("a.weigth").unwrap_err().to_string();
    assert!(message.ends_with("no tensor a.weigth; the nearest is a.weight"), "{message}");
}

#[test]
fn a_flipped_bit_in_a_tensor_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.pth");
    let mut bytes = fs_err::read(golden("zip.pth")).unwrap();
    let values: Vec<u8> = known("a.weight", 6).iter().flat_map(|v| v.to_le_bytes()).collect();
    let at = bytes.windows(values.len()).position(|window| window == values).unwrap();
    bytes[at + 2] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    let dict = StateDict::open(&path).unwrap();
    let message = dict.read_f32("a.weight").unwrap_err().to_string();
    assert!(message.contains("the bytes of a.weight do not match their checksum"), "{message}");
    assert!(dict.read_f32("a.bias").is_ok());
}

#[test]
fn safetensors_of_every_float_type_are_read() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("typed.bin"); // The content decides, not the extension.
    let value = known_tensor("x", &[2, 2]);
    let f32s: Vec<u8> = value.values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let f64s: Vec<u8> = value.values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    let bf16s: Vec<u8> = value.values.iter().flat_map(|v| v.to_le_bytes()[2..].to_vec()).collect();
    let view = |dtype, data| TensorView::new(dtype, vec![2, 2], data).unwrap();
    let views = [
        ("f32", view(Dtype::F32, &f32s)),
        ("f64", view(Dtype::F64, &f64s)),
        ("bf16", view(Dtype::BF16, &bf16s)),
    ];
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    fs_err::write(&path, serialize(views, Some(metadata)).unwrap()).unwrap();
    let dict = StateDict::open(&path).unwrap();
    assert_eq!(dict.format(), Format::Safetensors);
    assert_eq!(dict.metadata()["format"], "pt");
    for name in ["f32", "f64", "bf16"] {
        assert_eq!(dict.read_f32(name).unwrap(), *value.values, "{name}");
    }
}
