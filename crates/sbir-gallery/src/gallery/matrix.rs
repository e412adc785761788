//! All vectors of a gallery in memory, kept up to date with the rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use sbir_kernels::scan::{BLOCK, Codes, Found, Rows, Wanted, search};
use xxhash_rust::xxh3::xxh3_64;

use super::cache::{Cache, Origin, quantise_in_parallel};
use super::{beside, sql, vector};
use crate::error::{Error, Result};

/// Fewer new vectors than this are not worth a new derived file.
const FEW: usize = 1024;

/// The gallery's vectors at one generation.
#[derive(Clone)]
pub(super) struct Matrix {
    pub(super) dimension: usize,
    pieces: Vec<Piece>,
}

/// Vectors that were read together, in order of id.
#[derive(Clone)]
struct Piece {
    rows: Arc<Stored>,
    /// A bit each: vectors of photos that were removed or written anew do not count.
    live: Vec<u64>,
}

enum Stored {
    Mapped(Cache),
    Owned { ids: Vec<i64>, halves: Vec<u16>, codes: Codes },
}

impl Stored {
    fn ids(&self) -> &[i64] {
        match self {
            Self::Mapped(cache) => cache.ids(),
            Self::Owned { ids, .. } => ids,
        }
    }

    fn rows<'a>(&'a self, live: Option<&'a [u64]>) -> Rows<'a> {
        match self {
            Self::Mapped(cache) => cache.rows(live),
            Self::Owned { ids, halves, codes } => Rows {
                ids,
                halves,
                codes: &codes.codes,
                scales: &codes.scales,
                errors: &codes.errors,
                norm: codes.norm,
                live,
            },
        }
    }
}

impl Piece {
    fn new(rows: Stored) -> Self {
        let count = rows.ids().len();
        let mut live = vec![u64::MAX; count.div_ceil(BLOCK)];
        if let Some(last) = live.last_mut()
            && !count.is_multiple_of(BLOCK)
        {
            *last >>= BLOCK - count % BLOCK;
        }
        Self { rows: Arc::new(rows), live }
    }

    fn forget(&mut self, id: i64) {
        if let Ok(row) = self.rows.ids().binary_search(&id) {
            self.live[row / BLOCK] &= !(1 << (row % BLOCK));
        }
    }

    fn count(&self) -> usize {
        self.live.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// The bits of those of some photos, given in order, that count.
    fn only(&self, ids: &[i64]) -> Vec<u64> {
        let mut bits = vec![0; self.live.len()];
        let mut wanted = ids.iter().peekable();
        for (row, id) in self.rows.ids().iter().enumerate() {
            while wanted.next_if(|wanted| *wanted < id).is_some() {}
            match wanted.peek() {
                None => break,
                Some(wanted) if *wanted == id => bits[row / BLOCK] |= 1 << (row % BLOCK),
                Some(_) => {}
            }
        }
        bits.iter().zip(&self.live).map(|(bits, live)| bits & live).collect()
    }
}

/// What a [`Matrix`] finds: for each query the vectors, and how many were compared.
pub(super) struct Answer {
    pub(super) found: Vec<Vec<Found>>,
    pub(super) searched: u64,
}

impl Matrix {
    /// The nearest vectors, of all or of some photos whose ids are given in order.
    pub(super) fn search(
        &self,
        queries: &[&[f32]],
        wanted: Wanted,
        only: Option<&[i64]>,
    ) -> Answer {
        let live: Vec<_> = match only {
            None => self.pieces.iter().map(|piece| piece.live.clone()).collect(),
            Some(ids) => self.pieces.iter().map(|piece| piece.only(ids)).collect(),
        };
        let rows: Vec<_> = self
            .pieces
            .iter()
            .zip(&live)
            .map(|(piece, live)| piece.rows.rows(Some(live.as_slice())))
            .collect();
        let searched = live.iter().flatten().map(|bits| u64::from(bits.count_ones())).sum();
        Answer { found: search(&rows, queries, self.dimension, wanted), searched }
    }
}

/// A [`Matrix`] and the way to keep it up to date.
pub(super) struct Keeper {
    path: PathBuf,
    connection: Connection,
    /// SQLite's own count of changes by other connections: asking for it costs next to nothing.
    version: i64,
    origin: Origin,
    current: Option<Arc<Matrix>>,
}

impl Keeper {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let connection = sql::open(path)?;
        let origin = Origin { key: [0; 16], space: 0, dimension: 0, generation: -1 };
        Ok(Self { path: path.into(), connection, version: -1, origin, current: None })
    }

