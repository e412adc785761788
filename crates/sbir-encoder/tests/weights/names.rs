//! Key lists of real models are recognised, sized, checked and translated.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sbir_encoder::weights::names::{detect, map, to_scheme};
use sbir_encoder::weights::{
    Architecture, Error, Mapping, Scheme, StateDict, Stored, TensorValues, save_safetensors,
};

use super::{key_list, known_tensor};

/// A checkpoint with those keys, in a folder that lives as long.
struct Checkpoint {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Checkpoint {
    fn new(keys: &[(String, Vec<usize>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let tensors: Vec<TensorValues<'static>> =
            keys.iter().map(|(key, shape)| known_tensor(key, shape)).collect();
        save_safetensors(&path, &tensors, &BTreeMap::new(), Stored::F32).unwrap();
        Self { path, _folder: folder }
    }

    fn open(&self) -> StateDict {
        StateDict::open(&self.path).unwrap()
    }
}

fn mapping(keys: &[(String, Vec<usize>)]) -> Mapping {
    map(&Checkpoint::new(keys).open()).unwrap()
}

const NARROW: Architecture =
    Architecture { depths: [1, 1, 2, 1], dims: [2, 3, 4, 5], head_norm: true, projection: None };

fn atto() -> Architecture {
    Architecture {
        depths: [2, 2, 6, 2],
        dims: [40, 80, 160, 320],
        head_norm: true,
        projection: Some(6),
    }
}

const LISTS: [(&str, Scheme); 6] = [
    ("torchvision", Scheme::Torchvision),
    ("origin", Scheme::Origin),
    ("timm", Scheme::Timm),
    ("timm_conv_mlp", Scheme::Timm),
    ("facebookresearch", Scheme::Facebookresearch),
    ("open_clip", Scheme::OpenClip),
];

fn architecture_of(list: &str) -> Architecture {
    match list {
        "open_clip" => atto(),
        "origin" => Architecture { head_norm: false, ..NARROW },
        _ => NARROW,
    }
}

#[test]
fn real_models_are_recognised_whole() {
    for (list, scheme) in LISTS {
        let keys = key_list(list);
        let checkpoint = Checkpoint::new(&keys);
        let dict = checkpoint.open();
        assert_eq!(detect(&dict).unwrap(), scheme, "{list}");
        let mapping = map(&dict).unwrap();
        assert_eq!(mapping.scheme(), scheme, "{list}");
        let architecture = mapping.infer_architecture().unwrap();
        assert_eq!(architecture, architecture_of(list), "{list}");
        mapping.check(&architecture.parameters()).unwrap();
        let known = mapping.shapes().count() + mapping.dropped().len() + mapping.outside().len();
        assert_eq!(known, keys.len(), "{list}");
        // Values come through under the canonical name, whatever the shape's spelling.
        for (name, shape) in architecture.parameters() {
            let key = mapping.file_key(&name).unwrap();
            let values = mapping.read_f32(&dict, &name).unwrap();
            assert_eq!(values, super::known(key, shape.iter().product()), "{list} {name}");
        }
    }
}

#[test]
fn classifiers_are_dropped_and_text_towers_left_out() {
    let dropped = |list| mapping(&key_list(list)).dropped().to_vec();
    assert_eq!(dropped("torchvision"), ["classifier.2.weight", "classifier.2.bias"]);
    assert_eq!(dropped("timm"), ["head.fc.weight", "head.fc.bias"]);
    assert_eq!(dropped("facebookresearch"), ["head.weight", "head.bias"]);
    let clip = mapping(&key_list("open_clip"));
    assert_eq!((clip.prefix(), clip.dropped().len(), clip.outside().len()), ("visual.", 0, 4));
}

#[test]
fn every_list_is_written_back_from_the_canonical_names() {
    for (list, scheme) in LISTS {
        if list == "timm_conv_mlp" {
            continue; // Written as linear layers, which timm's loader accepts.
        }
        let keys = key_list(list);
        let mapping = mapping(&keys);
        let mut expected: BTreeMap<String, Vec<usize>> = keys.into_iter().collect();
        expected
            .retain(|key, _| !mapping.dropped().contains(key) && !mapping.outside().contains(key));
        for shape in expected.values_mut() {
            // open_clip's atto has 1×1 convolutions where we write linear layers.
            if let [outputs, inputs, 1, 1] = shape[..] {
                *shape = vec![outputs, inputs];
            }
        }
        let written: BTreeMap<String, Vec<usize>> = architecture_of(list)
            .parameters()
            .iter()
            .map(|(name, shape)| to_scheme(name, shape, scheme).unwrap())
            .collect();
        assert_eq!(written, expected, "{list}");
    }
}

#[test]
fn any_one_prefix_may_stand_before_the_names() {
    for (list, scheme) in LISTS {
        for prefix in ["module.", "model.encoder.", "module.embedding_net."] {
            let keys: Vec<_> = key_list(list)
                .into_iter()
                .map(|(key, shape)| (format!("{prefix}{key}"), shape))
                .collect();
            let mapping = mapping(&keys);
            assert_eq!(mapping.scheme(), scheme, "{prefix}{list}");
            assert!(mapping.prefix().starts_with(prefix), "{prefix}{list}");
            mapping.check(&mapping.infer_architecture().unwrap().parameters()).unwrap();
        }
    }
}

/// SketchScape keeps open_clip's visual tower as `embedding_net`.
#[test]
fn sketchscapes_names_are_open_clips() {
    let keys: Vec<_> = key_list("open_clip")
        .into_iter()
        .filter_map(|(key, shape)| {
            Some((format!("embedding_net.{}", key.strip_prefix("visual.")?), shape))
        })
        .collect();
    let mapping = mapping(&keys);
    assert_eq!((mapping.scheme(), mapping.prefix()), (Scheme::OpenClip, "embedding_net."));
    assert_eq!(mapping.infer_architecture().unwrap(), atto());
    mapping.check(&atto().parameters()).unwrap();
}

#[test]
fn other_networks_and_pairs_of_encoders_are_refused() {
    let other: Vec<_> =
        ["features.0.0.weight", "features.1.0.block.0.0.weight", "classifier.1.weight"]
            .map(|key| (key.to_owned(), vec![1]))
            .to_vec();
    let message = map(&Checkpoint::new(&other).open()).unwrap_err().to_string();
    assert!(message.contains("no ConvNeXt found under the names of torchvision"), "{message}");
    assert!(message.contains("features.0.0.weight"), "{message}");

    let two: Vec<_> = ["sketch.", "photo."]
        .into_iter()
        .flat_map(|prefix| {
            key_list("timm").into_iter().map(move |(key, shape)| (format!("{prefix}{key}"), shape))
        })
        .collect();
    let error = map(&Checkpoint::new(&two).open()).unwrap_err();
    assert!(matches!(error, Error::SeveralEncoders { .. }), "{error}");
}

/// The error of checking `keys` against the narrow network, as one line without the path.
fn check(keys: &[(String, Vec<usize>)]) -> String {
    let checkpoint = Checkpoint::new(keys);
    let mapping = map(&checkpoint.open()).unwrap();
    let expected = Architecture { head_norm: false, ..NARROW }.parameters();
    let message = mapping.check(&expected).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1);
    message.strip_prefix(&format!("{}: ", checkpoint.path.display())).unwrap().to_owned()
}

#[test]
fn a_missing_key_is_named_in_the_files_own_naming() {
    let mut keys = key_list("torchvision");
    keys.iter_mut().find(|(key, _)| key == "features.5.1.block.3.weight").unwrap().0 =
        "features.5.1.block.3.wieght".to_owned();
    assert_eq!(
        check(&keys),
        "no tensor features.5.1.block.3.weight (expected with shape [16, 4]); the nearest is \
         features.5.1.block.3.wieght (and 1 more difference); choose the encoder that the file was \
         trained with"
    );
}

#[test]
fn an_unexpected_key_is_named_with_the_nearest_that_is_known() {
    let mut keys = key_list("timm");
    keys.push(("stages.0.blocks.0.mlp.grn.weight".to_owned(), vec![8]));
    assert_eq!(
        check(&keys),
        "unexpected tensor stages.0.blocks.0.mlp.grn.weight (shape [8]); the nearest is \
         stages.0.blocks.0.mlp.fc1.weight; choose the encoder that the file was trained with"
    );
    // CLIP's towers with a two-layer projection are not the ones with a single one.
    let mlp = key_list("open_clip_mlp");
    let checkpoint = Checkpoint::new(&mlp);
    let mapping = map(&checkpoint.open()).unwrap();
    let expected = Architecture { projection: None, ..atto() }.parameters();
    let message = mapping.check(&expected).unwrap_err().to_string();
    assert!(message.contains("unexpected tensor visual.head.mlp.fc1"), "{message}");
}

#[test]
fn a_wrong_shape_is_named_with_what_the_file_holds() {
    let mut keys = key_list("facebookresearch");
    keys.iter_mut().find(|(key, _)| key == "stages.1.0.pwconv2.weight").unwrap().1 = vec![3, 11];
    assert_eq!(
        check(&keys),
        "stages.1.0.pwconv2.weight has shape [3, 11], expected [3, 12]; choose the encoder that \
         the file was trained with"
    );
    // Another size altogether: the message says which.
    let keys: Vec<_> = key_list("open_clip")
        .into_iter()
        .filter(|(key, _)| !key.starts_with("visual.head"))
        .collect();
    let message = check(&keys);
    assert!(
        message.starts_with(
            "visual.trunk.stem.0.weight has shape [40, 3, 4, 4], expected [2, 3, 4, 4]"
        ),
        "{message}"
    );
    assert!(
        message
            .ends_with("it holds a ConvNeXt of depths [2, 2, 6, 2] and widths [40, 80, 160, 320]"),
        "{message}"
    );
}

#[test]
fn sizes_out_of_range_are_no_architecture() {
    let mut keys = key_list("timm");
    keys.retain(|(key, _)| !key.starts_with("stages.3."));
    let message = mapping(&keys).infer_architecture().unwrap_err().to_string();
    assert!(message.contains("no ConvNeXt has no blocks in stage 3"), "{message}");

    let mut keys = key_list("timm");
    keys.iter_mut().find(|(key, _)| key == "stages.1.blocks.0.conv_dw.weight").unwrap().1 =
        vec![3, 1, 5, 5];
    assert!(mapping(&keys).infer_architecture().is_err());
}

#[test]
fn canonical_names_survive_a_round_trip_through_every_naming() {
    for scheme in [Scheme::Sbir, Scheme::OpenClip] {
        let keys: Vec<_> = atto()
            .parameters()
            .iter()
            .map(|(name, shape)| to_scheme(name, shape, scheme).unwrap())
            .collect();
        let mapping = mapping(&keys);
        assert_eq!(mapping.scheme(), scheme);
        let found: BTreeMap<String, Vec<usize>> =
            mapping.shapes().map(|(name, shape)| (name, shape.to_vec())).collect();
        assert_eq!(found, atto().parameters().into_iter().collect());
    }
}
