//! Searching: exactly where few photos are allowed, else along the index, and exactly again where that fell short.

use deadpool_postgres::Transaction;
use sbir_gallery::{Error, Hit, Hits, Result, SearchOptions};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use crate::Postgres;
use crate::fault::Fault;
use crate::halfvec::HalfVec;
use crate::photo::{self, COLUMNS};
use crate::read::MAX_ROOTS;
use crate::region::Region;
use crate::rows;
use crate::session::{Again, Lent};

/// The longest list that is looked for along the index, whose `hnsw.ef_search` goes to 1,000.
const MAX_NEAREST: usize = 500;
/// The most photos of a list.
const MAX_HITS: usize = 100_000;
/// How many photos the index looks at before it gives up on a filter.
const MAX_SCANNED: usize = 100_000;

/// How far photos are counted at most to find out whether they are few.
const MAX_COUNT: usize = i64::MAX as usize;

/// Where a search looks.
enum Scope {
    /// Everywhere.
    All,
    /// At or below a place.
    Region(Region),
}

impl Scope {
    fn condition(&self, next: usize) -> (String, Vec<&(dyn ToSql + Sync)>) {
        match self {
            Self::All => ("true".into(), Vec::new()),
            Self::Region(region) => region.condition(next),
        }
    }
}

impl Postgres {
    pub(crate) fn nearest(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        let mut halves = Vec::with_capacity(queries.len());
        for query in queries {
            if !query.iter().all(|value| value.is_finite()) {
                return Err(Error::NotFinite);
            }
            halves.push(HalfVec(query.iter().map(|value| half::f16::from_f32(*value)).collect()));
        }
        if halves.iter().any(|query| !query.0.iter().all(|value| value.is_finite())) {
            return Err(Error::NotFinite);
        }
        self.call(Again::Idempotent, async |lent| self.nearest_in(lent, &halves, options).await)
    }

    async fn nearest_in(
        &self,
        lent: &mut Lent,
        queries: &[HalfVec],
        options: &SearchOptions,
    ) -> Result<Vec<Hits>, Fault> {
        let nothing = || Hits { items: Vec::new(), exhaustive: true, searched: 0 };
        if self.state(lent).await?.is_none() {
            return Ok(queries.iter().map(|_| nothing()).collect());
        }
        // One view of everything, so that counts and rows agree.
        let isolation = IsolationLevel::RepeatableRead;
        let transaction =
            lent.build_transaction().isolation_level(isolation).read_only(true).start().await?;
        let Some(state) = self.schema.state(&*transaction).await? else {
            return Ok(queries.iter().map(|_| nothing()).collect());
        };
        self.same_space(&state.space)?;
        for query in queries {
            self.same_dimension(query.0.len(), state.space.dimension)?;
        }
        let scope = match &options.under {
            None => Scope::All,
            Some(place) => Scope::Region(Region::under(&self.roots_of(&transaction).await?, place)),
        };
        let (scope, count) = self.count(&transaction, scope, state.photos).await?;
        let exact = self.options.exact as u64;
        let approximate = state.indexed && count > exact && options.k <= MAX_NEAREST;
        if approximate {
            let candidates = (options.k * 2).clamp(self.options.ef_search.min(1000), 1000);
            transaction
                .batch_execute(&format!(
                    "SET LOCAL hnsw.ef_search = {candidates}; SET LOCAL hnsw.iterative_scan = relaxed_order;
                     SET LOCAL hnsw.max_scan_tuples = {MAX_SCANNED}; SET LOCAL enable_seqscan = off"
                ))
                .await?;
        }
        let mut found = Vec::with_capacity(queries.len());
        for query in queries {
            let mut hits = None;
            if approximate {
                let items = self.along_index(&transaction, query, &scope, options.k).await?;
                // Fewer than there are: the index gave up. An exact search does not.
                if items.len() == options.k {
                    hits = Some(Hits { items, exhaustive: false, searched: state.photos });
                }
            }
            let mut hits = match hits {
                Some(hits) => hits,
                None => {
                    let searched = match count > exact {
                        true => self.count_all(&transaction, &scope, state.photos).await?,
                        false => count,
                    };
                    let items = self.exactly(&transaction, query, &scope, options.k).await?;
                    let expected = (options.k.min(MAX_HITS) as u64).min(searched);
                    if items.len() as u64 != expected {
                        let problem = format!("{} photos where {expected} are", items.len());
                        return Err(Fault::Answer(problem));
                    }
                    Hits { items, exhaustive: true, searched }
                }
            };
            hits.items
                .sort_by(|a, b| b.score.total_cmp(&a.score).then(a.photo.id.cmp(&b.photo.id)));
            if let Some(least) = options.min_score {
                hits.items.retain(|hit| hit.score >= least);
            }
            found.push(hits);
        }
        transaction.commit().await?;
        Ok(found)
    }

