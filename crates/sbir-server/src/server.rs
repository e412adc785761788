//! Listening, connections, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::app::{App, Services};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::seats::Seats;
use crate::{connection, indexer, routes};

/// How long requests under way get when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address; connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// If it cannot listen there, a listed host is no name, or the token is a weak one.
    pub async fn bind(config: Config, services: Services) -> Result<Self> {
        let failed = |source| Error::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = Arc::new(App::new(config, address, services)?);
        Ok(Self { app, listener, address })
    }

    /// Where it listens, with the port that was taken for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the page, with the token where one is required: the one line that may show it.
    #[must_use]
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            // No browser can go to "any address".
            let loopback: std::net::IpAddr = if address.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            };
            address.set_ip(loopback);
        }
        match self.app.access.token() {
            Some(token) => format!("http://{address}/?token={}", token.text()),
            None => format!("http://{address}/"),
        }
    }

    /// Why a token must be shown, if it must.
    #[must_use]
    pub fn why_token(&self) -> Option<&str> {
        self.app.access.why_token()
    }

    /// Serves until `stop` is ready: no new connections then, and a few seconds for what is under way.
    ///
    /// # Errors
    /// If the indexing thread cannot be started.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { app, listener, .. } = self;
        let indexing = {
            let app = Arc::clone(&app);
            std::thread::Builder::new()
                .name("sbir-index".into())
                .spawn(move || indexer::run(&app))?
        };
        let router = routes::router(Arc::clone(&app));
        let places = Arc::new(Semaphore::new(app.config.limits.connections));
        let seats = Seats::new(app.config.limits.connections_each);
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            // Beyond the bound, connections wait in the system's queue.
            let accept = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            };
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (accepted, place) = accept => match accepted {
                    Ok((stream, peer)) => {
                        // One client must not take every place. Those of this machine come from a proxy, perhaps.
                        let Some(seat) = seats.take(peer.ip()) else { continue };
                        let (app, router) = (Arc::clone(&app), router.clone());
                        connections.spawn(async move {
                            let (_place, _seat) = (place, seat);
                            let limits = &app.config.limits;
                            connection::serve(stream, router, limits, app.stopping()).await;
                        });
                    }
                    // Too many open files: a pause, rather than a busy loop.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
        drop(listener);
        app.stop();
        let _ =
            tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} })
                .await;
        connections.abort_all();
        // The run under way ends after its batch; what it wrote is whole.
        let _ = tokio::task::spawn_blocking(move || indexing.join()).await;
        Ok(())
    }
}

/// Serves on a runtime of its own until `stop` says so, asked ten times a second. `ready` is told once the server
/// listens.
///
/// # Errors
/// If it cannot listen, or the system has no threads to give.
pub fn serve(
    config: Config,
    services: Services,
    ready: impl FnOnce(&Server),
    stop: impl Fn() -> bool,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let server = Server::bind(config, services).await?;
        ready(&server);
        let stopped = async {
            while !stop() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        server.run(stopped).await
    });
    runtime.shutdown_timeout(GRACE);
    result
}
