//! The thread that keeps the gallery up to date: an index run at the start, and one after every change in its folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sbir_gallery::{Error, Failure, IndexOptions, Progress, Snapshot, index, is_remote};

use crate::app::App;
use crate::state::{Folder, IndexPhase};

/// A run begins when the folders have been quiet for this long after a change…
const QUIET: Duration = Duration::from_millis(1200);
/// … or after this long, when they never are.
const RESTLESS: Duration = Duration::from_secs(15);
/// How often the thread looks whether it should end.
const TICK: Duration = Duration::from_millis(200);
/// How often the gallery is looked at for what other processes did.
const REFRESH: Duration = Duration::from_secs(3);
/// When a run failed, or folders cannot be watched, they are looked at again after this long.
const AGAIN: Duration = Duration::from_secs(60);
/// How often the number of photos is read while indexing.
const COUNT: Duration = Duration::from_millis(500);

/// Runs until the server stops.
pub(crate) fn run(app: &Arc<App>) {
    let (sender, news) = channel();
    let mut indexer = Indexer {
        app,
        folders: Vec::new(),
        watcher: None,
        watched: Vec::new(),
        trouble: false,
        counted: None,
    };
    indexer.folders = indexer.all_folders();
    if !app.config.index {
        indexer.refresh();
        app.state.change(|state| state.phase = IndexPhase::Idle);
    }
    if app.config.index {
        indexer.watch(&sender);
        let folders = indexer.folders.clone();
        indexer.index(&folders);
    }
    let mut changed: Vec<PathBuf> = Vec::new();
    let mut refreshed = Instant::now();
    let mut retry = indexer.retry_at();
    while !app.stop_flag().load(Ordering::Relaxed) {
        match next_change(&news, app) {
            Some(path) => {
                changed.push(path);
                indexer.settle(&news, &mut changed);
                let folders = indexer.touched(&changed);
                changed.clear();
                if !folders.is_empty() {
                    indexer.index(&folders);
                    retry = indexer.retry_at();
                }
            }
            None if app.config.index && retry.is_some_and(|at| Instant::now() >= at) => {
                let folders = indexer.folders.clone();
                indexer.index(&folders);
                retry = indexer.retry_at();
            }
            None => {}
        }
        if refreshed.elapsed() > REFRESH {
            if app.config.index && indexer.is_another() {
                indexer.watch(&sender);
                let folders = indexer.folders.clone();
                indexer.index(&folders);
                retry = indexer.retry_at();
            }
            indexer.refresh();
            refreshed = Instant::now();
        }
    }
}

/// Waits a moment for a change that matters.
fn next_change(news: &Receiver<PathBuf>, app: &App) -> Option<PathBuf> {
    match news.recv_timeout(TICK) {
        Ok(path) => Some(path),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            // Nothing is watched.
            if !app.stop_flag().load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
            }
            None
        }
    }
}

struct Indexer<'a> {
    app: &'a Arc<App>,
    folders: Vec<PathBuf>,
    /// Watches as long as it is kept.
    watcher: Option<std::thread::JoinHandle<Option<RecommendedWatcher>>>,
    /// What the folders were when they began to be watched; none for one that was not there.
    watched: Vec<Option<Identity>>,
    /// Whether the store could not be asked.
    trouble: bool,
    /// When the folders were last counted, at which revision.
    counted: Option<(Instant, u64)>,
}

