//! The nodes of a server: connections, deadlines, tries on other nodes.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use qdrant_client::qdrant::HealthCheckRequest;
use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::points_client::PointsClient;
use qdrant_client::qdrant::qdrant_client::QdrantClient;
use rand::RngExt as _;
use sbir_gallery::{Error, Result};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tonic::codegen::InterceptedService;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use crate::address::Address;
use crate::fault::{Fault, words};
use crate::options::{Options, Tls};
use crate::runtime::runtime;

/// How long a connection may take until it is open.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// After how long without an answer a reading is also asked of the next node.
const HEDGE_AFTER: Duration = Duration::from_secs(1);
/// How often is looked whether a node that writes is alive, and how long it may take to say so.
const LOOK_AFTER: Duration = Duration::from_secs(2);
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// The largest answer that is taken.
pub(crate) const LARGEST_ANSWER: usize = 64 << 20;
/// The first pause between tries; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// What a call does, which decides how it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes nothing: it may run on several nodes at once.
    Read,
    /// Changes something, and once more changes nothing more: it is tried until the deadline, one node after the other.
    Write,
}

/// A connection with the key for every request.
type Service = InterceptedService<Channel, KeyHeader>;

/// What is called on a node.
#[derive(Clone)]
pub(crate) struct Connection(Service);

impl Connection {
    pub(crate) fn points(self) -> PointsClient<Service> {
        PointsClient::new(self.0).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn collections(self) -> CollectionsClient<Service> {
        CollectionsClient::new(self.0).max_decoding_message_size(LARGEST_ANSWER)
    }
}

impl Connection {
    /// Ends when the node does not answer the simplest question.
    async fn stalls(&self) {
        loop {
            sleep(LOOK_AFTER).await;
            let mut client = QdrantClient::new(self.0.clone());
            let asked = client.health_check(HealthCheckRequest {});
            if timeout(LOOK_WITHIN, asked).await.is_err() {
                return;
            }
        }
    }
}

/// Puts the key into every request.
#[derive(Clone)]
pub(crate) struct KeyHeader(Option<MetadataValue<Ascii>>);

impl Interceptor for KeyHeader {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("api-key", key.clone());
        }
        Ok(request)
    }
}

struct Node {
    host: String,
    connection: Connection,
}

/// The nodes of a server.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    /// The one that answered last.
    preferred: AtomicUsize,
}

