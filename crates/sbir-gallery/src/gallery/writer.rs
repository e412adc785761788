//! Writing to a gallery: one at a time, in transactions.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::lock::WriteLock;
use super::region::Region;
use super::{sql, vector};
use crate::error::{Error, Result};
use crate::store::{Photo, Record, RelPath, Space, Touch, bytes_to_path, path_to_bytes};

/// The right to write to a gallery, and the means.
pub(crate) struct Writer {
    path: PathBuf,
    connection: Connection,
    _lock: WriteLock,
}

/// A photo with its vector as it is stored.
struct Put<'a> {
    root: i64,
    photo: &'a Photo,
    /// Bits of f16.
    halves: Vec<u16>,
}

/// A change to one photo.
pub(crate) enum Change {
    /// It is new, or its content is.
    Put(Box<Record>),
    /// Its file was written anew with the same content.
    Touch(Touch),
    /// Its file lies elsewhere now, where the gallery knows no photo: the photo as it is, with the id that it had.
    Move(Box<Record>),
}

impl Writer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let lock = WriteLock::take(path)?;
        Ok(Self { path: path.into(), connection: sql::open(path)?, _lock: lock })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> Error + use<> {
        let path = self.path.clone();
        move |error| sql::meaning(&path)(error)
    }

    fn transaction(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
    }

    pub(crate) fn ensure(&mut self, space: &Space) -> Result<()> {
        let failed = self.failed();
        let path = self.path.clone();
        let transaction = self.transaction().map_err(&failed)?;
        if let Some(held) = sql::space(&transaction).map_err(&failed)? {
            return space.check(&path.display().to_string(), &held);
        }
        let mut insert =
            transaction.prepare("INSERT INTO meta VALUES (?1, ?2)").map_err(&failed)?;
        insert.execute(params!["fingerprint", space.fingerprint]).map_err(&failed)?;
        insert.execute(params!["dimension", space.dimension as i64]).map_err(&failed)?;
        drop(insert);
        transaction.commit().map_err(&failed)
    }

    /// The number of a root, which is entered if it is new.
    pub(crate) fn root(&mut self, root: &Path) -> Result<i64> {
        let failed = self.failed();
        root_id(&self.connection, root).map_err(&failed)
    }

    /// Makes the photos of one root those of another, which lies above it; those that this has already are forgotten.
    pub(crate) fn absorb(&mut self, inner: i64, outer: i64, below: &RelPath) -> Result<()> {
        let failed = self.failed();
        let mut prefix = below.as_bytes().to_vec();
        prefix.push(b'/');
        let transaction = self.transaction().map_err(&failed)?;
        let apply = || -> rusqlite::Result<()> {
            let generation = next_generation(&transaction)?;
            let twice: Vec<i64> = transaction
                .prepare(
                    "SELECT id FROM photo WHERE root = ?1 AND EXISTS (
                        SELECT 1 FROM photo AS other
                        WHERE other.root = ?2 AND other.path = CAST(?3 || photo.path AS BLOB))",
                )?
                .query_map(params![inner, outer, prefix], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            forget(&transaction, &twice, generation)?;
            transaction.execute(
                "UPDATE photo SET root = ?2, path = CAST(?3 || path AS BLOB) WHERE root = ?1",
                params![inner, outer, prefix],
            )?;
            transaction.execute("DELETE FROM root WHERE id = ?1", [inner]).map(drop)
        };
        apply().map_err(&failed)?;
        transaction.commit().map_err(&failed)
    }

    /// Makes changes, all or none; they are safe when this returns.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let failed = self.failed();
        let transaction = self.transaction().map_err(&failed)?;
        let generation = next_generation(&transaction).map_err(&failed)?;
        let mut roots = RootIds::default();
        for change in changes {
            match change {
                Change::Put(record) => {
                    let root = roots.find(&transaction, &record.photo.root).map_err(&failed)?;
                    let put = Put::new(root, record)?;
                    self::put(&transaction, &put, generation).map(drop)
                }
                Change::Touch(Touch { id, size, mtime_ns }) => {
                    touch(&transaction, id.row(), *size, *mtime_ns)
                }
                Change::Move(record) => {
                    let root = roots.find(&transaction, &record.photo.root).map_err(&failed)?;
                    relocate(&transaction, root, &record.photo)
                }
            }
            .map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }

    /// Writes photos, all or none; says how many were new, and how many took another's place.
    pub(crate) fn put_all(
        &mut self,
        records: &mut dyn Iterator<Item = Result<Record>>,
    ) -> Result<(u64, u64)> {
        let failed = self.failed();
        let transaction = self.transaction().map_err(&failed)?;
        let generation = next_generation(&transaction).map_err(&failed)?;
        let (mut added, mut replaced) = (0, 0);
        let mut roots = RootIds::default();
        for record in records {
            let record = record?;
            let root = roots.find(&transaction, &record.photo.root).map_err(&failed)?;
            if put(&transaction, &Put::new(root, &record)?, generation).map_err(&failed)? {
                added += 1;
            } else {
                replaced += 1;
            }
        }
        transaction.commit().map_err(&failed)?;
        Ok((added, replaced))
    }

    /// Forgets photos; says how many there were.
    pub(crate) fn delete(&mut self, ids: &[i64]) -> Result<u64> {
        let failed = self.failed();
        let mut count = 0;
        // So that the log of one transaction stays small.
        for ids in ids.chunks(10_000) {
            let transaction = self.transaction().map_err(&failed)?;
            let apply = || -> rusqlite::Result<u64> {
                let generation = next_generation(&transaction)?;
                forget(&transaction, ids, generation)
            };
            count += apply().map_err(&failed)?;
            transaction.commit().map_err(&failed)?;
        }
        let transaction = self.transaction().map_err(&failed)?;
        transaction
            .execute(
                "DELETE FROM root WHERE NOT EXISTS (SELECT 1 FROM photo WHERE root = root.id)",
                [],
            )
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(count)
    }

    /// Forgets all photos at or below a place; says how many there were.
    pub(crate) fn delete_under(&mut self, place: &Path) -> Result<u64> {
        let failed = self.failed();
        let region = Region::under(&self.connection, place).map_err(&failed)?;
        let ids = region.ids(&self.connection).map_err(&failed)?;
        self.delete(&ids)
    }

    /// Gives unused space back to the disk.
    pub(super) fn compact(&mut self) -> Result<()> {
        let failed = self.failed();
        let transaction = self.transaction().map_err(&failed)?;
        let apply = || -> rusqlite::Result<()> {
            // Readers with an earlier generation in memory begin afresh.
            let generation = next_generation(&transaction)?;
            transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'floor'", [generation])?;
            transaction.execute("DELETE FROM removed", []).map(drop)
        };
        apply().map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(&failed)
    }

    /// Copies the log into the file, so that it does not stay at its largest.
    pub(crate) fn checkpoint(&mut self) {
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);");
    }
}