    /// The vectors of all that is committed; `None` while the gallery has no space.
    pub(super) fn current(&mut self) -> Result<Option<Arc<Matrix>>> {
        self.refresh(false)
    }

    /// Writes the derived file if many vectors are not in it; all, if `anew`.
    pub(super) fn settle(&mut self, anew: bool) -> Result<()> {
        if anew {
            self.current = None;
            self.version = -1;
            // What is not there is not believed.
            let _ = fs_err::remove_file(beside(&self.path, "-vectors"));
        }
        self.refresh(true).map(drop)
    }

    fn refresh(&mut self, eager: bool) -> Result<Option<Arc<Matrix>>> {
        let path = self.path.clone();
        let failed = sql::meaning(&path);
        let version = self
            .connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(&failed)?;
        if version == self.version && !eager {
            return Ok(self.current.clone());
        }
        // Once more for each time that another process compacts in between.
        loop {
            let Some(space) = sql::space(&self.connection).map_err(&failed)? else {
                return Ok(None);
            };
            // In this order, since both grow.
            let floor = sql::number(&self.connection, "floor").map_err(&failed)?;
            let generation = sql::number(&self.connection, "generation").map_err(&failed)?;
            if floor > generation {
                let problem = "it was compacted later than it was changed".into();
                return Err(Error::Corrupt { path: path.clone(), problem });
            }
            let key = self
                .connection
                .query_row("SELECT value FROM meta WHERE name = 'key'", [], |row| row.get(0))
                .map_err(&failed)?;
            let space_hash = xxh3_64(space.fingerprint.as_bytes());
            let gallery = Origin { key, space: space_hash, dimension: space.dimension, generation };
            let same = Origin { generation: self.origin.generation, ..gallery } == self.origin;
            let vectors = beside(&self.path, "-vectors");
            if !same || self.origin.generation < floor || self.current.is_none() {
                let cache = Cache::open(&vectors, &gallery, floor);
                let (generation, pieces) = match cache {
                    Some(cache) => {
                        (cache.origin.generation, vec![Piece::new(Stored::Mapped(cache))])
                    }
                    None => (-1, Vec::new()),
                };
                self.origin = Origin { generation, ..gallery };
                self.current = Some(Arc::new(Matrix { dimension: space.dimension, pieces }));
            }
            let behind = self.behind().map_err(&failed)?;
            let all: usize = self.current.iter().flat_map(|m| &m.pieces).map(Piece::count).sum();
            // In memory there are as many as are not worth a file, or a tenth of all.
            let owned = self.owned();
            let limit = if eager { FEW } else { (16 * FEW).max(all / 8) };
            if behind + owned > limit
                && let Some(cache) = Cache::write(&vectors, &self.connection, &gallery, &failed)?
            {
                self.origin = cache.origin;
                let pieces = vec![Piece::new(Stored::Mapped(cache))];
                self.current = Some(Arc::new(Matrix { dimension: space.dimension, pieces }));
            }
            if self.catch_up(&failed)? {
                break;
            }
        }
        self.version = version;
        Ok(self.current.clone())
    }

    /// How many vectors were written since the generation in memory.
    fn behind(&self) -> rusqlite::Result<usize> {
        let count: i64 = self
            .connection
            .prepare_cached("SELECT count(*) FROM photo WHERE generation > ?1")?
            .query_row([self.origin.generation], |row| row.get(0))?;
        Ok(count as usize)
    }

    /// How many vectors are in memory of this process.
    fn owned(&self) -> usize {
        let pieces = self.current.iter().flat_map(|matrix| &matrix.pieces);
        pieces
            .filter(|piece| matches!(*piece.rows, Stored::Owned { .. }))
            .map(|piece| piece.rows.ids().len())
            .sum()
    }

