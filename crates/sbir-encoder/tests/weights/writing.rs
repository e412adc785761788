//! What is written is whole, readable, the same every time, and never half there.

use std::collections::BTreeMap;
use std::path::Path;

use sbir_encoder::weights::names::to_scheme;
use sbir_encoder::weights::{
    Architecture, Error, Format, Scheme, StateDict, Stored, TensorValues, save_pth,
    save_safetensors,
};

use super::{known, known_tensor};

/// The narrow network of scripts/parity/checkpoints.py under the names of `scheme`, with known values.
fn narrow(scheme: Scheme) -> Vec<TensorValues<'static>> {
    let head_norm = scheme != Scheme::Origin;
    let architecture =
        Architecture { depths: [1, 1, 2, 1], dims: [2, 3, 4, 5], head_norm, projection: None };
    let mut tensors: Vec<TensorValues<'static>> = architecture
        .parameters()
        .iter()
        .map(|(name, shape)| to_scheme(name, shape, scheme).unwrap())
        .map(|(name, shape)| known_tensor(&name, &shape))
        .collect();
    // torchvision registers the layer scale first: its state dict's order is met as well.
    for at in 0..tensors.len() {
        if tensors[at].name.ends_with("layer_scale") {
            tensors[at - 8..=at].rotate_right(1);
        }
    }
    tensors
}

fn edges() -> Vec<TensorValues<'static>> {
    vec![
        TensorValues::new("scalar", [], vec![1.5]),
        TensorValues::new("empty", [0, 3], vec![]),
        known_tensor("one", &[1, 1, 1]),
        known_tensor("naïve", &[2, 3]),
    ]
}

fn assert_holds(path: &Path, tensors: &[TensorValues<'_>]) -> StateDict {
    let dict = StateDict::open(path).unwrap();
    assert_eq!(dict.len(), tensors.len());
    for (tensor, name) in tensors.iter().zip(dict.names()) {
        assert_eq!(tensor.name, name);
        assert_eq!(dict.get(name).unwrap().shape(), tensor.shape, "{name}");
        assert_eq!(dict.read_f32(name).unwrap(), *tensor.values, "{name}");
    }
    dict
}

/// Writes the files that `scripts/parity/checkpoints.py check` loads in PyTorch, into
/// `SBIR_PARITY_OUT` where it is set, and reads them back.
#[test]
fn both_containers_read_back_equal() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("SBIR_PARITY_OUT")
        .map_or_else(|| temporary.path().to_owned(), std::path::PathBuf::from);
    fs_err::create_dir_all(&folder).unwrap();
    for (file, tensors) in [
        ("torchvision.pth", narrow(Scheme::Torchvision)),
        ("origin.pth", narrow(Scheme::Origin)),
        ("edges.pth", edges()),
    ] {
        save_pth(&folder.join(file), &tensors).unwrap();
        let dict = assert_holds(&folder.join(file), &tensors);
        assert_eq!(dict.format(), Format::TorchZip);
    }
    let metadata = BTreeMap::from([("card".to_owned(), "{\"a\": \"ü\"}".to_owned())]);
    for (file, tensors) in
        [("torchvision.safetensors", narrow(Scheme::Torchvision)), ("edges.safetensors", edges())]
    {
        save_safetensors(&folder.join(file), &tensors, &metadata, Stored::F32).unwrap();
        let bytes = fs_err::read(folder.join(file)).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.len(), tensors.len());
        let dict = StateDict::open(&folder.join(file)).unwrap();
        assert_eq!(dict.metadata(), &metadata);
        for tensor in &tensors {
            assert_eq!(dict.get(&tensor.name).unwrap().shape(), tensor.shape);
            assert_eq!(dict.read_f32(&tensor.name).unwrap(), *tensor.values);
        }
    }
}

#[test]
fn the_same_tensors_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let metadata: BTreeMap<String, String> =
        (0..9).map(|i| (format!("key{i}"), format!("value{i}"))).collect();
    let written: Vec<[Vec<u8>; 2]> = (0..3)
        .map(|round| {
            let pth = folder.path().join(format!("{round}.pth"));
            let safe = folder.path().join(format!("{round}.safetensors"));
            save_pth(&pth, &edges()).unwrap();
            save_safetensors(&safe, &edges(), &metadata, Stored::F32).unwrap();
            [fs_err::read(pth).unwrap(), fs_err::read(safe).unwrap()]
        })
        .collect();
    assert!(written.iter().all(|files| files == &written[0]));
}

#[test]
fn entries_that_disagree_with_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let twice = [known_tensor("a", &[1]), known_tensor("a", &[1])];
    let short = [TensorValues::new("a", [2, 2], vec![0.0; 3])];
    let overflow = [TensorValues::new("a", [usize::MAX, 2, 0], vec![])];
    let reserved = [known_tensor("__metadata__", &[1])];
    for tensors in [&twice[..], &short, &overflow] {
        assert!(matches!(save_pth(&path, tensors), Err(Error::InvalidEntry { .. })));
        let saved = save_safetensors(&path, tensors, &BTreeMap::new(), Stored::F32);
        assert!(matches!(saved, Err(Error::InvalidEntry { .. })));
    }
    let saved = save_safetensors(&path, &reserved, &BTreeMap::new(), Stored::F32);
    assert!(matches!(saved, Err(Error::InvalidEntry { .. })));
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/w.pth");
    let message = save_pth(&path, &edges()).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: cannot be written, ", path.display())), "{message}");
    assert_eq!(message.lines().count(), 1);
}

/// A real size limit, in a child with `ulimit -f`: the write fails in the middle.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    const FOLDER: &str = "SBIR_TEST_LIMITED_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let big = [known_tensor("big", &[1 << 20])];
        let folder = Path::new(&folder);
        for (path, saved) in [
            (folder.join("w.pth"), save_pth(&folder.join("w.pth"), &big)),
            (
                folder.join("w.safetensors"),
                save_safetensors(
                    &folder.join("w.safetensors"),
                    &big,
                    &BTreeMap::new(),
                    Stored::F32,
                ),
            ),
        ] {
            let message = saved.unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("{}: cannot be written, ", path.display())),
                "{message}"
            );
            assert!(message.contains("may not grow that large"), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    save_pth(&folder.path().join("w.pth"), &edges()).unwrap();
    save_safetensors(&folder.path().join("w.safetensors"), &edges(), &BTreeMap::new(), Stored::F32)
        .unwrap();
    // Without the trap, the signal would end the child before the write could fail.
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "weights::writing::a_full_disk_leaves_the_old_file_and_nothing_else"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");

    assert_holds(&folder.path().join("w.pth"), &edges());
    assert_eq!(StateDict::open(&folder.path().join("w.safetensors")).unwrap().len(), 4);
    let mut names: Vec<_> =
        fs_err::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["w.pth", "w.safetensors"]);
}

#[test]
fn values_lie_at_multiples_of_64_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let tensors = [known_tensor("a", &[5]), known_tensor("b", &[7]), known_tensor("c", &[3])];
    save_pth(&path, &tensors).unwrap();
    let bytes = fs_err::read(&path).unwrap();
    for tensor in &tensors {
        let values: Vec<u8> =
            known(&tensor.name, tensor.values.len()).iter().flat_map(|v| v.to_le_bytes()).collect();
        let aligned = (0..bytes.len()).step_by(64).any(|at| bytes[at..].starts_with(&values));
        assert!(aligned, "{}", tensor.name);
    }
}
