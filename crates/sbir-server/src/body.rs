//! Bodies of requests: read only where there is room for them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// How long the rest of a refused body is let pass by.
const PASSING: Duration = Duration::from_secs(5);

/// Room for the bodies of one kind of request: those that arrive, and those that wait until they are worked on.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: Arc<Semaphore>,
    /// All of it.
    size: u32,
    /// What a body is, for the answer to one that is too large.
    what: &'static str,
    /// The most bytes of one body.
    most: u32,
    /// How long a body may take to arrive.
    timeout: Duration,
}

/// A whole body. Its room is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Held {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Room {
    /// `size` bytes of room, at least one body's.
    pub(crate) fn new(what: &'static str, most: usize, size: usize, timeout: Duration) -> Self {
        let capped = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        let (most, size) = (capped(most), capped(size.max(most)));
        Self { bytes: Arc::new(Semaphore::new(size as usize)), size, what, most, timeout }
    }

    /// How many bytes are taken.
    pub(crate) fn taken(&self) -> usize {
        self.size as usize - self.bytes.available_permits()
    }

    /// Takes a request's body. Nobody waits for room here: a large body would make the small ones behind it wait.
    ///
    /// # Errors
    /// 503 where there is no room, before anything is read; 413 for a body that is too large; 408 for one that takes too
    /// long; 400 for one that breaks off.
    pub(crate) async fn take(&self, request: Request) -> Result<Held, Problem> {
        // Who asks before sending sends nothing that would have to pass by.
        let asks_first = request.headers().contains_key(EXPECT);
        let body = request.into_body();
        let claimed = body.size_hint().upper();
        let mut data = body.into_data_stream();
        let place = match claimed {
            Some(claimed) if claimed > u64::from(self.most) => Err(self.too_large()),
            // Without a length it may become as large as any.
            claimed => {
                let bytes = claimed.map_or(self.most, |claimed| claimed as u32);
                let place = Arc::clone(&self.bytes).try_acquire_many_owned(bytes);
                place.map(|place| (bytes, place)).map_err(|_| Problem::busy())
            }
        };
        let result = match place {
            Ok((bytes, room)) => {
                let read = self.read(&mut data, bytes);
                match tokio::time::timeout(self.timeout, read).await {
                    Ok(read) => read.map(|bytes| Held { bytes, _room: room }),
                    Err(_) => {
                        let message = "The request's body took too long to arrive.";
                        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message));
                    }
                }
            }
            Err(problem) => Err(problem),
        };
        if result.is_err() && !asks_first {
            self.pass_by(data).await;
        }
        result
    }

    async fn read(&self, data: &mut BodyDataStream, room: u32) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        while let Some(piece) = data.next().await {
            let piece =
                piece.map_err(|_| Problem::bad("The request's body did not arrive whole."))?;
            if bytes.len() + piece.len() > room as usize {
                return Err(self.too_large());
            }
            if bytes.is_empty() {
                // At once, since growing would hold it twice.
                bytes.reserve_exact(room as usize);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Reads what is left of a refused body and keeps nothing of it: to a client that is still sending, an answer on a
    /// closed connection is lost.
    async fn pass_by(&self, mut data: BodyDataStream) {
        let mut bytes = 0;
        let rest = async {
            while let Some(Ok(piece)) = data.next().await {
                bytes += piece.len();
                if bytes > 2 * self.most as usize {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(PASSING.min(self.timeout), rest).await;
    }

    fn too_large(&self) -> Problem {
        Problem::too_large(self.what, format_args!("{} KiB", self.most >> 10))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};

    use super::*;

    fn room(most: usize, size: usize) -> Room {
        Room::new("A body", most, size, Duration::from_millis(200))
    }

    /// Of a length that is known…
    fn sized(bytes: usize) -> Request {
        Request::new(Body::from(vec![7; bytes]))
    }

    /// … and one that is not.
    fn chunked(pieces: usize, bytes: usize) -> Request {
        let pieces = (0..pieces).map(move |_| Ok::<_, std::io::Error>(Bytes::from(vec![7; bytes])));
        Request::new(Body::from_stream(futures_util::stream::iter(pieces)))
    }

    #[tokio::test]
    async fn room_is_taken_and_given_back() {
        let room = room(100, 150);
        let first = room.take(sized(90)).await.unwrap();
        assert_eq!((first.bytes().len(), room.taken()), (90, 90));
        let refused = room.take(sized(61)).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(room.take(sized(60)).await.is_ok());
        // One of unknown length might need all that one may.
        let refused = room.take(chunked(1, 10)).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert_eq!(room.take(chunked(2, 10)).await.unwrap().bytes(), [7; 20]);
        assert_eq!(room.taken(), 0);
    }

    #[tokio::test]
    async fn no_body_is_larger_than_its_limit() {
        let room = room(100, 1000);
        for request in [sized(101), chunked(2, 51), chunked(1, 101)] {
            let problem = room.take(request).await.unwrap_err();
            assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
        }
        assert!(room.take(sized(0)).await.unwrap().bytes().is_empty());
        assert_eq!(room.taken(), 0);
    }

    #[tokio::test]
    async fn a_body_that_stands_still_gives_its_room_back() {
        let room = room(100, 100);
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let problem = room.take(Request::new(Body::from_stream(never))).await.unwrap_err();
        assert_eq!((problem.status, room.taken()), (StatusCode::REQUEST_TIMEOUT, 0));
    }
}
