//! The zip container of `torch.save`: stored entries only, found through the central directory.
//!
//! `torch.save` compresses nothing, so a compressed entry is refused rather than inflated: it could
//! claim any size. The layout is APPNOTE.TXT 6.3.10 (<https://pkware.com/appnote>) with ZIP64,
//! which PyTorch always writes.

use std::collections::HashMap;

use super::error::{Error, shown};
use super::tensor::{Extent, Source};

/// Largest central directory that is read: some 60 bytes an entry.
const MAX_DIRECTORY: u64 = 16 << 20;

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END64: &[u8] = b"PK\x06\x06";
const END64_LOCATOR: &[u8] = b"PK\x06\x07";

/// Length of the end record without its comment, which takes at most 65,535 bytes more.
const END_LEN: usize = 22;

/// Where each entry's bytes lie.
#[derive(Debug)]
pub(super) struct Archive {
    entries: HashMap<String, Extent>,
}

impl Archive {
    /// Reads the table of contents and every entry's local header; no entry's data.
    pub(super) fn open(source: &Source) -> Result<Self, Error> {
        let directory = find_directory(source)?;
        if directory.len > MAX_DIRECTORY {
            return Err(source.damaged("its zip table of contents is larger than 16 MiB"));
        }
        let bytes = source.read_up_to(directory.offset, directory.len as usize)?;
        let mut fields = Fields { source, bytes: &bytes };
        let mut entries = HashMap::new();
        let mut occupied = Vec::new();
        for _ in 0..directory.entries {
            let (name, extent, header) = read_entry(source, &mut fields, directory.offset)?;
            occupied.push((header, extent.offset + extent.len));
            if entries.insert(name, extent).is_some() {
                return Err(source.damaged("two zip entries have the same name"));
            }
        }
        occupied.sort_unstable();
        if occupied.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(source.damaged("zip entries overlap"));
        }
        Ok(Self { entries })
    }

    /// The folder that holds `data.pkl`, with its slash; `None` where there is no such entry.
    pub(super) fn root(&self) -> Option<&str> {
        self.entries
            .keys()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|root| root.is_empty() || root.ends_with('/'))
            .min_by_key(|root| (root.len(), *root))
    }

    pub(super) fn get(&self, name: &str) -> Option<Extent> {
        self.entries.get(name).copied()
    }

    /// The bytes of a small entry.
    pub(super) fn read(&self, source: &Source, name: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let entry = self.get(name).ok_or_else(|| source.damaged(format!("it lacks {name}")))?;
        if entry.len > limit as u64 {
            let name = shown(name);
            return Err(source.damaged(format!("{name} has {} bytes, at most {limit}", entry.len)));
        }
        let mut bytes = vec![0; entry.len as usize];
        source.read_at(entry.offset, &mut bytes)?;
        if entry.crc32.is_some_and(|crc32| crc32 != crc32fast::hash(&bytes)) {
            return Err(Error::Checksum { path: source.path.clone(), key: shown(name) });
        }
        Ok(bytes)
    }
}

struct Directory {
    offset: u64,
    len: u64,
    entries: u64,
}

