//! A proxy before an HTTP server that answers in its place, late, in part or not at all.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest head of a request that is read, in bytes.
const MAX_HEAD: u64 = 64 << 10;
/// The longest body of a request that is read, in bytes.
const MAX_BODY: u64 = 256 << 20;

/// What happens to a request in place of a plain answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The proxy answers with this status; the server hears nothing.
    Status(u16),
    /// The server's answer comes later by this.
    Delay(Duration),
    /// Half of the answer comes, then the connection ends.
    Cut,
    /// The connection ends without an answer; the server hears nothing.
    Reset,
    /// The server hears the request and does it, and its answer is lost.
    LoseAnswer,
    /// The connection stays open for this long and nothing comes.
    Stall(Duration),
}

/// A request as the plan sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How many requests came before it.
    pub number: u64,
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// Path and query.
    pub target: String,
}

type Plan = Box<dyn Fn(&Seen) -> Option<Fault> + Send + Sync>;

struct Shared {
    upstream: SocketAddr,
    plan: Mutex<Arc<Plan>>,
    requests: AtomicU64,
    faults: AtomicU64,
    ended: AtomicBool,
}

/// A proxy on loopback; it ends with this value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<thread::JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy that passes everything on.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let plan: Plan = Box::new(|_| None);
        let shared = Arc::new(Shared {
            upstream,
            plan: Mutex::new(Arc::new(plan)),
            requests: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let listener = thread::spawn(move || {
            for stream in listener.incoming() {
                if theirs.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let theirs = Arc::clone(&theirs);
                // It ends with its connection; a client that broke it off is none of our business.
                thread::spawn(move || drop(theirs.serve(&stream)));
            }
        });
        Ok(Self { address, shared, listener: Some(listener) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Decides from now on what happens to each request; `None` passes it on.
    pub fn plan(&self, plan: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Box::new(plan));
    }

    /// How many requests came so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many of them met a fault.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    /// One request of a connection, which is closed after it.
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut reader = BufReader::new(client);
        let (seen, head, length) = self.read_head(&mut reader)?;
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        let plan = Arc::clone(&self.plan.lock().unwrap_or_else(PoisonError::into_inner));
        let fault = plan(&seen);
        if fault.is_some() {
            self.faults.fetch_add(1, Ordering::SeqCst);
        }
        match fault {
            Some(Fault::Reset) => return client.shutdown(Shutdown::Both),
            Some(Fault::Stall(time)) => return self.wait(time),
            Some(Fault::Status(status)) => {
                return write!(
                    &*client,
                    "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
            _ => {}
        }
        let mut server = TcpStream::connect(self.upstream)?;
        server.write_all(&head)?;
        server.write_all(&body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        match fault {
            Some(Fault::LoseAnswer) => return client.shutdown(Shutdown::Both),
            Some(Fault::Delay(time)) => self.wait(time)?,
            Some(Fault::Cut) => {
                let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0);
                answer.truncate(head + (answer.len() - head) / 2);
            }
            _ => {}
        }
        (&*client).write_all(&answer)
    }

    /// The request's head as it is to be sent, and the length of its body.
    fn read_head(&self, reader: &mut impl io::BufRead) -> io::Result<(Seen, Vec<u8>, u64)> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP request");
        let mut reader = reader.take(MAX_HEAD);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(bad()) };
        let seen = Seen {
            number: self.requests.fetch_add(1, Ordering::SeqCst),
            method: method.to_owned(),
            target: target.to_owned(),
        };
        let mut head = line.clone().into_bytes();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(bad());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok().filter(|n| *n <= MAX_BODY).ok_or_else(bad)?;
            }
            if line == "\r\n" {
                break;
            }
            // One request a connection keeps this simple.
            if !lower.starts_with("connection:") {
                head.extend_from_slice(line.as_bytes());
            }
        }
        head.extend_from_slice(b"Connection: close\r\n\r\n");
        Ok((seen, head, length))
    }

    /// Waits, but no longer than the proxy lives.
    fn wait(&self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.ended.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10).min(time));
        }
        Ok(())
    }
}
