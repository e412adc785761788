//! From a name to pixels: files are read by some threads and decoded by others, so that a network's delay is no
//! processor's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use sbir_data::{MAX_FILE_BYTES, Upright};
use sbir_gallery::Embedder;
use sbir_objects::{Extent, Key, Object, Place};
use sha2::{Digest as _, Sha256};

use super::assembly::{Cause, Order};
use crate::error::{Error, Result};
use crate::manifest::Listed;
use crate::piece::Made;

/// How often who waits looks whether the run ends.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether the run ends early.
#[derive(Debug, Default)]
pub(super) struct Stop {
    ended: AtomicBool,
    asked: Option<&'static AtomicBool>,
}

impl Stop {
    pub(super) fn new(asked: Option<&'static AtomicBool>) -> Self {
        Self { ended: AtomicBool::new(false), asked }
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether the caller asked for it.
    pub(super) fn asked(&self) -> bool {
        self.asked.is_some_and(|asked| asked.load(Ordering::Relaxed))
    }

    pub(super) fn now(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.asked()
    }
}

/// A photo to read.
pub(super) struct Task {
    pub(super) order: Arc<Order>,
    pub(super) place: usize,
}

impl Task {
    fn listed(&self) -> Option<&Listed> {
        self.order.photos.get(self.place)
    }
}

/// What the caller's thread is told.
pub(super) enum Message {
    /// A piece's photos are under way.
    Begun(Arc<Order>),
    /// A piece with so many photos is there already.
    There(u64),
    Photo {
        task: Task,
        made: Made,
        picture: Upright,
    },
    Unreadable {
        task: Task,
        reason: String,
        cause: Cause,
    },
    /// A photo could not be had this time; its piece is given up.
    NotHad {
        order: Arc<Order>,
        error: Error,
    },
    /// The run cannot go on.
    Ended(Error),
}

/// Bytes of files that are in memory.
#[derive(Debug)]
pub(super) struct Budget {
    free: Mutex<u64>,
    freed: Condvar,
    all: u64,
}

/// A part of the budget, given back with it.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(all: u64) -> Self {
        Self { free: Mutex::new(all), freed: Condvar::new(), all }
    }

    /// Waits for room; none if the run ends. More than there ever is waits for all of it.
    pub(super) fn claim(&self, bytes: u64, stop: &Stop) -> Option<Claim<'_>> {
        let bytes = bytes.clamp(1, self.all.max(1));
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free < bytes {
            if stop.now() {
                return None;
            }
            free = match self.freed.wait_timeout(free, LOOK_EVERY) {
                Ok((free, _)) => free,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        *free -= bytes;
        Some(Claim { budget: self, bytes })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        *self.budget.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.budget.freed.notify_all();
    }
}

/// A file in memory.
pub(super) struct Content<'a> {
    task: Task,
    object: Object,
    // Given back after the bytes.
    _claim: Claim<'a>,
}

/// Reads files until there are no more.
pub(super) struct Reader<'a> {
    pub(super) photos: &'a Place,
    pub(super) budget: &'a Budget,
    pub(super) stop: &'a Stop,
    pub(super) tasks: Receiver<Task>,
    pub(super) contents: Sender<Content<'a>>,
    pub(super) messages: Sender<Message>,
}

impl<'a> Reader<'a> {
    pub(super) fn run(&self) {
        for task in &self.tasks {
            if self.stop.now() {
                return;
            }
            if task.order.is_given_up() {
                continue;
            }
            let went_on = match self.read(&task) {
                Ok(None) => return,
                Ok(Some((object, claim))) => {
                    self.contents.send(Content { task, object, _claim: claim }).is_ok()
                }
                Err(error) => self.messages.send(self.meaning(task, error)).is_ok(),
            };
            if !went_on {
                return;
            }
        }
    }

