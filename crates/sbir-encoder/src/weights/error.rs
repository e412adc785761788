//! What can go wrong with weights, each as one line that names the file and the remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::names::Scheme;
use super::tensor::DType;

/// Errors of reading, naming, writing and fetching weights.
///
/// Every message is one line. Text that came from a file is escaped and cut short, so a hostile
/// name cannot reach the terminal as control characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message of `fs_err` names the operation and the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder was given where a checkpoint file belongs.
    #[error("{}: is a folder, not a checkpoint; name a .pth or .safetensors file", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The file has zero bytes.
    #[error("{}: the file is empty (0 bytes); copy or download it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The content is no checkpoint, whatever the extension says.
    #[error(
        "{}: not a checkpoint (neither a PyTorch .pth nor safetensors): {found}",
        path.display()
    )]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What the content looks like, and the remedy where one is known.
        found: String,
    },
    /// The file contradicts itself or ends too early.
    #[error("{}: damaged or truncated: {detail}; copy or download it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The pickle names code that plain weights never name. Nothing was executed.
    #[error(
        "{}: its pickle names {global}, which plain weights never do; nothing was executed. If you \
         trust the file, save its weights alone: torch.save(model.state_dict(), PATH)",
        path.display()
    )]
    Global {
        /// The file.
        path: PathBuf,
        /// Module and name, as the pickle spells them.
        global: String,
    },
    /// A valid file in a form that is not read here.
    #[error(
        "{}: {what}, which is not read here; load it in PyTorch and save its state dict again with \
         torch.save",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The form.
        what: String,
    },
    /// No dictionary of tensors was found where checkpoints keep it.
    #[error(
        "{}: no state dict found; its top level holds {found}; save the weights alone: \
         torch.save(model.state_dict(), PATH)",
        path.display()
    )]
    NoStateDict {
        /// The file.
        path: PathBuf,
        /// The keys or the type at the top level.
        found: String,
    },
    /// A tensor that would take more bytes than its whole file has. Refused before allocating.
    #[error(
        "{}: {key} declares {declared} bytes, but the whole file has {file}; refused",
        path.display()
    )]
    TensorTooLarge {
        /// The file.
        path: PathBuf,
        /// The tensor (`"the state dict"` for the sum over all tensors).
        key: String,
        /// Declared size in bytes.
        declared: u128,
        /// Size of the file in bytes.
        file: u64,
    },
    /// A tensor reaches past the end of the bytes stored for it.
    #[error(
        "{}: {key} needs {expected} bytes of its storage, which holds {found}; copy or download \
         the file again",
        path.display()
    )]
    StorageTooShort {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Bytes needed.
        expected: u64,
        /// Bytes held.
        found: u64,
    },
    /// The stored checksum does not match the bytes.
    #[error("{}: the bytes of {key} do not match their checksum; copy or download the file again",
        path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
    },
    /// A tensor was asked for that the file does not have.
    #[error("{}: no tensor {key}{}", path.display(), nearest_text(nearest.as_deref()))]
    NoSuchTensor {
        /// The file.
        path: PathBuf,
        /// The tensor asked for.
        key: String,
        /// The most similar name in the file.
        nearest: Option<String>,
    },
    /// Weights were asked for where the file holds integers.
    #[error("{}: {key} holds {dtype} values, weights must be floating point", path.display())]
    NotFloat {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its element type.
        dtype: DType,
    },
    /// A weight is infinite or not a number.
    #[error(
        "{}: {key} holds a value that is not finite (element {index}); the training that wrote it \
         diverged: take an earlier checkpoint",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Index of the first such element, row-major.
        index: usize,
    },
    /// No ConvNeXt under any known naming.
    #[error(
        "{}: no ConvNeXt found under the names of torchvision, timm, facebookresearch, open_clip, \
         origin or sbir; its keys read {sample}",
        path.display()
    )]
    UnknownNames {
        /// The file.
        path: PathBuf,
        /// A few of the file's keys.
        sample: String,
    },
    /// Several encoders in one file.
    #[error(
        "{}: holds several encoders, under {first:?} and under {second:?}; save one of them alone",
        path.display()
    )]
    SeveralEncoders {
        /// The file.
        path: PathBuf,
        /// Prefix of the first.
        first: String,
        /// Prefix of another.
        second: String,
    },
    /// Depths or widths outside what a ConvNeXt has.
    #[error("{}: no ConvNeXt has {detail}; is this another kind of network?", path.display())]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is out of range.
        detail: String,
    },
    /// File and model differ in a key or a shape.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
    /// A parameter for which a naming has no name.
    #[error("{key} has no name under {scheme}; convert without it or to another naming")]
    NoName {
        /// The canonical name.
        key: String,
        /// The naming.
        scheme: Scheme,
    },
    /// An unknown name of a naming.
    #[error(
        "unknown naming {text:?}; choose torchvision, timm, facebookresearch, open_clip, origin or \
         sbir"
    )]
    UnknownScheme {
        /// What was given.
        text: String,
    },
    /// Entries that cannot be written as a checkpoint.
    #[error("{}: {key} cannot be written: {detail}", path.display())]
    InvalidEntry {
        /// The file to write.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A checkpoint could not be written. Nothing half-written is left.
    #[error(transparent)]
    Write(#[from] sbir_files::WriteError),
    /// No cache folder can be told from the environment.
    #[error("no cache folder: set SBIR_CACHE to a folder for downloaded weights")]
    NoCacheFolder,
    /// A weights file is not cached and could not be downloaded.
    #[error(
        "{file} is not here and could not be fetched ({reason}); run again, or download {url} and \
         put it at {}",
        path.display()
    )]
    Fetch {
        /// File name of the weights.
        file: String,
        /// Its address.
        url: String,
        /// Where it belongs.
        path: PathBuf,
        /// Why the download failed.
        reason: String,
    },
    /// A downloaded file is not what its name promises. It was deleted.
    #[error(
        "{url}: the SHA-256 of the download starts with {found}, expected {expected}; the download \
         was deleted: run again or use another mirror (SBIR_WEIGHTS_URL)"
    )]
    DownloadChecksum {
        /// The address.
        url: String,
        /// Digits that the file name promises.
        expected: String,
        /// As many digits of what came.
        found: String,
    },
}

