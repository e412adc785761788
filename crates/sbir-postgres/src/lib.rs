//! Galleries in PostgreSQL with pgvector: a [`VectorStore`] for teams that run PostgreSQL already.
//!
//! ```no_run
//! # fn main() -> sbir_gallery::Result<()> {
//! use sbir_gallery::{SearchOptions, VectorStore as _};
//! use sbir_postgres::{Options, Postgres};
//!
//! // The password comes from PGPASSWORD or ~/.pgpass.
//! let gallery = Postgres::connect("postgres://me@db.example.org/photos", Options::default())?;
//! println!("{} photos in {}", gallery.stats()?.photos, gallery.name());
//! # Ok(())
//! # }
//! ```
//!
//! The tables lie in a schema of their own and are made by the first [`ensure`](VectorStore::ensure). Photos are rows;
//! the index of embeddings is derived from them, built by [`settle`](VectorStore::settle) once there are enough to need
//! it, and searches are exact without it.

mod address;
mod fault;
mod halfvec;
mod index;
mod password;
mod photo;
mod read;
mod region;
mod rows;
mod schema;
mod search;
mod session;
mod tls;
mod write;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sbir_gallery::{
    Cursor, Error, Hits, Page, Photo, PhotoId, Record, RelPath, Result, RootInfo, SearchOptions,
    Selector, Space, Stats, Touch, VectorStore,
};

use address::Address;
use fault::Fault;
use index::Build;
use schema::{Schema, State};
use session::{Again, Lent, Session};

/// The longest vector that pgvector's index takes as `halfvec`.
pub const MAX_DIMENSION: usize = 4_000;

/// How a gallery is talked to.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// The password; else it is found in the environment.
    pub password: Option<String>,
    /// How long a call may take, second tries included. One that writes or deletes many photos takes it for each of its
    /// statements.
    pub deadline: Duration,
    /// How long making a connection may take, for each host.
    pub connect_within: Duration,
    /// How long building the index may take.
    pub build_within: Duration,
    /// How many connections there are at most.
    pub connections: usize,
    /// Up to so many photos are all compared: about as quick as the index, and exact.
    pub exact: usize,
    /// How many photos a search along the index keeps in view (`hnsw.ef_search`), up to 1,000: more finds more of the
    /// nearest, and takes longer.
    pub ef_search: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            password: None,
            deadline: Duration::from_secs(30),
            connect_within: Duration::from_secs(5),
            build_within: Duration::from_secs(24 * 3600),
            connections: 8,
            exact: 20_000,
            ef_search: 1000,
        }
    }
}

/// Without the password.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("deadline", &self.deadline)
            .field("connect_within", &self.connect_within)
            .field("build_within", &self.build_within)
            .field("connections", &self.connections)
            .field("exact", &self.exact)
            .field("ef_search", &self.ef_search)
            .finish_non_exhaustive()
    }
}

/// A gallery in a schema of a PostgreSQL database.
///
/// Calls block; they may come from any thread but one that drives an asynchronous runtime (its pool for blocking work
/// is fine).
pub struct Postgres {
    session: Session,
    schema: Schema,
    options: Options,
    /// Whether the tables were seen to be there, and the version that is known here.
    checked: AtomicBool,
    /// The space that this client asked for, or else saw first: its callers' vectors are of that one, also when others
    /// made the gallery anew.
    wanted: Mutex<Option<Space>>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("name", &self.session.name).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to the gallery at `postgres://[user@]host[:port][,host…]/DATABASE[?schema=NAME&sslmode=…]`.
    ///
    /// The schema is `sbir` unless it is named. Unless the options have it, the password comes from `PGPASSWORD`, or the file that `PGPASSFILE`
    /// names, or `~/.pgpass`. Beyond this machine connections use TLS and check the server's certificate (`sslmode` or
    /// `PGSSLMODE`: `verify-full` or `disable`; `PGSSLROOTCERT` names certificates to trust besides the system's).
    ///
    /// # Errors
    /// [`Error::BadAddress`] if the address is none, or holds a password; [`Error::Unreachable`], [`Error::TimedOut`] or
    /// [`Error::Refused`] if the server does not take the connection, or holds a gallery of another version.
    pub fn connect(url: &str, options: Options) -> Result<Self> {
        let address = Address::parse(url)?;
        let session = Session::new(&address, &options)?;
        let schema = Schema::new(&address.schema, &session.name);
        let checked = AtomicBool::new(false);
        let gallery = Self { session, schema, options, checked, wanted: Mutex::new(None) };
        gallery.ready()?;
        Ok(gallery)
    }

