//! Files under failure: full disks, wrong paths, kills.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sbir_eval::atomic::{AtomicFile, WriteError, write_atomically};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    write_atomically(path, |out| out.write_all(text.as_bytes()))
}

#[test]
fn files_are_created_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    write(&path, "one").unwrap();
    write(&path, "two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    // As long a name as Linux allows.
    write(&folder.path().join("n".repeat(255)), "long").unwrap();
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn a_failure_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    write(&path, "old").unwrap();
    let failed: Result<(), _> = write_atomically(&path, |out| {
        out.write_all(&[b'x'; 200_000])?;
        Err(io::Error::other("the encoder gave up"))
    });
    let text = failed.unwrap_err().to_string();
    assert!(text.contains("a.txt: cannot be written, the encoder gave up"), "{text}");
    AtomicFile::create(&path).unwrap().write_all(b"dropped").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["a.txt"]);
}

#[test]
fn wrong_paths_are_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write(&file, "").unwrap();
    for (path, remedy) in [
        (folder.path().join("none/a.txt"), "its folder does not exist"),
        (folder.path().to_path_buf(), "there is a folder of that name"),
        (file.join("a.txt"), "is a file, not a folder"),
        (PathBuf::from(".."), "there is a folder of that name"),
    ] {
        let text = write(&path, "x").unwrap_err().to_string();
        assert!(text.starts_with(&format!("{}: cannot be written", path.display())), "{text}");
        assert!(text.contains(remedy) && !text.contains('\n'), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn unwritable_folders_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, PermissionsExt::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        // Permissions do not bind the superuser; /proc does.
        let text = write(Path::new("/proc/sbir.txt"), "x").unwrap_err().to_string();
        assert!(text.starts_with("/proc/sbir.txt: cannot be written"), "{text}");
        return;
    }
    let text = write(&locked.join("a.txt"), "x").unwrap_err().to_string();
    assert!(text.contains("a.txt: cannot be written, permission denied"), "{text}");
}

#[cfg(unix)]
#[test]
fn links_stay_links_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    write(&file, "old").unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    fs::os::unix::fs::symlink("file", &link).unwrap();
    write(&link, "new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_written_in_place() {
    use std::os::unix::fs::FileTypeExt;
    write(Path::new("/dev/null"), "gone").unwrap();
    let text = write(Path::new("/dev/full"), "x").unwrap_err().to_string();
    assert!(text.contains("/dev/full: cannot be written, the disk is full"), "{text}");
    for device in ["/dev/null", "/dev/full"] {
        assert!(fs::metadata(device).unwrap().file_type().is_char_device());
    }
}

/// Children of the tests below: this binary again, under a size limit or about to be killed.
#[cfg(unix)]
mod child {
    use std::io::BufRead;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    const TARGET: &str = "SBIR_EVAL_TEST_TARGET";
    const BYTES: usize = 3_000_000;

    /// Runs a child test of this binary, after `setup` in a shell.
    fn command(test: &str, setup: &str, target: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{setup} exec \"$0\" --exact atomic::child::{test} --ignored --nocapture"))
            .arg(std::env::current_exe().unwrap())
            .env(TARGET, target);
        command
    }

    #[test]
    #[ignore = "a child of a_size_limit_leaves_the_old_file"]
    fn write_large() {
        let Some(target) = std::env::var_os(TARGET) else { return };
        let large = "n".repeat(BYTES);
        let failed = write(Path::new(&target), &large).unwrap_err().to_string();
        assert!(failed.contains("a file may not grow that large here"), "{failed}");
    }

    #[test]
    fn a_size_limit_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.txt");
        write(&target, "old").unwrap();
        // 512 or 1024 bytes a block, by the shell. The signal would kill the child before it sees the error.
        let output =
            command("write_large", "trap '' XFSZ; ulimit -f 100;", &target).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    #[ignore = "a child of a_kill_leaves_one_whole_file"]
    fn write_forever() {
        let Some(target) = std::env::var_os(TARGET) else { return };
        for round in 0_usize.. {
            let letter = b'a' + (round % 26) as u8;
            write_atomically(Path::new(&target), |out| out.write_all(&vec![letter; BYTES]))
                .unwrap();
            // Once only: nobody reads on, and a broken pipe would end this before the kill does.
            if round == 0 {
                #[expect(clippy::print_stdout, reason = "the parent waits for it")]
                {
                    println!("\nwritten");
                }
            }
        }
    }

    #[test]
    fn a_kill_leaves_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        for round in 0..12 {
            let mut child =
                command("write_forever", "", &target).stdout(Stdio::piped()).spawn().unwrap();
            let lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
            let written = lines.map_while(Result::ok).filter(|line| line == "written");
            assert_eq!(written.take(1).count(), 1, "the child wrote nothing");
            std::thread::sleep(Duration::from_micros(1700 * round));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(9), "it ended before the kill: {status}");
            let bytes = fs::read(&target).unwrap();
            assert_eq!(bytes.len(), BYTES);
            assert!(bytes.iter().all(|&byte| byte == bytes[0]), "parts of two files");
        }
        // A stray temporary file is a kill inside a write; without any this test would show nothing.
        assert!(names(folder.path()).len() > 1, "no kill hit a write");
    }
}
