//! The file of a piece: what became of its photos.
//!
//! ```text
//! magic              8 bytes, "SBIRPC1\n"
//! length of header   4 bytes, little-endian
//! header             JSON: manifest, number, encoder, dimension, counts, length of the table
//! table              JSON lines: the photos in the manifest's order, then those that could not be read
//! vectors            [photos, dimension], f16, little-endian
//! checksum           32 bytes, SHA-256 of everything before
//! ```

use half::f16;
use sbir_files::names::to_hex;
use sbir_gallery::{RelPath, Space};
use sbir_kernels::scan::MAX_DIMENSION;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::job::MAX_FINGERPRINT;
use crate::manifest::MAX_PIECE;
use crate::text::{Text, from_hex};

const MAGIC: &[u8; 8] = b"SBIRPC1\n";
const CHECKSUM: usize = 32;
/// The longest header in bytes.
const MAX_HEADER: usize = 8 << 10;
/// The longest line of the table in bytes.
const MAX_LINE: usize = 64 << 10;
/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 8 << 10;
/// The bytes that a file's header lies within.
pub(crate) const START: u64 = (MAGIC.len() + 4 + MAX_HEADER) as u64;
/// The most bytes of a piece's file.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

/// What a piece is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceHeader {
    /// The manifest's digest.
    pub manifest: String,
    /// Which piece of the manifest.
    pub number: u64,
    /// The encoder and its dimension.
    pub space: Space,
}

/// A photo that was embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its path below the root.
    pub path: RelPath,
    /// The file's size in bytes when it was embedded.
    pub size: u64,
    /// The file's time of modification when it was embedded, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The SHA-256 of the file's bytes.
    pub hash: [u8; 32],
    /// The width of the upright picture in pixels.
    pub width: u32,
    /// The height of the upright picture in pixels.
    pub height: u32,
}

/// A photo that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its path below the root.
    pub path: RelPath,
    /// Why, as one line that names it.
    pub reason: String,
}

/// What became of the photos of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is of.
    pub header: PieceHeader,
    /// The photos that were embedded.
    pub photos: Vec<Made>,
    /// Those that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// The bits of their vectors as f16, `[photos.len(), dimension]`.
    pub halves: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
struct HeaderText {
    manifest: String,
    number: u64,
    encoder: String,
    dimension: usize,
    photos: usize,
    unreadable: usize,
    table: usize,
}

#[derive(Serialize, Deserialize)]
struct PhotoText {
    #[serde(flatten)]
    path: Text,
    size: u64,
    mtime: i64,
    sha256: String,
    width: u32,
    height: u32,
}

#[derive(Serialize, Deserialize)]
struct UnreadableText {
    #[serde(flatten)]
    path: Text,
    reason: String,
}

