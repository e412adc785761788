//! The state of the index as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::app::App;
use crate::problem::Problem;
use crate::state::IndexState;

/// The shortest time between two events.
const PACE: Duration = Duration::from_millis(200);
/// The longest silence: the page takes a longer one for a lost connection.
const ALIVE: Duration = Duration::from_secs(15);

struct Stream {
    states: watch::Receiver<IndexState>,
    stopping: watch::Receiver<bool>,
    /// A client that is there asks for another stream then; one that only seems to be gives its place back.
    end: Instant,
    ended: bool,
    first: bool,
    _permit: OwnedSemaphorePermit,
}

/// `GET /api/events`
pub(crate) async fn events(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| Problem::busy())?;
    let stream = Stream {
        states: app.state.follow(),
        stopping: app.stopping(),
        end: Instant::now() + app.config.limits.stream_life,
        ended: false,
        first: true,
        _permit: permit,
    };
    let body = futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

impl Stream {
    /// The next event, or none when the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended || *self.stopping.borrow() {
            return None;
        }
        if !std::mem::take(&mut self.first) {
            tokio::select! {
                _ = self.stopping.changed() => return None,
                () = tokio::time::sleep_until(self.end) => {
                    self.ended = true;
                    return Some(Bytes::from_static(b"event: again\ndata:\n\n"));
                }
                changed = tokio::time::timeout(ALIVE, self.states.changed()) => match changed {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => return Some(Bytes::from_static(b"event: alive\ndata:\n\n")),
                },
            }
            tokio::select! {
                _ = self.stopping.changed() => return None,
                () = tokio::time::sleep(PACE) => {}
            }
        }
        let json = serde_json::to_string(&*self.states.borrow_and_update()).ok()?;
        // JSON has no line breaks, so that one `data` line is enough whatever names hold.
        Some(Bytes::from(format!("event: state\ndata: {json}\n\n")))
    }
}
