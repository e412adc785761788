//! What can go wrong while training.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option is out of its range.
    #[error("{option} takes {takes}")]
    Config {
        /// The option as typed on the command line.
        option: &'static str,
        /// Its range.
        takes: &'static str,
    },
    /// The loss is not a finite number.
    #[error(
        "the loss became {loss} at step {step} (epoch {epoch}); {kept}; try a lower --lr or a \
         higher --temp"
    )]
    Diverged {
        /// The value.
        loss: f32,
        /// Optimiser step, from 0.
        step: u64,
        /// Epoch, from 0.
        epoch: u64,
        /// What remains: the last good checkpoint, or that there is none.
        kept: String,
    },
    /// The run folder exists and holds a run.
    #[error("{path} already holds a run; choose another --run-dir, or --resume {path}", path = path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// No run to resume.
    #[error("no run to resume in {path}; name a run folder that holds config.json", path = path.display())]
    NoRun {
        /// Folder looked into.
        path: PathBuf,
    },
    /// A run is being trained by another process.
    #[error("{path} is in use by another process; wait for it or choose another --run-dir", path = path.display())]
    RunLocked {
        /// The folder.
        path: PathBuf,
    },
    /// A run folder's file does not hold what it should.
    #[error("{path}: {problem}; delete the file to go on without it", path = path.display())]
    RunFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A run's data changed since it began.
    #[error(
        "the training pairs changed since the run began ({found} pairs now, {expected} then, or \
         other files); restore the data or start a new run"
    )]
    DataChanged {
        /// Pairs when the run began.
        expected: usize,
        /// Pairs now.
        found: usize,
    },
    /// There is nothing to train or to evaluate on.
    #[error("{set} holds no pairs; {remedy}")]
    Empty {
        /// The set's name.
        set: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A file could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A file could not be written; nothing half-written is left.
    #[error(transparent)]
    Write(#[from] sbir_eval::atomic::WriteError),
    /// A dataset or picture could not be read.
    #[error(transparent)]
    Data(#[from] sbir_data::Error),
    /// An encoder or checkpoint could not be read or written.
    #[error(transparent)]
    Encoder(#[from] sbir_encoder::Error),
    /// A metric could not be computed or a report not be written.
    #[error(transparent)]
    Eval(#[from] sbir_eval::Error),
}
