//! The index of embeddings, which is derived: searches work without it, and it can be built anew at any time.

use sbir_gallery::Result;
use tokio_postgres::Row;

use crate::Postgres;
use crate::fault::Fault;
use crate::rows;
use crate::session::{Again, Lent};

/// Links of a vector on each layer, and how far a new one looks for them: pgvector's `m` and `ef_construction`.
const LINKS: usize = 32;
const CONSTRUCTION: usize = 160;
/// The upper half of the lock that a builder holds; the lower is the table's number.
const LOCK: i64 = 0x7362_6972;
/// The most memory that a build asks for, unless the server's own `maintenance_work_mem` is more.
const MAX_MEMORY: usize = 4 << 30;
/// How many indexes that were left half built are removed at a time.
const MAX_LEFT: usize = 1_000;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Build it if it is missing, or was left half built.
    Missing,
    /// Build it anew.
    Anew,
}

impl Postgres {
    /// Builds the index, while others read and write. Where another client is at it, that one is left to do it.
    pub(crate) fn build_index(&self, build: Build) -> Result<()> {
        let found = self.call(Again::Idempotent, async |lent| {
            let Some(state) = self.state(lent).await? else { return Ok(None) };
            Ok(Some(state))
        })?;
        let Some(state) = found else { return Ok(()) };
        let many = state.photos > self.options.exact as u64;
        let wanted = match build {
            // An index that is never used would make writing slower.
            Build::Missing => !state.indexed && many,
            Build::Anew => many,
        };
        if !wanted && build == Build::Missing {
            return Ok(());
        }
        let memory = (state.photos as usize)
            .saturating_mul(state.space.dimension * 2 + LINKS * 24 + 200)
            .clamp(64 << 20, MAX_MEMORY);
        self.session.call_long(self.options.build_within, &async |lent: &mut Lent| {
            // Its settings and its lock are the connection's: they must not go back to the pool.
            let result = self.build_alone(lent, build, wanted, memory).await;
            let milliseconds = self.options.deadline.as_millis().max(1);
            lent.batch_execute(&format!(
                "SELECT pg_advisory_unlock_all();
                 SET statement_timeout = {milliseconds};
                 RESET maintenance_work_mem"
            ))
            .await?;
            result
        })
    }

    async fn build_alone(
        &self,
        lent: &Lent,
        build: Build,
        wanted: bool,
        memory: usize,
    ) -> Result<(), Fault> {
        let schema = &self.schema.quoted;
        let table = format!("{schema}.photo");
        let lock =
            "SELECT pg_try_advisory_lock(($1::bigint << 32) | $2::text::regclass::oid::bigint)";
        if !lent.query_one(lock, &[&LOCK, &table]).await?.try_get::<_, bool>(0)? {
            return Ok(());
        }
        let kilobytes = memory >> 10;
        lent.batch_execute(&format!(
            "SET statement_timeout = {};
             SELECT set_config('maintenance_work_mem', greatest({kilobytes}, setting::bigint)::text, false)
                 FROM pg_settings WHERE name = 'maintenance_work_mem'",
            self.options.build_within.as_millis()
        ))
        .await?;
        let query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1::text)";
        let valid = lent.query_opt(query, &[&self.schema.index()]).await?;
        let valid = valid.map(|row| row.try_get::<_, bool>(0)).transpose()?;
        // What builds that were cut off left behind, which would make writing slower.
        let left =
            "SELECT quote_ident(c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = $1::text::regclass AND NOT i.indisvalid LIMIT $2::bigint";
        let read = |row: &Row| Ok(row.try_get::<_, String>(0)?);
        for name in
            rows::all(lent.client(), left, &[&table, &(MAX_LEFT as i64)], MAX_LEFT, read).await?
        {
            lent.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {schema}.{name}"))
                .await?;
        }
        if !wanted {
            // Few photos are left: they are all compared.
            if valid == Some(true) {
                lent.batch_execute(&format!(
                    "DROP INDEX CONCURRENTLY IF EXISTS {}",
                    self.schema.index()
                ))
                .await?;
            }
        } else if valid == Some(true) && build == Build::Anew {
            lent.batch_execute(&format!("REINDEX INDEX CONCURRENTLY {}", self.schema.index()))
                .await?;
        } else if valid != Some(true) {
            lent.batch_execute(&format!(
                "CREATE INDEX CONCURRENTLY photo_embedding ON {table} USING hnsw (embedding halfvec_ip_ops)
                 WITH (m = {LINKS}, ef_construction = {CONSTRUCTION})"
            ))
            .await?;
        }
        lent.batch_execute(&format!("ANALYZE {table}")).await?;
        Ok(())
    }

    /// Gives the space of deleted photos back to new ones, and builds the index anew.
    pub(crate) fn tidy(&self) -> Result<()> {
        let there =
            self.call(Again::Idempotent, async |lent| Ok(self.state(lent).await?.is_some()))?;
        if !there {
            return Ok(());
        }
        self.build_index(Build::Anew)?;
        self.session.call_long(self.options.build_within, &async |lent: &mut Lent| {
            lent.batch_execute(&format!(
                "SET statement_timeout = {}",
                self.options.build_within.as_millis()
            ))
            .await?;
            lent.batch_execute(&format!("VACUUM (ANALYZE) {}.photo", self.schema.quoted)).await?;
            let milliseconds = self.options.deadline.as_millis().max(1);
            lent.batch_execute(&format!("SET statement_timeout = {milliseconds}")).await?;
            Ok(())
        })
    }
}
