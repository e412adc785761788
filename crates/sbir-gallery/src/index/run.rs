//! The stages of a run, and the one that embeds and writes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use sbir_data::Upright;

use super::content::{Content, Found, Reader};
use super::output::Output;
use super::target::Targets;
use super::walk::{Job, Walk, count};
use super::{Counters, Failure, IndexOptions, Message, Phase, Progress, Summary};
use crate::embedder::{Embedder, embed_photos};
use crate::error::Result;
use crate::gallery::Change;
use crate::store::{Photo, PhotoId, Record, Touch, VectorStore, escaped};

/// How often the caller is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How many changes wait to be written.
const WRITE_MANY: usize = 512;
/// How long a photo waits for others to be embedded with.
const FILL_FOR: Duration = Duration::from_millis(150);
/// The stretch that the rate is taken over.
const RATE_OVER: Duration = Duration::from_secs(5);

/// A run of the indexer.
pub(super) struct Run<'a> {
    store: &'a dyn VectorStore,
    output: Output<'a>,
    embedder: &'a dyn Embedder,
    options: &'a IndexOptions,
    progress: &'a dyn Progress,
    targets: Targets,
    counters: Arc<Counters>,
    started: Instant,
    told: Instant,
    written: Instant,
    /// Moments and how many photos were read by then.
    pace: VecDeque<(Instant, u64)>,
    summary: Summary,
    /// Photos to embed.
    photos: Vec<Upright>,
    contents: Vec<Content>,
    changes: Vec<Change>,
    /// Photos whose files lie elsewhere now.
    moved: HashSet<PhotoId>,
    /// For each target, the photos whose files were not met, once it was walked to its end.
    gone: Vec<Option<Vec<PhotoId>>>,
}

impl<'a> Run<'a> {
    pub(super) fn begin(
        store: &'a dyn VectorStore,
        dirs: &[std::path::PathBuf],
        embedder: &'a dyn Embedder,
        options: &'a IndexOptions,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let mut output = Output::open(store, &embedder.space())?;
        let targets = Targets::find(store, &mut output, dirs)?;
        let counters = Arc::new(Counters { cancel: options.cancel.clone(), ..Counters::default() });
        let now = Instant::now();
        let gone = targets.present.iter().map(|_| None).collect();
        Ok(Self {
            store,
            output,
            embedder,
            options,
            progress,
            targets,
            counters,
            started: now,
            told: now,
            written: now,
            pace: VecDeque::new(),
            summary: Summary::default(),
            photos: Vec::new(),
            contents: Vec::new(),
            changes: Vec::new(),
            moved: HashSet::new(),
            gone,
        })
    }

    pub(super) fn finish(mut self) -> Result<Summary> {
        self.tell();
        self.stages()?;
        self.summary.cancelled = self.counters.cancelled();
        self.summary.snapshot.phase = Phase::Finishing;
        self.tell();
        if !self.summary.cancelled {
            self.forget()?;
        }
        self.output.close();
        self.store.settle()?;
        self.summary.missing_roots.clone_from(&self.targets.missing);
        self.summary.snapshot.phase = Phase::Done;
        self.tell();
        Ok(self.summary)
    }

    fn stages(&mut self) -> Result<()> {
        let threads = match self.options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let (jobs, jobs_out) = bounded::<Job>(4 * threads);
        // What is decoded while a batch is embedded.
        let (messages, messages_out) = bounded::<Message>(self.options.batch.max(1) + threads);
        let counters = Arc::clone(&self.counters);
        let targets = self.targets.present.clone();
        let (store, rehash) = (self.store, self.options.rehash);
        let reader = Reader {
            store,
            counters: &counters,
            targets: &targets,
            embedder: self.embedder,
            jobs: jobs_out,
            messages: messages.clone(),
        };
        let walk = Walk { store, counters: &counters, rehash, jobs, messages: messages.clone() };
        thread::scope(|scope| {
            scope.spawn(|| {
                if let Some(photos) = count(&targets, &counters) {
                    let _ = messages.send(Message::Counted(photos));
                }
                drop(messages);
            });
            scope.spawn(|| {
                // Owned here, so that the readers end when the walk does.
                let walk = walk;
                for (target, folder) in targets.iter().enumerate() {
                    let message = match walk.run(folder) {
                        Ok(Some(gone)) => Message::Walked { target, gone },
                        Ok(None) => return,
                        Err(error) => Message::Ended(error),
                    };
                    if walk.messages.send(message).is_err() {
                        return;
                    }
                }
            });
            for _ in 0..threads {
                let reader = Reader {
                    store,
                    counters: &counters,
                    targets: reader.targets,
                    embedder: reader.embedder,
                    jobs: reader.jobs.clone(),
                    messages: reader.messages.clone(),
                };
                scope.spawn(move || reader.run());
            }
            drop(reader);
            let result = self.receive(&messages_out);
            // Ends the others, which wait to send or look at the flag.
            if result.is_err() {
                counters.stop.store(true, Ordering::Relaxed);
            }
            drop(messages_out);
            result
        })
    }

