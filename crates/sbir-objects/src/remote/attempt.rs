//! Calls with a deadline, tried again where that may help.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::iter::successors;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use object_store::client::{HttpError, HttpErrorKind};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

use super::Bucket;
use crate::error::{Error, Result, may_pass};
use crate::place::Patience;

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// How often it is looked whether somebody asks to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the store answered last.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// Whether it was asked at all: before that come the credentials.
    pub(super) asked: bool,
    /// Its status; 0 if it did not answer.
    pub(super) status: u16,
    /// S3's word for what is wrong, if it gave one.
    pub(super) code: String,
}

tokio::task_local! {
    /// The answer to the attempt that is under way.
    static ANSWER: RefCell<Answer>;
}

/// Notes what the store answered to the attempt that is under way.
pub(super) fn note(answer: Answer) {
    // None is under way where a credential is renewed on its own.
    let _ = ANSWER.try_with(|place| place.replace(answer));
}

/// The runtime that all places share: calls block, and little is to be done meanwhile.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("objects")
            .enable_all()
            .build()
    });
    made.as_ref().map_err(|error| Error::Io(io::Error::new(error.kind(), error.to_string())))
}

/// What became of an attempt that failed.
struct Failed {
    error: Error,
    /// Whether another attempt may do better.
    passing: bool,
}

impl Bucket {
    /// Does something, again and again until it succeeds, cannot succeed, or the time is up.
    pub(super) fn call<T>(
        &self,
        name: &str,
        attempt: impl AsyncFn() -> object_store::Result<T>,
    ) -> Result<T> {
        let done = pin!(self.attempts(name, self.patience, attempt));
        let stopped = pin!(self.stopped());
        match runtime()?.block_on(select(done, stopped)) {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(Error::Stopped { name: name.to_owned() }),
        }
    }

    /// As [`call`](Self::call), within a time of its own, also where somebody asks to stop.
    pub(super) fn call_to_the_end<T>(
        &self,
        name: &str,
        deadline: Duration,
        attempt: impl AsyncFn() -> object_store::Result<T>,
    ) -> Result<T> {
        let patience = Patience { deadline, ..self.patience };
        runtime()?.block_on(self.attempts(name, patience, attempt))
    }

    /// Comes back when somebody asks to stop.
    async fn stopped(&self) {
        let Some(stop) = self.stop else { return std::future::pending().await };
        while !stop.load(Ordering::Relaxed) {
            sleep(LOOK_EVERY).await;
        }
    }

    async fn attempts<T>(
        &self,
        name: &str,
        patience: Patience,
        attempt: impl AsyncFn() -> object_store::Result<T>,
    ) -> Result<T> {
        let began = Instant::now();
        let mut pauses = pauses(&patience);
        loop {
            let left = patience.deadline.saturating_sub(began.elapsed());
            let outcome = ANSWER
                .scope(RefCell::default(), async {
                    let result = timeout(left.min(patience.attempt), attempt()).await;
                    (result, ANSWER.with(RefCell::take))
                })
                .await;
            let failed = match outcome {
                (Ok(Ok(value)), _) => return Ok(value),
                (Ok(Err(error)), answer) => self.meaning(name, &error, answer, began.elapsed()),
                (Err(_), _) => Failed { error: timed_out(name, began.elapsed()), passing: true },
            };
            let wait = pauses
                .next()
                .map(jittered)
                .filter(|wait| failed.passing && began.elapsed() + *wait < patience.deadline);
            let Some(wait) = wait else { return Err(failed.error) };
            sleep(wait).await;
        }
    }

    fn meaning(
        &self,
        name: &str,
        error: &object_store::Error,
        answer: Answer,
        waited: Duration,
    ) -> Failed {
        let name = name.to_owned();
        let Answer { asked, status, code } = answer;
        let lasting = |error| Failed { error, passing: false };
        match (status, code.as_str()) {
            (_, "NoSuchBucket") => lasting(Error::NoBucket { name, bucket: self.bucket.clone() }),
            (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "RequestTimeTooSkewed"
                | "AuthorizationHeaderMalformed",
            ) => lasting(Error::BadCredentials { name, code }),
            (404, _) => lasting(Error::NotFound { name }),
            (401 | 403, _) => lasting(Error::Denied { name }),
            (301 | 307 | 308 | 400, "PermanentRedirect" | "TemporaryRedirect" | "Redirect") => {
                lasting(Error::Config {
                    problem: format!(
                        "{name}: the bucket is in another region; set AWS_REGION or AWS_ENDPOINT_URL"
                    ),
                })
            }
            // Of two writers at once.
            (409, _) => Failed { error: Error::Server { name, status, code }, passing: true },
            _ if may_pass(status, &code) => {
                Failed { error: Error::Server { name, status, code }, passing: true }
            }
            (300..=499, _) => lasting(Error::Server { name, status, code }),
            // No answer, or one that broke off.
            _ if !asked && !self.credentials => lasting(Error::NoCredentials { name }),
            _ if is_timeout(error) => Failed { error: timed_out(&name, waited), passing: true },
            _ => {
                let problem = deepest(error);
                Failed { error: Error::Unreachable { name, problem }, passing: true }
            }
        }
    }
}

fn timed_out(name: &str, after: Duration) -> Error {
    Error::TimedOut { name: name.to_owned(), after }
}

/// An error and its causes, the innermost last.
fn chain(error: &object_store::Error) -> Vec<&(dyn StdError + 'static)> {
    let mut found = Vec::new();
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        found.push(cause);
        next = cause.source();
    }
    found
}

fn is_timeout(error: &object_store::Error) -> bool {
    chain(error).into_iter().any(|error| {
        let http = error.downcast_ref::<HttpError>();
        http.is_some_and(|error| error.kind() == HttpErrorKind::Timeout)
    })
}

/// The innermost cause, in one line.
fn deepest(error: &object_store::Error) -> String {
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "the connection broke".to_owned() } else { text }
}

/// The pauses between attempts, each twice as long as the one before.
fn pauses(patience: &Patience) -> impl Iterator<Item = Duration> + use<> {
    let next = |pause: &Duration| Some((*pause * 2).min(MAX_PAUSE));
    let between = patience.attempts.saturating_sub(1) as usize;
    successors(Some(patience.pause.min(MAX_PAUSE)), next).take(between)
}

/// Between half and all of a pause, so that clients which failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    // Every state of the standard library's hash has keys of its own, drawn by the system.
    let random = (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64;
    pause.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_ends_the_attempts_and_not_their_number() {
        let patience = Patience::default();
        // As short as chance makes them, and with attempts that fail at once.
        let shortest: Duration = pauses(&patience).map(|pause| pause / 2).sum();
        assert!(shortest >= patience.deadline, "{shortest:?}");
        assert_eq!(pauses(&Patience { attempts: 1, ..patience }).count(), 0);
    }

    #[test]
    fn pauses_differ_and_stay_within_half_and_all() {
        let pause = Duration::from_secs(10);
        let drawn: Vec<_> = (0..50).map(|_| jittered(pause)).collect();
        assert!(drawn.iter().all(|wait| (pause / 2..=pause).contains(wait)));
        assert!(drawn.iter().any(|wait| *wait != drawn[0]));
    }
}
