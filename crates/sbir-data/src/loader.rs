//! The prefetching loader: items made on threads of its own, handed out in order.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::error::{Error, Result, one_line};

/// Makes the items of a list of batches on several threads and yields the batches in order.
///
/// At most `prefetch` batches are in the making or waiting, so that memory stays bounded however slow the consumer is.
/// What comes out is the same for any number of threads. An error comes out in its batch's place (the first of the
/// batch, by place), and the batches after it still follow; a panic in the work on one item becomes
/// [`Error::Panicked`]. Dropping the loader stops its threads: each ends after the item that it is working on, and
/// none is left behind.
pub struct Loader<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    jobs: Vec<Vec<usize>>,
    prefetch: usize,
    work: Box<dyn Fn(usize) -> Result<T> + Send + Sync>,
    state: Mutex<State<T>>,
    /// Signalled when a batch was taken or the loader was dropped.
    room: Condvar,
    /// Signalled when a batch was completed.
    done: Condvar,
}

struct State<T> {
    /// The next batch to begin and the place in it of the next item.
    next: (usize, usize),
    /// The number of batches taken by the consumer.
    taken: usize,
    /// The batches from `taken` on that were begun.
    begun: VecDeque<InProgress<T>>,
    stopped: bool,
}

struct InProgress<T> {
    items: Vec<Option<Result<T>>>,
    missing: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next item that may be begun: its batch, its place there and its index.
    fn next_item(&self, state: &mut State<T>) -> Option<(usize, usize, usize)> {
        let (batch, place) = state.next;
        let job = self.jobs.get(batch)?;
        if batch >= state.taken + self.prefetch {
            return None;
        }
        if place == 0 {
            let items = std::iter::repeat_with(|| None).take(job.len()).collect();
            state.begun.push_back(InProgress { items, missing: job.len() });
        }
        let Some(&index) = job.get(place) else {
            // An empty batch is complete as soon as it is begun.
            state.next = (batch + 1, 0);
            self.done.notify_all();
            return self.next_item(state);
        };
        state.next = if place + 1 == job.len() { (batch + 1, 0) } else { (batch, place + 1) };
        Some((batch, place, index))
    }

    fn make(&self, index: usize) -> Result<T> {
        caught(index, || (self.work)(index))
    }

    fn put(&self, batch: usize, place: usize, item: Result<T>) {
        let mut state = self.lock();
        let Some(offset) = batch.checked_sub(state.taken) else { return };
        if let Some(progress) = state.begun.get_mut(offset) {
            progress.items[place] = Some(item);
            progress.missing -= 1;
            if progress.missing == 0 {
                self.done.notify_all();
            }
        }
    }

    fn run_worker(&self) {
        loop {
            let (batch, place, index) = {
                let mut state = self.lock();
                loop {
                    if state.stopped || state.next.0 >= self.jobs.len() {
                        return;
                    }
                    if let Some(item) = self.next_item(&mut state) {
                        break item;
                    }
                    if state.next.0 >= self.jobs.len() {
                        return;
                    }
                    state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            };
            let item = self.make(index);
            self.put(batch, place, item);
        }
    }
}

impl<T: Send + 'static> Loader<T> {
    /// Starts `threads` threads that apply `work` to the indices of `jobs`, each of which is a batch, at most
    /// `prefetch` batches (at least one) ahead of the consumer.
    ///
    /// With no threads (none asked for, or none to be had from the system), the consumer does the work itself.
    #[must_use]
    pub fn new(
        jobs: Vec<Vec<usize>>,
        threads: usize,
        prefetch: usize,
        work: impl Fn(usize) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let items: usize = jobs.iter().map(Vec::len).sum();
        let shared = Arc::new(Shared {
            jobs,
            prefetch: prefetch.max(1),
            work: Box::new(work),
            state: Mutex::new(State {
                next: (0, 0),
                taken: 0,
                begun: VecDeque::new(),
                stopped: false,
            }),
            room: Condvar::new(),
            done: Condvar::new(),
        });
        let workers = (0..threads.min(items))
            .map_while(|number| {
                let shared = Arc::clone(&shared);
                Builder::new()
                    .name(format!("sbir-loader-{number}"))
                    .spawn(move || shared.run_worker())
                    .ok()
            })
            .collect();
        Self { shared, workers }
    }
}

