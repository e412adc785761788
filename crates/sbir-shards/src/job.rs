//! What the pieces of a place are of: one small file, written once by whoever comes first.

use std::path::PathBuf;

use sbir_gallery::Space;
use sbir_kernels::scan::MAX_DIMENSION;
use sbir_objects::{Key, Place};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::manifest::{MAX_PIECE, MAX_PIECES, Manifest, root};
use crate::shard::Shard;
use crate::text::Text;

const FORMAT: &str = "sbir pieces";
const VERSION: u32 = 1;
/// The file's name.
const NAME: &str = "job.json";
/// The longest such file in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// The longest fingerprint of an encoder, in bytes.
pub(crate) const MAX_FINGERPRINT: usize = 1024;

/// What the pieces of a place are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The manifest's digest.
    pub manifest: String,
    /// The photos' root.
    pub root: PathBuf,
    /// The number of photos.
    pub photos: u64,
    /// The number of photos of a piece.
    pub piece: u32,
    /// The encoder and its dimension.
    pub space: Space,
    /// How many shards whoever came first spoke of.
    pub shards: u32,
    /// Where whoever came first had the manifest.
    pub source: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    format: String,
    version: u32,
    manifest: String,
    #[serde(flatten)]
    root: Text,
    photos: u64,
    piece: u32,
    encoder: String,
    dimension: usize,
    shards: u32,
    source: String,
}

/// The first digits of a digest, enough for people.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

impl Job {
    /// The job of a manifest and an encoder.
    pub(crate) fn new(manifest: &Manifest, space: Space, shard: Shard) -> Self {
        let header = manifest.header();
        Self {
            manifest: manifest.digest().to_owned(),
            root: header.root.clone(),
            photos: header.photos,
            piece: header.piece,
            space,
            shards: shard.count(),
            source: manifest.name().to_owned(),
        }
    }

    /// The number of pieces.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.photos.div_ceil(u64::from(self.piece))
    }

    /// How many photos a piece has.
    #[must_use]
    pub fn photos_of(&self, piece: u64) -> u64 {
        let size = u64::from(self.piece);
        size.min(self.photos.saturating_sub(piece.saturating_mul(size)))
    }

    /// The name of a piece's file.
    pub(crate) fn key(piece: u64) -> Result<Key> {
        Ok(Key::new(format!("piece-{piece:08}.sbir-piece"))?)
    }

    /// Binds a place to this job, or checks that it is bound to it.
    pub(crate) fn claim(&self, place: &Place) -> Result<()> {
        let line = Line {
            format: FORMAT.to_owned(),
            version: VERSION,
            manifest: self.manifest.clone(),
            root: Text::new(self.root.as_os_str().as_encoded_bytes()),
            photos: self.photos,
            piece: self.piece,
            encoder: self.space.fingerprint.clone(),
            dimension: self.space.dimension,
            shards: self.shards,
            source: self.source.clone(),
        };
        let key = Key::new(NAME)?;
        let job = |error: serde_json::Error| Error::Job {
            name: place.name_of(&key),
            problem: error.to_string(),
        };
        let mut text = serde_json::to_vec_pretty(&line).map_err(job)?;
        text.push(b'\n');
        if place.put_new(&key, text.into())? {
            return Ok(());
        }
        let Some(held) = Self::read(place)? else {
            return Err(Error::NoJob { place: place.to_string() });
        };
        self.check(&place.to_string(), &held.manifest, &held.space)?;
        self.check_photos(place, &held)
    }

    /// Whether what a place is bound to is of the same photos: a digest alone may stand beside anything.
    pub(crate) fn check_photos(&self, place: &Place, held: &Self) -> Result<()> {
        if (&held.root, held.photos, held.piece) == (&self.root, self.photos, self.piece) {
            return Ok(());
        }
        let name = place.name_of(&Key::new(NAME)?);
        let problem = "its root or its numbers are not those of the manifest that it names".into();
        Err(Error::Job { name, problem })
    }

    /// Whether something is of this job.
    pub(crate) fn check(&self, name: &str, manifest: &str, space: &Space) -> Result<()> {
        let name = name.to_owned();
        if manifest != self.manifest {
            let (expected, found) = (short(&self.manifest), short(manifest));
            return Err(Error::OtherManifest { name, expected, found });
        }
        if *space != self.space {
            let said = |space: &Space| {
                Error::line(&format!("{} ({} dimensions)", space.fingerprint, space.dimension))
            };
            return Err(Error::OtherEncoder {
                name,
                expected: said(&self.space),
                found: said(space),
            });
        }
        Ok(())
    }

    /// The job that a place is bound to; none if it is bound to none.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn read(place: &Place) -> Result<Option<Self>> {
        let key = Key::new(NAME)?;
        let name = place.name_of(&key);
        let bytes = match place.get(&key, MAX_BYTES) {
            Ok(object) => object.bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bad = |problem: &str| Error::Job { name: name.clone(), problem: Error::line(problem) };
        let line: Line = serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
        if line.format != FORMAT {
            return Err(bad("something else"));
        }
        if line.version > VERSION {
            return Err(Error::NewerFormat { name, found: line.version, known: VERSION });
        }
        let sound = (1..=MAX_PIECE).contains(&line.piece)
            && line.photos.div_ceil(u64::from(line.piece)) <= MAX_PIECES
            && (1..=MAX_DIMENSION).contains(&line.dimension)
            && line.encoder.len() <= MAX_FINGERPRINT
            && line.manifest.len() == 64
            && line.shards > 0;
        let root = root(line.root).filter(|_| sound).ok_or_else(|| bad("its values cannot be"))?;
        Ok(Some(Self {
            manifest: line.manifest,
            root,
            photos: line.photos,
            piece: line.piece,
            space: Space { fingerprint: line.encoder, dimension: line.dimension },
            shards: line.shards,
            source: Error::line(&line.source),
        }))
    }
}
