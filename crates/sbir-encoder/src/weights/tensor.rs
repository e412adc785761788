//! One tensor of a checkpoint: its shape and type, known at once, and its values, read on demand.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::{Error, shown};

/// Element type of a stored tensor, little-endian in every file that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are the documentation.
pub enum DType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether the type is floating point, as weights are.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}

/// A checkpoint file held open, so that a replacement of its path cannot mix two files.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(Mutex<fs_err::File>),
    Memory(&'static [u8]),
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // Asked before opening: opening a pipe would wait for its writer.
        let metadata = fs_err::metadata(path)?;
        if metadata.is_dir() {
            return Err(Error::Folder { path: path.to_owned() });
        }
        if !metadata.is_file() {
            let found = "not a regular file".to_owned();
            return Err(Error::NotACheckpoint { path: path.to_owned(), found });
        }
        let file = fs_err::File::open(path)?;
        let len = file.metadata()?.len();
        if len == 0 {
            return Err(Error::Empty { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), len, content: Content::File(Mutex::new(file)) })
    }

    /// A checkpoint that is part of the program; `name` stands for it in errors.
    pub(super) fn memory(name: &str, bytes: &'static [u8]) -> Self {
        Self { path: name.into(), len: bytes.len() as u64, content: Content::Memory(bytes) }
    }

    /// Fills `buffer` from `offset`.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(self.damaged("it ends before its own table of contents says"));
        }
        match &self.content {
            Content::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(buffer)?;
            }
            Content::Memory(bytes) => {
                let start = offset as usize;
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
            }
        }
        Ok(())
    }

    /// The bytes from `offset` to the end of the file, at most `limit` of them.
    pub(super) fn read_up_to(&self, offset: u64, limit: usize) -> Result<Vec<u8>, Error> {
        let rest = self.len.saturating_sub(offset).min(limit as u64);
        let mut bytes = vec![0; rest as usize];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn damaged(&self, detail: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.clone(), detail: detail.into() }
    }

    pub(super) fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::Unsupported { path: self.path.clone(), what: what.into() }
    }
}

/// Where a storage's bytes lie in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// CRC-32 of the whole storage; `None` where the file has none.
    pub(super) crc32: Option<u32>,
}

/// A strided view of a storage, as a checkpoint declares it.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) shape: Vec<usize>,
    /// In elements, one for each dimension.
    pub(super) strides: Vec<usize>,
    /// First element, counted from the start of the storage.
    pub(super) start: usize,
    pub(super) dtype: DType,
}

/// Row-major strides of `shape`, in elements; `None` when its element count overflows.
pub(super) fn contiguous_strides(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1; shape.len()];
    let mut count = 1usize;
    for (stride, &size) in strides.iter_mut().zip(shape).rev() {
        *stride = count;
        count = count.checked_mul(size.max(1))?;
    }
    Some(strides)
}

/// A tensor of a [`StateDict`](super::StateDict): shape and element type; its values stay in the
/// file until [`StateDict::read_f32`](super::StateDict::read_f32) asks for them.
#[derive(Debug, Clone)]
pub struct TensorEntry {
    view: View,
    count: usize,
    storage: Extent,
}

/// Bytes converted at a time while reading.
const CHUNK: usize = 1 << 18;

impl TensorEntry {
    /// Checks `view` against its storage and against the size of the file, before any allocation.
    pub(super) fn new(
        source: &Source,
        key: &str,
        mut view: View,
        declared: u64,
        storage: Option<Extent>,
    ) -> Result<Self, Error> {
        let size = view.dtype.size();
        let bytes = view.shape.iter().try_fold(size as u128, |n, &d| n.checked_mul(d as u128));
        let bytes = bytes.unwrap_or(u128::MAX);
        // A view with stride 0 can declare any size over a storage of one element.
        if bytes > u128::from(source.len) || u128::from(declared) > u128::from(source.len) {
            return Err(Error::TensorTooLarge {
                path: source.path.clone(),
                key: shown(key),
                declared: bytes.max(u128::from(declared)),
                file: source.len,
            });
        }
        if view.shape.len() != view.strides.len() {
            return Err(source.damaged(format!("{} has not a stride per dimension", shown(key))));
        }
        // Never stepped by, so any value may stand there.
        for (stride, &size) in view.strides.iter_mut().zip(&view.shape) {
            if size <= 1 {
                *stride = 0;
            }
        }
        let count = bytes as usize / size;
        let reach = reach(&view, count)
            .and_then(|elements| elements.checked_mul(size as u64))
            .ok_or_else(|| source.damaged(format!("the strides of {} overflow", shown(key))))?;
        let Some(storage) = storage else {
            return Err(source.damaged(format!("the storage of {} is not in the file", shown(key))));
        };
        let found = storage.len.min(declared);
        if reach > found || declared > storage.len {
            return Err(Error::StorageTooShort {
                path: source.path.clone(),
                key: shown(key),
                expected: reach.max(declared),
                found: storage.len,
            });
        }
        Ok(Self { view, count, storage })
    }

