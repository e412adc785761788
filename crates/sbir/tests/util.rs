//! A folder to work in, a small FS-COCO to work on, and the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image::{Rgb, RgbImage};

/// Architecture of the tests: a step takes milliseconds.
pub(crate) const NARROW: &str = "convnext:1-1-1-1:4-6-8-10";

/// A temporary working folder.
pub(crate) struct Dir {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

/// What a command left behind.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Asserts success and gives standard output.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Asserts a failure with `code`, one `error: …` line that holds every one of `parts`, and no
    /// panic. Gives the line.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> String {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let errors: Vec<&str> =
            self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one error line in:\n{}", self.stderr);
        for part in parts {
            assert!(errors[0].contains(part), "{part:?} in {:?}", errors[0]);
        }
        errors[0].to_owned()
    }
}

impl Dir {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// With an environment variable for what is run here.
    pub(crate) fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap()
    }

    /// Files and folders here, by name.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The binary with arguments, in this folder, on the CPU, with a cache folder of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sbir"));
        command
            .args(args)
            .current_dir(self.path())
            .env("SBIR_CACHE", self.join("cache"))
            .env_remove("SBIR_WEIGHTS_URL")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// A small FS-COCO in `fscoco`: 12 users with two pairs each. One pair of each is in
    /// `val_normal.txt`; users 9 to 12 are in `val_unseen_user.txt`.
    pub(crate) fn fscoco(&self) {
        let (mut normal, mut unseen) = (String::new(), String::new());
        for user in 1..=12u32 {
            for k in 0..2 {
                let id = 1000 * user + k;
                let hue = (user * 37 + k * 101) % 256;
                let (x, y) = (8 + (user * 5) % 30, 6 + (user * 11 + k * 20) % 36);
                let mut photo =
                    RgbImage::from_pixel(80, 60, Rgb([hue as u8, 200, 255 - hue as u8]));
                let mut sketch = RgbImage::from_pixel(64, 64, Rgb([255, 255, 255]));
                for i in 0..16 {
                    for j in 0..16 {
                        photo.put_pixel(x + i, y + j % 8, Rgb([20, hue as u8, 40]));
                        if i == 0 || j == 0 || i == 15 || j == 15 {
                            sketch.put_pixel(x + i, y.min(47) + j, Rgb([0, 0, 0]));
                        }
                    }
                }
                for (kind, picture) in [("images", photo), ("raster_sketches", sketch)] {
                    let folder = self.join(&format!("fscoco/{kind}/{user}"));
                    fs::create_dir_all(&folder).unwrap();
                    picture.save(folder.join(format!("{id:012}.jpg"))).unwrap();
                }
                if k == 1 {
                    normal.push_str(&format!("{id:012}\n"));
                }
                if user > 8 {
                    unseen.push_str(&format!("{id}\n"));
                }
            }
        }
        self.write("fscoco/val_normal.txt", normal);
        self.write("fscoco/val_unseen_user.txt", unseen);
    }

    /// Trains one epoch on [`Self::fscoco`] into `run`, for tests that need a checkpoint.
    pub(crate) fn train(&self) -> PathBuf {
        self.fscoco();
        self.run(&self::train_args(&["--run-dir", "run", "--epochs", "1"])).ok();
        self.join("run/model.safetensors")
    }
}

/// Arguments of a short training, and more.
pub(crate) fn train_args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--no-cuda", "--encoder", NARROW, "--init", "random"];
    args.extend(["--layer-scale", "0.5", "--image-size", "32", "--batch-size", "4"]);
    args.extend(["--threads", "2"]);
    args.extend(more);
    args
}