impl Piece {
    /// The bytes of its file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let text = |error: serde_json::Error| error.to_string();
        let mut table = Vec::new();
        for photo in &self.photos {
            let line = PhotoText {
                path: Text::new(photo.path.as_bytes()),
                size: photo.size,
                mtime: photo.mtime_ns,
                sha256: to_hex(&photo.hash),
                width: photo.width,
                height: photo.height,
            };
            serde_json::to_writer(&mut table, &line).map_err(text)?;
            table.push(b'\n');
        }
        for unreadable in &self.unreadable {
            let path = Text::new(unreadable.path.as_bytes());
            let mut reason = Error::line(&unreadable.reason);
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
            serde_json::to_writer(&mut table, &UnreadableText { path, reason }).map_err(text)?;
            table.push(b'\n');
        }
        let header = HeaderText {
            manifest: self.header.manifest.clone(),
            number: self.header.number,
            encoder: self.header.space.fingerprint.clone(),
            dimension: self.header.space.dimension,
            photos: self.photos.len(),
            unreadable: self.unreadable.len(),
            table: table.len(),
        };
        let header = serde_json::to_vec(&header).map_err(text)?;
        if header.len() > MAX_HEADER {
            return Err("the encoder's name is too long".to_owned());
        }
        let mut bytes = Vec::with_capacity(
            MAGIC.len() + 4 + header.len() + table.len() + self.halves.len() * 2 + CHECKSUM,
        );
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&table);
        bytes.extend(self.halves.iter().flat_map(|bits| bits.to_le_bytes()));
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        Ok(bytes)
    }

    /// Reads a file's bytes and checks all of them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let whole = bytes.len().checked_sub(CHECKSUM).ok_or("it breaks off")?;
        let (content, checksum) = bytes.split_at(whole);
        let (text, rest) = take_header(content)?;
        if Sha256::digest(content).as_slice() != checksum {
            return Err("it breaks off or was changed: its checksum does not match".to_owned());
        }
        let HeaderText { dimension, photos, unreadable, table, .. } = text;
        let header = check_header(text)?;
        if photos.max(unreadable) > MAX_PIECE as usize || photos + unreadable > MAX_PIECE as usize {
            return Err("it has more photos than a piece can have".to_owned());
        }
        // Both are bounded, so that the product is.
        let vectors = photos * dimension * 2;
        let fits = rest.len().checked_sub(vectors) == Some(table);
        let (table, vectors) =
            fits.then(|| rest.split_at(table)).ok_or("its length is not what its header says")?;
        let mut lines = table.split_inclusive(|byte| *byte == b'\n');
        let mut next = || -> Result<&[u8], String> {
            let line = lines.next().ok_or("its table is too short")?;
            if line.len() > MAX_LINE {
                Err("a line of its table is too long".to_owned())
            } else {
                Ok(line)
            }
        };
        let photos = (0..photos).map(|_| made(next()?)).collect::<Result<Vec<_>, _>>()?;
        let unreadable = (0..unreadable).map(|_| unread(next()?)).collect::<Result<Vec<_>, _>>()?;
        if lines.next().is_some() {
            return Err("its table is too long".to_owned());
        }
        let halves: Vec<u16> =
            vectors.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        if !halves.chunks_exact(dimension).all(is_unit) {
            return Err("a vector is not of unit length".to_owned());
        }
        Ok(Self { header, photos, unreadable, halves })
    }

    /// Reads what a piece is of from the first bytes of its file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode_header(start: &[u8]) -> Result<PieceHeader, String> {
        check_header(take_header(start)?.0)
    }
}

/// Whether bits of f16 are a vector of unit length, but for rounding.
pub(crate) fn is_unit(halves: &[u16]) -> bool {
    let square = |bits: &u16| f64::from(f16::from_bits(*bits)).powi(2);
    let length = halves.iter().map(square).sum::<f64>().sqrt();
    (length - 1.0).abs() <= 1e-2
}

fn take_header(bytes: &[u8]) -> Result<(HeaderText, &[u8]), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("not a piece")?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or("it breaks off")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_HEADER || length > rest.len() {
        return Err("it breaks off".to_owned());
    }
    let (header, rest) = rest.split_at(length);
    let text = serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
    Ok((text, rest))
}

fn check_header(text: HeaderText) -> Result<PieceHeader, String> {
    let sound = (1..=MAX_DIMENSION).contains(&text.dimension)
        && text.encoder.len() <= MAX_FINGERPRINT
        && text.manifest.len() == 64;
    if !sound {
        return Err("the values of its header cannot be".to_owned());
    }
    let space = Space { fingerprint: text.encoder, dimension: text.dimension };
    Ok(PieceHeader { manifest: text.manifest, number: text.number, space })
}

fn path(text: Text) -> Result<RelPath, String> {
    let bytes = text.into_bytes().ok_or("a line of its table has no path")?;
    RelPath::new(bytes).map_err(|error| error.to_string())
}

fn made(line: &[u8]) -> Result<Made, String> {
    let line: PhotoText =
        serde_json::from_slice(line).map_err(|error| format!("its table: {error}"))?;
    let hash = from_hex(&line.sha256).and_then(|hash| hash.try_into().ok());
    if line.width == 0 || line.height == 0 {
        return Err("a photo of its table has no size".to_owned());
    }
    Ok(Made {
        path: path(line.path)?,
        size: line.size,
        mtime_ns: line.mtime,
        hash: hash.ok_or("a line of its table has no SHA-256")?,
        width: line.width,
        height: line.height,
    })
}