impl Indexer<'_> {
    /// The folders named at the start, else those that the gallery knows.
    fn all_folders(&self) -> Vec<PathBuf> {
        if !self.app.config.folders.is_empty() {
            let absolute =
                |path: &PathBuf| fs_err::canonicalize(path).unwrap_or_else(|_| path.clone());
            return self.app.config.folders.iter().map(absolute).collect();
        }
        let roots = self.app.store.roots().unwrap_or_default();
        roots.into_iter().map(|root| root.path).filter(|root| !is_remote(root)).collect()
    }

    /// Watches the folders, on a thread of its own: that walks through all of them first.
    fn watch(&mut self, changes: &Sender<PathBuf>) {
        self.watched = self.folders.iter().map(|folder| identity(folder)).collect();
        let (app, folders) = (Arc::clone(self.app), self.folders.clone());
        let changes = changes.clone();
        let ignored = self.app.store.local().map(|gallery| gallery.path().to_owned());
        let handler = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            for path in event.paths {
                // The gallery's own file may lie in one of its folders.
                let own = ignored.as_deref().is_some_and(|own| belongs_to(&path, own));
                if !own {
                    let _ = changes.send(path);
                }
            }
        };
        let config = notify::Config::default().with_follow_symlinks(false);
        let watch = move || {
            let mut watcher = RecommendedWatcher::new(handler, config).ok();
            let mut all = true;
            for folder in folders {
                all &= watcher.as_mut().is_some_and(|watcher| {
                    watcher.watch(&folder, RecursiveMode::Recursive).is_ok()
                });
            }
            app.state.change(|state| state.watching = all);
            watcher
        };
        self.watcher = std::thread::Builder::new().name("sbir-watch".into()).spawn(watch).ok();
    }

    /// Whether a folder went, came, or is another than was watched: what was unmounted or deleted takes its watch with it.
    fn is_another(&self) -> bool {
        self.folders.iter().map(|folder| identity(folder)).ne(self.watched.iter().copied())
    }

    /// Waits until the folders are quiet, and collects what changed meanwhile.
    fn settle(&self, news: &Receiver<PathBuf>, changed: &mut Vec<PathBuf>) {
        let began = Instant::now();
        let mut last = began;
        while last.elapsed() < QUIET && began.elapsed() < RESTLESS {
            if self.app.stop_flag().load(Ordering::Relaxed) {
                return;
            }
            if let Ok(path) = news.recv_timeout(TICK) {
                last = Instant::now();
                // Which folders matters, not which files.
                if changed.len() < 10_000 {
                    changed.push(path);
                }
            }
        }
    }

    /// The folders that changes lie in.
    fn touched(&self, changed: &[PathBuf]) -> Vec<PathBuf> {
        let touched = |folder: &&PathBuf| changed.iter().any(|path| path.starts_with(folder));
        self.folders.iter().filter(touched).cloned().collect()
    }

    /// When to look again without having heard of a change.
    fn retry_at(&self) -> Option<Instant> {
        let state = self.app.state.get();
        let again = state.phase == IndexPhase::Failed || state.message.is_some() || !state.watching;
        again.then(|| Instant::now() + AGAIN)
    }

    /// Brings the gallery up to date with folders.
    fn index(&mut self, folders: &[PathBuf]) {
        let app = self.app;
        if folders.is_empty() {
            self.refresh();
            app.state.change(|state| state.phase = IndexPhase::Idle);
            return;
        }
        app.state.change(|state| {
            state.phase = IndexPhase::Listing;
            (state.done, state.total, state.rate, state.seconds_left) = (0, None, None, None);
            (state.skipped, state.message) = (0, None);
            state.skipped_files.clear();
        });
        self.refresh();
        let options = IndexOptions { cancel: Some(app.stop_flag()), ..IndexOptions::default() };
        let reporter = Reporter { app, counted: std::cell::Cell::new(Instant::now()) };
        let result = index(&*app.store, folders, &*app.embedder, &options, &reporter);
        // Its own error would come again with the first search, and be told there.
        let _ = app.store.settle();
        // A run that changed nothing may have learned of a folder all the same.
        self.counted = None;
        self.refresh();
        app.state.change(|state| {
            (state.rate, state.seconds_left) = (None, None);
            match result {
                Ok(_) => state.phase = IndexPhase::Idle,
                // The other process does the same work.
                Err(error @ Error::Locked { .. }) => {
                    state.phase = IndexPhase::Idle;
                    state.message = Some(error.to_string());
                }
                Err(error) => {
                    state.phase = IndexPhase::Failed;
                    state.message = Some(error.to_string());
                }
            }
        });
    }

    /// Looks at what the gallery holds now.
    fn refresh(&mut self) {
        let stats = self.app.store.stats();
        // What the store says while it cannot be asked is told until it can.
        let trouble = stats.as_ref().err().map(ToString::to_string);
        let told = std::mem::replace(&mut self.trouble, trouble.is_some());
        self.app.state.change(|state| {
            if trouble.is_some() || told && state.phase != IndexPhase::Failed {
                state.message = trouble;
            }
        });
        // The folders are counted through, so only when something changed or after a while.
        let revision = stats.as_ref().map_or(0, |stats| stats.generation);
        let known = self.counted.is_some_and(|(at, of)| of == revision && at.elapsed() < AGAIN / 2);
        let roots = if known { None } else { self.app.store.roots().ok() };
        if roots.is_some() {
            self.counted = Some((Instant::now(), revision));
        }
        self.app.state.change(|state| {
            if let Ok(stats) = stats {
                (state.photos, state.revision) = (stats.photos, stats.generation);
            }
            if let Some(roots) = roots {
                let folder = |root: sbir_gallery::RootInfo| Folder {
                    path: root.path.display().to_string(),
                    problem: (!root.present)
                        .then(|| "missing; its photos are kept until it is back".to_owned()),
                };
                state.roots = roots.into_iter().map(folder).collect();
                // Those of which nothing is in the gallery yet.
                for path in &self.folders {
                    let path = path.display().to_string();
                    if !state.roots.iter().any(|root| root.path == path) {
                        state.roots.push(Folder { path, problem: None });
                    }
                }
            }
        });
    }
}

