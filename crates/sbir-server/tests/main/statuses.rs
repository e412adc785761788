//! Every answer that the OpenAPI document tells of, brought about. That no other is given, `Site::send` sees to.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sbir_gallery::{
    Cursor, Error, Gallery, Hits, Page, Photo, PhotoId, Record, RelPath, Result, RootInfo,
    SearchOptions, Selector, Space, Stats, Touch, VectorStore,
};
use sbir_server::ROUTES;

use crate::openapi::{fits, resolve, responses};
use crate::support::{Reply, Site, bar, drawing, read_reply};

/// A gallery that can be made to fail, to be slow, or to be out of reach.
struct Troubled {
    gallery: Gallery,
    trouble: Arc<Trouble>,
}

#[derive(Default)]
struct Trouble {
    broken: AtomicBool,
    away: AtomicBool,
    slow_ms: AtomicU64,
}

impl Troubled {
    fn well(&self) -> Result<&Gallery> {
        std::thread::sleep(Duration::from_millis(self.trouble.slow_ms.load(Ordering::SeqCst)));
        if self.trouble.broken.load(Ordering::SeqCst) {
            return Err(Error::Io(std::io::Error::other("the disk is on fire")));
        }
        if self.trouble.away.load(Ordering::SeqCst) {
            let problem = "connection refused".to_owned();
            return Err(Error::Unreachable { gallery: self.gallery.name(), problem });
        }
        Ok(&self.gallery)
    }
}

impl VectorStore for Troubled {
    fn name(&self) -> String {
        self.gallery.name()
    }

    fn ensure(&self, space: &Space) -> Result<()> {
        self.well()?.ensure(space)
    }

    fn space(&self) -> Result<Option<Space>> {
        self.well()?.space()
    }

    fn upsert(&self, batch: &[Record]) -> Result<()> {
        self.well()?.upsert(batch)
    }

    fn touch(&self, batch: &[Touch]) -> Result<()> {
        self.well()?.touch(batch)
    }

    fn delete(&self, which: &Selector) -> Result<u64> {
        self.well()?.delete(which)
    }

    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        self.well()?.search_batch(queries, options)
    }

    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        self.well()?.list(under, after, limit)
    }

    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        self.well()?.scan(after, limit)
    }

    fn get(&self, ids: &[PhotoId]) -> Result<Vec<Record>> {
        self.well()?.get(ids)
    }

    fn lookup(&self, root: &Path, paths: &[RelPath]) -> Result<Vec<Option<Photo>>> {
        self.well()?.lookup(root, paths)
    }

    fn with_content(&self, hash: &[u8; 32]) -> Result<Vec<Record>> {
        self.well()?.with_content(hash)
    }

    fn sample(&self, count: usize) -> Result<Vec<Photo>> {
        self.well()?.sample(count)
    }

    fn roots(&self) -> Result<Vec<RootInfo>> {
        self.well()?.roots()
    }

    fn stats(&self) -> Result<Stats> {
        self.well()?.stats()
    }
}

/// Servers in every state that a request can meet.
struct Sites {
    calm: Site,
    locked: Site,
    /// Whose folder has gone.
    moved: Site,
    /// Where a body must come at once.
    hasty: Site,
    broken: Site,
    /// Whose store cannot be reached.
    away: Site,
    slow: Site,
    /// Where all places are taken by one search that goes on.
    full: Site,
}

fn troubled(limit: Option<Duration>) -> (Site, Arc<Trouble>) {
    let trouble = Arc::new(Trouble::default());
    let shared = Arc::clone(&trouble);
    let site = Site::over(
        2,
        |_| {},
        |config| config.limits.timeout = limit.unwrap_or(config.limits.timeout),
        |gallery| Arc::new(Troubled { gallery, trouble: shared }),
    );
    site.wait_until_idle();
    (site, trouble)
}

impl Sites {
    fn new() -> Self {
        let moved = Site::with(2, |_| {});
        fs_err::rename(&moved.photos, moved.home.path().join("away")).unwrap();
        let (broken, trouble) = troubled(None);
        trouble.broken.store(true, Ordering::SeqCst);
        let (away, trouble) = troubled(None);
        trouble.away.store(true, Ordering::SeqCst);
        let (slow, trouble) = troubled(Some(Duration::from_millis(150)));
        trouble.slow_ms.store(700, Ordering::SeqCst);
        let full = Site::start(
            1,
            |photos| {
                let bar = bar(30);
                let picture = image::RgbImage::from_raw(bar.width, bar.height, bar.pixels);
                picture.unwrap().save(photos.join("a.bmp")).unwrap();
            },
            |config| {
                let limits = &mut config.limits;
                (limits.searches, limits.pictures, limits.waiting) = (1, 1, 0);
                limits.streams = 0;
            },
        );
        full.wait_until_idle();
        Self {
            calm: Site::with(3, |_| {}),
            locked: Site::with_token(),
            moved,
            hasty: Site::with(1, |config| config.limits.timeout = Duration::from_millis(150)),
            broken,
            away,
            slow,
            full,
        }
    }