    /// Sizes of the dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.view.shape
    }

    /// Element type in the file.
    pub fn dtype(&self) -> DType {
        self.view.dtype
    }

    /// Number of elements: the product of the shape.
    pub fn element_count(&self) -> usize {
        self.count
    }

    pub(super) fn byte_len(&self) -> u64 {
        (self.count * self.view.dtype.size()) as u64
    }

    /// Reads the values in row-major order, whatever the strides, rounded to f32.
    pub(super) fn read_f32(&self, source: &Source, key: &str) -> Result<Vec<f32>, Error> {
        if !self.view.dtype.is_float() {
            return Err(Error::NotFloat {
                path: source.path.clone(),
                key: shown(key),
                dtype: self.view.dtype,
            });
        }
        if self.count == 0 {
            return Ok(Vec::new());
        }
        let values = if contiguous_strides(&self.view.shape)
            .is_some_and(|strides| same_strides(&self.view, &strides))
        {
            self.read_contiguous(source, key)?
        } else {
            self.read_strided(source)?
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => {
                Err(Error::NotFinite { path: source.path.clone(), key: shown(key), index })
            }
        }
    }

    fn read_contiguous(&self, source: &Source, key: &str) -> Result<Vec<f32>, Error> {
        let mut values = Vec::with_capacity(self.count);
        let mut at = self.storage.offset + (self.view.start * self.view.dtype.size()) as u64;
        let mut left = self.byte_len();
        let whole = self.view.start == 0 && left == self.storage.len;
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; CHUNK.min(left as usize)];
        while left > 0 {
            let chunk = &mut buffer[..CHUNK.min(left as usize)];
            source.read_at(at, chunk)?;
            hasher.update(chunk);
            extend_f32(&mut values, chunk, self.view.dtype);
            at += chunk.len() as u64;
            left -= chunk.len() as u64;
        }
        if whole && self.storage.crc32.is_some_and(|crc32| crc32 != hasher.finalize()) {
            return Err(Error::Checksum { path: source.path.clone(), key: shown(key) });
        }
        Ok(values)
    }

    fn read_strided(&self, source: &Source) -> Result<Vec<f32>, Error> {
        let view = &self.view;
        let size = view.dtype.size();
        // Checked in `new`: the reach lies inside the storage, the storage inside the file.
        let reach = reach(view, self.count).unwrap_or(0) as usize;
        let mut window = vec![0; reach.saturating_sub(view.start) * size];
        source.read_at(self.storage.offset + (view.start * size) as u64, &mut window)?;
        let mut stored = Vec::with_capacity(window.len() / size);
        extend_f32(&mut stored, &window, view.dtype);
        drop(window);

        let mut values = Vec::with_capacity(self.count);
        let mut index = vec![0; view.shape.len()];
        let mut at = 0;
        while values.len() < self.count {
            values.push(stored[at]);
            for (axis, position) in index.iter_mut().enumerate().rev() {
                *position += 1;
                at += view.strides[axis];
                if *position < view.shape[axis] {
                    break;
                }
                at -= *position * view.strides[axis];
                *position = 0;
            }
        }
        Ok(values)
    }
}

/// One past the last storage element that `view` touches.
fn reach(view: &View, count: usize) -> Option<u64> {
    if count == 0 {
        return Some(0);
    }
    let mut last = view.start as u64;
    for (&size, &stride) in view.shape.iter().zip(&view.strides) {
        last = last.checked_add((size as u64 - 1).checked_mul(stride as u64)?)?;
    }
    last.checked_add(1)
}

/// Whether `view` steps as `strides` do; the stride of a dimension of one element is never used.
fn same_strides(view: &View, strides: &[usize]) -> bool {
    view.shape
        .iter()
        .zip(view.strides.iter().zip(strides))
        .all(|(&size, (found, expected))| size <= 1 || found == expected)
}

fn extend_f32(values: &mut Vec<f32>, bytes: &[u8], dtype: DType) {
    fn each<const N: usize>(values: &mut Vec<f32>, bytes: &[u8], value: fn([u8; N]) -> f32) {
        values.extend(bytes.as_chunks().0.iter().map(|&bytes| value(bytes)));
    }
    match dtype {
        DType::F32 => each(values, bytes, f32::from_le_bytes),
        DType::F64 => each(values, bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        DType::F16 => each(values, bytes, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
        DType::BF16 => each(values, bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
        // Refused by `read_f32` before anything is read.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_of_a_shape_are_row_major() {
        assert_eq!(contiguous_strides(&[2, 3, 4]), Some(vec![12, 4, 1]));
        assert_eq!(contiguous_strides(&[]), Some(vec![]));
        assert_eq!(contiguous_strides(&[usize::MAX, usize::MAX]), None);
    }

    #[test]
    fn reach_is_one_past_the_last_element_and_never_overflows() {
        let view = |shape: &[usize], strides: &[usize], start| View {
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            start,
            dtype: DType::F32,
        };
        assert_eq!(reach(&view(&[2, 3], &[1, 2], 4), 6), Some(10));
        assert_eq!(reach(&view(&[0, 3], &[1, 2], 4), 0), Some(0));
        assert_eq!(reach(&view(&[3], &[usize::MAX], 1), 3), None);
    }

    #[test]
    fn halves_become_the_floats_they_stand_for() {
        let mut values = Vec::new();
        extend_f32(&mut values, &[0x00, 0x3c, 0x00, 0xc0], DType::F16);
        extend_f32(&mut values, &[0x80, 0x3f, 0x00, 0xc0], DType::BF16);
        extend_f32(&mut values, &1.5f64.to_le_bytes(), DType::F64);
        assert_eq!(values, [1.0, -2.0, 1.0, -2.0, 1.5]);
    }
}