    fn read(&self, task: &Task) -> Result<Option<(Object, Claim<'a>)>, sbir_objects::Error> {
        let Some(listed) = task.listed() else { return Ok(None) };
        let key = Key::new(listed.path.as_bytes())?;
        let mut size = listed.size;
        loop {
            let limit = size.min(MAX_FILE_BYTES);
            let Some(claim) = self.budget.claim(limit, self.stop) else { return Ok(None) };
            match self.photos.get(&key, limit) {
                Ok(object) => return Ok(Some((object, claim))),
                // It grew since it was listed.
                Err(sbir_objects::Error::TooLarge { size: now, .. }) if limit < MAX_FILE_BYTES => {
                    // It may go on growing.
                    size = now.max(limit.saturating_mul(2)).max(1 << 16);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn meaning(&self, task: Task, error: sbir_objects::Error) -> Message {
        match error.extent() {
            Extent::Place => return Message::Ended(error.into()),
            Extent::Unclear => {
                task.order.give_up();
                return Message::NotHad { order: task.order, error: error.into() };
            }
            Extent::File => {}
        }
        let gone = error.is_not_found();
        if gone && !self.photos.is_remote() && !is_there(&self.photos.root()) {
            return Message::Ended(Error::NoPhotos {
                root: self.photos.to_string(),
                problem: "it is missing or empty".to_owned(),
            });
        }
        let cause = match () {
            () if gone => Cause::Gone,
            () if error.is_denied() => Cause::Denied,
            () if matches!(error, sbir_objects::Error::Server { .. }) => Cause::Refused,
            () => Cause::Other,
        };
        let reason = match error {
            sbir_objects::Error::TooLarge { name, limit, .. } => {
                format!("{name}: larger than the {limit} bytes that are read; use a smaller file")
            }
            error => error.to_string(),
        };
        Message::Unreadable { task, reason: Error::line(&reason), cause }
    }
}

/// Whether a folder is there with something in it: an empty one may be where a disk is mounted at other times.
fn is_there(root: &std::path::Path) -> bool {
    std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some())
}

/// Decodes files until there are no more.
pub(super) struct Decoder<'a> {
    pub(super) root: PathBuf,
    pub(super) embedder: &'a dyn Embedder,
    pub(super) stop: &'a Stop,
    pub(super) contents: Receiver<Content<'a>>,
    pub(super) messages: Sender<Message>,
}

impl Decoder<'_> {
    pub(super) fn run(&self) {
        for Content { task, object, _claim } in &self.contents {
            if self.stop.now() {
                return;
            }
            if task.order.is_given_up() {
                continue;
            }
            // A decoder that panics costs its file, not the run.
            let decoded = catch_unwind(AssertUnwindSafe(|| self.decode(&task, &object)));
            let message = match decoded {
                Ok(Ok((made, picture))) => Message::Photo { task, made, picture },
                Ok(Err(reason)) => {
                    Message::Unreadable { task, reason: Error::line(&reason), cause: Cause::Other }
                }
                Err(_) => {
                    let name = self.name(&task).display().to_string();
                    let reason = format!(
                        "{}: reading it failed unexpectedly; please report this with the file",
                        Error::line(&name)
                    );
                    Message::Unreadable { task, reason, cause: Cause::Other }
                }
            };
            if self.messages.send(message).is_err() {
                return;
            }
        }
    }

    fn name(&self, task: &Task) -> PathBuf {
        match task.listed() {
            Some(listed) => self.root.join(listed.path.to_path()),
            None => self.root.clone(),
        }
    }

    fn decode(&self, task: &Task, object: &Object) -> Result<(Made, Upright), String> {
        let listed = task.listed().ok_or("no such photo")?;
        let short_side = 2 * self.embedder.image_size() as u32;
        let picture = Upright::decode(&self.name(task), &object.bytes, Some(short_side))
            .map_err(|error| error.to_string())?;
        let picture = self.embedder.fit(picture).map_err(|error| error.to_string())?;
        let made = Made {
            path: listed.path.clone(),
            size: object.stat.size,
            mtime_ns: object.stat.mtime_ns,
            hash: Sha256::digest(&object.bytes).into(),
            width: picture.full_size[0],
            height: picture.full_size[1],
        };
        Ok((made, picture))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_budget_is_kept_and_a_stop_is_heard() {
        let budget = Budget::new(10);
        let stop = Stop::default();
        // More than all is all.
        let all = budget.claim(1000, &stop).unwrap();
        assert_eq!(all.bytes, 10);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.claim(4, &stop).is_some());
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            drop(all);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(*budget.free.lock().unwrap(), 10);
        let _some = budget.claim(9, &stop).unwrap();
        stop.end();
        assert!(budget.claim(2, &stop).is_none());
    }
}
