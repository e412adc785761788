//! Fetching against a local server that also breaks off, stalls, lies and refuses.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sbir_encoder::weights::Error;
use sbir_encoder::weights::fetch::{FetchOptions, Pretrained, Progress, fetch};
use sha2::{Digest, Sha256};

/// What the server does with one request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The whole file, or the range asked for.
    Serve,
    /// As `Serve`, closing the connection after that many bytes of the body.
    BreakOff(usize),
    /// As `Serve`, sending nothing more after that many bytes of the body.
    Stall(usize),
    /// The whole file, whatever range is asked for.
    IgnoreRange,
    /// A range that was not asked for.
    WrongRange,
    /// The file in chunks, without a length, closed after that many bytes.
    Unsized(usize),
    /// Nothing but this status.
    Status(u16),
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
struct Request {
    path: String,
    range: Option<String>,
    if_range: Option<String>,
}

/// A server for one file; answers in order, the last one for every further request.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(content: Vec<u8>, etag: Option<&'static str>, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/models/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped, answers) = (requests.clone(), stop.clone(), answers.to_vec());
        let thread = std::thread::spawn(move || {
            let mut stalled = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let answer = *answers.get(number).or(answers.last()).unwrap();
                let mut stream = stream.unwrap();
                let request = read_request(&stream);
                seen.lock().unwrap().push(request.clone());
                respond(&mut stream, &request, &content, etag, answer);
                if matches!(answer, Answer::Stall(_)) {
                    stalled.push(stream);
                }
            }
        });
        Self { url, requests, stop, thread: Some(thread) }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let address = self.url["http://".len()..].split('/').next().unwrap().to_owned();
        drop(TcpStream::connect(address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut request = Request::default();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
        if let Some(path) = line.strip_prefix("GET ") {
            request.path = path.split(' ').next().unwrap().to_owned();
        } else if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = Some(value.to_owned()),
                "if-range" => request.if_range = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    request
}

fn respond(
    stream: &mut TcpStream,
    request: &Request,
    content: &[u8],
    etag: Option<&str>,
    answer: Answer,
) {
    let first: Option<usize> = request
        .range
        .as_ref()
        .filter(|_| !matches!(answer, Answer::IgnoreRange))
        // As RFC 9110 has it: the range only where the version is still the same.
        .filter(|_| request.if_range.as_deref() == etag)
        .map(|range| range["bytes=".len()..].trim_end_matches('-').parse().unwrap());
    let (status, first) = match (answer, first) {
        (Answer::Status(status), _) => {
            let head =
                format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            drop(stream.write_all(head.as_bytes()));
            return;
        }
        (_, Some(first)) if first >= content.len() => ("416 Range Not Satisfiable", content.len()),
        (_, Some(first)) => ("206 Partial Content", first),
        (_, None) => ("200 OK", 0),
    };
    let body = &content[first..];
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    if let Some(etag) = etag {
        head += &format!("ETag: {etag}\r\n");
    }
    if status.starts_with("206") {
        let first = if matches!(answer, Answer::WrongRange) { first - 1 } else { first };
        head +=
            &format!("Content-Range: bytes {first}-{}/{}\r\n", content.len() - 1, content.len());
    }
    let sent = match answer {
        Answer::Unsized(count) => &body[..count.min(body.len())],
        Answer::BreakOff(count) | Answer::Stall(count) => &body[..count.min(body.len())],
        _ => body,
    };
    if !matches!(answer, Answer::Unsized(_)) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    drop(stream.write_all(head.as_bytes()));
    drop(stream.write_all(sent));
    drop(stream.flush());
}

/// A file of 300,000 bytes and the name that goes with its SHA-256.
fn file() -> (Vec<u8>, String) {
    let content: Vec<u8> = (0..300_000u64).map(|i| ((i * i) >> 7) as u8).collect();
    let name = format!("convnext_test-{}.pth", digits(&content));
    (content, name)
}

fn digits(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

struct Cache {
    folder: tempfile::TempDir,
    options: FetchOptions,
}

impl Cache {
    fn new(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = FetchOptions {
            base_url: server.url.clone(),
            folder: folder.path().join("deep/weights"),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_millis(300),
            max_bytes: 1 << 20,
        };
        Self { folder, options }
    }

    fn fetch(&self, name: &str) -> Result<PathBuf, Error> {
        fetch(name, &self.options, &mut |_| {})
    }

    fn part(&self, name: &str) -> Option<u64> {
        let path = self.options.folder.join(format!("{name}.part"));
        fs_err::metadata(path).ok().map(|metadata| metadata.len())
    }

    /// What is in the folder, without the lock.
    fn names(&self) -> Vec<String> {
        let entries = fs_err::read_dir(&self.options.folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".lock"));
        names.sort();
        names
    }
}

const TAG: Option<&str> = Some("\"v1\"");

#[test]
fn a_file_is_fetched_once_with_progress() {
    let (content, name) = file();
    let server = Server::start(content.clone(), TAG, &[Answer::Serve]);
    let cache = Cache::new(&server);
    let mut steps = Vec::new();
    let path = fetch(&name, &cache.options, &mut |step| steps.push(step)).unwrap();
    assert_eq!(fs_err::read(&path).unwrap(), content);
    assert_eq!(path, cache.folder.path().join("deep/weights").join(&name));
    let total = Some(content.len() as u64);
    assert_eq!(steps.first(), Some(&Progress::Bytes { done: 0, total }));
    assert_eq!(steps.last(), Some(&Progress::Bytes { done: content.len() as u64, total }));
    assert_eq!(cache.names(), [name.as_str()]);

    assert_eq!(cache.fetch(&name).unwrap(), path);
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "the second call is served by the cache");
    assert_eq!(requests[0].path, format!("/models/{name}"));
}

