//! The derived file: all vectors with their codes, laid out for the scan and mapped into memory.
//!
//! It may be deleted at any time, and is believed only after its header and a checksum of everything else.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use rusqlite::Connection;
use sbir_kernels::map::Map;
use sbir_kernels::scan::{BLOCK, Rows, code_bytes, quantise};
use xxhash_rust::xxh3::xxh3_64;

use super::{sql, vector};
use crate::error::Result;

const MAGIC: [u8; 8] = *b"SBIRVEC1";
/// Where sections begin: pages of every system divide this.
const ALIGN: usize = 1 << 16;
/// The bytes that one checksum covers.
const CHUNK: usize = 1 << 22;
/// The rows that are read and quantised at a time.
const STRETCH: usize = 64 * BLOCK;

/// What a derived file was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The gallery's own random key.
    pub(super) key: [u8; 16],
    /// The hash of the space's fingerprint.
    pub(super) space: u64,
    pub(super) dimension: usize,
    pub(super) generation: i64,
}

/// A derived file, checked and mapped.
#[derive(Debug)]
pub(super) struct Cache {
    map: Map,
    layout: Layout,
    pub(super) origin: Origin,
    norm: f32,
}

/// Where things are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layout {
    rows: usize,
    ids: Range<usize>,
    halves: Range<usize>,
    codes: Range<usize>,
    scales: Range<usize>,
    errors: Range<usize>,
    length: usize,
}

impl Layout {
    /// `None` if that is more than there can be.
    fn new(rows: usize, dimension: usize) -> Option<Self> {
        let mut end = 0_usize;
        let padded = rows.checked_next_multiple_of(BLOCK)?;
        let values = padded.checked_mul(dimension.next_multiple_of(4))?;
        let mut section = |count: usize, size: usize| {
            let start = end.max(1).checked_next_multiple_of(ALIGN)?;
            end = start.checked_add(count.checked_mul(size)?)?;
            Some(start..end)
        };
        Some(Self {
            rows,
            ids: section(rows, 8)?,
            halves: section(rows.checked_mul(dimension)?, 2)?,
            codes: section(values, 1)?,
            scales: section(padded, 4)?,
            errors: section(padded, 4)?,
            length: end,
        })
    }
}

/// The header: magic, byte order, dimension, rows, generation, key, space, norm, checksum of the sections; then the
/// checksum of the header itself.
fn header(origin: &Origin, rows: usize, norm: f32, sections: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(0x0102_0304_u32.to_ne_bytes());
    bytes.extend((origin.dimension as u32).to_ne_bytes());
    bytes.extend((rows as u64).to_ne_bytes());
    bytes.extend(origin.generation.to_ne_bytes());
    bytes.extend(origin.key);
    bytes.extend(origin.space.to_ne_bytes());
    bytes.extend(norm.to_ne_bytes());
    bytes.extend(sections.to_ne_bytes());
    bytes.extend(xxh3_64(&bytes).to_ne_bytes());
    bytes
}

/// The bytes of a [`header`].
const HEADER: usize = 76;

fn checksum(sections: &[u8]) -> u64 {
    let sums: Vec<_> = sections.par_chunks(CHUNK).map(xxh3_64).collect();
    xxh3_64(&sums.into_iter().flat_map(u64::to_ne_bytes).collect::<Vec<_>>())
}

impl Cache {
    /// Opens the file if it is one of this gallery, no older than `floor`, no newer than `generation`, and whole.
    pub(super) fn open(path: &Path, gallery: &Origin, floor: i64) -> Option<Self> {
        Self::map(&open_regular(path)?, gallery, floor)
    }

    fn map(mut file: &File, gallery: &Origin, floor: i64) -> Option<Self> {
        let mut head = [0; HEADER];
        file.read_exact(&mut head).ok()?;
        let field = |range: Range<usize>| head.get(range);
        let word = |at: usize| Some(u64::from_ne_bytes(field(at..at + 8)?.try_into().ok()?));
        let rows = usize::try_from(word(16)?).ok()?;
        let generation = word(24)?.cast_signed();
        let norm = f32::from_ne_bytes(field(56..60)?.try_into().ok()?);
        let sections = word(60)?;
        let origin = Origin { generation, ..*gallery };
        if head[..] != header(&origin, rows, norm, sections)[..]
            || !(floor..=gallery.generation).contains(&generation)
            || !norm.is_finite()
        {
            return None;
        }
        let layout = Layout::new(rows, gallery.dimension)?;
        if file.metadata().ok()?.len() != layout.length as u64 {
            return None;
        }
        let map = Map::open(file).ok()?;
        if map.len() != layout.length || checksum(&map[ALIGN..]) != sections {
            return None;
        }
        let cache = Self { map, layout, origin, norm };
        // What searches rely on.
        let ids = cache.ids();
        let sound = rows <= u32::MAX as usize && ids.is_sorted_by(|a, b| a < b);
        sound.then_some(cache)
    }

    pub(super) fn ids(&self) -> &[i64] {
        cast(&self.map[self.layout.ids.clone()])
    }

