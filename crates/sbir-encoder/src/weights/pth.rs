//! Writing `.pth`: what `torch.save(state_dict)` writes, byte order and alignment included.
//!
//! A zip of stored entries under `archive/`: `data.pkl`, a protocol-2 pickle of an `OrderedDict`
//! of tensors; `byteorder`; one entry per storage under `data/`, its bytes at a multiple of 64 as
//! PyTorch aligns them; `version`. The field names of the zip records are those of APPNOTE.TXT.

use std::io::{self, Write};
use std::path::Path;

use super::error::shown;
use super::tensor::contiguous_strides;
use super::write::{TensorValues, little_endian, validate};
use sbir_files::write_atomically;

use super::Error;

/// Where values begin: at multiples of this, as PyTorch writes them.
const ALIGNMENT: u64 = 64;

/// Header of the padding in a local header's extra field; PyTorch uses the same two letters.
const PADDING_ID: [u8; 2] = *b"FB";

/// What the 32-bit sizes and offsets of plain zip can hold.
const MAX_FILE: u64 = u32::MAX as u64;

/// Writes a `.pth` in f32 that `torch.load(path, weights_only=True)` reads as an `OrderedDict`,
/// atomically: on any error `path` stays as it was. The same tensors give the same bytes.
///
/// # Errors
///
/// [`Error::InvalidEntry`] for a name that occurs twice, a shape that disagrees with its values, or
/// 4 GiB and more in all; [`Error::Write`] when the file cannot be written.
pub fn save_pth(path: &Path, tensors: &[TensorValues<'_>]) -> Result<(), Error> {
    validate(path, tensors)?;
    let pickle = pickle(tensors);
    let mut entries = vec![
        Entry::new("archive/data.pkl".to_owned(), Content::Bytes(&pickle)),
        Entry::new("archive/byteorder".to_owned(), Content::Bytes(b"little")),
    ];
    for (number, tensor) in tensors.iter().enumerate() {
        entries.push(Entry::new(format!("archive/data/{number}"), Content::Values(&tensor.values)));
    }
    entries.push(Entry::new("archive/version".to_owned(), Content::Bytes(b"3\n")));

    let mut end = 0;
    for entry in &mut entries {
        entry.offset = end;
        end = entry.data_offset() + entry.len;
    }
    // The table of contents takes less than 100 bytes an entry besides.
    let total = end + 100 * entries.len() as u64;
    if total > MAX_FILE || entries.len() >= usize::from(u16::MAX) {
        return Err(Error::InvalidEntry {
            path: path.to_owned(),
            key: shown("the state dict"),
            detail: format!("{total} bytes are more than a .pth of 4 GiB; write safetensors"),
        });
    }
    Ok(write_atomically(path, |writer| write_zip(writer, &entries, end))?)
}

enum Content<'a> {
    Bytes(&'a [u8]),
    Values(&'a [f32]),
}

struct Entry<'a> {
    name: String,
    content: Content<'a>,
    len: u64,
    crc32: u32,
    /// Of the local header.
    offset: u64,
}

impl<'a> Entry<'a> {
    fn new(name: String, content: Content<'a>) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        let len = match content {
            Content::Bytes(bytes) => {
                hasher.update(bytes);
                bytes.len()
            }
            Content::Values(values) => {
                let hashed = little_endian::<std::convert::Infallible>(values, |bytes| {
                    hasher.update(bytes);
                    Ok(())
                });
                match hashed {
                    Ok(()) => size_of_val(values),
                }
            }
        };
        Self { name, content, len: len as u64, crc32: hasher.finalize(), offset: 0 }
    }

    /// Bytes of padding, at least the four of the extra field's own header.
    fn padding(&self) -> u64 {
        let unpadded = self.offset + 30 + self.name.len() as u64 + 4;
        unpadded.next_multiple_of(ALIGNMENT) - unpadded + 4
    }

    fn data_offset(&self) -> u64 {
        self.offset + 30 + self.name.len() as u64 + self.padding()
    }

    /// The fields that local header and central directory share.
    fn write_common(&self, writer: &mut impl Write, extra_len: u16) -> io::Result<()> {
        writer.write_all(&[0; 2])?; // version needed to extract
        writer.write_all(&(1u16 << 11).to_le_bytes())?; // flags: the name is UTF-8
        writer.write_all(&0u16.to_le_bytes())?; // method: stored
        writer.write_all(&0u16.to_le_bytes())?; // time, fixed for the sake of equal bytes
        writer.write_all(&0x21u16.to_le_bytes())?; // date: 1980-01-01
        writer.write_all(&self.crc32.to_le_bytes())?;
        writer.write_all(&(self.len as u32).to_le_bytes())?; // compressed size
        writer.write_all(&(self.len as u32).to_le_bytes())?; // uncompressed size
        writer.write_all(&(self.name.len() as u16).to_le_bytes())?;
        writer.write_all(&extra_len.to_le_bytes())
    }
}