impl<T> Iterator for Loader<T> {
    type Item = Result<Vec<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.shared.lock();
        if state.taken >= self.shared.jobs.len() {
            return None;
        }
        loop {
            if state.begun.front().is_some_and(|batch| batch.missing == 0) {
                break;
            }
            if self.workers.is_empty() {
                let item = self.shared.next_item(&mut state);
                drop(state);
                if let Some((batch, place, index)) = item {
                    self.shared.put(batch, place, self.shared.make(index));
                }
                state = self.shared.lock();
            } else {
                state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let batch = state.begun.pop_front()?;
        state.taken += 1;
        drop(state);
        self.shared.room.notify_all();
        Some(batch.items.into_iter().flatten().collect())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.shared.jobs.len() - self.shared.lock().taken;
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Loader<T> {}

impl<T> Drop for Loader<T> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its work, and there is nothing to do about another one here.
            let _ = worker.join();
        }
    }
}

/// The result of `work` on the item `index`, with a panic as an error.
pub(crate) fn caught<T>(index: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Panicked { index, message: one_line(panic_message(&*panic)) })
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    fn jobs(batches: usize, size: usize) -> Vec<Vec<usize>> {
        (0..batches).map(|b| (b * size..(b + 1) * size).collect()).collect()
    }

    #[test]
    fn batches_come_in_order_for_any_number_of_threads() {
        for threads in [0, 1, 2, 3, 8] {
            for prefetch in [0, 1, 4] {
                let mut list = jobs(9, 5);
                list.push(vec![45, 46]);
                list.insert(3, Vec::new());
                let loader = Loader::new(list.clone(), threads, prefetch, |index| {
                    // Later items finish first.
                    std::thread::sleep(Duration::from_micros((7 - index as u64 % 7) * 50));
                    Ok(index)
                });
                assert_eq!(loader.len(), 11);
                let found: Vec<Vec<usize>> = loader.map(Result::unwrap).collect();
                assert_eq!(found, list, "threads {threads}, prefetch {prefetch}");
            }
        }
    }

    #[test]
    fn errors_and_panics_surface_in_their_place() {
        for threads in [0, 1, 4] {
            let loader = Loader::new(jobs(4, 3), threads, 2, |index| match index {
                4 => Err(Error::EmptyFile { path: "four".into() }),
                5 => Err(Error::EmptyFile { path: "five".into() }),
                9 => panic!("a broken\ndecoder"),
                _ => Ok(index),
            });
            let found: Vec<Result<Vec<usize>>> = loader.collect();
            assert_eq!(found.len(), 4);
            assert_eq!(found[0].as_ref().unwrap(), &[0, 1, 2]);
            assert!(found[1].as_ref().unwrap_err().to_string().starts_with("four: "));
            assert_eq!(found[2].as_ref().unwrap(), &[6, 7, 8]);
            let message = found[3].as_ref().unwrap_err().to_string();
            assert!(
                message.contains("item 9") && message.contains("a broken decoder"),
                "{message}"
            );
            assert!(!message.contains('\n'));
        }
    }

    #[test]
    fn no_more_than_the_prefetched_batches_are_made() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let mut loader = Loader::new(jobs(50, 4), 4, 3, move |index| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(index)
        });
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(made.load(Ordering::SeqCst), 12);
        loader.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(made.load(Ordering::SeqCst), 16);
    }

    #[test]
    fn dropping_ends_the_threads_promptly() {
        let ended = Arc::new(AtomicBool::new(false));
        struct Flag(Arc<AtomicBool>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let flag = Flag(Arc::clone(&ended));
        let mut loader = Loader::new(jobs(1000, 10), 4, 100, move |index| {
            let _keep = &flag;
            std::thread::sleep(Duration::from_millis(5));
            Ok(index)
        });
        loader.next().unwrap().unwrap();
        let start = Instant::now();
        drop(loader);
        // The work, owned by the threads and the loader together, is gone: so are the threads.
        assert!(ended.load(Ordering::SeqCst));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}
