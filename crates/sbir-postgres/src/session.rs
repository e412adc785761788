//! Connections, deadlines and second tries.

use std::cell::Cell;
use std::future::poll_fn;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use sbir_gallery::{Error, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Options;
use crate::address::{Address, Protection, protection, socket_folder};
use crate::fault::Fault;
use crate::{password, tls};

/// How often a call is tried; with the pauses between, some six seconds unless its deadline comes first.
const TRIES: u32 = 7;
/// The pause after the first try; each is twice as long as the one before, and cut at random by up to a half.
const PAUSE: Duration = Duration::from_millis(100);

/// How often is looked whether a server that works for long is alive, and how long it may take to say so.
const LOOK_AFTER: Duration = Duration::from_secs(3);
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// How many looks in a row must see no answer: a restart within a call is to go unseen.
const MAX_MISSED: u32 = 2;
/// How long asking the server to end a statement may take, when that is all that is left to do.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);
/// After how long in silence a connection is probed, how often then, and how many times in vain until it counts as lost.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
/// How long what was sent may be without the other end's receipt until the connection counts as lost.
const RECEIPT_WITHIN: Duration = Duration::from_secs(30);

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
    connector: Connector,
    /// How long a server that works for long may take to say that it is alive.
    look_within: Duration,
    /// None once it is being dropped.
    runtime: Option<Runtime>,
}

/// What opens connections beside the pool, which may have none left.
struct Connector {
    config: Config,
    /// None where connections are plain.
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        // The connection ends with its client, and so does what drives it.
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Asks the server to end what a connection is at; nobody knows whether it does.
    async fn cancel(&self, token: &CancelToken) {
        let asked = async {
            match &self.tls {
                Some(tls) => token.cancel_query(tls.clone()).await,
                None => token.cancel_query(NoTls).await,
            }
        };
        let _ = timeout(CANCEL_WITHIN, asked).await;
    }

    /// Ends when the server does not answer the simplest question any more, and gives how long that has been so.
    async fn stalls(&self, within: Duration) -> Duration {
        let (mut client, mut missed, mut answered) = (None, 0, Instant::now());
        while missed < MAX_MISSED {
            sleep(LOOK_AFTER).await;
            let look = async {
                let open = match client.take().filter(|client: &Client| !client.is_closed()) {
                    Some(client) => client,
                    None => self.connect().await?,
                };
                open.simple_query("SELECT 1").await?;
                Ok::<_, tokio_postgres::Error>(open)
            };
            let looked = timeout(within, look).await;
            let alive = match looked {
                Ok(Ok(open)) => {
                    client = Some(open);
                    true
                }
                // Also "too many connections" is an answer.
                Ok(Err(error)) => error.as_db_error().is_some(),
                Err(_) => false,
            };
            if alive {
                (missed, answered) = (0, Instant::now());
            } else {
                missed += 1;
            }
        }
        answered.elapsed()
    }
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
        let mut config = Config::new();
        config
            .user(&user)
            .dbname(&address.database)
            .application_name("sbir")
            .keepalives_idle(PROBE_AFTER)
            .keepalives_interval(PROBE_EVERY)
            .keepalives_retries(PROBES)
            .tcp_user_timeout(RECEIPT_WITHIN)
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
        let tls = match mode {
            Protection::Plain => {
                config.ssl_mode(SslMode::Disable);
                None
            }
            Protection::Full => {
                config.ssl_mode(SslMode::Require);
                Some(tls::connector().map_err(&bad)?)
            }
        };
        let connector = Connector { config: config.clone(), tls: tls.clone() };
        let manager = match tls {
            None => Manager::from_config(config, NoTls, manager_config),
            Some(tls) => Manager::from_config(config, tls, manager_config),
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
        let look_within = LOOK_WITHIN.min(options.deadline);
        Ok(Self { name, pool, connector, look_within, runtime: Some(runtime) })
    }

    /// Does work on a connection within a deadline; again where a fault may pass.
    pub(crate) fn call<T>(
        &self,
        deadline: Duration,
        again: Again,
        work: impl AsyncFn(&mut Lent) -> Result<T, Fault>,
    ) -> Result<T> {
        let last = Cell::new(None);
        let tries = self.tries(again, &last, work);
        let result = self.runtime().block_on(async { timeout(deadline, tries).await });
        match (result, last.take()) {
            (Ok(Ok(value)), _) => Ok(value),
            // What went wrong before the time was up says more than that it was up.
            (Ok(Err(fault)), _) | (Err(_), Some(fault)) => Err(fault.meaning(&self.name, deadline)),
            (Err(_), None) => Err(Error::TimedOut { gallery: self.name.clone(), after: deadline }),
        }
    }

    /// As [`call`](Self::call), for work that may take long and comes to the same if it is done twice. The server is
    /// asked meanwhile, on a connection of its own, whether it is alive: a client that only waits for the end would not
    /// notice that it stands still, or that the network is gone. What is given up is also cancelled there.
    ///
    /// # Errors
    /// What the work gives; [`Error::TimedOut`] where the server gives no sign of life, or the deadline is over.
    pub(crate) fn call_long<T>(
        &self,
        deadline: Duration,
        work: &impl AsyncFn(&mut Lent) -> Result<T, Fault>,
    ) -> Result<T> {
        let (last, token) = (Cell::new(None), Cell::new(None));
        let result = self.runtime().block_on(async {
            let noted = async |lent: &mut Lent| {
                // What went wrong before there was a connection again is over.
                last.set(None);
                token.set(Some(lent.cancel_token()));
                work(lent).await
            };
            let mut tries = pin!(timeout(deadline, self.tries(Again::Idempotent, &last, noted)));
            let mut stalls = pin!(self.connector.stalls(self.look_within));
            let result = poll_fn(|context| {
                if let Poll::Ready(result) = tries.as_mut().poll(context) {
                    return Poll::Ready(result.map_err(|_| deadline));
                }
                stalls.as_mut().poll(context).map(Err)
            });
            let result = result.await;
            if let (Err(_), Some(token)) = (&result, token.take()) {
                self.connector.cancel(&token).await;
            }
            result
        });
        match (result, last.take()) {
            (Ok(Ok(value)), _) => Ok(value),
            (Ok(Err(fault)), _) => Err(fault.meaning(&self.name, deadline)),
            // As in `call`.
            (Err(after), Some(fault)) => Err(fault.meaning(&self.name, after)),
            (Err(after), None) => Err(Error::TimedOut { gallery: self.name.clone(), after }),
        }
    }

    fn runtime(&self) -> &Runtime {
        let Some(runtime) = &self.runtime else { unreachable!("there until it is dropped") };
        runtime
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
            sleep(pause - Duration::from_micros(cut)).await;
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
