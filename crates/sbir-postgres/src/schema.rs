//! The tables: made, brought up to date, and looked at before they are used.

use sbir_gallery::{Error, Result, Space};
use sha2::{Digest as _, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::{GenericClient, Row};

use crate::fault::Fault;
use crate::halfvec;
use crate::rows;
use crate::session::Lent;

/// Every migration in order; the first is version 1.
const MIGRATIONS: [(&str, &str); 1] =
    [("0001_gallery", include_str!("../migrations/0001_gallery.sql"))];
/// Up to how many migrations of a newer version are looked at.
const MAX_MIGRATIONS: usize = 1_000;
/// Held while tables are made: one for the whole database, as the extension is.
const LOCK: i64 = 0x7362_6972;
/// The oldest pgvector that goes on searching when a filter leaves too few.
const VECTOR: (u32, u32) = (0, 8);

/// The schema of a gallery.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    /// As it was named.
    pub(crate) name: String,
    /// As an identifier in SQL.
    pub(crate) quoted: String,
    gallery: String,
}

/// What a gallery is, in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) space: Space,
    pub(crate) photos: u64,
    /// Whether there is an index that searches can use.
    pub(crate) indexed: bool,
}

impl Schema {
    pub(crate) fn new(name: &str, gallery: &str) -> Self {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        Self { name: name.into(), quoted, gallery: gallery.into() }
    }

    fn refused(&self, problem: String) -> Fault {
        Fault::Store(Error::Refused { gallery: self.gallery.clone(), problem })
    }

    /// Whether there are tables of the version that is known here.
    ///
    /// # Errors
    /// If they are of another version or were altered.
    pub(crate) async fn check(&self, client: &impl GenericClient) -> Result<bool, Fault> {
        let table = format!("{}.migration", self.quoted);
        let there = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await?;
        if !there.try_get::<_, bool>(0)? {
            return Ok(false);
        }
        let applied = self.applied(client).await?;
        if applied < MIGRATIONS.len() {
            let problem = format!(
                "the schema {} is of version {applied}, and this program needs {}; run `sbir index` or `sbir load` \
                 once as its owner, which brings it up to date",
                self.name,
                MIGRATIONS.len()
            );
            return Err(self.refused(problem));
        }
        self.check_extension(client).await?;
        Ok(true)
    }

    /// How many migrations were applied, each of which must be the one that is known here.
    async fn applied(&self, client: &impl GenericClient) -> Result<usize, Fault> {
        let query = format!(
            "SELECT version, checksum FROM {}.migration ORDER BY version LIMIT {MAX_MIGRATIONS}",
            self.quoted
        );
        let read =
            |row: &Row| Ok((row.try_get::<_, i32>(0)?, row.try_get::<_, &[u8]>(1)?.to_vec()));
        let rows = rows::all(client, &query, &[], MAX_MIGRATIONS, read).await?;
        let known = MIGRATIONS.len();
        if rows.len() > known {
            let problem = format!(
                "the schema {} is of version {}, and this program knows versions up to {known}; use a newer sbir",
                self.name,
                rows.len()
            );
            return Err(self.refused(problem));
        }
        for (place, (version, checksum)) in rows.iter().enumerate() {
            if usize::try_from(*version).ok() != Some(place + 1)
                || checksum[..] != digest(MIGRATIONS[place].1)
            {
                let problem = format!(
                    "the schema {} was not made by this program (migration {version} differs); name another with \
                     ?schema=NAME and copy the photos with `sbir gallery copy` from the program that made it",
                    self.name
                );
                return Err(self.refused(problem));
            }
        }
        Ok(rows.len())
    }

    async fn check_extension(&self, client: &impl GenericClient) -> Result<(), Fault> {
        let query = "SELECT extversion FROM pg_extension WHERE extname = 'vector'";
        let Some(row) = client.query_opt(query, &[]).await? else {
            return Err(
                self.refused("the extension vector is gone; run CREATE EXTENSION vector".into())
            );
        };
        let version: &str = row.try_get(0)?;
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < VECTOR {
            let problem = format!(
                "pgvector is of version {}, and 0.8 or newer is needed; install it, then run ALTER EXTENSION vector UPDATE",
                crate::fault::one_line(version)
            );
            return Err(self.refused(problem));
        }
        Ok(())
    }

