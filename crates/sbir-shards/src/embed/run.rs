//! The stages of a run, and the one that embeds.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use sbir_data::Upright;
use sbir_gallery::{Embedder, embed_photos};
use sbir_objects::{Options, Place};

use super::assembly::{Assembly, Cause, Order};
use super::commit::{Outcome, commit, is_there};
use super::read::{Budget, Decoder, Message, Reader, Stop, Task};
use super::{EmbedOptions, EmbedSummary, Progress};
use crate::MAX_FAILURES;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::manifest::Manifest;
use crate::piece::{MAX_BYTES, Piece};
use crate::shard::Shard;

/// How often the caller is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How long a photo waits for others to be embedded with.
const FILL_FOR: Duration = Duration::from_millis(150);
/// Files that are read at once from an object store: its answers take long, and many come at once.
const REMOTE_READERS: usize = 16;
/// Finished pieces that wait to be written.
const TO_WRITE: usize = 2;

/// Pieces of no more photos may have lost them all; of more, it is rather their place that is not as it was.
const FEW: usize = 3;

/// Embeds one share of a manifest's pieces and writes each as one file into `out`, unless it is there.
///
/// The photos are read below the manifest's root, with `objects` where that lies in an object store. A photo is embedded
/// as it is now, whatever the manifest says of it. A photo that is gone, denied or no picture is recorded in its piece.
///
/// A piece is left out, and the run goes on with the others, if one of its photos could not be had for a reason that may
/// pass (a disk that fails, a server that does not answer, after all attempts), or if none of them could be had: all
/// gone or denied is rather the state of their place. But up to three photos may be all that a piece has, and be gone:
/// such a piece is recorded as it is, unless nothing else can be had there either. Where the whole place cannot be read,
/// or nothing could be had for as long as one call may take, the run ends.
///
/// # Errors
/// If the places cannot be read or written, `out` holds pieces of another manifest or encoder, or the embedder fails.
/// [`Error::LeftOut`] at the end, with all other pieces written.
pub fn embed(
    manifest: &mut Manifest,
    out: &Place,
    embedder: &dyn Embedder,
    objects: &Options,
    options: &EmbedOptions,
    progress: &dyn Progress,
) -> Result<EmbedSummary> {
    let space = embedder.space();
    // The table takes some of it too.
    if u64::from(manifest.header().piece) * space.dimension as u64 * 2 > MAX_BYTES / 2 {
        return Err(Error::Options(format!(
            "pieces of {} photos are too large for vectors of {} values; write the manifest with smaller ones",
            manifest.header().piece,
            space.dimension
        )));
    }
    let job = Job::new(manifest, space, options.shard);
    let photos = Place::open(job.root.as_os_str(), objects)?;
    if !photos.is_remote() && job.photos > 0 && !job.root.is_dir() {
        return Err(Error::NoPhotos {
            root: photos.to_string(),
            problem: "there is no such folder on this machine".to_owned(),
        });
    }
    job.claim(out)?;
    let patience = objects.patience.deadline;
    let mut run = Run::new(&job, &photos, patience, embedder, options, progress);
    let result = run.stages(manifest, out);
    run.summary.cancelled = run.stop.asked();
    run.tell();
    match result {
        // What a stop broke off is no failure.
        Err(_) if run.summary.cancelled => Ok(run.summary),
        Err(error) => Err(error),
        Ok(()) => match run.left_out {
            Some(LeftOut { pieces, first, cause }) => {
                let all = run.summary.snapshot.pieces;
                Err(Error::LeftOut { pieces, all, first, cause: Box::new(cause) })
            }
            None => Ok(run.summary),
        },
    }
}

/// Pieces that were left out.
struct LeftOut {
    pieces: u64,
    first: u64,
    cause: Error,
}

struct Run<'a> {
    job: &'a Job,
    photos: &'a Place,
    embedder: &'a dyn Embedder,
    options: &'a EmbedOptions,
    progress: &'a dyn Progress,
    stop: Arc<Stop>,
    started: Instant,
    told: Instant,
    summary: EmbedSummary,
    /// Photos to embed.
    pictures: Vec<Upright>,
    tasks: Vec<(Task, crate::piece::Made)>,
    /// Pieces whose photos are under way.
    assemblies: HashMap<u64, Assembly>,
    left_out: Option<LeftOut>,
    /// Whether the bytes of any photo could be had.
    had_any: bool,
    /// Since when nothing could be had of the photos' place, if so.
    nothing_since: Option<Instant>,
    /// How long that may go on.
    patience: Duration,
}

