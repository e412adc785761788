//! Writing and deleting.

use std::collections::{BTreeMap, HashMap};

use sbir_gallery::{Error, Record, Result, Selector, Space, Touch};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Postgres;
use crate::fault::Fault;
use crate::halfvec::HalfVec;
use crate::photo;
use crate::region::Region;
use crate::schema;
use crate::session::{Again, Lent};

/// How many photos a statement writes at most, and how many bytes of vectors and paths: what is in memory at once.
const MAX_ROWS: usize = 2_000;
const MAX_BYTES: usize = 4 << 20;
/// How often photos are written at most when their roots are not there: once to find it out, once with the roots entered.
const MAX_ATTEMPTS: usize = 2;
/// How many photos a statement deletes.
const MAX_DELETED: usize = 20_000;

/// Photos by column.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    /// Places in the list of roots, from 1.
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
        let space = state.ok_or_else(no_space)?.space;
        self.same_space(&space)?;
        // All is looked at before any of it is written.
        for record in batch {
            self.fits(&record.embedding, space.dimension)?;
            HalfVec::new(&record.embedding).ok_or(Error::NotFinite)?;
            photo::root_bytes(&record.photo.root)?;
        }
        let (mut start, mut bytes) = (0, 0);
        for (end, record) in batch.iter().enumerate() {
            let size = record.embedding.len() * 2 + record.photo.path.as_bytes().len() + 150;
            if end > start && (end - start == MAX_ROWS || bytes + size > MAX_BYTES) {
                self.write_some(&batch[start..end], &space)?;
                (start, bytes) = (end, 0);
            }
            bytes += size;
        }
        if start < batch.len() { self.write_some(&batch[start..], &space) } else { Ok(()) }
    }

    /// One statement's worth. The statement itself looks at the space and finds the roots' ids, so that all of it is about
    /// one gallery: between two statements one may be removed and made anew, with other ids and another encoder.
    fn write_some(&self, batch: &[Record], space: &Space) -> Result<()> {
        // A photo that comes twice is written as it came last; in order of id, so that two writers cannot each wait for
        // the other.
        let mut last = HashMap::with_capacity(batch.len());
        let mut places = BTreeMap::new();
        for record in batch {
            last.insert(photo::id(&record.photo.root, &record.photo.path)?, record);
            places.insert(&record.photo.root, 0);
        }
        let mut roots = Vec::with_capacity(places.len());
        for (root, place) in &mut places {
            roots.push(photo::root_bytes(root)?);
            *place = roots.len() as i32;
        }
        let mut records: Vec<_> = last.into_iter().collect();
        records.sort_unstable_by_key(|(id, _)| *id);
        let mut columns = Columns::default();
        for (id, record) in &records {
            let photo = &record.photo;
            columns.ids.push(*id);
            columns.roots.push(places[&photo.root]);
            columns.paths.push(photo.path.as_bytes());
            columns.sizes.push(photo.size.cast_signed());
            columns.times.push(photo.mtime_ns);
            columns.hashes.push(&photo.hash);
            columns.widths.push(photo.width.into());
            columns.heights.push(photo.height.into());
            columns.embeddings.push(HalfVec::new(&record.embedding).ok_or(Error::NotFinite)?);
        }
        let dimension = space.dimension as i32;
        let c = &columns;
        let values: [&(dyn ToSql + Sync); 12] = [
            &roots,
            &space.fingerprint,
            &dimension,
            &c.ids,
            &c.roots,
            &c.paths,
            &c.sizes,
            &c.times,
            &c.hashes,
            &c.widths,
            &c.heights,
            &c.embeddings,
        ];
        // A row that is as it was is not written again: it would make work for the index.
        let schema = &self.schema.quoted;
        let query = format!(
            "WITH gallery AS (
                 SELECT s.fingerprint, s.dimension, ARRAY(
                     SELECT r.id FROM unnest($1::bytea[]) WITH ORDINALITY AS n (path, place)
                     LEFT JOIN {schema}.root r ON sha256(r.path) = sha256(n.path) ORDER BY n.place) AS roots
                 FROM {schema}.space s),
             written AS (
                 INSERT INTO {schema}.photo AS held (id, root, path, size, mtime_ns, hash, width, height, embedding)
                 SELECT n.id, (SELECT roots FROM gallery)[n.root], n.path, n.size, n.mtime_ns, n.hash, n.width, n.height,
                     n.embedding
                 FROM unnest($4::uuid[], $5::integer[], $6::bytea[], $7::bigint[], $8::bigint[], $9::bytea[],
                     $10::bigint[], $11::bigint[], $12::halfvec[])
                     AS n (id, root, path, size, mtime_ns, hash, width, height, embedding)
                 WHERE EXISTS (SELECT FROM gallery WHERE fingerprint = $2::text AND dimension = $3::integer
                     AND array_position(roots, NULL) IS NULL)
                 ON CONFLICT (id) DO UPDATE SET root = excluded.root, path = excluded.path, size = excluded.size,
                     mtime_ns = excluded.mtime_ns, hash = excluded.hash, width = excluded.width,
                     height = excluded.height, embedding = excluded.embedding
                 WHERE (held.size, held.mtime_ns, held.hash, held.width, held.height, held.embedding)
                     IS DISTINCT FROM (excluded.size, excluded.mtime_ns, excluded.hash, excluded.width,
                     excluded.height, excluded.embedding))
             SELECT fingerprint, dimension, array_position(roots, NULL) IS NULL FROM gallery"
        );
        self.call(Again::Idempotent, async |lent| {
            for _ in 0..MAX_ATTEMPTS {
                let statement = lent.prepare_cached(&query).await?;
                let row = lent.query_opt(&statement, &values).await?.ok_or_else(no_space)?;
                let held = Space { fingerprint: row.try_get(0)?, dimension: schema::dimension(&row, 1)? };
                space.check(&self.session.name, &held)?;
                if row.try_get(2)? {
                    return Ok(());
                }
                self.enter_roots(lent, &roots).await?;
            }
            let problem = "the folders of photos went as soon as they were entered; is the gallery being removed?";
            let gallery = self.session.name.clone();
            Err(Error::Refused { gallery, problem: problem.into() }.into())
        })
    }

    /// Enters roots, which come in order, where they are new.
    async fn enter_roots(&self, lent: &Lent, roots: &[Vec<u8>]) -> Result<(), Fault> {
        let insert = format!(
            "INSERT INTO {0}.root (path) SELECT n.path FROM unnest($1::bytea[]) WITH ORDINALITY AS n (path, place)
             WHERE NOT EXISTS (SELECT FROM {0}.root r WHERE sha256(r.path) = sha256(n.path))
             ORDER BY n.place ON CONFLICT DO NOTHING",
            self.schema.quoted
        );
        lent.execute(&insert, &[&roots]).await?;
        Ok(())
    }

    pub(crate) fn touch_all(&self, batch: &[Touch]) -> Result<()> {
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
                let Some(state) = self.state(lent).await? else { return Ok(()) };
                self.same_space(&state.space)?;
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

/// What a writer is told before the first `ensure`.
fn no_space() -> Error {
    Error::BadEmbedding { expected: "a space (ensure)".into(), found: "vectors".into() }
}