    pub(super) fn rows<'a>(&'a self, live: Option<&'a [u64]>) -> Rows<'a> {
        let section = |range: &Range<usize>| &self.map[range.clone()];
        Rows {
            ids: self.ids(),
            halves: cast(section(&self.layout.halves)),
            codes: section(&self.layout.codes),
            scales: cast(section(&self.layout.scales)),
            errors: cast(section(&self.layout.errors)),
            norm: self.norm,
            live,
        }
    }

    /// Writes the file of the gallery's current generation, in a snapshot of its own, and maps it. Nothing but a stretch
    /// of rows is in memory. `Ok(None)` if the file cannot be written, since the gallery works without it.
    pub(super) fn write(
        path: &Path,
        connection: &Connection,
        gallery: &Origin,
        failed: &dyn Fn(rusqlite::Error) -> crate::Error,
    ) -> Result<Option<Self>> {
        let Some(folder) = path.parent() else { return Ok(None) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(mut file) = tempfile::Builder::new().prefix(".sbir-vectors-").tempfile_in(folder)
        else {
            return Ok(None);
        };
        let transaction = connection.unchecked_transaction().map_err(failed)?;
        let generation = sql::number(&transaction, "generation").map_err(failed)?;
        let origin = Origin { generation, ..*gallery };
        let rows: i64 = transaction
            .query_row("SELECT count(*) FROM embedding", [], |row| row.get(0))
            .map_err(failed)?;
        let Some(layout) = Layout::new(rows as usize, origin.dimension) else { return Ok(None) };
        let norm = {
            let mut statement = transaction
                .prepare("SELECT id, vector, checksum FROM embedding ORDER BY id")
                .map_err(failed)?;
            let mut rows = statement.query([]).map_err(failed)?;
            let mut writer = Writer { file: file.as_file(), layout: &layout, row: 0, norm: 0.0 };
            let mut ids = Vec::with_capacity(STRETCH);
            let mut halves = Vec::with_capacity(STRETCH * origin.dimension);
            loop {
                let row = rows.next().map_err(failed)?;
                if let Some(row) = row {
                    ids.push(vector::read(row, 0, origin.dimension, &mut halves).map_err(failed)?);
                }
                if row.is_none() || ids.len() == STRETCH {
                    if writer.add(&ids, &halves, origin.dimension).is_none() {
                        return Ok(None);
                    }
                    ids.clear();
                    halves.clear();
                }
                if row.is_none() {
                    break writer.norm;
                }
            }
        };
        drop(transaction);
        if file.as_file().set_len(layout.length as u64).is_err() {
            return Ok(None);
        }
        let sections = {
            let Ok(map) = Map::open(file.as_file()) else { return Ok(None) };
            checksum(&map[ALIGN..])
        };
        let head = header(&origin, layout.rows, norm, sections);
        let written = file.rewind().and_then(|()| file.write_all(&head)).is_ok();
        if !written {
            return Ok(None);
        }
        let Ok(file) = file.persist(path) else { return Ok(None) };
        drop(file);
        Ok(Self::open(path, &origin, generation))
    }
}

/// Puts stretches of rows where they belong.
struct Writer<'a> {
    file: &'a File,
    layout: &'a Layout,
    row: usize,
    norm: f32,
}

impl Writer<'_> {
    fn add(&mut self, ids: &[i64], halves: &[u16], dimension: usize) -> Option<()> {
        if self.row + ids.len() > self.layout.rows {
            return None;
        }
        let codes = quantise_in_parallel(halves, dimension)?;
        let block = code_bytes(1, dimension) / BLOCK;
        let put = |section: &Range<usize>, at: usize, bytes: &[u8]| {
            let mut file = self.file;
            file.seek(SeekFrom::Start((section.start + at) as u64)).ok()?;
            file.write_all(bytes).ok()
        };
        put(&self.layout.ids, self.row * 8, bytemuck::cast_slice(ids))?;
        put(&self.layout.halves, self.row * dimension * 2, bytemuck::cast_slice(halves))?;
        put(&self.layout.codes, self.row * block, &codes.codes)?;
        put(&self.layout.scales, self.row * 4, bytemuck::cast_slice(&codes.scales))?;
        put(&self.layout.errors, self.row * 4, bytemuck::cast_slice(&codes.errors))?;
        self.row += ids.len();
        self.norm = self.norm.max(codes.norm);
        Some(())
    }
}

/// [`quantise`] on every thread: blocks do not depend on each other.
pub(super) fn quantise_in_parallel(
    halves: &[u16],
    dimension: usize,
) -> Option<sbir_kernels::scan::Codes> {
    let parts: Vec<_> = halves
        .par_chunks(8 * BLOCK * dimension)
        .map(|halves| quantise(halves, dimension))
        .collect();
    let mut whole = sbir_kernels::scan::Codes::default();
    for part in parts {
        let part = part?;
        whole.codes.extend(part.codes);
        whole.scales.extend(part.scales);
        whole.errors.extend(part.errors);
        whole.norm = whole.norm.max(part.norm);
    }
    Some(whole)
}

/// The values of a section, which begins at a multiple of [`ALIGN`] of a mapping and has whole values.
fn cast<T: bytemuck::Pod>(bytes: &[u8]) -> &[T] {
    bytemuck::cast_slice(bytes)
}

fn open_regular(path: &Path) -> Option<File> {
    let metadata = fs_err::symlink_metadata(path).ok()?;
    if metadata.is_file() { File::open(path).ok() } else { None }
}
