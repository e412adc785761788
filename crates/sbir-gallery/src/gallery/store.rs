//! The gallery as a store of vectors.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params_from_iter};
use sbir_kernels::scan::MAX_DIMENSION;

use super::region::Region;
use super::{Gallery, Missing, beside, page, roots, sql, vector};
use crate::error::{Error, Result};
use crate::store::{
    Cursor, Hits, MAX_PAGE, Page, Photo, PhotoId, Record, RelPath, RootInfo, SearchOptions,
    Selector, Space, Stats, Touch, VectorStore, is_root, path_to_bytes,
};

impl VectorStore for Gallery {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn local(&self) -> Option<&Gallery> {
        Some(self)
    }

    fn ensure(&self, space: &Space) -> Result<()> {
        if space.dimension == 0 || space.dimension > MAX_DIMENSION {
            let expected = format!("1 to {MAX_DIMENSION} values");
            return Err(Error::BadEmbedding { expected, found: space.dimension.to_string() });
        }
        match self.space()? {
            Some(held) => space.check(&self.name(), &held),
            None => self.writer()?.ensure(space),
        }
    }

    fn space(&self) -> Result<Option<Space>> {
        self.read(|connection| sql::space(connection).map_err(sql::meaning(&self.path)))
    }

    fn upsert(&self, batch: &[Record]) -> Result<()> {
        let Some(space) = self.space()? else {
            return Err(Error::BadEmbedding {
                expected: "a space (ensure)".into(),
                found: "vectors".into(),
            });
        };
        let mut records = batch.iter().map(|record| {
            if record.embedding.len() != space.dimension {
                return Err(self.other_dimension(space.dimension, record.embedding.len()));
            }
            let root = &record.photo.root;
            if !is_root(root) {
                return Err(Error::BadPath { path: root.display().to_string() });
            }
            Ok(record.clone())
        });
        self.writer()?.put_all(&mut records).map(drop)
    }

    fn touch(&self, batch: &[Touch]) -> Result<()> {
        let changes: Vec<_> = batch.iter().copied().map(super::Change::Touch).collect();
        self.writer()?.apply(&changes)
    }