    /// What the gallery is; none before it has a space.
    pub(crate) async fn state(&self, client: &impl GenericClient) -> Result<Option<State>, Fault> {
        let query = format!(
            "SELECT fingerprint, dimension,
                (SELECT coalesce(sum(photos), 0)::bigint FROM {0}.tally),
                EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1::text) AND indisvalid)
             FROM {0}.space",
            self.quoted
        );
        let Some(row) = client.query_opt(&query, &[&self.index()]).await? else { return Ok(None) };
        let photos = u64::try_from(row.try_get::<_, i64>(2)?)
            .map_err(|_| Fault::Answer("a gallery with a count below zero".into()))?;
        let space = Space { fingerprint: row.try_get(0)?, dimension: dimension(&row, 1)? };
        Ok(Some(State { space, photos, indexed: row.try_get(3)? }))
    }

    /// The name of the index of embeddings.
    pub(crate) fn index(&self) -> String {
        format!("{}.photo_embedding", self.quoted)
    }

    /// Makes the tables, or brings them up to date, and binds them to a space; any number of clients may do so at once.
    ///
    /// # Errors
    /// If they are another space's, or may not be made.
    pub(crate) async fn ensure(&self, lent: &mut Lent, space: &Space) -> Result<(), Fault> {
        if self.check(lent.client()).await.unwrap_or(false)
            && let Some(held) = self.state(lent.client()).await?
        {
            return Ok(space.check(&self.gallery, &held.space)?);
        }
        let schema = &self.quoted;
        let transaction = lent.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        let there = transaction
            .query_one("SELECT to_regnamespace($1::text) IS NOT NULL", &[&self.quoted])
            .await?;
        if !there.try_get::<_, bool>(0)? {
            transaction.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
        }
        self.make_extension(&transaction).await?;
        // Where names in the migrations lead to, and the operators are.
        let path = "SELECT set_config('search_path', $1::text || ', ' || quote_ident(n.nspname), true)
            FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'";
        transaction.execute(path, &[&self.quoted]).await?;
        transaction
            .batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS {schema}.migration (
                     version integer PRIMARY KEY,
                     name text NOT NULL,
                     checksum bytea NOT NULL,
                     applied timestamptz NOT NULL DEFAULT now()
                 )"
            ))
            .await?;
        let applied = self.applied(&*transaction).await?;
        for (place, (name, text)) in MIGRATIONS.iter().enumerate().skip(applied) {
            transaction.batch_execute(text).await?;
            let insert = format!(
                "INSERT INTO {schema}.migration (version, name, checksum) VALUES ($1, $2, $3)"
            );
            transaction.execute(&insert, &[&(place as i32 + 1), name, &&digest(text)[..]]).await?;
        }
        self.check_extension(&*transaction).await?;
        match self.state(&*transaction).await? {
            Some(held) => space.check(&self.gallery, &held.space)?,
            None => {
                let dimension = space.dimension as i32;
                let insert =
                    format!("INSERT INTO {schema}.space (fingerprint, dimension) VALUES ($1, $2)");
                transaction.execute(&insert, &[&space.fingerprint, &dimension]).await?;
                // The table is empty: nothing is written anew.
                let alter = format!(
                    "ALTER TABLE {schema}.photo ALTER COLUMN embedding TYPE halfvec({dimension})"
                );
                transaction.batch_execute(&alter).await?;
            }
        }
        transaction.commit().await?;
        // This connection may be older than the extension.
        let path = "SELECT set_config('search_path', quote_ident(n.nspname), false)
            FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'";
        lent.execute(path, &[]).await?;
        Ok(())
    }

    async fn make_extension(
        &self,
        transaction: &deadpool_postgres::Transaction<'_>,
    ) -> Result<(), Fault> {
        let query = "SELECT FROM pg_extension WHERE extname = 'vector'";
        if transaction.query_opt(query, &[]).await?.is_some() {
            return Ok(());
        }
        let Err(error) = transaction.batch_execute("CREATE EXTENSION vector SCHEMA public").await
        else {
            return Ok(());
        };
        let remedy = match error.code() {
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                "the extension vector is not in this database, and this user may not create it; \
                 have the database's owner run CREATE EXTENSION vector"
            }
            // Its control file is not there.
            Some(code) if matches!(code.code(), "0A000" | "58P01") => {
                "the server does not have the extension vector; install pgvector 0.8 or newer there \
                 (on Debian and Ubuntu the package postgresql-16-pgvector, by the server's version)"
            }
            _ => return Err(error.into()),
        };
        Err(self.refused(remedy.into()))
    }
}

/// The dimension of a gallery's vectors.
///
/// # Errors
/// If no vector can have it.
pub(crate) fn dimension(row: &Row, column: usize) -> Result<usize, Fault> {
    let dimension = usize::try_from(row.try_get::<_, i32>(column)?).ok();
    let sound = dimension.filter(|dimension| (1..=halfvec::MAX_DIMENSION).contains(dimension));
    sound.ok_or_else(|| Fault::Answer("a gallery of a dimension that no vector can have".into()))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