#[test]
fn a_download_that_broke_off_is_resumed_where_it_was() {
    let (content, name) = file();
    let answers = [Answer::BreakOff(100_000), Answer::BreakOff(50_000), Answer::Serve];
    let server = Server::start(content.clone(), TAG, &answers);
    let cache = Cache::new(&server);
    for expected in [100_000, 150_000] {
        let message = cache.fetch(&name).unwrap_err().to_string();
        assert!(message.contains(&format!("after {expected} ")), "{message}");
        assert_eq!(message.lines().count(), 1);
        assert_eq!(cache.part(&name), Some(expected));
    }
    let path = cache.fetch(&name).unwrap();
    assert_eq!(fs_err::read(path).unwrap(), content);
    assert_eq!(cache.names(), [name.as_str()]);
    let ranges: Vec<_> = server.requests().into_iter().map(|r| (r.range, r.if_range)).collect();
    let resumed = |from: &str| (Some(format!("bytes={from}-")), TAG.map(str::to_owned));
    assert_eq!(ranges, [(None, None), resumed("100000"), resumed("150000")]);
}

#[test]
fn a_stalling_server_is_left_and_the_part_kept() {
    let (content, name) = file();
    let server = Server::start(content.clone(), TAG, &[Answer::Stall(70_000), Answer::Serve]);
    let cache = Cache::new(&server);
    let start = Instant::now();
    let message = cache.fetch(&name).unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(message.contains("after 70000 bytes: the server sent nothing for 0.3 s"), "{message}");
    assert_eq!(cache.part(&name), Some(70_000));
    assert_eq!(fs_err::read(cache.fetch(&name).unwrap()).unwrap(), content);
    assert_eq!(server.requests()[1].range.as_deref(), Some("bytes=70000-"));
}

#[test]
fn a_lie_about_the_checksum_is_deleted_and_named() {
    let (content, name) = file();
    let mut other = content.clone();
    other[7] ^= 1;
    let server = Server::start(other.clone(), TAG, &[Answer::Serve]);
    let cache = Cache::new(&server);
    let message = cache.fetch(&name).unwrap_err().to_string();
    let (expected, found) = (digits(&content), digits(&other));
    assert_eq!(
        message,
        format!(
            "{}{name}: the SHA-256 of the download starts with {found}, expected {expected}; the \
             download was deleted: run again or use another mirror (SBIR_WEIGHTS_URL)",
            server.url
        )
    );
    assert!(cache.names().is_empty(), "{:?}", cache.names());
}

#[test]
fn another_version_on_the_server_is_fetched_from_the_start() {
    let (content, name) = file();
    let cache_of = |etag, answers: &[Answer]| Server::start(content.clone(), etag, answers);
    let old = cache_of(Some("\"v0\""), &[Answer::BreakOff(100_000)]);
    let mut cache = Cache::new(&old);
    cache.fetch(&name).unwrap_err();
    // What the old version sent is not what the new one has.
    let part = cache.options.folder.join(format!("{name}.part"));
    fs_err::write(&part, vec![0; 100_000]).unwrap();

    let new = cache_of(TAG, &[Answer::Serve]);
    cache.options.base_url.clone_from(&new.url);
    assert_eq!(fs_err::read(cache.fetch(&name).unwrap()).unwrap(), content);
    assert_eq!(new.requests()[0].if_range.as_deref(), Some("\"v0\""));
}