/// Finds the central directory through the end record, or its ZIP64 form.
fn find_directory(source: &Source) -> Result<Directory, Error> {
    let tail_len = source.len.min((END_LEN + 0xffff) as u64);
    let tail_start = source.len - tail_len;
    let tail = source.read_up_to(tail_start, tail_len as usize)?;
    let is_end = |at: &usize| {
        let record = &tail[*at..];
        record.starts_with(END)
            && usize::from(u16::from_le_bytes([record[20], record[21]])) + END_LEN == record.len()
    };
    let at = (0..=tail.len().saturating_sub(END_LEN))
        .rev()
        .filter(|at| tail.len() - at >= END_LEN)
        .find(is_end)
        .ok_or_else(|| source.damaged("its zip table of contents is missing"))?;
    let mut fields = Fields { source, bytes: &tail[at + 10..] };
    let entries = fields.u16()?.into();
    let len = fields.u32()?.into();
    let offset = fields.u32()?.into();
    let mut directory = Directory { offset, len, entries };

    let end = tail_start + at as u64;
    let locator = at.checked_sub(20).map(|at| &tail[at..]).filter(|b| b.starts_with(END64_LOCATOR));
    if let Some(locator) = locator {
        let mut fields = Fields { source, bytes: &locator[8..] };
        let record_at = fields.u64()?;
        let record = source.read_up_to(record_at, 56)?;
        if !record.starts_with(END64) || record_at >= end {
            return Err(source.damaged("its zip table of contents is missing"));
        }
        let mut fields = Fields { source, bytes: record.get(32..).unwrap_or_default() };
        directory = Directory { entries: fields.u64()?, len: fields.u64()?, offset: fields.u64()? };
    }
    if directory.offset.checked_add(directory.len).is_none_or(|directory| directory > end) {
        return Err(source.damaged("its zip table of contents lies outside the file"));
    }
    Ok(directory)
}

/// Reads one entry of the central directory and the local header it points to; gives the name,
/// the place of the data and the offset of the local header.
fn read_entry(
    source: &Source,
    fields: &mut Fields<'_>,
    directory: u64,
) -> Result<(String, Extent, u64), Error> {
    if fields.take(4)? != DIRECTORY_ENTRY {
        return Err(source.damaged("its zip table of contents is not one"));
    }
    fields.take(4)?; // versions
    let flags = fields.u16()?;
    let method = fields.u16()?;
    fields.take(4)?; // time and date
    let crc32 = fields.u32()?;
    let mut stored_len = u64::from(fields.u32()?);
    let mut len = u64::from(fields.u32()?);
    let name_len = fields.u16()?.into();
    let extra_len = fields.u16()?.into();
    let comment_len = fields.u16()?.into();
    fields.take(8)?; // disk and attributes
    let mut header = u64::from(fields.u32()?);
    let name = fields.take(name_len)?;
    let mut extra = Fields { source, bytes: fields.take(extra_len)? };
    fields.take(comment_len)?;

    // ZIP64: those of the three numbers that did not fit, in this order.
    while extra.bytes.len() >= 4 {
        let (id, size) = (extra.u16()?, extra.u16()?);
        let mut numbers = Fields { source, bytes: extra.take(size.into())? };
        if id == 1 {
            for value in [&mut len, &mut stored_len, &mut header] {
                if *value == u64::from(u32::MAX) {
                    *value = numbers.u64()?;
                }
            }
        }
    }

    let name = str::from_utf8(name)
        .map_err(|_| source.damaged("the name of a zip entry is not UTF-8"))?
        .to_owned();
    if flags & 1 != 0 {
        return Err(source.unsupported(format!("its zip entry {} is encrypted", shown(&name))));
    }
    if method != 0 || len != stored_len {
        return Err(source.unsupported(format!("its zip entry {} is compressed", shown(&name))));
    }

    let mut local = [0; 30];
    source.read_at(header, &mut local)?;
    let mut local = Fields { source, bytes: &local };
    if local.take(4)? != LOCAL_HEADER {
        return Err(source.damaged(format!("the zip entry {} has no header", shown(&name))));
    }
    local.take(22)?;
    let skipped = 30 + u64::from(local.u16()?) + u64::from(local.u16()?);
    let offset = header + skipped;
    if offset.checked_add(len).is_none_or(|end| end > directory) {
        return Err(source.damaged(format!("the zip entry {} ends too early", shown(&name))));
    }
    // Written without checksums (`compute_crc32=False`), every entry has 0.
    Ok((name, Extent { offset, len, crc32: Some(crc32).filter(|&crc32| crc32 != 0) }, header))
}

/// Little-endian fields, one after the other.
struct Fields<'a> {
    source: &'a Source,
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        match self.bytes.split_at_checked(len) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(taken)
            }
            None => Err(self.source.damaged("its zip table of contents ends too early")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }
}