    async fn roots_of(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<Vec<(i32, std::path::PathBuf)>, Fault> {
        // More would be an error, and not a list that is short.
        let limit = MAX_ROOTS + 1;
        let query = format!("SELECT id, path FROM {}.root LIMIT {limit}", self.schema.quoted);
        let statement = transaction.prepare_cached(&query).await?;
        let read = |row: &Row| Ok((row.try_get(0)?, photo::root(row.try_get(1)?)?));
        rows::all(&**transaction, &statement, &[], MAX_ROOTS, read).await
    }

    /// How many photos are in a scope, up to one more than are all compared; a scope that has all is all.
    async fn count(
        &self,
        transaction: &Transaction<'_>,
        scope: Scope,
        photos: u64,
    ) -> Result<(Scope, u64), Fault> {
        let Scope::Region(region) = &scope else { return Ok((scope, photos)) };
        if region.is_whole() {
            let count = self.count_all(transaction, &scope, photos).await?;
            return Ok(if count == photos { (Scope::All, count) } else { (scope, count) });
        }
        let (condition, values) = scope.condition(1);
        let query = format!(
            "SELECT count(*) FROM (SELECT FROM {}.photo p WHERE {condition} LIMIT {}) t",
            self.schema.quoted,
            self.options.exact.saturating_add(1).min(MAX_COUNT)
        );
        let count = number(transaction, &query, &values).await?;
        Ok((scope, count))
    }

    /// How many photos are in a scope.
    async fn count_all(
        &self,
        transaction: &Transaction<'_>,
        scope: &Scope,
        photos: u64,
    ) -> Result<u64, Fault> {
        let schema = &self.schema.quoted;
        match scope {
            Scope::All => Ok(photos),
            Scope::Region(region) if region.is_whole() => {
                let query = format!(
                    "SELECT coalesce(sum(photos), 0)::bigint FROM {schema}.tally WHERE root = ANY($1::integer[])"
                );
                number(transaction, &query, &[&region.roots]).await
            }
            Scope::Region(region) => {
                let (condition, values) = region.condition(1);
                let query = format!("SELECT count(*) FROM {schema}.photo p WHERE {condition}");
                number(transaction, &query, &values).await
            }
        }
    }

    /// The nearest by comparing all in a scope. The sum hides the distance from the index.
    async fn exactly(
        &self,
        transaction: &Transaction<'_>,
        query: &HalfVec,
        scope: &Scope,
        k: usize,
    ) -> Result<Vec<Hit>, Fault> {
        let (condition, values) = scope.condition(3);
        let nearest = format!(
            "SELECT p.id, (p.embedding <#> $1::halfvec) + 0 AS distance FROM {}.photo p WHERE {condition}
             ORDER BY distance, p.id LIMIT $2::bigint",
            self.schema.quoted
        );
        self.hits(transaction, &nearest, query, k.min(MAX_HITS), k.min(MAX_HITS), &values).await
    }

    /// The nearest as the index finds them.
    async fn along_index(
        &self,
        transaction: &Transaction<'_>,
        query: &HalfVec,
        scope: &Scope,
        k: usize,
    ) -> Result<Vec<Hit>, Fault> {
        let (condition, values) = scope.condition(3);
        let nearest = format!(
            "SELECT p.id, p.embedding <#> $1::halfvec AS distance FROM {}.photo p WHERE {condition}
             ORDER BY p.embedding <#> $1::halfvec LIMIT $2::bigint",
            self.schema.quoted
        );
        // Where a filter leaves photos out the order is not quite that of distance: some more, of which the best are kept.
        let more = match scope {
            Scope::All => k,
            Scope::Region(_) => k + k / 2 + 10,
        };
        self.hits(transaction, &nearest, query, more, k, &values).await
    }

    /// The photos that a statement finds, which gives ids and distances.
    async fn hits(
        &self,
        transaction: &Transaction<'_>,
        nearest: &str,
        query: &HalfVec,
        limit: usize,
        k: usize,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Hit>, Fault> {
        let limit = limit as i64;
        let schema = &self.schema.quoted;
        let statement = format!(
            "SELECT {COLUMNS}, n.distance FROM ({nearest}) n
             JOIN {schema}.photo p ON p.id = n.id JOIN {schema}.root r ON r.id = p.root
             ORDER BY n.distance, p.id"
        );
        let statement = transaction.prepare_cached(&statement).await?;
        let values: Vec<&(dyn ToSql + Sync)> = [query as &(dyn ToSql + Sync), &limit]
            .into_iter()
            .chain(values.iter().copied())
            .collect();
        let read = |row: &Row| {
            let score = -row.try_get::<_, f64>(8)? as f32;
            if !score.is_finite() {
                return Err(Fault::Answer("a distance that is no finite number".into()));
            }
            Ok(Hit { photo: photo::photo(row)?, score })
        };
        let mut hits = rows::all(&**transaction, &statement, &values, limit as usize, read).await?;
        hits.truncate(k);
        Ok(hits)
    }
}

async fn number(
    client: &Transaction<'_>,
    query: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<u64, Fault> {
    Ok(client.query_one(query, values).await?.try_get::<_, i64>(0)?.unsigned_abs())
}
