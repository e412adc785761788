//! What a server is told before it starts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Beyond the loopback interface a token is required.
    pub listen: SocketAddr,
    /// Further names that the server is reached by, each `name` or `name:port`, compared with the `Host` of every
    /// request. `localhost` and addresses of the machine itself need no mention. With any other name a token is required:
    /// something forwards requests from elsewhere.
    pub hosts: Vec<String>,
    /// The token that browsers and scripts must show. Without one, one is made where it is required.
    pub token: Option<String>,
    /// The folders to index at the start and to watch; without any, those that the gallery knows.
    pub folders: Vec<PathBuf>,
    /// Whether to index and watch at all.
    pub index: bool,
    /// The encoder's name, as the page shows it.
    pub encoder: String,
    /// The folder for thumbnails. Without one they are made anew each time.
    pub cache: Option<PathBuf>,
    /// The most bytes that thumbnails may take there.
    pub cache_bytes: u64,
    /// What a request may cost.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8420),
            hosts: Vec::new(),
            token: None,
            folders: Vec::new(),
            index: true,
            encoder: "bundled".into(),
            cache: None,
            cache_bytes: 2 << 30,
            limits: Limits::default(),
        }
    }
}

/// What requests may cost. Beyond it they are refused, never kept waiting without end.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes of a drawing.
    pub strokes_bytes: usize,
    /// The most bytes of all drawings that arrive or wait.
    pub strokes_room: usize,
    /// The most strokes in a drawing.
    pub strokes: usize,
    /// The most points in a drawing.
    pub points: usize,
    /// The most bytes of an uploaded picture.
    pub picture_bytes: usize,
    /// The most bytes of all uploaded pictures that arrive or wait.
    pub picture_room: usize,
    /// The most pixels of an uploaded picture.
    pub picture_pixels: u64,
    /// How many searches run at once.
    pub searches: usize,
    /// How many pictures are decoded at once, for thumbnails, uploads and formats that are re-encoded. A decoded upload
    /// counts until its search is over.
    pub pictures: usize,
    /// How many requests may wait for either.
    pub waiting: usize,
    /// How long a request waits before it gets 503.
    pub patience: Duration,
    /// How long the head of a request may take to arrive, the pause before it included.
    pub head: Duration,
    /// How long a body may take to arrive, and an answer to be made.
    pub timeout: Duration,
    /// How long a client may take none of an answer, or hardly any.
    pub stall: Duration,
    /// How long an event stream lasts before it must be asked for again.
    pub stream_life: Duration,
    /// The most connections at once.
    pub connections: usize,
    /// The most connections at once of one address beyond this machine's own.
    pub connections_each: usize,
    /// The most event streams at once.
    pub streams: usize,
    /// The most photos in an answer.
    pub hits: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            strokes_bytes: 4 << 20,
            strokes_room: 64 << 20,
            strokes: 5_000,
            points: 100_000,
            picture_bytes: 32 << 20,
            picture_room: 256 << 20,
            picture_pixels: 64_000_000,
            searches: cores,
            // Each may take half a gigabyte for a moment.
            pictures: cores.min(4),
            waiting: 128,
            patience: Duration::from_secs(3),
            head: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            stream_life: Duration::from_secs(600),
            connections: 1024,
            connections_each: 256,
            streams: 64,
            hits: 1000,
        }
    }
}