impl<'a> Run<'a> {
    fn new(
        job: &'a Job,
        photos: &'a Place,
        patience: Duration,
        embedder: &'a dyn Embedder,
        options: &'a EmbedOptions,
        progress: &'a dyn Progress,
    ) -> Self {
        let now = Instant::now();
        let mut summary = EmbedSummary::default();
        let shard = options.shard;
        summary.snapshot.pieces = shard.share(job.pieces());
        // All pieces are of one size but the last.
        let last = job.pieces().saturating_sub(1);
        summary.snapshot.total = summary.snapshot.pieces * u64::from(job.piece);
        if job.pieces() > 0 && shard.takes(last) {
            summary.snapshot.total -= u64::from(job.piece) - job.photos_of(last);
        }
        Self {
            job,
            photos,
            embedder,
            options,
            progress,
            stop: Arc::new(Stop::new(options.stop)),
            started: now,
            told: now,
            summary,
            pictures: Vec::new(),
            tasks: Vec::new(),
            assemblies: HashMap::new(),
            left_out: None,
            had_any: false,
            nothing_since: None,
            patience,
        }
    }

    fn stages(&mut self, manifest: &mut Manifest, out: &Place) -> Result<()> {
        let photos = self.photos;
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let decoders = if self.options.threads == 0 { cores() } else { self.options.threads };
        let readers = match self.options.readers {
            0 if photos.is_remote() => REMOTE_READERS.max(decoders),
            0 => decoders,
            readers => readers,
        };
        let budget = Budget::new(self.options.memory);
        let stop = Arc::clone(&self.stop);
        let (tasks, tasks_out) = bounded::<Task>(2 * readers);
        let (contents, contents_out) = bounded(decoders);
        // What is decoded while a batch is embedded.
        let (messages, messages_out) = bounded::<Message>(self.options.batch.max(1) + decoders);
        let (pieces, pieces_out) = bounded::<Piece>(TO_WRITE);
        let (outcomes, outcomes_out) = unbounded::<Result<Outcome>>();
        let (job, shard) = (self.job, self.options.shard);
        let embedder = self.embedder;
        thread::scope(|scope| {
            for _ in 0..readers {
                let reader = Reader {
                    photos,
                    budget: &budget,
                    stop: &stop,
                    tasks: tasks_out.clone(),
                    contents: contents.clone(),
                    messages: messages.clone(),
                };
                scope.spawn(move || reader.run());
            }
            drop((tasks_out, contents));
            for _ in 0..decoders {
                let decoder = Decoder {
                    root: job.root.clone(),
                    embedder,
                    stop: &stop,
                    contents: contents_out.clone(),
                    messages: messages.clone(),
                };
                scope.spawn(move || decoder.run());
            }
            drop(contents_out);
            let dealer_stop = Arc::clone(&stop);
            scope.spawn(move || {
                if let Err(error) = deal(job, shard, manifest, out, &dealer_stop, &tasks, &messages)
                {
                    let _ = messages.send(Message::Ended(error));
                }
            });
            scope.spawn(move || commit(job, out, &pieces_out, &outcomes));
            let mut result = self.receive(&messages_out, &pieces, &outcomes_out);
            if result.is_err() {
                // Ends the others, which wait to send or look at the flag.
                stop.end();
            }
            drop((messages_out, pieces));
            // The last pieces are being written.
            for outcome in &outcomes_out {
                let counted = self.count(outcome);
                result = result.and(counted);
            }
            result
        })
    }

