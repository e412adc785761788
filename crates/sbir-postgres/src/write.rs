//! Writing and deleting.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sbir_gallery::{Error, Record, Result, Selector, Touch};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Postgres;
use crate::fault::Fault;
use crate::halfvec::HalfVec;
use crate::photo;
use crate::region::Region;
use crate::session::{Again, Lent};

/// How many photos a statement writes at most, and how many bytes of vectors and paths: what is in memory at once.
const MAX_ROWS: usize = 2_000;
const MAX_BYTES: usize = 4 << 20;
/// How many photos a statement deletes.
const MAX_DELETED: usize = 20_000;

/// Photos by column.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    roots: Vec<i32>,
    paths: Vec<&'a [u8]>,
    sizes: Vec<i64>,
    times: Vec<i64>,
    hashes: Vec<&'a [u8]>,
    widths: Vec<i64>,
    heights: Vec<i64>,
    embeddings: Vec<HalfVec>,
}

impl Postgres {
    pub(crate) fn write(&self, batch: &[Record]) -> Result<()> {
        let state = self.call(Again::Idempotent, async |lent| self.state(lent).await)?;
        let Some(state) = state else {
            return Err(Error::BadEmbedding {
                expected: "a space (ensure)".into(),
                found: "vectors".into(),
            });
        };
        // All is looked at before any of it is written.
        for record in batch {
            self.fits(&record.embedding, state.space.dimension)?;
            HalfVec::new(&record.embedding).ok_or(Error::NotFinite)?;
            photo::root_bytes(&record.photo.root)?;
        }
        let (mut start, mut bytes) = (0, 0);
        for (end, record) in batch.iter().enumerate() {
            let size = record.embedding.len() * 2 + record.photo.path.as_bytes().len() + 150;
            if end > start && (end - start == MAX_ROWS || bytes + size > MAX_BYTES) {
                self.write_some(&batch[start..end])?;
                (start, bytes) = (end, 0);
            }
            bytes += size;
        }
        if start < batch.len() { self.write_some(&batch[start..]) } else { Ok(()) }
    }

