//! What every request shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sbir_gallery::{Embedder, PhotoFiles, VectorStore};
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::body::Room;
use crate::config::Config;
use crate::error::Result;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::state::{IndexState, LiveState};
use crate::thumbnails::Thumbnails;

/// Short look-ups at once: a disk that hangs may hold so many threads, of the 512 that there are for blocking work.
const LOOKUPS: usize = 64;
/// Look-ups that wait: a page's thumbnails are asked for together.
const WAITING_LOOKUPS: usize = 1024;

/// What a server works with.
pub struct Services {
    /// The photos and their embeddings.
    pub store: Arc<dyn VectorStore>,
    /// The photos' files.
    pub files: Arc<dyn PhotoFiles>,
    /// What embeds queries, and photos where there are folders to index.
    pub embedder: Arc<dyn Embedder>,
}

pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) access: Access,
    pub(crate) store: Arc<dyn VectorStore>,
    pub(crate) files: Arc<dyn PhotoFiles>,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) searches: Gate,
    pub(crate) pictures: Gate,
    /// In front of what is short unless a disk or a store hangs.
    pub(crate) lookups: Gate,
    pub(crate) drawings: Room,
    pub(crate) uploads: Room,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) metrics: Metrics,
    pub(crate) state: LiveState,
    stopping: watch::Sender<bool>,
    /// The same for threads.
    stop: Arc<AtomicBool>,
}

impl App {
    pub(crate) fn new(config: Config, address: SocketAddr, services: Services) -> Result<Self> {
        let Services { store, files, embedder } = services;
        let access = Access::new(&config, address)?;
        let limits = &config.limits;
        let gate = |at_once| Gate::new(at_once, limits.waiting, limits.patience);
        let (searches, pictures) = (gate(limits.searches), gate(limits.pictures));
        let lookups = Gate::new(LOOKUPS, WAITING_LOOKUPS, limits.patience);
        let room = |what, most, size| Room::new(what, most, size, limits.timeout);
        let drawings = room("A drawing", limits.strokes_bytes, limits.strokes_room);
        let uploads = room("A picture", limits.picture_bytes, limits.picture_room);
        let streams = Arc::new(Semaphore::new(limits.streams));
        let thumbnails = Thumbnails::new(config.cache.as_deref(), config.cache_bytes);
        let state = LiveState::new(IndexState::new(&config.encoder));
        Ok(Self {
            access,
            store,
            files,
            embedder,
            searches,
            pictures,
            lookups,
            drawings,
            uploads,
            streams,
            thumbnails,
            metrics: Metrics::default(),
            state,
            stopping: watch::Sender::new(false),
            stop: Arc::new(AtomicBool::new(false)),
            config,
        })
    }

    /// Asks everything that goes on by itself to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stopping.send_replace(true);
    }

    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}