fn unread(line: &[u8]) -> Result<Unreadable, String> {
    let line: UnreadableText =
        serde_json::from_slice(line).map_err(|error| format!("its table: {error}"))?;
    Ok(Unreadable { path: path(line.path)?, reason: Error::line(&line.reason) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rel(path: &[u8]) -> RelPath {
        RelPath::new(path.to_vec()).unwrap()
    }

    fn sample() -> Piece {
        let made = |path: &[u8], n: u8| Made {
            path: rel(path),
            size: u64::from(n),
            mtime_ns: -3,
            hash: [n; 32],
            width: 4,
            height: 5,
        };
        let (zero, one) = (f16::ZERO.to_bits(), f16::ONE.to_bits());
        Piece {
            header: PieceHeader {
                manifest: "0".repeat(64),
                number: 7,
                space: Space { fingerprint: "enc".into(), dimension: 3 },
            },
            photos: vec![made(b"a b", 1), made(b"\xff\n", 2)],
            unreadable: vec![Unreadable { path: rel(b"x"), reason: "x: no image".into() }],
            halves: vec![zero, one, zero, one, zero, zero],
        }
    }

    /// Bytes whose checksum is right.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - CHECKSUM);
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    #[test]
    fn pieces_come_back() {
        let piece = sample();
        let bytes = piece.encode().unwrap();
        assert_eq!(Piece::decode(&bytes).unwrap(), piece);
        let start = &bytes[..bytes.len().min(START as usize)];
        assert_eq!(Piece::decode_header(start).unwrap(), piece.header);
        let none = Piece { photos: Vec::new(), halves: Vec::new(), ..sample() };
        assert_eq!(Piece::decode(&none.encode().unwrap()).unwrap(), none);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let bytes = sample().encode().unwrap();
        for length in 0..bytes.len() {
            assert!(Piece::decode(&bytes[..length]).is_err(), "{length}");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert!(Piece::decode(&bytes).is_err(), "{at}");
        }
    }

    #[test]
    fn lies_with_a_right_checksum_are_found() {
        let lie = |edit: fn(&mut Piece)| {
            let mut piece = sample();
            edit(&mut piece);
            Piece::decode(&piece.encode().unwrap()).unwrap_err()
        };
        assert!(lie(|piece| piece.halves[1] = f16::INFINITY.to_bits()).contains("unit"));
        assert!(lie(|piece| piece.halves[1] = f16::NAN.to_bits()).contains("unit"));
        assert!(lie(|piece| piece.halves[1] = 0).contains("unit"));
        assert!(lie(|piece| piece.halves.push(0)).contains("length"));
        assert!(lie(|piece| piece.header.space.dimension = 0).contains("header"));
        assert!(lie(|piece| piece.header.space.dimension = usize::MAX / 2).contains("header"));
        assert!(lie(|piece| piece.photos[0].width = 0).contains("size"));
        assert!(lie(|piece| piece.photos = Vec::new()).contains("length"));
        let bytes = sample().encode().unwrap();
        let text = |from: &str, to: &str| {
            assert_eq!(from.len(), to.len());
            let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
            let mut bytes = bytes.clone();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            Piece::decode(&sealed(bytes)).unwrap_err()
        };
        assert!(text("\"a b\"", "\"../\"").contains("below a root"));
        assert!(text("\"photos\":2", "\"photos\":9").contains("length"));
        assert!(text("\"unreadable\":1", "\"unreadable\":0").contains("too long"));
        assert!(text("\"unreadable\":1", "\"unreadable\":2").contains("too short"));
    }

    proptest! {
        #[test]
        fn no_file_is_too_odd(
            at in 0_usize..900, cut in 0_usize..60, more in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut bytes = sample().encode().unwrap();
            let at = at.min(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, more);
            let _ = Piece::decode_header(&bytes);
            let _ = Piece::decode(&bytes);
            if bytes.len() > CHECKSUM {
                let _ = Piece::decode(&sealed(bytes));
            }
        }
    }
}