    fn call<T>(
        &self,
        again: Again,
        work: impl AsyncFn(&mut Lent) -> Result<T, Fault>,
    ) -> Result<T> {
        self.session.call(self.options.deadline, again, work)
    }

    fn call_for<T>(
        &self,
        deadline: Duration,
        again: Again,
        work: impl AsyncFn(&mut Lent) -> Result<T, Fault>,
    ) -> Result<T> {
        self.session.call(deadline, again, work)
    }

    /// What the gallery is; none before the first `ensure`.
    async fn state(&self, lent: &Lent) -> Result<Option<State>, Fault> {
        if !self.checked.load(Ordering::Acquire) {
            if !self.schema.check(lent.client()).await? {
                return Ok(None);
            }
            self.checked.store(true, Ordering::Release);
        }
        let state = self.schema.state(lent.client()).await?;
        if let Some(state) = &state {
            self.held_wanted().get_or_insert_with(|| state.space.clone());
        }
        Ok(state)
    }

    /// Whether the gallery still holds the vectors of this client's encoder.
    fn same_space(&self, held: &Space) -> Result<()> {
        match &*self.held_wanted() {
            Some(wanted) => wanted.check(&self.session.name, held),
            None => Ok(()),
        }
    }

    /// Whether a vector has the gallery's dimension.
    fn fits(&self, vector: &[f32], dimension: usize) -> Result<()> {
        self.same_dimension(vector.len(), dimension)
    }

    fn same_dimension(&self, found: usize, expected: usize) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::OtherDimension { gallery: self.session.name.clone(), expected, found })
    }

    fn held_wanted(&self) -> MutexGuard<'_, Option<Space>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VectorStore for Postgres {
    fn name(&self) -> String {
        self.session.name.clone()
    }

    fn ensure(&self, space: &Space) -> Result<()> {
        if space.dimension == 0 || space.dimension > MAX_DIMENSION {
            let expected = format!("1 to {MAX_DIMENSION} values");
            return Err(Error::BadEmbedding { expected, found: space.dimension.to_string() });
        }
        self.call(Again::Idempotent, async |lent| self.schema.ensure(lent, space).await)?;
        *self.held_wanted() = Some(space.clone());
        Ok(())
    }

    fn space(&self) -> Result<Option<Space>> {
        self.call(Again::Idempotent, async |lent| {
            Ok(self.state(lent).await?.map(|state| state.space))
        })
    }

    fn upsert(&self, batch: &[Record]) -> Result<()> {
        self.write(batch)
    }

    fn touch(&self, batch: &[Touch]) -> Result<()> {
        self.touch_all(batch)
    }

    fn delete(&self, which: &Selector) -> Result<u64> {
        self.delete_all(which)
    }

    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        self.nearest(queries, options)
    }

    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        self.list_page(under, after, limit)
    }

    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        self.scan_page(after, limit)
    }

    fn get(&self, ids: &[PhotoId]) -> Result<Vec<Record>> {
        self.records(ids)
    }

    fn lookup(&self, root: &Path, paths: &[RelPath]) -> Result<Vec<Option<Photo>>> {
        self.by_path(root, paths)
    }

    fn with_content(&self, hash: &[u8; 32]) -> Result<Vec<Record>> {
        self.alike(hash)
    }

    fn sample(&self, count: usize) -> Result<Vec<Photo>> {
        self.some(count)
    }

    fn roots(&self) -> Result<Vec<RootInfo>> {
        self.root_infos()
    }

    fn stats(&self) -> Result<Stats> {
        self.statistics()
    }

    fn settle(&self) -> Result<()> {
        self.build_index(Build::Missing)
    }

    fn compact(&self) -> Result<()> {
        self.tidy()
    }

    fn ready(&self) -> Result<()> {
        let within = self.options.deadline.min(self.options.connect_within);
        self.call_for(within, Again::Hardly, async |lent| self.state(lent).await.map(drop))
    }
}