    fn delete(&self, which: &Selector) -> Result<u64> {
        let mut writer = self.writer()?;
        let ids = match which {
            Selector::Ids(ids) => ids.iter().filter_map(|id| id.row()).collect(),
            Selector::Under(path) => self.ids_under(path)?,
            Selector::All => self.read(|connection| {
                let read = || -> rusqlite::Result<Vec<i64>> {
                    let mut statement = connection.prepare("SELECT id FROM photo")?;
                    let rows = statement.query_map([], |row| row.get(0))?;
                    rows.collect()
                };
                read().map_err(sql::meaning(&self.path))
            })?,
        };
        writer.delete(&ids)
    }

    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        // A photo may be removed between the search and the look at its row. Each time round sees all removals before
        // it, and only as many happen as somebody makes: ids are not given twice, so none is missing twice.
        let (mut missing, mut afresh) = (Vec::new(), false);
        loop {
            let id = match self.search_once(queries, options)? {
                Ok(hits) => return Ok(hits),
                Err(Missing { id }) => id,
            };
            let lasting = missing.contains(&id);
            // Removals take the vector with them.
            if self.has_vector(id)? || lasting && afresh {
                let problem =
                    format!("photo {id} is found by its vector and has no path or no root");
                return Err(Error::Corrupt { path: self.path.clone(), problem });
            }
            if lasting {
                // Then what was derived is wrong, not the rows.
                self.with_keeper(|keeper| keeper.settle(true))?;
                afresh = true;
            } else {
                missing.push(id);
            }
        }
    }

    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let failed = sql::meaning(&self.path);
        let items = self.read(|connection| {
            let (condition, values) = match under {
                None => ("1".to_owned(), Vec::new()),
                Some(path) => Region::under(connection, path).map_err(&failed)?.condition(3),
            };
            let query = format!(
                "SELECT {} FROM photo JOIN root ON root.id = photo.root
                 WHERE photo.id > ?1 AND ({condition}) ORDER BY photo.id LIMIT ?2",
                sql::PHOTO
            );
            let values =
                [row_after(after), limit as i64 + 1].map(Value::Integer).into_iter().chain(values);
            let read = || -> rusqlite::Result<Vec<Photo>> {
                let mut statement = connection.prepare_cached(&query)?;
                let rows = statement.query_map(params_from_iter(values), sql::photo)?;
                rows.collect()
            };
            read().map_err(&failed)
        })?;
        Ok(page(items, limit, |photo| photo.id))
    }

    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let values = [row_after(after), limit as i64 + 1].map(Value::Integer);
        let items = self.records("photo.id > ?1 ORDER BY photo.id LIMIT ?2", &values)?;
        Ok(page(items, limit, |record| record.photo.id))
    }

    fn get(&self, ids: &[PhotoId]) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        // SQLite takes some ten thousands of values.
        for ids in ids.chunks(1000) {
            let values: Vec<_> = ids.iter().filter_map(|id| id.row()).map(Value::Integer).collect();
            let marks = vec!["?"; values.len()].join(",");
            found.append(&mut self.records(&format!("photo.id IN ({marks})"), &values)?);
        }
        Ok(found)
    }

    fn lookup(&self, root: &Path, paths: &[RelPath]) -> Result<Vec<Option<Photo>>> {
        let root = path_to_bytes(root)?;
        let query = format!(
            "SELECT {} FROM photo JOIN root ON root.id = photo.root
             WHERE root.path = ?1 AND photo.path = ?2",
            sql::PHOTO
        );
        self.read(|connection| {
            let read = || -> rusqlite::Result<Vec<Option<Photo>>> {
                let mut statement = connection.prepare_cached(&query)?;
                let mut find = |path: &RelPath| {
                    statement.query_row((&root, path.as_bytes()), sql::photo).optional()
                };
                paths.iter().map(&mut find).collect()
            };
            read().map_err(sql::meaning(&self.path))
        })
    }

    fn with_content(&self, hash: &[u8; 32]) -> Result<Vec<Record>> {
        let hash = [Value::Blob(hash.to_vec())];
        self.records("hash = ?1 ORDER BY photo.id LIMIT 4", &hash)
    }

    fn sample(&self, count: usize) -> Result<Vec<Photo>> {
        let last: i64 = self.read(|connection| {
            connection
                .query_row("SELECT coalesce(max(id), 0) FROM photo", [], |row| row.get(0))
                .map_err(sql::meaning(&self.path))
        })?;
        let (mut seen, mut photos) = (HashSet::new(), Vec::new());
        if last <= count as i64 * 4 {
            // So few that all can be looked at: in random order.
            let mut all = self.list(None, None, count * 4)?.items;
            while photos.len() < count && !all.is_empty() {
                let at = random_below(all.len() as u64)? as usize;
                photos.push(all.swap_remove(at));
            }
            return Ok(photos);
        }
        // Numbers are given in order and seldom missing, so that the photo after a random number is a random photo.
        for _ in 0..count * 4 {
            if photos.len() == count {
                break;
            }
            let before = PhotoId(random_below(last.unsigned_abs())?.into());
            let page = self.list(None, Some(Cursor(before)), 1)?;
            photos.extend(page.items.into_iter().filter(|photo| seen.insert(photo.id)));
        }
        Ok(photos)
    }

    fn roots(&self) -> Result<Vec<RootInfo>> {
        let failed = sql::meaning(&self.path);
        self.read(|connection| {
            let mut found = Vec::new();
            for (id, path) in roots(connection).map_err(&failed)? {
                let photos: i64 = connection
                    .prepare_cached("SELECT count(*) FROM photo WHERE root = ?1")
                    .and_then(|mut statement| statement.query_row([id], |row| row.get(0)))
                    .map_err(&failed)?;
                found.push(RootInfo::new(path, photos.unsigned_abs()));
            }
            Ok(found)
        })
    }

    fn stats(&self) -> Result<Stats> {
        let failed = sql::meaning(&self.path);
        let bytes = ["", "-wal", "-vectors"]
            .iter()
            .filter_map(|suffix| fs_err::metadata(beside(&self.path, suffix)).ok())
            .map(|file| file.len())
            .sum();
        self.read(|connection| {
            let read = || -> rusqlite::Result<Stats> {
                let transaction = connection.unchecked_transaction()?;
                let count = |table: &str| -> rusqlite::Result<u64> {
                    let query = format!("SELECT count(*) FROM {table}");
                    let count: i64 = transaction.query_row(&query, [], |row| row.get(0))?;
                    Ok(count.unsigned_abs())
                };
                Ok(Stats {
                    space: sql::space(&transaction)?,
                    photos: count("photo")?,
                    roots: count("root")?,
                    generation: sql::number(&transaction, "generation")?.unsigned_abs(),
                    bytes,
                })
            };
            read().map_err(&failed)
        })
    }

    /// Writes the derived file if many vectors are not in it.
    fn settle(&self) -> Result<()> {
        self.with_keeper(|keeper| keeper.settle(false))
    }

    fn compact(&self) -> Result<()> {
        self.writer()?.compact()?;
        self.with_keeper(|keeper| keeper.settle(true))
    }
}

