//! Reading photos.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sbir_gallery::{
    Cursor, MAX_PAGE, Page, Photo, PhotoId, Record, RelPath, Result, RootInfo, Stats,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Postgres;
use crate::fault::Fault;
use crate::photo::{self, COLUMNS};
use crate::region::Region;
use crate::rows;
use crate::session::{Again, Lent};

/// How many photos of some content are given.
const MAX_ALIKE: usize = 4;
/// How many roots there may be.
pub(crate) const MAX_ROOTS: usize = 100_000;
/// The most bytes of vectors that a page has.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Galleries of up to so many photos are sampled from all.
const MAX_SHUFFLED: u64 = 50_000;

impl Postgres {
    /// Rows of photos where a condition on `p` holds.
    fn select(&self, columns: &str, rest: &str) -> String {
        let schema = &self.schema.quoted;
        format!(
            "SELECT {columns} FROM {schema}.photo p JOIN {schema}.root r ON r.id = p.root WHERE {rest}"
        )
    }

    /// A page of rows, of which there is one more than it has where there is another page.
    async fn page<T>(
        &self,
        lent: &Lent,
        (columns, region): (&str, Option<&Region>),
        (after, limit): (Option<Cursor>, usize),
        read: impl Fn(&Row) -> Result<T, Fault>,
        id: impl Fn(&T) -> PhotoId,
    ) -> Result<Page<T>, Fault> {
        let after = after.map(|Cursor(id)| Uuid::from_u128(id.0));
        let most = limit as i64 + 1;
        let (condition, values) =
            region.map_or_else(|| ("true".into(), Vec::new()), |region| region.condition(3));
        let after_it = "($1::uuid IS NULL OR p.id > $1::uuid)";
        let query = self
            .select(columns, &format!("{after_it} AND {condition} ORDER BY p.id LIMIT $2::bigint"));
        let values: Vec<&(dyn ToSql + Sync)> =
            [&after as &(dyn ToSql + Sync), &most].into_iter().chain(values).collect();
        let statement = lent.prepare_cached(&query).await?;
        let mut items = rows::all(lent.client(), &statement, &values, limit + 1, read).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        if !items.is_sorted_by(|a, b| id(a) < id(b))
            || after.is_some_and(|after| {
                items.first().is_some_and(|first| id(first).0 <= after.as_u128())
            })
        {
            return Err(Fault::Answer("photos in no order".into()));
        }
        let next = items.last().filter(|_| more).map(|last| Cursor(id(last)));
        Ok(Page { items, next })
    }

    pub(crate) fn list_page(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.call(Again::Idempotent, async |lent| {
            if self.state(lent).await?.is_none() {
                return Ok(Page { items: Vec::new(), next: None });
            }
            let region = match under {
                Some(place) => Some(Region::under(&self.root_list(lent).await?, place)),
                None => None,
            };
            let what = (COLUMNS, region.as_ref());
            self.page(lent, what, (after, limit), photo::photo, |photo| photo.id).await
        })
    }

    pub(crate) fn scan_page(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        self.call(Again::Idempotent, async |lent| {
            let Some(state) = self.state(lent).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let dimension = state.space.dimension;
            let limit = limit.clamp(1, MAX_PAGE).min((MAX_PAGE_BYTES / (dimension * 2)).max(1));
            let columns = format!("{COLUMNS}, p.embedding");
            let read = |row: &Row| photo::record(row, dimension);
            self.page(lent, (&columns, None), (after, limit), read, |record| record.photo.id).await
        })
    }

