//! A checkpoint as an ordered map from names to tensors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::error::{Error, shown};
use super::nearest::nearest;
use super::tensor::{Source, TensorEntry};
use super::{safetensors, torch};

/// The sum of all tensors may exceed the file by this factor, since tensors may share storages.
const MAX_SHARING: u64 = 4;

/// The container that a checkpoint came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The zip container of `torch.save`, PyTorch 1.6 and later.
    TorchZip,
    /// The stream of pickles of `torch.save` before 1.6.
    TorchLegacy,
    /// <https://github.com/huggingface/safetensors>
    Safetensors,
}

/// A checkpoint, open: names, shapes and types are known, the values stay in the file.
///
/// Names are the file's own; [`Mapping`](super::Mapping) translates them.
#[derive(Debug)]
pub struct StateDict {
    source: Source,
    format: Format,
    entries: Vec<(String, TensorEntry)>,
    index: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl StateDict {
    /// Opens a checkpoint: `.pth` in the zip or the legacy form, or safetensors, told apart by
    /// content. Weights under `state_dict`, `model`, `state` and the like are found there.
    ///
    /// Nothing in a pickle is executed, and no tensor is read yet: what a file declares is checked
    /// against its size before anything of that size is allocated.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, is no checkpoint, is damaged or truncated, names code
    /// ([`Error::Global`]), or declares tensors beyond its own size ([`Error::TensorTooLarge`]).
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::read(Source::open(path)?)
    }

    /// A checkpoint that is part of the program; `name` stands for it in errors.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, Error> {
        Self::read(Source::memory(name, bytes))
    }

    fn read(source: Source) -> Result<Self, Error> {
        let head = source.read_up_to(0, 512)?;
        let (format, (tensors, metadata)) = match sniff(&head, source.len) {
            Content::Zip => (Format::TorchZip, torch::open_zip(&source)?),
            Content::Pickle => (Format::TorchLegacy, torch::open_legacy(&source)?),
            Content::Safetensors(header) => {
                (Format::Safetensors, safetensors::open(&source, header)?)
            }
            Content::Other(found) => {
                return Err(Error::NotACheckpoint {
                    path: source.path.clone(),
                    found: found.to_owned(),
                });
            }
        };

        let mut index = HashMap::with_capacity(tensors.len());
        let mut total = 0u64;
        for (place, (name, entry)) in tensors.iter().enumerate() {
            total = total.saturating_add(entry.byte_len());
            if index.insert(name.clone(), place).is_some() {
                return Err(source.damaged(format!("two tensors are named {}", shown(name))));
            }
        }
        if total > source.len.saturating_mul(MAX_SHARING) {
            return Err(Error::TensorTooLarge {
                path: source.path.clone(),
                key: "the state dict".to_owned(),
                declared: total.into(),
                file: source.len,
            });
        }
        Ok(Self { source, format, entries: tensors, index, metadata })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// The container it came in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tensors in file order: a pickle's own order, by offset in safetensors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorEntry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The names in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&TensorEntry> {
        self.index.get(name).map(|&place| &self.entries[place].1)
    }

    /// What stood beside the weights: the metadata of safetensors, or the plain values around a
    /// `.pth`'s state dict (a `config`, an `epoch`), texts as they are and all else as JSON.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Reads one tensor as f32, row-major and contiguous: `shape().iter().product()` values, all
    /// finite. f16 and bf16 are exact; f64 is rounded.
    ///
    /// # Errors
    ///
    /// When there is no such tensor, it is not floating point, it holds a value that is not
    /// finite, its checksum is wrong, or the file cannot be read.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error> {
        match self.get(name) {
            Some(entry) => entry.read_f32(&self.source, name),
            None => Err(Error::NoSuchTensor {
                path: self.path().to_owned(),
                key: shown(name),
                nearest: nearest(name, self.names()).map(shown),
            }),
        }
    }
}

enum Content {
    Zip,
    Pickle,
    Safetensors(u64),
    Other(&'static str),
}

/// Tells the container from the first bytes.
fn sniff(head: &[u8], len: u64) -> Content {
    let header = head.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    match (head, header) {
        (_, _) if head.starts_with(b"PK\x03\x04") => Content::Zip,
        // The length of a JSON header of 100 MB at most has zeros above; then its brace.
        (_, Some(header)) if head.get(8) == Some(&b'{') && header >> 32 == 0 && len > 8 => {
            Content::Safetensors(header)
        }
        ([0x80, 2..=5, ..], _) => Content::Pickle,
        _ => Content::Other(other(head)),
    }
}

fn other(head: &[u8]) -> &'static str {
    // The first bytes may end inside a character.
    let text = str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true)
        && head.iter().all(|&byte| byte >= b' ' || byte.is_ascii_whitespace());
    let lower = head.to_ascii_lowercase();
    let starts = |prefix: &str| lower.trim_ascii_start().starts_with(prefix.as_bytes());
    if starts("version https://git-lfs") {
        "a Git LFS pointer; fetch the file itself with git lfs pull"
    } else if starts("<!doctype") || starts("<html") {
        "a web page; download the file itself"
    } else if head.get(257..262) == Some(b"ustar") {
        "a tar archive; if PyTorch 0.1 wrote it, load it in PyTorch and save it again"
    } else if text {
        "a text file"
    } else if head.starts_with(&[0x1f, 0x8b]) {
        "gzip data; unpack it first"
    } else {
        "unknown content"
    }
}