    fn provoke(&self, method: &str, route: &str, status: u16) -> Reply {
        let method = &*method.to_uppercase();
        let path = &*route.replace("{id}", "1");
        let jpeg = bar(1).to_jpeg(80).unwrap();
        let body = match route {
            "/api/search/image" => jpeg,
            _ if method == "POST" => drawing(1),
            _ => Vec::new(),
        };
        let to = |site: &Site| site.send(method, path, &[], &body);
        let with = |name: &str, value: &str| self.calm.send(method, path, &[(name, value)], &body);
        match status {
            200 if route == "/api/events" => self.start_of_events(),
            200 => to(&self.calm),
            304 => with("If-None-Match", to(&self.calm).header("etag")),
            400 if route.starts_with("/api/gallery") => {
                self.calm.get(&format!("{path}?{}", "limit=0&count=0"))
            }
            400 if route.ends_with("{id}") => self.calm.get(&format!("{path}?v=1&v=2")),
            400 => self.calm.send(method, &format!("{path}?k=0"), &[], &body),
            401 => to(&self.locked),
            403 => with("Origin", "http://evil.example"),
            404 => self.calm.send(method, &route.replace("{id}", "999"), &[], &body),
            408 => self.half_a_body(path),
            410 => to(&self.moved),
            413 => {
                let most = if route == "/api/search/image" { 32 << 20 } else { 4 << 20 };
                self.calm.send(method, path, &[], &vec![b' '; most + 1])
            }
            415 => self.calm.send(method, path, &[], b"no picture"),
            421 => with("Host", "evil.example"),
            422 if route == "/api/search/image" => {
                self.calm.send(method, path, &[], &body[..body.len() / 2])
            }
            422 => self.calm.send(method, path, &[], b"no drawing"),
            500 => to(&self.broken),
            503 if route.starts_with("/api/gallery") || route == "/api/ready" => to(&self.away),
            503 => self.meanwhile(|| {
                let id = self.full.id("a.bmp");
                let path = if method == "GET" { route.replace("{id}", &id) } else { path.into() };
                self.full.send(method, &path, &[], &body)
            }),
            504 => to(&self.slow),
            _ => panic!("nobody knows how to get {status} from {method} {route}"),
        }
    }

    fn start_of_events(&self) -> Reply {
        let mut stream = self.calm.connect();
        self.calm.write(&mut stream, "GET", "/api/events", &[], b"");
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        read_reply(&mut stream)
    }

    fn half_a_body(&self, path: &str) -> Reply {
        let mut stream = self.hasty.connect();
        let host = self.hasty.host();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n{{")
            .unwrap();
        read_reply(&mut stream)
    }

    /// While a search by a picture holds a place behind both gates.
    fn meanwhile(&self, ask: impl FnOnce() -> Reply) -> Reply {
        self.full.embedder.query_ms.store(600, Ordering::SeqCst);
        let mut holding = self.full.connect();
        let jpeg = bar(0).to_jpeg(80).unwrap();
        self.full.write(&mut holding, "POST", "/api/search/image?kind=drawing", &[], &jpeg);
        while self.full.embedder.running.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let reply = ask();
        assert_eq!(read_reply(&mut holding).status, 200);
        reply
    }
}

#[test]
fn every_described_answer_is_given() {
    let sites = Sites::new();
    let document = sites.calm.get("/api/openapi.json").ok().json();
    let mut provoked = 0;
    for (method, route) in ROUTES {
        for (status, described) in responses(method, route).unwrap() {
            let place = format!("{method} {route} {status}");
            let reply = sites.provoke(method, route, status.parse().unwrap());
            assert_eq!(reply.status.to_string(), *status, "{place}");
            assert_eq!(reply.header("retry-after") == "1", reply.status == 503, "{place}");
            let content = &resolve(described, &document)["content"];
            if reply.status == 304 {
                assert!(reply.body.is_empty(), "{place}");
                continue;
            }
            let kind = reply.header("content-type").split(';').next().unwrap();
            let schema = &content[kind]["schema"];
            assert!(schema.is_object(), "{place}: {kind} is not described");
            if kind == "application/json" {
                fits(&reply.json(), schema, &document, &place);
            }
            provoked += 1;
        }
    }
    assert!(provoked > 90, "{provoked}");
}

#[test]
fn a_path_that_is_no_text_is_no_photo() {
    let site = Site::with(1, |_| {});
    for path in ["/api/photos/%FF", "/api/thumbnails/%C3%28", "/api/photos/%FF/similar"] {
        let reply = site.get(path);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"].is_string());
    }
}
