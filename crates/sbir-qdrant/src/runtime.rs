//! The threads that connections are served on.

use std::future::Future;
use std::io;
use std::sync::{OnceLock, mpsc};

use sbir_gallery::Result;
use tokio::runtime::{Builder, Runtime};

/// One for the process: it never ends, so that a store may be dropped on any thread, also on one of another runtime.
static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();

/// The runtime.
pub(crate) fn runtime() -> Result<&'static Runtime> {
    let made = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("qdrant").enable_io().enable_time();
        builder.build().map_err(|error| error.to_string())
    });
    Ok(made.as_ref().map_err(|error| io::Error::other(format!("no threads: {error}")))?)
}

/// Waits for a future that runs there. The thread stands still meanwhile, whatever thread it is: it is not driven here,
/// which would panic on a thread that drives another runtime.
pub(crate) fn wait<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        let _ = sender.send(future.await);
    });
    Ok(receiver.recv().map_err(|_| io::Error::other("a call ended without an answer"))?)
}
