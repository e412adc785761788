//! The run folder: configuration, metrics, checkpoints.

use std::fs::TryLockError;
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sbir_eval::atomic::write_atomically;
use serde::Serialize;
use serde_json::Value;

use crate::config::TrainConfig;
use crate::{Error, checkpoint};

const CONFIG: &str = "config.json";
const METRICS: &str = "metrics.jsonl";
const LOCK: &str = ".lock";
const CHECKPOINTS: &str = "checkpoints";

/// A run folder, locked for this process as long as it lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    metrics: fs::File,
    _lock: std::fs::File,
}

impl RunDir {
    /// Makes a new run folder and writes the configuration into it.
    ///
    /// # Errors
    /// [`Error::RunExists`] where a run is there already; I/O errors name the path.
    pub fn create(path: &Path, config: &TrainConfig) -> Result<Self, Error> {
        fs::create_dir_all(path)?;
        let lock = lock(path)?;
        if path.join(CONFIG).exists() {
            return Err(Error::RunExists { path: path.to_owned() });
        }
        fs::create_dir_all(path.join(CHECKPOINTS))?;
        let text = serde_json::to_string_pretty(config).map_err(std::io::Error::from)?;
        write_atomically(&path.join(CONFIG), |writer| writer.write_all(text.as_bytes()))?;
        let metrics = fs::File::create(path.join(METRICS))?;
        Ok(Self { path: path.to_owned(), metrics, _lock: lock })
    }

    /// Opens a run folder to go on with it, and removes what killed writes left behind.
    ///
    /// # Errors
    /// [`Error::NoRun`], [`Error::RunLocked`]; I/O errors name the path.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let lock = lock(path)?;
        let metrics = fs::OpenOptions::new().append(true).create(true).open(path.join(METRICS))?;
        fs::create_dir_all(path.join(CHECKPOINTS))?;
        checkpoint::remove_leftovers(&path.join(CHECKPOINTS))?;
        Ok(Self { path: path.to_owned(), metrics, _lock: lock })
    }

    /// Reads the configuration that a run was begun with.
    ///
    /// # Errors
    /// [`Error::NoRun`] where there is none, [`Error::RunFile`] where it is damaged.
    pub fn config(path: &Path) -> Result<TrainConfig, Error> {
        let file = path.join(CONFIG);
        if !file.is_file() {
            return Err(Error::NoRun { path: path.to_owned() });
        }
        let text = fs::read_to_string(&file)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::RunFile { path: file, problem: error.to_string() })
    }

    /// Whether a run has a checkpoint to go on from.
    ///
    /// # Errors
    /// I/O errors name the path.
    pub fn has_checkpoint(path: &Path) -> Result<bool, Error> {
        Ok(checkpoint::newest(&path.join(CHECKPOINTS))?.is_some())
    }

    /// The run in `folder` that was begun last, by name: names begin with the time.
    ///
    /// # Errors
    /// [`Error::NoRun`] where there is none.
    pub fn newest(folder: &Path) -> Result<PathBuf, Error> {
        let mut runs: Vec<PathBuf> = match fs::read_dir(folder) {
            Ok(entries) => entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.join(CONFIG).is_file())
                .collect(),
            Err(_) => Vec::new(),
        };
        runs.sort();
        runs.pop().ok_or_else(|| Error::NoRun { path: folder.to_owned() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that holds the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Drops the metrics after `steps` steps, which no checkpoint holds: they will be computed again.
    ///
    /// # Errors
    /// I/O errors name the path.
    pub(crate) fn keep_metrics(&mut self, steps: u64) -> Result<(), Error> {
        self.metrics = trim_metrics(&self.path.join(METRICS), steps)?;
        Ok(())
    }

    /// Adds one line to `metrics.jsonl`.
    ///
    /// # Errors
    /// I/O errors name the path.
    pub fn record(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let mut text = serde_json::to_string(line).map_err(std::io::Error::from)?;
        text.push('\n');
        self.metrics.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Writes a list, one entry a line, beside the configuration.
    ///
    /// # Errors
    /// I/O errors name the path.
    pub fn write_list<'a>(
        &self,
        name: &str,
        entries: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let mut text = String::new();
        for entry in entries {
            text.push_str(entry);
            text.push('\n');
        }
        write_atomically(&self.path.join(name), |writer| writer.write_all(text.as_bytes()))?;
        Ok(())
    }
}

/// The operating system lets go of the lock when the process ends, however it ends.
fn lock(path: &Path) -> Result<std::fs::File, Error> {
    if !path.is_dir() {
        return Err(Error::NoRun { path: path.to_owned() });
    }
    let file = fs::File::create(path.join(LOCK))?.into_file();
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::RunLocked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(Error::Io(error)),
    }
}

/// Keeps the lines of the first `steps_kept` steps, and whole lines only.
fn trim_metrics(path: &Path, steps_kept: u64) -> Result<fs::File, Error> {
    let mut file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut kept = 0;
    let mut reader = BufReader::new(&mut file);
    let mut line = String::new();
    loop {
        line.clear();
        let length = reader.read_line(&mut line)?;
        if length == 0 || !line.ends_with('\n') {
            break;
        }
        let step = serde_json::from_str::<Value>(&line)
            .ok()
            .and_then(|value| value.get("step").and_then(Value::as_u64));
        if step.is_none_or(|step| step > steps_kept) {
            break;
        }
        kept += length as u64;
    }
    drop(reader);
    file.file().set_len(kept)?;
    file.seek(std::io::SeekFrom::Start(kept))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_past_the_checkpoint_and_torn_lines_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let text = "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"st";
        for (kept, expected) in [(2, &text[..22]), (9, &text[..33]), (0, "")] {
            fs::write(&path, text).unwrap();
            let mut file = trim_metrics(&path, kept).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
            file.write_all(b"x").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{expected}x"));
        }
    }

    #[test]
    fn a_folder_is_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(Error::RunLocked { .. })));
        drop(first);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn the_newest_run_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(RunDir::newest(folder.path()), Err(Error::NoRun { .. })));
        for name in ["20260101-000000-a", "20260301-000000-b", "zz-no-run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["20260101-000000-a", "20260301-000000-b"] {
            fs::write(folder.path().join(name).join(CONFIG), "{}").unwrap();
        }
        let newest = RunDir::newest(folder.path()).unwrap();
        assert!(newest.ends_with("20260301-000000-b"));
    }
}