/// What tells a folder from another of the same name.
type Identity = (u64, u64);

/// Device and number of a folder; none where there is none.
#[cfg(unix)]
fn identity(folder: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs_err::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether there is a folder; none where there is none.
#[cfg(not(unix))]
fn identity(folder: &Path) -> Option<Identity> {
    folder.is_dir().then_some((0, 0))
}

/// Whether a path is the gallery's file or one derived from it, such as SQLite's own.
fn belongs_to(path: &Path, gallery: &Path) -> bool {
    let (Some(name), Some(own)) = (path.file_name(), gallery.file_name()) else { return false };
    let begins = name.as_encoded_bytes().starts_with(own.as_encoded_bytes());
    begins && path.parent().map(real) == gallery.parent().map(real)
}

fn real(folder: &Path) -> PathBuf {
    fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

struct Reporter<'a> {
    app: &'a App,
    counted: std::cell::Cell<Instant>,
}

impl Progress for Reporter<'_> {
    fn update(&self, snapshot: &Snapshot) {
        let stats = if self.counted.get().elapsed() > COUNT {
            self.counted.set(Instant::now());
            self.app.store.stats().ok()
        } else {
            None
        };
        self.app.state.change(|state| {
            state.phase =
                if snapshot.total.is_some() { IndexPhase::Indexing } else { IndexPhase::Listing };
            (state.done, state.total) = (snapshot.done, snapshot.total);
            state.rate = (snapshot.rate > 0.0).then_some(snapshot.rate);
            state.seconds_left = snapshot.time_left().map(|left| left.as_secs_f64());
            if let Some(stats) = stats {
                (state.photos, state.revision) = (stats.photos, stats.generation);
            }
        });
    }

    fn failed(&self, failure: &Failure) {
        let path = failure.path.display().to_string();
        let reason = failure.message.strip_prefix(&format!("{path}: ")).unwrap_or(&failure.message);
        self.app.state.change(|state| state.skip(path.clone(), reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gallerys_own_files_are_known() {
        let gallery = Path::new("/nowhere/p/gallery.sbir");
        for own in ["gallery.sbir", "gallery.sbir-wal", "gallery.sbir-shm", "gallery.sbir.f16"] {
            assert!(belongs_to(&Path::new("/nowhere/p").join(own), gallery), "{own}");
        }
        assert!(!belongs_to(Path::new("/nowhere/p/photo.jpg"), gallery));
        assert!(!belongs_to(Path::new("/nowhere/q/gallery.sbir"), gallery));
    }
}