/// Writes the entries and then, at `directory`, the table of contents.
fn write_zip(writer: &mut impl Write, entries: &[Entry<'_>], directory: u64) -> io::Result<()> {
    for entry in entries {
        let padding = entry.padding() as u16;
        writer.write_all(b"PK\x03\x04")?;
        entry.write_common(writer, padding)?;
        writer.write_all(entry.name.as_bytes())?;
        writer.write_all(&PADDING_ID)?;
        writer.write_all(&(padding - 4).to_le_bytes())?;
        writer.write_all(&vec![b'Z'; usize::from(padding - 4)])?;
        match entry.content {
            Content::Bytes(bytes) => writer.write_all(bytes)?,
            Content::Values(values) => little_endian(values, |bytes| writer.write_all(bytes))?,
        }
    }
    let mut len = 0;
    for entry in entries {
        writer.write_all(b"PK\x01\x02")?;
        writer.write_all(&[0; 2])?; // version made by
        entry.write_common(writer, 0)?;
        writer.write_all(&[0; 2 + 2 + 2 + 4])?; // comment length, disk, attributes
        writer.write_all(&(entry.offset as u32).to_le_bytes())?;
        writer.write_all(entry.name.as_bytes())?;
        len += 46 + entry.name.len() as u32;
    }
    let count = (entries.len() as u16).to_le_bytes();
    writer.write_all(b"PK\x05\x06")?;
    writer.write_all(&[0; 4])?; // this disk, disk of the directory
    writer.write_all(&count)?;
    writer.write_all(&count)?;
    writer.write_all(&len.to_le_bytes())?;
    writer.write_all(&(directory as u32).to_le_bytes())?;
    writer.write_all(&[0; 2]) // comment length
}

/// The pickle of `OrderedDict((name, tensor), …)`. Opcodes as `pickletools` names them.
fn pickle(tensors: &[TensorValues<'_>]) -> Vec<u8> {
    let mut out = b"\x80\x02".to_vec(); // PROTO 2
    out.extend(b"ccollections\nOrderedDict\n)R("); // the empty dict, then MARK
    for (number, tensor) in tensors.iter().enumerate() {
        push_text(&mut out, &tensor.name);
        // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        push_text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        push_text(&mut out, &number.to_string());
        push_text(&mut out, "cpu");
        push_int(&mut out, tensor.values.len());
        out.extend(b"tQ"); // TUPLE, BINPERSID
        push_int(&mut out, 0);
        push_tuple(&mut out, &tensor.shape);
        // `validate` has seen that they do not overflow.
        push_tuple(&mut out, &contiguous_strides(&tensor.shape).unwrap_or_default());
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR"); // NEWFALSE, {}, TUPLE, REDUCE
    }
    out.extend(b"u."); // SETITEMS, STOP
    out
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X'); // BINUNICODE
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn push_int(out: &mut Vec<u8>, value: usize) {
    match i32::try_from(value) {
        Ok(value) => {
            out.push(b'J'); // BININT
            out.extend(value.to_le_bytes());
        }
        Err(_) => {
            out.extend([0x8a, 9]); // LONG1; the ninth byte keeps it positive
            out.extend((value as u64).to_le_bytes());
            out.push(0);
        }
    }
}

fn push_tuple(out: &mut Vec<u8>, values: &[usize]) {
    out.push(b'('); // MARK
    for &value in values {
        push_int(out, value);
    }
    out.push(b't'); // TUPLE
}