/// The first difference between a file and a model: a missing key (`found` is `None`), an unexpected
/// one (`expected` is `None`) or a wrong shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The file.
    pub path: PathBuf,
    /// The tensor in the file's own naming.
    pub key: String,
    /// The shape that the model expects.
    pub expected: Option<Vec<usize>>,
    /// The shape in the file.
    pub found: Option<Vec<usize>>,
    /// The most similar key: of the file for a missing key, of the model for an unexpected one.
    pub nearest: Option<String>,
    /// Further differences.
    pub more: usize,
    /// What the file holds, where it is a ConvNeXt of another size.
    pub hint: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, key, expected, found, nearest, more, hint } = self;
        write!(f, "{}: ", path.display())?;
        match (expected, found) {
            (Some(expected), Some(found)) => {
                write!(f, "{key} has shape {found:?}, expected {expected:?}")?;
            }
            (Some(expected), None) => {
                write!(f, "no tensor {key} (expected with shape {expected:?})")?;
            }
            (None, found) => {
                write!(f, "unexpected tensor {key}")?;
                if let Some(found) = found {
                    write!(f, " (shape {found:?})")?;
                }
            }
        }
        f.write_str(&nearest_text(nearest.as_deref()))?;
        match more {
            0 => {}
            1 => f.write_str(" (and 1 more difference)")?,
            more => write!(f, " (and {more} more differences)")?,
        }
        f.write_str("; choose the encoder that the file was trained with")?;
        match hint {
            Some(hint) => write!(f, ": {hint}"),
            None => Ok(()),
        }
    }
}

fn nearest_text(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; the nearest is {key}")).unwrap_or_default()
}

/// Text from a file for a message: control characters escaped, cut after 120 characters.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(120).flat_map(char::escape_debug).collect();
    if text.chars().nth(120).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_files_is_escaped_and_cut() {
        assert_eq!(shown("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), 121);
    }
}
