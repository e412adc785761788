//! How a gallery on Qdrant is made and asked.

use std::env::{self, VarError};
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use sbir_gallery::{Error, Result};

/// The largest file of certificates that is read.
const LARGEST_CA: u64 = 1 << 20;

/// How a gallery on Qdrant is made and asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of shards that a new gallery is cut into; none leaves it to the server, which makes one on a single
    /// node, else one for each. More of them than nodes can be spread over nodes that come later.
    pub shards: Option<u32>,
    /// On how many nodes each photo of a new gallery is kept; none is two where the address lists several nodes, else
    /// one.
    pub replicas: Option<u32>,
    /// How long a call may take, tries on other nodes included.
    pub deadline: Duration,
    /// How long [`settle`](sbir_gallery::VectorStore::settle) waits for the server's indexing.
    pub settle: Duration,
    /// Up to how many photos a search compares every one.
    pub exact_up_to: u64,
    /// How many candidates the search in the graph keeps (`hnsw_ef`), at least; never less than the photos asked for.
    pub beam: u64,
    /// How many times as many photos as were asked for are taken by their 8-bit codes, to be compared by their f16
    /// vectors.
    pub oversampling: f64,
    /// The key that the server asks for.
    pub key: Option<Key>,
    /// Whether the connection is encrypted, and whom it trusts.
    pub tls: Tls,
}

/// A key that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub(crate) String);

impl Key {
    /// Keeps a key.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Whether a connection is encrypted, and whom it trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    #[default]
    Off,
    /// Encrypted; trusted is what the system trusts.
    System,
    /// Encrypted; trusted are these certificates, as PEM.
    Authority(Vec<u8>),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: None,
            replicas: None,
            deadline: Duration::from_secs(30),
            settle: Duration::from_secs(30),
            exact_up_to: 20_000,
            beam: 256,
            oversampling: 3.0,
            key: None,
            tls: Tls::Off,
        }
    }
}

impl Options {
    /// The defaults, with `QDRANT_API_KEY`, `QDRANT_TLS` (`1` or `0`) and `QDRANT_CA` (a file of certificates as PEM, which
    /// implies TLS) from the environment.
    ///
    /// # Errors
    /// If a value cannot be understood, or the file cannot be read.
    pub fn from_env() -> Result<Self> {
        let key = text("QDRANT_API_KEY")?.map(Key);
        let mut options = Self { key, ..Self::default() };
        let tls = match text("QDRANT_TLS")?.as_deref() {
            None => None,
            Some("1" | "true" | "on") => Some(true),
            Some("0" | "false" | "off") => Some(false),
            Some(_) => return Err(bad("QDRANT_TLS", "neither 1 nor 0")),
        };
        match (tls, env::var_os("QDRANT_CA").filter(|file| !file.is_empty())) {
            (Some(false), Some(_)) => {
                return Err(bad("QDRANT_CA", "certificates, and QDRANT_TLS is off; unset one"));
            }
            (_, Some(file)) => {
                let file = PathBuf::from(file);
                let mut pem = Vec::new();
                let opened = fs_err::File::open(&file)?;
                opened.take(LARGEST_CA + 1).read_to_end(&mut pem)?;
                if pem.len() as u64 > LARGEST_CA {
                    return Err(bad("QDRANT_CA", "a file of more than a megabyte"));
                }
                options.tls = Tls::Authority(pem);
            }
            (Some(true), None) => options.tls = Tls::System,
            (_, None) => {}
        }
        Ok(options)
    }
}

/// A variable's text; none where it is empty.
fn text(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(bad(name, "not Unicode")),
    }
}

fn bad(name: &str, problem: &str) -> Error {
    Error::BadAddress {
        gallery: name.to_owned(),
        problem: format!("the environment has {problem}"),
    }
}
