//! An S3 server: SeaweedFS, all of it in one process.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::process::{Process, free_ports, install, skipped};

/// How long a start may take, and the first write after it.
const START_WITHIN: Duration = Duration::from_secs(60);

/// An S3 server with one bucket, which wants credentials.
#[derive(Debug)]
pub struct S3 {
    process: Process,
    address: SocketAddr,
    // Removed after the process has ended.
    _folder: tempfile::TempDir,
}

impl S3 {
    /// The bucket that there is.
    pub const BUCKET: &str = "photos";
    /// The key of the credentials that may do everything.
    pub const ACCESS_KEY: &str = "tester";
    /// The secret of the credentials that may do everything.
    pub const SECRET_KEY: &str = "a-secret-for-tests";
    /// The key of credentials that may read and list, and nothing else; the secret is the same.
    pub const READER_KEY: &str = "reader";

    /// Installs and starts the server and waits until it takes objects.
    ///
    /// # Errors
    /// If it cannot be installed or does not come up.
    pub fn start() -> io::Result<Self> {
        let weed = install("s3")?;
        let folder = tempfile::tempdir()?;
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] =
            free_ports()?;
        let may = |key: &str, actions: &str| {
            format!(
                r#"{{"name":"{key}","credentials":[{{"accessKey":"{key}","secretKey":"{}"}}],"actions":[{actions}]}}"#,
                Self::SECRET_KEY
            )
        };
        let all = may(Self::ACCESS_KEY, r#""Admin","Read","List","Write""#);
        let reader = may(Self::READER_KEY, r#""Read","List""#);
        fs_err::write(
            folder.path().join("s3.json"),
            format!(r#"{{"identities":[{all},{reader}]}}"#),
        )?;
        let socket = |name: &str| folder.path().join(name).display().to_string();
        let mut arguments: Vec<String> = [
            "server",
            "-dir=.",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-s3.config=s3.json",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=64",
        ]
        .map(str::to_owned)
        .into();
        for (flag, port) in [
            ("master.port", master),
            ("master.port.grpc", master_grpc),
            ("volume.port", volume),
            ("volume.port.grpc", volume_grpc),
            ("filer.port", filer),
            ("filer.port.grpc", filer_grpc),
            ("s3.port", s3),
            ("s3.port.grpc", s3_grpc),
        ] {
            arguments.push(format!("-{flag}={port}"));
        }
        arguments.push(format!("-filer.localSocket={}", socket("filer.sock")));
        arguments.push(format!("-s3.localSocket={}", socket("s3.sock")));
        let mut process = Process::start(&weed, &arguments, &[], folder.path())?;
        let filer = SocketAddr::from((Ipv4Addr::LOCALHOST, filer));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, s3));
        // A file that can be written says that a volume has registered; S3 then refuses who has no credentials.
        let status = |at, method, path| status(at, method, path).unwrap_or(0);
        process.wait_until(START_WITHIN, || status(filer, "PUT", "/ready") == 201)?;
        let bucket = format!("/buckets/{}/", Self::BUCKET);
        process.wait_until(START_WITHIN, || status(filer, "POST", &bucket) == 201)?;
        // The first object of a bucket makes its volumes, which takes seconds: before a test's clock runs.
        let first = format!("{bucket}first");
        process.wait_until(START_WITHIN, || status(filer, "PUT", &first) == 201)?;
        process.wait_until(START_WITHIN, || status(filer, "DELETE", &first) == 204)?;
        let path = format!("/{}/nothing", Self::BUCKET);
        process.wait_until(START_WITHIN, || status(address, "GET", &path) == 403)?;
        Ok(Self { process, address, _folder: folder })
    }

    /// The server that all tests of a program share: started by the first that wants it, ended by the last that holds it;
    /// none where it cannot be had, which is [told](crate::skipped).
    #[must_use]
    pub fn shared() -> Option<Arc<Self>> {
        static HELD: Mutex<Weak<S3>> = Mutex::new(Weak::new());
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = held.upgrade() {
            return Some(server);
        }
        match Self::start() {
            Ok(server) => {
                let server = Arc::new(server);
                *held = Arc::downgrade(&server);
                Some(server)
            }
            Err(error) => {
                skipped("an S3 server", &error);
                None
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The environment that leads a client to it, or to a proxy before it.
    #[must_use]
    pub fn environment(at: SocketAddr) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{at}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", Self::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", Self::SECRET_KEY.to_owned()),
        ]
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The status of an answer. What is put is not empty, since an empty file needs no volume.
fn status(at: SocketAddr, method: &str, path: &str) -> io::Result<u16> {
    let body = if method == "PUT" { "x".repeat(4096) } else { String::new() };
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&at, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let digits = std::str::from_utf8(&head[9..]).ok().and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| io::Error::other("no HTTP"))
}