impl Nodes {
    /// Prepares connections; they are opened when they are needed, and again when they break.
    pub(crate) fn new(address: &Address, options: &Options) -> Result<Self> {
        let refused = |problem: String| Error::BadAddress { gallery: address.to_string(), problem };
        let mut header = None;
        if let Some(key) = &options.key {
            let readable = address.hosts.iter().find(|host| !host.is_loopback());
            if let (Tls::Off, Some(host)) = (&options.tls, readable) {
                return Err(refused(format!(
                    "the key would go to {host} in plain text; set QDRANT_TLS=1 or QDRANT_CA=FILE"
                )));
            }
            // The error would repeat the key.
            let mut value: MetadataValue<Ascii> = key
                .0
                .parse()
                .map_err(|_| refused("the key has characters that no key has".into()))?;
            value.set_sensitive(true);
            header = Some(value);
        }
        let tls = match &options.tls {
            Tls::Off => None,
            Tls::System => Some(ClientTlsConfig::new().with_native_roots()),
            Tls::Authority(pem) => {
                // Without any, every server would only be said to be unknown.
                let marker = b"-----BEGIN CERTIFICATE-----";
                if !pem.windows(marker.len()).any(|window| window == marker) {
                    return Err(refused("QDRANT_CA has no certificate as PEM in it".into()));
                }
                let certificate = Certificate::from_pem(pem);
                Some(ClientTlsConfig::new().ca_certificate(certificate))
            }
        };
        // Connections belong to the runtime that they are made in.
        let _inside = runtime()?.enter();
        let connect = |host: String| -> Result<Node, tonic::transport::Error> {
            let scheme = if tls.is_some() { "https" } else { "http" };
            let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}"))?
                .user_agent(concat!("sbir/", env!("CARGO_PKG_VERSION")))?
                .connect_timeout(CONNECT_WITHIN)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(5));
            if let Some(tls) = &tls {
                endpoint = endpoint.tls_config(tls.clone())?;
            }
            let service =
                InterceptedService::new(endpoint.connect_lazy(), KeyHeader(header.clone()));
            Ok(Node { host, connection: Connection(service) })
        };
        let nodes = address
            .hosts
            .iter()
            .map(|host| connect(host.to_string()).map_err(|error| refused(words(&chain(&error)))))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { nodes, preferred: AtomicUsize::new(0) })
    }

    /// How many nodes the address lists.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Asks one node after the other, each within a time, all at once; for what a fault is to be explained with.
    pub(crate) async fn each<T, F, Fut>(&self, within: Duration, ask: F) -> Vec<(&str, Option<T>)>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let end = Instant::now() + within;
        let asked = self.nodes.iter().map(|node| {
            let answer = timeout_at(end, ask(node.connection.clone()));
            async move { (&*node.host, answer.await.ok().and_then(Result::ok)) }
        });
        futures_util::future::join_all(asked).await
    }

    /// Makes a call, with tries, until the deadline.
    pub(crate) async fn call<T, F, Fut>(
        &self,
        kind: Kind,
        deadline: Duration,
        call: F,
    ) -> Result<T, Fault>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let end = Instant::now() + deadline;
        match kind {
            Kind::Read => self.read(end, call).await,
            Kind::Write => self.write(end, call).await,
        }
    }

    /// Two rounds over the nodes at most, so that a gallery that is down is said to be; a node that is slow to answer is
    /// not waited for, others are asked beside it.
    async fn read<T, F, Fut>(&self, end: Instant, call: F) -> Result<T, Fault>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let most = (2 * self.nodes.len()).max(3);
        let attempt = |number: usize| {
            let at = (first + number) % self.nodes.len();
            let call = &call;
            async move {
                if number > 0 {
                    sleep(pause(number / self.nodes.len())).await;
                }
                (at, call(self.nodes[at].connection.clone()).await)
            }
        };
        let mut running = FuturesUnordered::new();
        running.push(attempt(0));
        let mut tried = 1;
        let mut hedge = Instant::now() + HEDGE_AFTER;
        let mut fault = None;
        loop {
            let more = tried < most;
            let until = if more { hedge.min(end) } else { end };
            match timeout_at(until, running.next()).await {
                Ok(Some((at, Ok(answer)))) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Ok(Some((_, Err(status)))) if !passes(&status) => return Err(status.into()),
                Ok(Some((_, Err(status)))) => keep_worse(&mut fault, status),
                Ok(None) if !more => return Err(fault.map_or(Fault::Late, Fault::from)),
                Ok(None) => {}
                Err(_) if Instant::now() >= end => {
                    return Err(fault.map_or(Fault::Late, Fault::from));
                }
                Err(_) => {}
            }
            if more && (running.is_empty() || Instant::now() >= hedge) {
                running.push(attempt(tried));
                tried += 1;
                hedge = Instant::now() + HEDGE_AFTER;
            }
        }
    }

    /// One node after the other until the deadline: servers need some seconds to agree that one of them is gone. A node
    /// gets as long as it shows that it is alive.
    async fn write<T, F, Fut>(&self, end: Instant, call: F) -> Result<T, Fault>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut fault = None;
        for number in 0.. {
            let at = (first + number) % self.nodes.len();
            let connection = &self.nodes[at].connection;
            let work = timeout_at(end, call(connection.clone()));
            let stall = pin!(connection.stalls());
            match select(pin!(work), stall).await {
                Either::Left((Ok(Ok(answer)), _)) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Either::Left((Ok(Err(status)), _)) if !passes(&status) => return Err(status.into()),
                Either::Left((Ok(Err(status)), _)) => keep_worse(&mut fault, status),
                Either::Left((Err(_), _)) | Either::Right(_) => {}
            }
            let next = Instant::now() + pause(number / self.nodes.len());
            if next >= end {
                break;
            }
            sleep_until(next).await;
        }
        Err(fault.map_or(Fault::Late, Fault::from))
    }
}

/// A pause that differs from client to client, so that they do not come back together.
fn pause(round: usize) -> Duration {
    let longest = (FIRST_PAUSE * 2_u32.saturating_pow(round.min(16) as u32)).min(LAST_PAUSE);
    longest.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// Whether the same call may do better later or on another node.
fn passes(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Internal
            | Code::Unknown
            | Code::Aborted
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
    )
}

/// Of several faults the one that says most: that a node cannot be reached says less than what another node said.
fn keep_worse(fault: &mut Option<Status>, new: Status) {
    let says_little = |status: &Status| status.code() == Code::Unavailable;
    if fault.as_ref().is_none_or(|old| says_little(old) || !says_little(&new)) {
        *fault = Some(new);
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