fn next_generation(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value",
        )?
        .query_row([], |row| row.get(0))
}

fn root_id(connection: &Connection, root: &Path) -> rusqlite::Result<i64> {
    // A path of the file system, or of an object store, is bytes.
    let path = path_to_bytes(root)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let known = connection
        .prepare_cached("SELECT id FROM root WHERE path = ?1")?
        .query_row([&path], |row| row.get(0))
        .optional()?;
    match known {
        Some(id) => Ok(id),
        None => connection
            .prepare_cached("INSERT INTO root (path) VALUES (?1) RETURNING id")?
            .query_row([path], |row| row.get(0)),
    }
}

/// The numbers of roots; photos come root by root, mostly.
#[derive(Default)]
struct RootIds(Option<(PathBuf, i64)>);

impl RootIds {
    fn find(&mut self, connection: &Connection, root: &Path) -> rusqlite::Result<i64> {
        match &self.0 {
            Some((path, id)) if path == root => Ok(*id),
            _ => {
                let id = root_id(connection, root)?;
                self.0 = Some((root.into(), id));
                Ok(id)
            }
        }
    }
}

impl<'a> Put<'a> {
    /// A record whose root has a number.
    ///
    /// # Errors
    /// If its vector cannot be stored.
    fn new(root: i64, record: &'a Record) -> Result<Self> {
        Ok(Self { root, photo: &record.photo, halves: vector::to_halves(&record.embedding)? })
    }
}

fn touch(
    connection: &Connection,
    id: Option<i64>,
    size: u64,
    mtime_ns: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE photo SET size = ?2, mtime = ?3 WHERE id = ?1")?
        .execute(params![id, size.cast_signed(), mtime_ns])
        .map(drop)
}

/// Removes the rows of photos and notes that for readers; says how many there were.
fn forget(connection: &Connection, ids: &[i64], generation: i64) -> rusqlite::Result<u64> {
    let mut photo = connection.prepare_cached("DELETE FROM photo WHERE id = ?1")?;
    let mut embedding = connection.prepare_cached("DELETE FROM embedding WHERE id = ?1")?;
    let mut removed =
        connection.prepare_cached("INSERT OR REPLACE INTO removed VALUES (?1, ?2)")?;
    let mut count = 0;
    for id in ids {
        if photo.execute([id])? > 0 {
            count += 1;
            embedding.execute([id])?;
            removed.execute([*id, generation])?;
        }
    }
    Ok(count)
}

/// Notes where a photo lies now.
fn relocate(connection: &Connection, root: i64, photo: &Photo) -> rusqlite::Result<()> {
    let Photo { id, path, size, mtime_ns, .. } = photo;
    connection
        .prepare_cached(
            "UPDATE photo SET root = ?2, path = ?3, size = ?4, mtime = ?5 WHERE id = ?1",
        )?
        .execute(params![id.row(), root, path.as_bytes(), size.cast_signed(), mtime_ns])
        .map(drop)
}

/// Writes a photo; says whether it is new.
fn put(connection: &Connection, put: &Put<'_>, generation: i64) -> rusqlite::Result<bool> {
    let Put { root, photo, halves } = put;
    let Photo { path, size, mtime_ns, hash, width, height, .. } = photo;
    let known: Option<i64> = connection
        .prepare_cached("SELECT id FROM photo WHERE root = ?1 AND path = ?2")?
        .query_row(params![root, path.as_bytes()], |row| row.get(0))
        .optional()?;
    let id: i64 = connection
        .prepare_cached(
            "INSERT INTO photo (id, root, path, size, mtime, hash, width, height, generation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET size = ?4, mtime = ?5, hash = ?6, width = ?7,
                height = ?8, generation = ?9
             RETURNING id",
        )?
        .query_row(
            params![
                known,
                root,
                path.as_bytes(),
                size.cast_signed(),
                mtime_ns,
                hash,
                width,
                height,
                generation
            ],
            |row| row.get(0),
        )?;
    let bytes = vector::to_bytes(halves);
    connection
        .prepare_cached("INSERT OR REPLACE INTO embedding VALUES (?1, ?2, ?3)")?
        .execute(params![id, bytes, vector::checksum(id, &bytes)])?;
    Ok(known.is_none())
}

/// All roots with their numbers.
pub(crate) fn roots(connection: &Connection) -> rusqlite::Result<Vec<(i64, PathBuf)>> {
    let mut statement = connection.prepare_cached("SELECT id, path FROM root ORDER BY path")?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, bytes_to_path(&row.get::<_, Vec<u8>>(1)?))))?;
    rows.collect()
}
