//! A server on a port of its own over a folder of small pictures, and a client of few words.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sbir_gallery::{Gallery, LocalFiles, Upright, VectorStore};
use sbir_server::{Config, Services, serve};
use serde_json::Value;

use crate::cheap::Cheap;

pub struct Site {
    pub address: SocketAddr,
    pub url: String,
    pub photos: PathBuf,
    pub home: tempfile::TempDir,
    pub embedder: Arc<Cheap>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// A picture of one dark bar on white, each number its own.
pub fn bar(number: u32) -> Upright {
    let (width, height) = (96, 80);
    let (left, top) = (8 + number % 4 * 20, 6 + number / 4 % 4 * 18);
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let dark = (left..left + 14).contains(&x) && (top..top + 12).contains(&y);
            pixels.extend(if dark { [20, 30, 40 + (number % 50) as u8] } else { [250, 250, 245] });
        }
    }
    Upright::new(width, height, pixels).unwrap()
}

pub fn write_bar(path: &Path, number: u32) {
    fs_err::write(path, bar(number).to_jpeg(92).unwrap()).unwrap();
}

impl Site {
    /// Twelve pictures, indexed.
    pub fn new() -> Self {
        Self::with(12, |_| {})
    }

    pub fn with(count: u32, configure: impl FnOnce(&mut Config)) -> Self {
        let site = Self::start(count, |_| {}, configure);
        site.wait_until_idle();
        site
    }

    /// One that asks for a token.
    pub fn with_token() -> Self {
        Self::start(1, |_| {}, |config| config.token = Some("a-token-of-mine-1".into()))
    }

    /// `prepare` sees the folder before the server does.
    pub fn start(
        count: u32,
        prepare: impl FnOnce(&Path),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        Self::over(count, prepare, configure, |gallery| Arc::new(gallery))
    }

    /// `store` makes of the gallery what the server sees.
    pub fn over(
        count: u32,
        prepare: impl FnOnce(&Path),
        configure: impl FnOnce(&mut Config),
        store: impl FnOnce(Gallery) -> Arc<dyn VectorStore>,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let photos = fs_err::canonicalize(home.path()).unwrap().join("photos");
        fs_err::create_dir(&photos).unwrap();
        for number in 0..count {
            write_bar(&photos.join(format!("bar{number:03}.jpg")), number);
        }
        prepare(&photos);
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            folders: vec![photos.clone()],
            cache: Some(home.path().join("cache")),
            encoder: "cheap".into(),
            ..Config::default()
        };
        let embedder = Arc::new(Cheap::default());
        configure(&mut config);
        let gallery = Gallery::open_or_create(&home.path().join("gallery.sbir")).unwrap();
        let services = Services {
            store: store(gallery),
            files: Arc::new(LocalFiles),
            embedder: Arc::<Cheap>::clone(&embedder),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, ready) = channel();
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let told = |server: &sbir_server::Server| {
                    sender.send((server.address(), server.url())).unwrap();
                };
                let stop = || stop.load(Ordering::Relaxed);
                serve(config, services, told, stop).unwrap();
            }
        });
        let (address, url) = ready.recv_timeout(Duration::from_secs(20)).unwrap();
        Self { address, url, photos, home, embedder, stop, thread: Some(thread) }
    }

    /// The port on the loopback interface.
    pub fn loopback(&self) -> SocketAddr {
        SocketAddr::new([127, 0, 0, 1].into(), self.address.port())
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.address.port())
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.loopback()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.send("POST", path, &[], body)
    }

    /// Every answer must be one that the OpenAPI document tells of.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = self.connect();
        self.write(&mut stream, method, path, headers, body);
        let reply = read_reply(&mut stream);
        crate::openapi::assert_described(method, path, reply.status);
        reply
    }

    pub fn write(
        &self,
        stream: &mut TcpStream,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.host());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if method != "GET" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // A server that refuses early may have closed already.
        let _ = stream.write_all(body);
    }

    pub fn state(&self) -> Value {
        self.get("/api/index").ok().json()
    }

    #[track_caller]
    pub fn wait_until_idle(&self) {
        self.wait("the index to be done", |state| state["phase"] == "idle");
    }

    #[track_caller]
    pub fn wait(&self, what: &str, done: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            let state = self.state();
            if done(&state) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "waiting for {what}: {state}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// A number out of the Prometheus text.
    pub fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.get("/api/metrics").ok().body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// The id of the photo of this file name.
    pub fn id(&self, name: &str) -> String {
        let page = self.get("/api/gallery?limit=500").ok().json();
        let photos = page["photos"].as_array().unwrap();
        let photo = photos.iter().find(|photo| photo["name"] == name).unwrap();
        photo["id"].as_str().unwrap().to_owned()
    }

    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A drawing as the page sends it: the outline of a bar.
pub fn drawing(number: u32) -> Vec<u8> {
    let (left, top) = (f64::from(8 + number % 4 * 20), f64::from(6 + number / 4 % 4 * 18));
    let place = |x: f64, y: f64| format!("[{},{}]", x / 96.0 * 512.0, y / 80.0 * 512.0);
    let corners = [(0.0, 0.0), (14.0, 0.0), (14.0, 12.0), (0.0, 12.0), (0.0, 0.0)];
    let points: Vec<_> = corners.iter().map(|(x, y)| place(left + x, top + y)).collect();
    format!(r#"{{"canvas":512,"strokes":[[{}]]}}"#, points.join(",")).into_bytes()
}

pub fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    // A reset after the answer (an unread body) still leaves what came before it.
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes).unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&bytes)))
}

fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let chunked =
        headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(rest) } else { rest.to_vec() };
    Some(Reply { status, headers, body })
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let Some(chunk) = rest.get(end + 2..end + 2 + size).filter(|_| size > 0) else { break };
        body.extend_from_slice(chunk);
        rest = &rest[end + 4 + size..];
    }
    body
}
