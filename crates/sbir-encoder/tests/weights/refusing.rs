//! What is no checkpoint, or a hostile one, is refused with one line that names file and remedy.

use std::path::Path;

use sbir_encoder::weights::{Error, StateDict};

use super::golden;

/// The message for a file of that content: one line that begins with the file's name.
fn message_for(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    fs_err::write(&path, content).unwrap();
    message_of(&path)
}

fn message_of(path: &Path) -> String {
    let message = StateDict::open(path).unwrap_err().to_string();
    let start = format!("{}: ", path.display());
    assert_eq!(message.lines().count(), 1, "{message}");
    message.strip_prefix(&start).unwrap_or_else(|| panic!("names its file: {message}")).to_owned()
}

#[test]
fn what_is_no_checkpoint_is_told_apart() {
    let kind = "not a checkpoint (neither a PyTorch .pth nor safetensors)";
    assert_eq!(message_for(b"hello, this is text\n"), format!("{kind}: a text file"));
    assert_eq!(
        message_for(b"<!DOCTYPE html><html>404"),
        format!("{kind}: a web page; download the file itself")
    );
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    assert_eq!(
        message_for(pointer),
        format!("{kind}: a Git LFS pointer; fetch the file itself with git lfs pull")
    );
    assert_eq!(message_for(&[0, 1, 2, 3]), format!("{kind}: unknown content"));
    assert_eq!(message_for(b""), "the file is empty (0 bytes); copy or download it again");
    let mut tar = vec![0; 1024];
    tar[..6].copy_from_slice(b"pickle");
    tar[257..262].copy_from_slice(b"ustar");
    assert!(message_for(&tar).contains("a tar archive; if PyTorch 0.1 wrote it"));
}

#[test]
fn folders_and_missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = message_of(folder.path());
    assert_eq!(message, "is a folder, not a checkpoint; name a .pth or .safetensors file");

    let missing = folder.path().join("missing.pth");
    let message = StateDict::open(&missing).unwrap_err().to_string();
    assert!(message.contains("missing.pth") && message.contains("No such file"), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.pth");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert!(message_of(&pipe).contains("not a regular file"));
}

#[test]
fn code_in_a_pickle_is_named_and_not_run() {
    let message = message_of(&golden("evil.pth"));
    assert!(
        message.starts_with(
            "its pickle names posix.system, which plain weights never do; nothing was executed"
        ),
        "{message}"
    );
    let message = message_of(&golden("whole_model.pth"));
    assert!(message.contains("names torch.nn.modules.linear.Linear"), "{message}");
    assert!(message.contains("torch.save(model.state_dict(), PATH)"), "{message}");
    // The same without a container.
    assert!(
        message_for(b"\x80\x02cposix\nsystem\nX\x01\x00\x00\x00x\x85R.").contains("posix.system")
    );
}

#[test]
fn eight_gib_in_a_small_file_are_refused_before_any_allocation() {
    for file in ["eight_gib_view.pth", "eight_gib_storage.pth"] {
        let path = golden(file);
        let size = fs_err::metadata(&path).unwrap().len();
        assert!(size < 2048);
        match StateDict::open(&path).unwrap_err() {
            Error::TensorTooLarge { declared, file, .. } => {
                assert_eq!((declared, file), (8 << 30, size));
            }
            other => panic!("{file}: {other}"),
        }
    }
    let message = message_of(&golden("eight_gib_view.pth"));
    assert_eq!(message, "w declares 8589934592 bytes, but the whole file has 1577; refused");
}

#[test]
fn a_storage_shorter_than_declared_is_noticed_at_opening() {
    let message = message_of(&golden("short_storage.pth"));
    assert!(
        message.starts_with("a.weight needs 240 bytes of its storage, which holds 24;"),
        "{message}"
    );
}

#[test]
fn truncation_anywhere_is_an_error() {
    for file in ["zip.pth", "legacy.pth"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.pth");
        fs_err::copy(golden(file), &path).unwrap();
        let cut = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
        for len in (0..cut.metadata().unwrap().len()).rev() {
            cut.set_len(len).unwrap();
            let message = message_of(&path);
            assert!(
                message.contains("damaged or truncated")
                    || message.contains("not a checkpoint")
                    || message.contains("the file is empty")
                    || message.contains("needs")
                    || message.contains("but the whole file has"),
                "{file} cut to {len}: {message}"
            );
        }
    }
}

#[test]
fn a_value_that_is_not_finite_is_named() {
    let dict = StateDict::open(&golden("not_finite.pth")).unwrap();
    let message = dict.read_f32("w").unwrap_err().to_string();
    assert!(message.contains("w holds a value that is not finite (element 1)"), "{message}");
}

#[test]
fn compressed_entries_are_refused_rather_than_inflated() {
    // python: zipfile.ZipFile(…, 'w', ZIP_DEFLATED).writestr('a/data.pkl', b'N' * 64)
    let mut zip = fs_err::read(golden("zip.pth")).unwrap();
    let directory = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    zip[directory + 10] = 8; // method: deflated
    assert!(message_for(&zip).starts_with("its zip entry archive/data.pkl is compressed"));
}

#[test]
fn a_zip_that_is_no_checkpoint_is_told_so() {
    let mut zip = fs_err::read(golden("zip.pth")).unwrap();
    while let Some(at) = zip.windows(8).position(|window| window == b"data.pkl") {
        zip[at..at + 8].copy_from_slice(b"data.txt");
    }
    assert!(message_for(&zip).contains("a zip archive without data.pkl"));
}

#[test]
fn checkpoints_without_weights_name_what_they_hold() {
    // {"epoch": 3, "loss": 0.5} and [] in the legacy container's place: plain pickles.
    let plain = b"\x80\x02}q\x00X\x05\x00\x00\x00epochq\x01K\x03s.";
    assert!(message_for(plain).contains("a plain pickle, not one of torch.save"));
}

#[test]
fn a_safetensors_header_is_held_against_the_file() {
    let file = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.resize(bytes.len() + data, 0);
        message_for(&bytes)
    };
    let tensor = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(file(tensor, 7).contains("its tensors take 8 bytes, it holds 7"));
    assert!(file(tensor, 9).contains("its tensors take 8 bytes, it holds 9"));
    let huge = r#"{"w":{"dtype":"F32","shape":[2147483648],"data_offsets":[0,8589934592]}}"#;
    assert!(file(huge, 0).contains("its tensors take 8589934592 bytes, it holds 0"));
    let overflow =
        r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}"#;
    assert!(file(overflow, 8).contains("damaged"));
    let gap = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    assert!(file(gap, 8).contains("damaged"));
    assert!(file(r#"{"w":"#, 0).contains("damaged"));
    let f8 = r#"{"w":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#;
    assert!(file(f8, 8).contains("w holds F8_E4M3 values, which is not read here"));
    let mut cut = 1_000u64.to_le_bytes().to_vec();
    cut.extend(b"{\"w\"");
    assert!(message_for(&cut).contains("its safetensors header is longer than the file"));
}