impl Gallery {
    pub(super) fn other_dimension(&self, expected: usize, found: usize) -> Error {
        Error::OtherDimension { gallery: self.name(), expected, found }
    }

    /// The records of the rows that a condition holds for, which may go on with an order and a limit.
    fn records(&self, condition: &str, values: &[Value]) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        self.read(|connection| {
            each_record(connection, condition, values, |record| {
                found.push(record);
                Ok(())
            })
            .map_err(|error| match error {
                Failed::Sqlite(error) => self.meaning(error),
                Failed::Other(error) => error,
            })
        })?;
        Ok(found)
    }

    /// Calls with the number of photos and then with every record in order of id, all as of one moment.
    pub(crate) fn snapshot(
        &self,
        mut begin: impl FnMut(u64, Option<Space>) -> Result<()>,
        each: impl FnMut(Record) -> Result<()>,
    ) -> Result<()> {
        let failed = sql::meaning(&self.path);
        self.read(|connection| {
            let transaction = connection.unchecked_transaction().map_err(&failed)?;
            let space = sql::space(&transaction).map_err(&failed)?;
            let count: i64 = transaction
                .query_row("SELECT count(*) FROM photo", [], |row| row.get(0))
                .map_err(&failed)?;
            begin(count.unsigned_abs(), space)?;
            let result = each_record(&transaction, "1 ORDER BY photo.id", &[], each);
            result.map_err(|error| match error {
                Failed::Sqlite(error) => failed(error),
                Failed::Other(error) => error,
            })
        })
    }
}

enum Failed {
    Sqlite(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn each_record(
    connection: &rusqlite::Connection,
    condition: &str,
    values: &[Value],
    mut each: impl FnMut(Record) -> Result<()>,
) -> Result<(), Failed> {
    let Some(space) = sql::space(connection)? else { return Ok(()) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {}, photo.id, vector, checksum FROM photo
         JOIN root ON root.id = photo.root JOIN embedding ON embedding.id = photo.id
         WHERE {condition}",
        sql::PHOTO
    ))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut halves = Vec::with_capacity(space.dimension);
    while let Some(row) = rows.next()? {
        halves.clear();
        vector::read(row, 8, space.dimension, &mut halves)?;
        let embedding = vector::to_floats(&halves);
        each(Record { photo: sql::photo(row)?, embedding }).map_err(Failed::Other)?;
    }
    Ok(())
}

fn row_after(after: Option<Cursor>) -> i64 {
    after.map_or(i64::MIN, |cursor| cursor.0.row().unwrap_or(i64::MAX))
}

/// A random number below `bound`.
fn random_below(bound: u64) -> Result<u64> {
    let random = getrandom::u64().map_err(std::io::Error::other)?;
    // The bias is below one in 2³² for any gallery.
    Ok(random % bound.max(1))
}