    /// Brings the vectors in memory to the newest generation; false where they are so old that the gallery does not say
    /// any more what was removed since.
    fn catch_up(&mut self, failed: &dyn Fn(rusqlite::Error) -> Error) -> Result<bool> {
        let Some(current) = &self.current else { return Ok(true) };
        let transaction = self.connection.unchecked_transaction().map_err(failed)?;
        let known = self.origin.generation;
        let generation = sql::number(&transaction, "generation").map_err(failed)?;
        if generation == known {
            return Ok(true);
        }
        // In the same snapshot as what follows: a compaction may come at any time before.
        let floor = sql::number(&transaction, "floor").map_err(failed)?;
        if known < floor && !current.pieces.is_empty() {
            return Ok(false);
        }
        let mut matrix = Matrix::clone(current);
        {
            let mut statement = transaction
                .prepare_cached("SELECT id FROM removed WHERE generation > ?1")
                .map_err(failed)?;
            let mut rows = statement.query([known]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let id = row.get(0).map_err(failed)?;
                matrix.pieces.iter_mut().for_each(|piece| piece.forget(id));
            }
        }
        let (mut ids, mut halves) = (Vec::new(), Vec::new());
        {
            let mut statement = transaction
                .prepare_cached(
                    "SELECT photo.id, vector, checksum FROM photo JOIN embedding USING (id)
                     WHERE generation > ?1 ORDER BY photo.id",
                )
                .map_err(failed)?;
            let mut rows = statement.query([known]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let id = vector::read(row, 0, matrix.dimension, &mut halves).map_err(failed)?;
                matrix.pieces.iter_mut().for_each(|piece| piece.forget(id));
                ids.push(id);
            }
        }
        drop(transaction);
        if !ids.is_empty() {
            matrix.pieces.push(self.piece(ids, halves, matrix.dimension)?);
            self.merge(&mut matrix)?;
        }
        self.origin.generation = generation;
        self.current = Some(Arc::new(matrix));
        Ok(true)
    }

    fn piece(&self, ids: Vec<i64>, halves: Vec<u16>, dimension: usize) -> Result<Piece> {
        let codes = quantise_in_parallel(&halves, dimension).ok_or_else(|| Error::Corrupt {
            path: self.path.clone(),
            problem: "a vector has a value that is no finite number".into(),
        })?;
        Ok(Piece::new(Stored::Owned { ids, halves, codes }))
    }

    /// Keeps the pieces few: one that is not much larger than those after it takes them in.
    fn merge(&self, matrix: &mut Matrix) -> Result<()> {
        while let [.., before, last] = matrix.pieces.as_slice() {
            let mergeable = matches!(*before.rows, Stored::Owned { .. })
                && before.rows.ids().len() < 2 * last.rows.ids().len();
            if !mergeable {
                break;
            }
            let dimension = matrix.dimension;
            let mut rows = Vec::new();
            for piece in [before, last] {
                let stored = piece.rows.rows(None);
                for (row, id) in stored.ids.iter().enumerate() {
                    if piece.live[row / BLOCK] >> (row % BLOCK) & 1 == 1 {
                        rows.push((*id, &stored.halves[row * dimension..(row + 1) * dimension]));
                    }
                }
            }
            rows.sort_unstable_by_key(|(id, _)| *id);
            let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
            let halves = rows.iter().flat_map(|(_, halves)| *halves).copied().collect();
            let merged = self.piece(ids, halves, dimension)?;
            matrix.pieces.truncate(matrix.pieces.len() - 2);
            matrix.pieces.push(merged);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::Gallery;
    use crate::store::{Photo, PhotoId, Record, RelPath, Selector, Space, VectorStore as _};

    fn count(keeper: &mut Keeper) -> usize {
        let matrix = keeper.current().unwrap().unwrap();
        matrix.pieces.iter().map(Piece::count).sum()
    }

    #[test]
    fn a_compaction_before_catching_up_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let gallery = Gallery::open_or_create(&folder.path().join("gallery.sbir")).unwrap();
        gallery.ensure(&Space { fingerprint: "one".into(), dimension: 2 }).unwrap();
        let records: Vec<_> = (0..3)
            .map(|place| {
                let photo = Photo {
                    id: PhotoId(0),
                    root: "/photos".into(),
                    path: RelPath::new(format!("{place}.png").into()).unwrap(),
                    size: 1,
                    mtime_ns: 1,
                    hash: [0; 32],
                    width: 1,
                    height: 1,
                };
                Record { photo, embedding: vec![1.0, 0.0] }
            })
            .collect();
        gallery.upsert(&records).unwrap();
        let mut keeper = Keeper::new(gallery.path()).unwrap();
        assert_eq!(count(&mut keeper), 3);
        let first = gallery.list(None, None, 1).unwrap().items[0].id;
        gallery.delete(&Selector::Ids(vec![first])).unwrap();
        gallery.compact().unwrap();
        // As when both happen after the look at what is in memory.
        assert!(!keeper.catch_up(&sql::meaning(gallery.path())).unwrap());
        assert_eq!(count(&mut keeper), 2);
    }
}
