//! One client's connection, and how long it may stand still.

use std::convert::Infallible;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

use crate::access::LocalAddress;
use crate::config::Limits;

/// The most bytes of a request's head, and of an answer that waits to be sent.
const BUFFER: usize = 64 << 10;

/// Answers a client's requests until it goes, stands still for too long, or the server stops.
pub(crate) async fn serve(
    stream: TcpStream,
    router: Router,
    limits: &Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(LocalAddress(local));
            Ok::<_, Infallible>(respond(router, request).await)
        }
    });
    // The time for a head is the time for the pause before it, too.
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Impatient::new(stream, limits.stall)), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn respond(mut router: Router, request: Request) -> axum::response::Response {
    use tower_service::Service as _;
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// A stream that ends with an error when the other side takes less than [`BUFFER`] bytes, or less than all there are,
/// in a while. Without it, a client that never reads would keep its place and its open photo for ever.
struct Impatient<S> {
    stream: S,
    patience: Duration,
    /// Since writing stopped going on by itself: the end of patience, and the bytes taken.
    blocked: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Impatient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, blocked: None }
    }

    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if let Some((_, taken)) = &mut self.blocked {
                    *taken += bytes;
                    if *taken >= BUFFER {
                        self.blocked = None;
                    }
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Pending => {
                let patience = self.patience;
                let (end, _) = self.blocked.get_or_insert_with(|| (Box::pin(sleep(patience)), 0));
                match end.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
                    Poll::Pending => Poll::Pending,
                }
            }
            failed => failed,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when nothing waits to be written any more.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.blocked = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_slow_reader_is_waited_for() {
        let (near, mut far) = duplex(1024);
        let mut near = Impatient::new(near, PATIENCE);
        // What fits is no wait, however long nothing else happens.
        for _ in 0..2 {
            near.write_all(&[1; 500]).await.unwrap();
            near.flush().await.unwrap();
            sleep(2 * PATIENCE).await;
        }
        let reading = tokio::spawn(async move {
            let mut all = vec![0; 3000];
            for piece in all.chunks_mut(500) {
                sleep(PATIENCE / 10).await;
                far.read_exact(piece).await.unwrap();
            }
        });
        near.write_all(&[2; 2000]).await.unwrap();
        near.flush().await.unwrap();
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_who_stops_is_given_up() {
        let (near, mut far) = duplex(1024);
        let mut near = Impatient::new(near, PATIENCE);
        let error = near.write_all(&[3; 5000]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // One who takes next to nothing, too.
        let trickle = tokio::spawn(async move {
            while far.read_u8().await.is_ok() {
                sleep(PATIENCE / 10).await;
            }
        });
        let mut near = Impatient::new(near.stream, PATIENCE);
        let error = near.write_all(&[4; 5000]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        trickle.abort();
    }
}