    /// Takes in what the other stages send, until they have ended.
    fn receive(
        &mut self,
        messages: &Receiver<Message>,
        pieces: &Sender<Piece>,
        outcomes: &Receiver<Result<Outcome>>,
    ) -> Result<()> {
        let mut waiting_since = Instant::now();
        loop {
            match messages.recv_timeout(TELL_EVERY) {
                Ok(Message::Begun(order)) => {
                    self.assemblies.insert(order.number, Assembly::new(order));
                }
                Ok(Message::There(photos)) => {
                    self.summary.snapshot.done += photos;
                    self.summary.snapshot.there += 1;
                }
                Ok(Message::Photo { task, made, picture }) => {
                    (self.had_any, self.nothing_since) = (true, None);
                    if self.pictures.is_empty() {
                        waiting_since = Instant::now();
                    }
                    if !task.order.is_given_up() {
                        self.pictures.push(picture);
                        self.tasks.push((task, made));
                    }
                }
                Ok(Message::Unreadable { task, reason, cause }) => {
                    self.had_any |= cause == Cause::Other;
                    self.nothing_since = None;
                    self.summary.snapshot.failed += 1;
                    self.summary.snapshot.done += 1;
                    if self.summary.failures.len() < MAX_FAILURES {
                        self.summary.failures.push(reason.clone());
                    }
                    if let Some(assembly) = self.assemblies.get_mut(&task.order.number) {
                        assembly.unreadable(task.place, reason, cause);
                    }
                    self.hand_on(task.order.number, pieces);
                }
                Ok(Message::NotHad { order, error }) => {
                    let since = *self.nothing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.patience {
                        return Err(error);
                    }
                    // Several of its photos may have been under way.
                    if self.assemblies.remove(&order.number).is_some() {
                        self.leave_out(order.number, error);
                    }
                }
                Ok(Message::Ended(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.stop.now() {
                return Err(Error::Cancelled);
            }
            let full = self.pictures.len() >= self.options.batch.max(1);
            if full || !self.pictures.is_empty() && waiting_since.elapsed() > FILL_FOR {
                self.embed(pieces)?;
            }
            for outcome in outcomes.try_iter() {
                self.count(outcome)?;
            }
            if self.told.elapsed() >= TELL_EVERY {
                self.tell();
            }
        }
        self.embed(pieces)
    }

    fn embed(&mut self, pieces: &Sender<Piece>) -> Result<()> {
        if self.pictures.is_empty() {
            return Ok(());
        }
        let dimension = self.embedder.dimension();
        let vectors = embed_photos(self.embedder, &self.pictures)?;
        self.pictures.clear();
        let tasks = std::mem::take(&mut self.tasks);
        for ((task, made), vector) in tasks.into_iter().zip(vectors.chunks_exact(dimension)) {
            if let Some(assembly) = self.assemblies.get_mut(&task.order.number) {
                assembly.made(task.place, made, vector)?;
            }
            self.summary.snapshot.embedded += 1;
            self.summary.snapshot.done += 1;
            self.hand_on(task.order.number, pieces);
        }
        Ok(())
    }

    /// Gives a piece that is complete to be written, unless it is to be left out.
    fn hand_on(&mut self, number: u64, pieces: &Sender<Piece>) {
        if !self.assemblies.get(&number).is_some_and(Assembly::is_complete) {
            return;
        }
        let Some(assembly) = self.assemblies.remove(&number) else { return };
        if let Some(problem) = assembly.nothing_had()
            && (assembly.photos() > FEW || !self.anything_had())
        {
            let root = Error::line(&self.job.root.display().to_string());
            self.leave_out(number, Error::NoPhotos { root, problem });
            return;
        }
        // Fails where whoever writes them ended with an error, which is met among the outcomes.
        let _ = pieces.send(assembly.finish(&self.job.manifest, &self.job.space));
    }

    fn leave_out(&mut self, number: u64, cause: Error) {
        let first = LeftOut { pieces: 0, first: number, cause };
        self.left_out.get_or_insert(first).pieces += 1;
    }

    /// Whether anything can be had of the photos' place: a photo was, or one can be listed.
    fn anything_had(&self) -> bool {
        self.had_any
            || self.photos.list().is_ok_and(|mut listing| matches!(listing.next(), Some(Ok(_))))
    }

    fn count(&mut self, outcome: Result<Outcome>) -> Result<()> {
        match outcome? {
            Outcome::Written => self.summary.snapshot.written += 1,
            Outcome::There => self.summary.snapshot.there += 1,
        }
        Ok(())
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        self.summary.snapshot.elapsed = self.started.elapsed();
        self.progress.update(&self.summary.snapshot);
    }
}

/// Deals the photos of a share's pieces out, but for pieces that are there.
fn deal(
    job: &Job,
    shard: Shard,
    manifest: &mut Manifest,
    out: &Place,
    stop: &Stop,
    tasks: &Sender<Task>,
    messages: &Sender<Message>,
) -> Result<()> {
    for piece in manifest.pieces(|piece| shard.takes(piece))? {
        let (number, photos) = piece?;
        if stop.now() {
            return Ok(());
        }
        let count = photos.len();
        if is_there(job, out, number)? {
            if messages.send(Message::There(count as u64)).is_err() {
                return Ok(());
            }
            continue;
        }
        let order = Arc::new(Order::new(number, photos));
        if messages.send(Message::Begun(Arc::clone(&order))).is_err() {
            return Ok(());
        }
        for place in 0..count {
            let task = Task { order: Arc::clone(&order), place };
            if stop.now() || tasks.send(task).is_err() {
                return Ok(());
            }
            if order.is_given_up() {
                break;
            }
        }
    }
    Ok(())
}
