//! Connections, deadlines and second tries.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use sbir_gallery::{Error, Result};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use crate::Options;
use crate::address::{Address, Protection, protection, socket_folder};
use crate::fault::Fault;
use crate::{password, tls};

/// How often a call is tried; with the pauses between, some six seconds unless its deadline comes first.
const TRIES: u32 = 7;
/// The pause after the first try; each is twice as long as the one before, and cut at random by up to a half.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a call may be sent again after its connection was lost on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Doing it twice is doing it once.
    Idempotent,
    /// Only what the server surely did not do.
    Once,
    /// Once more at most: whoever asks will ask again.
    Hardly,
}

/// A pool of connections and the runtime that drives them.
pub(crate) struct Session {
    pub(crate) name: String,
    pool: Pool,
    /// None once it is being dropped.
    runtime: Option<Runtime>,
}

/// A connection that goes back to the pool only if all went well: else a statement may be under way in it, or a
/// transaction open.
pub(crate) struct Lent {
    object: Option<Object>,
    sound: bool,
}

impl Lent {
    /// The connection without the pool's additions.
    pub(crate) fn client(&self) -> &tokio_postgres::Client {
        self
    }
}

impl Deref for Lent {
    type Target = Object;

    fn deref(&self) -> &Object {
        let Some(object) = &self.object else { unreachable!("taken only when dropped") };
        object
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Object {
        let Some(object) = &mut self.object else { unreachable!("taken only when dropped") };
        object
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(object) = self.object.take().filter(|_| !self.sound) {
            drop(Object::take(object));
        }
    }
}

impl Session {
    pub(crate) fn new(address: &Address, options: &Options) -> Result<Self> {
        let name = address.name();
        let bad = |problem: String| Error::BadAddress { gallery: name.clone(), problem };
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let user = address.user.clone().or_else(|| set("PGUSER")).or_else(|| set("USER"));
        let user = user.ok_or_else(|| {
            bad("no user: name one in the address (user@host) or in PGUSER".into())
        })?;
        let mut config = tokio_postgres::Config::new();
        config
            .user(&user)
            .dbname(&address.database)
            .application_name("sbir")
            .connect_timeout(options.connect_within.min(options.deadline));
        let password = match &options.password {
            Some(password) => Some(password.clone()),
            None => password::find(&address.hosts, &address.database, &user).map_err(&bad)?,
        };
        if let Some(password) = password {
            config.password(password);
        }
        for (host, port) in &address.hosts {
            config.port(*port);
            match socket_folder(host) {
                #[cfg(unix)]
                Some(folder) => config.host_path(folder),
                _ => config.host(host),
            };
        }
        let mode = match (address.protection, set("PGSSLMODE")) {
            (Some(mode), _) => mode,
            (None, Some(mode)) => {
                protection(&mode).map_err(|problem| bad(format!("PGSSLMODE: {problem}")))?
            }
            (None, None) if address.is_local() => Protection::Plain,
            (None, None) => Protection::Full,
        };
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match mode {
            Protection::Plain => {
                config.ssl_mode(SslMode::Disable);
                Manager::from_config(config, NoTls, manager_config)
            }
            Protection::Full => {
                config.ssl_mode(SslMode::Require);
                Manager::from_config(config, tls::connector().map_err(&bad)?, manager_config)
            }
        };
        let setup = setup(options);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sbir-postgres")
            .enable_all()
            .build()?;
        let pool = Pool::builder(manager)
            .max_size(options.connections.max(1))
            .post_create(Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
                let setup = setup.clone();
                Box::pin(
                    async move { client.batch_execute(&setup).await.map_err(HookError::Backend) },
                )
            }))
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { name, pool, runtime: Some(runtime) })
    }

    /// Does work on a connection within a deadline; again where a fault may pass.
    pub(crate) fn call<T>(
        &self,
        deadline: Duration,
        again: Again,
        work: impl AsyncFn(&mut Lent) -> Result<T, Fault>,
    ) -> Result<T> {
        let Some(runtime) = &self.runtime else { unreachable!("there until it is dropped") };
        let last = Cell::new(None);
        let tries = self.tries(again, &last, work);
        let result = runtime.block_on(async { tokio::time::timeout(deadline, tries).await });
        match (result, last.take()) {
            (Ok(Ok(value)), _) => Ok(value),
            // What went wrong before the time was up says more than that it was up.
            (Ok(Err(fault)), _) | (Err(_), Some(fault)) => Err(fault.meaning(&self.name, deadline)),
            (Err(_), None) => Err(Error::TimedOut { gallery: self.name.clone(), after: deadline }),
        }
    }

    async fn tries<T>(
        &self,
        again: Again,
        last: &Cell<Option<Fault>>,
        work: impl AsyncFn(&mut Lent) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut pause = PAUSE;
        let tries = if again == Again::Hardly { 2 } else { TRIES };
        for _ in 1..tries {
            match self.once(&work).await {
                Err(fault) if fault.passes(again == Again::Once) => last.set(Some(fault)),
                result => return result,
            }
            let half = pause.as_micros() as u64 / 2;
            let cut = RandomState::new().build_hasher().finish() % (half + 1);
            tokio::time::sleep(pause - Duration::from_micros(cut)).await;
            pause *= 2;
        }
        self.once(&work).await
    }

    async fn once<T>(
        &self,
        work: &impl AsyncFn(&mut Lent) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut lent = Lent { object: Some(self.pool.get().await?), sound: false };
        let result = work(&mut lent).await;
        lent.sound = result.is_ok();
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pool.close();
        // It may be dropped where nothing may block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What every new connection is told. Tables are named with their schema; the path is for the extension's operators.
fn setup(options: &Options) -> String {
    let milliseconds = options.deadline.as_millis().max(1);
    format!(
        "SET statement_timeout = {milliseconds};
         SET idle_in_transaction_session_timeout = {milliseconds};
         SET synchronous_commit = on;
         SET jit = off;
         SET client_min_messages = warning;
         SELECT set_config('search_path', coalesce((
             SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
             WHERE e.extname = 'vector'), 'public'), false);"
    )
}
