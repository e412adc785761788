//! What is written, and the safetensors writer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use sbir_files::write_atomically;
use serde::Serialize;

use super::Error;
use super::error::shown;
use super::tensor::contiguous_strides;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorValues<'a> {
    /// Unique in the file.
    pub name: String,
    /// Sizes of the dimensions, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the product of the shape, row-major.
    pub values: Cow<'a, [f32]>,
}

impl<'a> TensorValues<'a> {
    /// A tensor of that name, shape and values; the writers check that they agree.
    pub fn new(
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: impl Into<Cow<'a, [f32]>>,
    ) -> Self {
        Self { name: name.into(), shape: shape.into(), values: values.into() }
    }

    fn byte_len(&self) -> usize {
        size_of_val(&*self.values)
    }
}

/// Refuses names that occur twice and shapes that disagree with their values.
pub(super) fn validate(path: &Path, tensors: &[TensorValues<'_>]) -> Result<(), Error> {
    let mut names = HashSet::new();
    for tensor in tensors {
        let count = contiguous_strides(&tensor.shape).map(|_| tensor.shape.iter().product());
        let detail = if !names.insert(tensor.name.as_str()) {
            "its name occurs twice".to_owned()
        } else if count != Some(tensor.values.len()) {
            format!("its shape {:?} does not hold its {} values", tensor.shape, tensor.values.len())
        } else {
            continue;
        };
        return Err(Error::InvalidEntry {
            path: path.to_owned(),
            key: shown(&tensor.name),
            detail,
        });
    }
    Ok(())
}

/// Hands the values to `sink` as little-endian bytes, a piece at a time.
pub(super) fn little_endian<E>(
    data: &[f32],
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut bytes = Vec::with_capacity(1 << 16);
    for chunk in data.chunks(1 << 14) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        sink(&bytes)?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct Info<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

/// How values are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stored {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats (IEEE 754 binary16), rounded to the nearest; values beyond their range are refused.
    F16,
}

impl Stored {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
        }
    }

    fn bytes(self, tensor: &TensorValues<'_>) -> usize {
        match self {
            Self::F32 => tensor.byte_len(),
            Self::F16 => tensor.byte_len() / 2,
        }
    }
}

/// Writes a safetensors file, atomically: on any error `path` stays as it was. The same
/// tensors and metadata give the same bytes; tensors keep their order.
///
/// # Errors
///
/// [`Error::InvalidEntry`] for a name that occurs twice or is `__metadata__`, a shape that disagrees with
/// its values, or a value that `stored` cannot hold; [`Error::Write`] when the file cannot be written.
pub fn save_safetensors(
    path: &Path,
    tensors: &[TensorValues<'_>],
    metadata: &BTreeMap<String, String>,
    stored: Stored,
) -> Result<(), Error> {
    validate(path, tensors)?;
    if stored == Stored::F16 {
        let fits = |value: &f32| half::f16::from_f32(*value).is_finite();
        if let Some(tensor) = tensors.iter().find(|tensor| !tensor.values.iter().all(fits)) {
            return Err(Error::InvalidEntry {
                path: path.to_owned(),
                key: shown(&tensor.name),
                detail: "it has values beyond the range of 16-bit floats".to_owned(),
            });
        }
    }
    let header = header(tensors, metadata, stored).map_err(|detail| Error::InvalidEntry {
        path: path.to_owned(),
        key: "the header".to_owned(),
        detail,
    })?;
    Ok(write_atomically(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for tensor in tensors {
            match stored {
                Stored::F32 => little_endian(&tensor.values, |bytes| writer.write_all(bytes))?,
                Stored::F16 => {
                    for value in tensor.values.iter() {
                        writer.write_all(&half::f16::from_f32(*value).to_le_bytes())?;
                    }
                }
            }
        }
        io::Result::Ok(())
    })?)
}

/// The JSON header, padded with spaces so that the values begin at a multiple of eight bytes.
fn header(
    tensors: &[TensorValues<'_>],
    metadata: &BTreeMap<String, String>,
    stored: Stored,
) -> Result<Vec<u8>, String> {
    let mut header = String::from("{");
    if !metadata.is_empty() {
        header.push_str("\"__metadata__\":");
        header.push_str(&json(metadata)?);
    }
    let mut start = 0;
    for tensor in tensors {
        if tensor.name == "__metadata__" {
            return Err("a tensor cannot be named __metadata__".to_owned());
        }
        let end = start + stored.bytes(tensor);
        let info = Info { dtype: stored.name(), shape: &tensor.shape, data_offsets: [start, end] };
        if header.len() > 1 {
            header.push(',');
        }
        header.push_str(&json(&tensor.name)?);
        header.push(':');
        header.push_str(&json(&info)?);
        start = end;
    }
    header.push('}');
    let padded = header.len().next_multiple_of(8);
    let mut header = header.into_bytes();
    header.resize(padded, b' ');
    Ok(header)
}