    /// Takes in what the other stages send, until they have ended.
    fn receive(&mut self, messages: &Receiver<Message>) -> Result<()> {
        let mut waiting_since = Instant::now();
        loop {
            match messages.recv_timeout(TELL_EVERY) {
                Ok(Message::Content(content)) => {
                    if self.photos.is_empty() {
                        waiting_since = Instant::now();
                    }
                    self.take(*content);
                }
                Ok(Message::Failed(failure)) => self.failed(failure),
                Ok(Message::Walked { target, gone }) => self.gone[target] = Some(gone),
                Ok(Message::Counted(photos)) => self.summary.snapshot.total = Some(photos),
                Ok(Message::Ended(error)) => {
                    self.write()?;
                    return Err(error);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let full = self.photos.len() >= self.options.batch.max(1);
            if full || !self.photos.is_empty() && waiting_since.elapsed() > FILL_FOR {
                self.embed()?;
            }
            if self.changes.len() >= WRITE_MANY || self.written.elapsed() > self.options.write_every
            {
                self.write()?;
            }
            if self.told.elapsed() >= TELL_EVERY {
                self.tell();
            }
            if self.counters.cancelled() {
                break;
            }
        }
        self.embed()?;
        self.write()
    }

    fn take(&mut self, content: Content) {
        let snapshot = &mut self.summary.snapshot;
        match content.found {
            Found::Same { id } => {
                snapshot.touched += 1;
                let (size, mtime_ns) = (content.size, content.mtime_ns);
                self.changes.push(Change::Touch(Touch { id, size, mtime_ns }));
            }
            Found::Elsewhere { known, moved } => {
                snapshot.moved += 1;
                let Content { job, size, mtime_ns, hash, .. } = content;
                let Photo { id, width, height, .. } = known.photo;
                let root = job.target.root.clone();
                let photo = Photo { id, root, path: job.path, size, mtime_ns, hash, width, height };
                let record = Box::new(Record { photo, embedding: known.embedding });
                // A photo can follow one file only; a second copy is a photo of its own.
                self.changes.push(if moved && self.moved.insert(id) {
                    Change::Move(record)
                } else {
                    Change::Put(record)
                });
            }
            Found::New(ref photo) => {
                // The pixels move to where the embedder takes them from.
                let full_size = photo.full_size;
                let empty = Upright { width: 0, height: 0, pixels: Vec::new(), full_size };
                let mut content = content;
                if let Found::New(photo) = std::mem::replace(&mut content.found, Found::New(empty))
                {
                    self.photos.push(photo);
                    self.contents.push(content);
                }
            }
        }
    }

    fn embed(&mut self) -> Result<()> {
        if self.photos.is_empty() {
            return Ok(());
        }
        let dimension = self.embedder.dimension();
        let vectors = embed_photos(self.embedder, &self.photos)?;
        self.photos.clear();
        for (content, vector) in self.contents.drain(..).zip(vectors.chunks_exact(dimension)) {
            let Content { job, size, mtime_ns, hash, found } = content;
            let full_size = match found {
                Found::New(photo) => photo.full_size,
                _ => [0, 0],
            };
            let photo = Photo {
                id: PhotoId(0),
                root: job.target.root.clone(),
                path: job.path,
                size,
                mtime_ns,
                hash,
                width: full_size[0],
                height: full_size[1],
            };
            let record = Record { photo, embedding: vector.to_vec() };
            self.changes.push(Change::Put(Box::new(record)));
            self.summary.snapshot.embedded += 1;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        self.written = Instant::now();
        self.output.apply(&self.changes)?;
        self.changes.clear();
        Ok(())
    }

    fn failed(&mut self, mut failure: Failure) {
        // Names may have line ends in them.
        failure.message = escaped(failure.message.as_bytes());
        self.summary.snapshot.failed += 1;
        self.progress.failed(&failure);
        if self.summary.failures.len() < Summary::MAX_FAILURES {
            self.summary.failures.push(failure);
        }
    }

    /// Forgets photos whose files are gone.
    fn forget(&mut self) -> Result<()> {
        let mut ids = Vec::new();
        for (target, gone) in self.targets.present.iter().zip(self.gone.drain(..)) {
            let Some(gone) = gone else { continue };
            if !gone.is_empty() && !self.options.prune && !target.is_still_there() {
                self.targets.missing.push(target.place());
                continue;
            }
            ids.extend(gone.into_iter().filter(|id| !self.moved.contains(id)));
        }
        let mut removed = self.output.delete(&ids)?;
        if self.options.prune {
            for folder in std::mem::take(&mut self.targets.missing) {
                removed += self.output.delete_under(&folder)?;
            }
        }
        self.summary.snapshot.removed = removed;
        Ok(())
    }

    fn tell(&mut self) {
        let now = Instant::now();
        self.told = now;
        let snapshot = &mut self.summary.snapshot;
        let counter = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
        snapshot.unchanged = counter(&self.counters.unchanged);
        snapshot.unsupported = counter(&self.counters.unsupported);
        snapshot.links = counter(&self.counters.links);
        let read = snapshot.embedded + snapshot.moved + snapshot.touched;
        snapshot.done = snapshot.unchanged + read + snapshot.failed;
        snapshot.elapsed = now - self.started;
        self.pace.push_back((now, read));
        while self.pace.front().is_some_and(|(then, _)| now - *then > RATE_OVER) {
            self.pace.pop_front();
        }
        if let Some((then, before)) = self.pace.front() {
            let seconds = (now - *then).as_secs_f64();
            snapshot.rate = if seconds > 0.0 { (read - before) as f64 / seconds } else { 0.0 };
        }
        self.progress.update(snapshot);
    }
}
