//! Qdrant: one node, or a cluster of several on this machine.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, free_ports, install, wait_for};

/// How long a node may take until it is ready; generous, since other tests run beside it.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// One server of its own.
#[derive(Debug)]
pub struct Qdrant {
    node: Node,
}

impl Qdrant {
    /// Starts a server that anyone may ask.
    ///
    /// # Errors
    /// If it cannot be installed or started.
    pub fn start() -> io::Result<Self> {
        Self::start_with(None, None)
    }

    /// Starts a server that asks for a key.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_key(key: &str) -> io::Result<Self> {
        Self::start_with(Some(key), None)
    }

    /// Starts a server that asks for a key and speaks TLS only, with a certificate and its key as PEM.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_tls(key: &str, identity: [String; 2]) -> io::Result<Self> {
        Self::start_with(Some(key), Some(identity))
    }

    fn start_with(key: Option<&str>, identity: Option<[String; 2]>) -> io::Result<Self> {
        let mut node = Node::new(install("qdrant")?, key)?;
        node.identity = identity;
        node.start(&[])?;
        node.wait_until_ready()?;
        Ok(Self { node })
    }

    /// Where it listens for gRPC.
    #[must_use]
    pub fn address(&self) -> String {
        self.node.address()
    }

    /// The gallery of this name on it, `qdrant://…`.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("qdrant://{}/{name}", self.address())
    }

    /// The node, to be killed, stalled or started again.
    pub fn node(&mut self) -> &mut Node {
        &mut self.node
    }
}

/// Several nodes that know each other, each with data of its own.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts a cluster and waits until every node knows all others.
    ///
    /// # Errors
    /// If a node cannot be installed or started.
    pub fn start(size: usize) -> io::Result<Self> {
        let binary = install("qdrant")?;
        let mut nodes: Vec<Node> = Vec::new();
        for _ in 0..size {
            nodes.push(Node::new(binary.clone(), None)?);
        }
        let mut cluster = Self { nodes };
        for index in 0..size {
            cluster.launch(index)?;
            cluster.nodes[index].wait_until_ready()?;
        }
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// The number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node, to be killed or stalled.
    pub fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    /// The gallery of this name on all nodes, in this order.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(Node::address).collect();
        format!("qdrant://{}/{name}", addresses.join(","))
    }

    /// Starts a node that was killed, with its data, and waits for nothing.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launch(&mut self, index: usize) -> io::Result<()> {
        let own = self.nodes[index].peer_uri();
        let mut arguments = vec!["--uri".to_owned(), own];
        if index > 0 {
            arguments.extend(["--bootstrap".to_owned(), self.nodes[0].peer_uri()]);
        }
        self.nodes[index].start(&arguments)
    }

    /// Waits until every node is ready, that is, has caught up with the others, and knows all of them.
    ///
    /// # Errors
    /// If it takes too long.
    pub fn wait_until_whole(&mut self) -> io::Result<()> {
        let size = self.nodes.len();
        for node in &mut self.nodes {
            node.wait_until_ready()?;
            wait_for("the peers of a node", READY_WITHIN, || {
                node.get("/cluster").is_some_and(|body| body.matches("\"uri\":").count() == size)
            })?;
        }
        Ok(())
    }
}

/// A node: its ports and its data, and its process while it runs.
#[derive(Debug)]
pub struct Node {
    binary: PathBuf,
    key: Option<String>,
    /// A certificate and its key.
    identity: Option<[String; 2]>,
    /// HTTP, gRPC, and among peers.
    ports: [u16; 3],
    process: Option<Process>,
    // After the process, which writes to it.
    folder: TempDir,
}

impl Node {
    fn new(binary: PathBuf, key: Option<&str>) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("qdrant").tempdir()?;
        Ok(Self {
            binary,
            key: key.map(str::to_owned),
            identity: None,
            ports: free_ports()?,
            process: None,
            folder,
        })
    }

    /// Where it listens for gRPC.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[1])
    }

    /// The number of its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Where its data lie.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn peer_uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[2])
    }

    fn start(&mut self, arguments: &[String]) -> io::Result<()> {
        let cluster = !arguments.is_empty();
        let setting = |name: &'static str, value: &str| (name, value.to_owned());
        let mut environment = vec![
            setting("QDRANT__SERVICE__HOST", "127.0.0.1"),
            setting("QDRANT__SERVICE__HTTP_PORT", &self.ports[0].to_string()),
            setting("QDRANT__SERVICE__GRPC_PORT", &self.ports[1].to_string()),
            setting("QDRANT__SERVICE__ENABLE_STATIC_CONTENT", "false"),
            setting("QDRANT__CLUSTER__ENABLED", &cluster.to_string()),
            setting("QDRANT__CLUSTER__P2P__PORT", &self.ports[2].to_string()),
            setting("QDRANT__STORAGE__STORAGE_PATH", "./storage"),
            setting("QDRANT__STORAGE__SNAPSHOTS_PATH", "./snapshots"),
            setting("QDRANT__TELEMETRY_DISABLED", "true"),
            setting("QDRANT__LOG_LEVEL", "INFO"),
        ];
        if let Some(key) = &self.key {
            environment.push(("QDRANT__SERVICE__API_KEY", key.clone()));
        }
        if let Some(identity) = &self.identity {
            environment.push(setting("QDRANT__SERVICE__ENABLE_TLS", "true"));
            let settings = ["QDRANT__TLS__CERT", "QDRANT__TLS__KEY"];
            for ((name, file), pem) in
                settings.into_iter().zip(["cert.pem", "key.pem"]).zip(identity)
            {
                fs_err::write(self.folder.path().join(file), pem)?;
                environment.push(setting(name, file));
            }
        }
        let mut all = vec!["--disable-telemetry".to_owned()];
        all.extend_from_slice(arguments);
        self.process = Some(Process::start(&self.binary, all, &environment, self.folder.path())?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// If it ended, or takes too long.
    pub fn wait_until_ready(&mut self) -> io::Result<()> {
        let mut process = self.process.take().ok_or_else(|| io::Error::other("not started"))?;
        let ready = process.wait_until(READY_WITHIN, || {
            // Its HTTP speaks TLS then, too.
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[1]));
            match self.identity {
                Some(_) => TcpStream::connect(address).is_ok(),
                None => self.get("/readyz").is_some(),
            }
        });
        self.process = Some(process);
        ready
    }

    /// Ends it as `kill -9` does; its data stay.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Stalls it: connections stay open and nothing answers.
    pub fn stall(&self) {
        if let Some(process) = &self.process {
            process.stall();
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(process) = &self.process {
            process.resume();
        }
    }

    /// Starts a single node that was killed, with its data, and waits until it is ready. Nodes of a cluster are
    /// started by [`Cluster::launch`].
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        self.start(&[])?;
        self.wait_until_ready()
    }

    /// The body that its HTTP interface gives at a path, if it answers well.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]));
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        let key = self.key.as_ref().map(|key| format!("api-key: {key}\r\n")).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{key}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.take(1 << 20).read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }
}
