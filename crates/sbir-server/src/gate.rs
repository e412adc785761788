//! How much work goes on at once: a gate lets a few in, keeps some waiting a while, and refuses the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// A place behind a gate, given back when dropped.
pub(crate) type Place = OwnedSemaphorePermit;

/// A gate in front of costly work.
#[derive(Debug)]
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    patience: Duration,
}

impl Gate {
    pub(crate) fn new(at_once: usize, most_waiting: usize, patience: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(at_once.max(1)));
        Self { permits, waiting: AtomicUsize::new(0), most_waiting, patience }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Comes in, first come first served.
    ///
    /// # Errors
    /// 503 when too many wait already, or it took too long.
    pub(crate) async fn enter(&self) -> Result<Place, Problem> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let place = Waiting::new(&self.waiting);
        if place.before >= self.most_waiting {
            return Err(Problem::busy());
        }
        match tokio::time::timeout(self.patience, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::busy()),
        }
    }

    /// Does blocking work behind the gate. The place is kept until the work has ended, even when nobody waits for it any
    /// more, so that given-up requests cannot pile up; the work is told so and may end early.
    ///
    /// # Errors
    /// As [`enter`](Self::enter); the work's own; 504 when it takes longer than `timeout`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&GivenUp) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.run_and_stay(timeout, work).await.map(|(result, _)| result)
    }

    /// [`run`](Self::run), for work whose result is large: the place comes with it, to be kept as long as the result is.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) async fn run_and_stay<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&GivenUp) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(T, Place), Problem> {
        let place = self.enter().await?;
        let flag = GivenUp(Arc::new(AtomicBool::new(false)));
        let _raised_on_drop = RaiseOnDrop(Arc::clone(&flag.0));
        let task = tokio::task::spawn_blocking(move || {
            flag.check()?;
            work(&flag).map(|result| (result, place))
        });
        match tokio::time::timeout(timeout, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) if error.is_panic() => {
                Err(Problem::internal("This request failed inside the server."))
            }
            Ok(Err(_)) => Err(Problem::busy()),
            Err(_) => Err(Problem::slow()),
        }
    }
}

/// Whether whoever asked has gone.
#[derive(Debug, Clone)]
pub(crate) struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// Ends work that nobody waits for.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.0.load(Ordering::Relaxed) { Err(Problem::busy()) } else { Ok(()) }
    }
}

struct RaiseOnDrop(Arc<AtomicBool>);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A place in the queue, given back when dropped.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_and_impatient() {
        let gate = Gate::new(1, 1, Duration::from_millis(40));
        let first = gate.enter().await.unwrap();
        let (second, third) = tokio::join!(gate.enter(), gate.enter());
        assert!(second.is_err() && third.is_err());
        assert_eq!(gate.waiting(), 0);
        drop(first);
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn a_large_result_keeps_its_place() {
        let gate = Gate::new(1, 0, Duration::from_secs(5));
        let (_, place) = gate.run_and_stay(Duration::from_secs(5), |_| Ok(())).await.unwrap();
        assert!(gate.enter().await.is_err());
        drop(place);
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn given_up_work_hears_of_it_and_keeps_its_place() {
        let gate = Arc::new(Gate::new(1, 4, Duration::from_secs(5)));
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (say, told) = std::sync::mpsc::channel();
        let running = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                gate.run(Duration::from_secs(5), move |given_up| {
                    started.send(()).unwrap();
                    while given_up.check().is_ok() {
                        std::thread::yield_now();
                    }
                    say.send(()).unwrap();
                    Ok(())
                })
                .await
            }
        });
        has_started.await.unwrap();
        running.abort();
        // The next one comes in only once the first has heard of it.
        let _place = gate.enter().await.unwrap();
        told.try_recv().unwrap();
    }
}