#[test]
fn servers_that_mistake_ranges_are_read_from_the_start() {
    let (content, name) = file();
    for answer in [Answer::IgnoreRange, Answer::WrongRange] {
        let answers = [Answer::BreakOff(100_000), answer, Answer::Serve];
        let server = Server::start(content.clone(), TAG, &answers);
        let cache = Cache::new(&server);
        cache.fetch(&name).unwrap_err();
        assert_eq!(fs_err::read(cache.fetch(&name).unwrap()).unwrap(), content, "{answer:?}");
    }
    // Without a mark of its version a part is not trusted.
    let server = Server::start(content.clone(), None, &[Answer::BreakOff(9), Answer::Serve]);
    let cache = Cache::new(&server);
    cache.fetch(&name).unwrap_err();
    assert_eq!(fs_err::read(cache.fetch(&name).unwrap()).unwrap(), content);
    assert_eq!(server.requests()[1].range, None);
}

/// All bytes came, but the process ended before they were checked.
#[test]
fn a_part_that_is_complete_is_checked_again() {
    let (content, name) = file();
    let server = Server::start(content.clone(), TAG, &[Answer::BreakOff(10), Answer::Serve]);
    let cache = Cache::new(&server);
    cache.fetch(&name).unwrap_err();
    fs_err::write(cache.options.folder.join(format!("{name}.part")), &content).unwrap();
    assert_eq!(fs_err::read(cache.fetch(&name).unwrap()).unwrap(), content);
}

#[test]
fn a_body_without_a_length_is_judged_by_its_checksum() {
    let (content, name) = file();
    let answers = [Answer::Unsized(100_000), Answer::Unsized(usize::MAX)];
    let server = Server::start(content.clone(), TAG, &answers);
    let cache = Cache::new(&server);
    assert!(matches!(cache.fetch(&name), Err(Error::DownloadChecksum { .. })));
    assert_eq!(fs_err::read(cache.fetch(&name).unwrap()).unwrap(), content);
}

#[test]
fn refusals_name_the_address_and_the_place() {
    let (content, name) = file();
    for status in [404, 403, 500] {
        let server = Server::start(content.clone(), TAG, &[Answer::Status(status)]);
        let cache = Cache::new(&server);
        let message = cache.fetch(&name).unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "{name} is not here and could not be fetched (HTTP status {status}); run again, or \
                 download {}{name} and put it at {}",
                server.url,
                cache.options.folder.join(&name).display()
            )
        );
    }
}

#[test]
fn without_a_network_the_address_and_the_place_are_named() {
    let (content, name) = file();
    let server = Server::start(content, TAG, &[Answer::Serve]);
    let cache = Cache::new(&server);
    let url = server.url.clone();
    drop(server);
    let message = cache.fetch(&name).unwrap_err().to_string();
    assert!(message.contains(&format!("download {url}{name} and put it at ")), "{message}");
    assert_eq!(message.lines().count(), 1);
    // As the message says: put there by hand, it is found.
    fs_err::write(cache.options.folder.join(&name), b"by hand").unwrap();
    assert_eq!(cache.fetch(&name).unwrap(), cache.options.folder.join(&name));
}

#[test]
fn a_file_beyond_the_limit_is_not_kept() {
    let (content, name) = file();
    for answer in [Answer::Serve, Answer::Unsized(usize::MAX)] {
        let server = Server::start(content.clone(), TAG, &[answer]);
        let mut cache = Cache::new(&server);
        cache.options.max_bytes = 200_000;
        let message = cache.fetch(&name).unwrap_err().to_string();
        assert!(message.contains("it is larger than 200000 bytes"), "{message}");
        assert!(cache.part(&name).is_none(), "{answer:?}");
    }
}

/// Two fetches at once: one downloads, the other waits and finds the file.
#[test]
fn two_fetches_of_one_file_download_it_once() {
    let (content, name) = file();
    let server = Server::start(content.clone(), TAG, &[Answer::Serve]);
    let cache = Cache::new(&server);
    fs_err::create_dir_all(&cache.options.folder).unwrap();
    // Held as another process would hold it.
    let lock = fs_err::File::create(cache.options.folder.join(format!(".{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let waiting = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| {
            fetch(&name, &cache.options, &mut |step| {
                if step == Progress::Waiting {
                    waiting.store(true, Ordering::SeqCst);
                }
            })
        });
        while !waiting.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        fs_err::write(cache.options.folder.join(&name), &content).unwrap();
        lock.unlock().unwrap();
        let path = fetched.join().unwrap().unwrap();
        assert_eq!(fs_err::read(path).unwrap(), content);
    });
    assert!(server.requests().is_empty());
}

#[test]
fn torchvisions_files_carry_their_checksums() {
    for pretrained in Pretrained::ALL {
        let (stem, digits) =
            pretrained.file().strip_suffix(".pth").unwrap().split_once('-').unwrap();
        assert_eq!(stem, pretrained.encoder());
        assert!(digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    let (content, _) = file();
    let server = Server::start(content, TAG, &[Answer::Serve]);
    let message = Cache::new(&server).fetch("convnext.pth").unwrap_err().to_string();
    assert!(message.contains("its name does not end in the start of its SHA-256"), "{message}");
}