    /// One statement's worth.
    fn write_some(&self, batch: &[Record]) -> Result<()> {
        // A photo that comes twice is written as it came last; in order of id, so that two writers cannot each wait for
        // the other.
        let mut last = HashMap::with_capacity(batch.len());
        for record in batch {
            last.insert(photo::id(&record.photo.root, &record.photo.path)?, record);
        }
        let mut records: Vec<_> = last.into_iter().collect();
        records.sort_unstable_by_key(|(id, _)| *id);
        self.call(Again::Idempotent, async |lent| {
            let roots = self.root_ids(lent, &records).await?;
            let mut columns = Columns::default();
            for (id, record) in &records {
                let photo = &record.photo;
                columns.ids.push(*id);
                columns.roots.push(roots.get(&photo.root).copied().unwrap_or_default());
                columns.paths.push(photo.path.as_bytes());
                columns.sizes.push(photo.size.cast_signed());
                columns.times.push(photo.mtime_ns);
                columns.hashes.push(&photo.hash);
                columns.widths.push(photo.width.into());
                columns.heights.push(photo.height.into());
                columns.embeddings.push(HalfVec::new(&record.embedding).ok_or(Error::NotFinite)?);
            }
            // A row that is as it was is not written again: it would make work for the index.
            let query = format!(
                "INSERT INTO {}.photo AS held (id, root, path, size, mtime_ns, hash, width, height, embedding)
                 SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bytea[],
                     $7::bigint[], $8::bigint[], $9::halfvec[])
                 ON CONFLICT (id) DO UPDATE SET root = excluded.root, path = excluded.path, size = excluded.size,
                     mtime_ns = excluded.mtime_ns, hash = excluded.hash, width = excluded.width,
                     height = excluded.height, embedding = excluded.embedding
                 WHERE (held.size, held.mtime_ns, held.hash, held.width, held.height, held.embedding)
                     IS DISTINCT FROM (excluded.size, excluded.mtime_ns, excluded.hash, excluded.width,
                     excluded.height, excluded.embedding)",
                self.schema.quoted
            );
            let statement = lent.prepare_cached(&query).await?;
            let c = &columns;
            let values: [&(dyn ToSql + Sync); 9] = [
                &c.ids, &c.roots, &c.paths, &c.sizes, &c.times, &c.hashes, &c.widths, &c.heights, &c.embeddings,
            ];
            let result = lent.execute(&statement, &values).await;
            if result.is_err() {
                // A gallery that was made anew has other ids for its roots.
                self.forget_roots();
            }
            result.map(drop).map_err(Fault::from)
        })
    }

    /// The ids of the records' roots, which are entered where they are new.
    async fn root_ids(
        &self,
        lent: &Lent,
        records: &[(Uuid, &Record)],
    ) -> Result<HashMap<PathBuf, i32>, Fault> {
        let mut ids = HashMap::new();
        for (_, record) in records {
            let root = &record.photo.root;
            if ids.contains_key(root) {
                continue;
            }
            let id = match self.known_root(root) {
                Some(id) => id,
                None => {
                    let id = self.root_id(lent, root).await?;
                    self.note_root(root, id);
                    id
                }
            };
            ids.insert(root.clone(), id);
        }
        Ok(ids)
    }

    async fn root_id(&self, lent: &Lent, root: &Path) -> Result<i32, Fault> {
        let bytes = photo::root_bytes(root)?;
        let schema = &self.schema.quoted;
        let insert = format!(
            "INSERT INTO {schema}.root (path) SELECT $1::bytea
             WHERE NOT EXISTS (SELECT FROM {schema}.root WHERE sha256(path) = sha256($1::bytea))
             ON CONFLICT DO NOTHING"
        );
        lent.execute(&insert, &[&bytes]).await?;
        let select = format!("SELECT id FROM {schema}.root WHERE sha256(path) = sha256($1::bytea)");
        Ok(lent.query_one(&select, &[&bytes]).await?.try_get(0)?)
    }

    pub(crate) fn touch_all(&self, batch: &[Touch]) -> Result<()> {
        if self.call(Again::Idempotent, async |lent| self.state(lent).await)?.is_none() {
            return Ok(());
        }
        for batch in batch.chunks(MAX_ROWS) {
            let mut last: Vec<_> = batch
                .iter()
                .map(|touch| (touch.id, touch))
                .collect::<HashMap<_, _>>()
                .into_values()
                .collect();
            last.sort_unstable_by_key(|touch| touch.id);
            let ids: Vec<_> = last.iter().map(|touch| Uuid::from_u128(touch.id.0)).collect();
            let sizes: Vec<_> = last.iter().map(|touch| touch.size.cast_signed()).collect();
            let times: Vec<_> = last.iter().map(|touch| touch.mtime_ns).collect();
            let query = format!(
                "UPDATE {}.photo p SET size = t.size, mtime_ns = t.mtime_ns
                 FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS t (id, size, mtime_ns) WHERE p.id = t.id",
                self.schema.quoted
            );
            self.call(Again::Idempotent, async |lent| {
                lent.execute(&query, &[&ids, &sizes, &times]).await?;
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(crate) fn delete_all(&self, which: &Selector) -> Result<u64> {
        if self.call(Again::Idempotent, async |lent| self.state(lent).await)?.is_none() {
            return Ok(0);
        }
        let schema = &self.schema.quoted;
        let mut count = 0;
        if let Selector::Ids(ids) = which {
            for ids in ids.chunks(MAX_DELETED) {
                let ids: Vec<_> = ids.iter().map(|id| Uuid::from_u128(id.0)).collect();
                let query = format!("DELETE FROM {schema}.photo WHERE id = ANY($1)");
                count +=
                    self.call(Again::Once, async |lent| Ok(lent.execute(&query, &[&ids]).await?))?;
            }
            return Ok(count);
        }
        loop {
            // What is in memory and in one transaction stays small; and each statement has the deadline for itself.
            let deleted = self.call(Again::Once, async |lent| {
                let region = match which {
                    Selector::Under(place) => Some(Region::under(&self.root_list(lent).await?, place)),
                    _ => None,
                };
                let (condition, values) =
                    region.as_ref().map_or_else(|| ("true".to_owned(), Vec::new()), |region| region.condition(1));
                let query = format!(
                    "DELETE FROM {schema}.photo WHERE id IN (
                         SELECT p.id FROM {schema}.photo p WHERE {condition} LIMIT {MAX_DELETED} FOR UPDATE)"
                );
                Ok(lent.execute(&query, &values).await?)
            })?;
            count += deleted;
            if deleted == 0 {
                return Ok(count);
            }
        }
    }
}