    pub(crate) fn records(&self, ids: &[PhotoId]) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        for ids in ids.chunks(1000) {
            let ids: Vec<_> = ids.iter().map(|id| Uuid::from_u128(id.0)).collect();
            let query = self.select(&format!("{COLUMNS}, p.embedding"), "p.id = ANY($1)");
            let some = self.call(Again::Idempotent, async |lent| {
                let Some(state) = self.state(lent).await? else { return Ok(Vec::new()) };
                let read = |row: &Row| photo::record(row, state.space.dimension);
                rows::all(lent.client(), &query, &[&ids], ids.len(), read).await
            })?;
            found.extend(some);
        }
        Ok(found)
    }

    pub(crate) fn by_path(&self, root: &Path, paths: &[RelPath]) -> Result<Vec<Option<Photo>>> {
        let mut ids = Vec::with_capacity(paths.len());
        for path in paths {
            ids.push(photo::id(root, path)?);
        }
        let query = self.select(COLUMNS, "p.id = ANY($1)");
        let mut found = HashMap::new();
        for ids in ids.chunks(1000) {
            let some = self.call(Again::Idempotent, async |lent| {
                if self.state(lent).await?.is_none() {
                    return Ok(Vec::new());
                }
                rows::all(lent.client(), &query, &[&ids], ids.len(), photo::photo).await
            })?;
            found.extend(some.into_iter().map(|photo| (photo.id, photo)));
        }
        let at = |(id, path): (&Uuid, &RelPath)| {
            let photo = found.get(&PhotoId(id.as_u128()))?;
            (photo.root == root && photo.path == *path).then(|| photo.clone())
        };
        Ok(ids.iter().zip(paths).map(at).collect())
    }

    pub(crate) fn alike(&self, hash: &[u8; 32]) -> Result<Vec<Record>> {
        let rest = format!("p.hash = $1 ORDER BY p.id LIMIT {MAX_ALIKE}");
        let query = self.select(&format!("{COLUMNS}, p.embedding"), &rest);
        self.call(Again::Idempotent, async |lent| {
            let Some(state) = self.state(lent).await? else { return Ok(Vec::new()) };
            let statement = lent.prepare_cached(&query).await?;
            let read = |row: &Row| photo::record(row, state.space.dimension);
            rows::all(lent.client(), &statement, &[&&hash[..]], MAX_ALIKE, read).await
        })
    }

    pub(crate) fn some(&self, count: usize) -> Result<Vec<Photo>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let count = count.min(MAX_PAGE);
        let schema = &self.schema.quoted;
        self.call(Again::Idempotent, async |lent| {
            let Some(state) = self.state(lent).await? else { return Ok(Vec::new()) };
            let most = count as i64;
            let draw = async |source: String| {
                let ids =
                    format!("SELECT id FROM {schema}.photo {source} ORDER BY random() LIMIT $1");
                let query = self.select(COLUMNS, &format!("p.id IN ({ids})"));
                rows::all(lent.client(), &query, &[&most], count, photo::photo).await
            };
            if state.photos > MAX_SHUFFLED {
                // Whole pages of the table are drawn, each as likely as any other, several times as many rows as needed.
                let share = (count as f64 * 20.0 + 1000.0) / state.photos as f64;
                let photos =
                    draw(format!("TABLESAMPLE SYSTEM ({:.6})", (share * 100.0).min(100.0))).await?;
                if photos.len() == count {
                    return Ok(photos);
                }
            }
            draw(String::new()).await
        })
    }

    /// The roots with their ids.
    pub(crate) async fn root_list(&self, lent: &Lent) -> Result<Vec<(i32, PathBuf)>, Fault> {
        let query = format!(
            "SELECT id, path FROM {}.root ORDER BY path LIMIT {MAX_ROOTS}",
            self.schema.quoted
        );
        let statement = lent.prepare_cached(&query).await?;
        let read = |row: &Row| Ok((row.try_get(0)?, photo::root(row.try_get(1)?)?));
        rows::all(lent.client(), &statement, &[], MAX_ROOTS, read).await
    }

    pub(crate) fn root_infos(&self) -> Result<Vec<RootInfo>> {
        let schema = &self.schema.quoted;
        let query = format!(
            "SELECT r.path, sum(t.photos)::bigint FROM {schema}.root r JOIN {schema}.tally t ON t.root = r.id
             GROUP BY r.id, r.path HAVING sum(t.photos) > 0 ORDER BY r.path LIMIT {MAX_ROOTS}"
        );
        let found = self.call(Again::Idempotent, async |lent| {
            if self.state(lent).await?.is_none() {
                return Ok(Vec::new());
            }
            let read = |row: &Row| {
                Ok((photo::root(row.try_get(0)?)?, row.try_get::<_, i64>(1)?.unsigned_abs()))
            };
            rows::all(lent.client(), &query, &[], MAX_ROOTS, read).await
        })?;
        // Looks at folders, which may lie on a slow disk: not within the deadline of the server.
        Ok(found.into_iter().map(|(path, photos)| RootInfo::new(path, photos)).collect())
    }

    pub(crate) fn statistics(&self) -> Result<Stats> {
        let schema = &self.schema.quoted;
        let query = format!(
            "SELECT count(*) FILTER (WHERE photos > 0), coalesce(sum(changes), 0)::bigint,
                 coalesce(sum(photos), 0)::bigint, pg_total_relation_size($1::text::regclass)
             FROM (SELECT sum(photos) AS photos, sum(changes) AS changes FROM {schema}.tally GROUP BY root) t"
        );
        self.call(Again::Idempotent, async |lent| {
            let Some(state) = self.state(lent).await? else {
                return Ok(Stats { space: None, photos: 0, roots: 0, generation: 0, bytes: 0 });
            };
            let row = lent.query_one(&query, &[&format!("{schema}.photo")]).await?;
            let number = |column| Ok::<_, Fault>(row.try_get::<_, i64>(column)?.unsigned_abs());
            Ok(Stats {
                space: Some(state.space),
                roots: number(0)?,
                generation: number(1)?,
                photos: number(2)?,
                bytes: number(3)?,
            })
        })
    }
}
