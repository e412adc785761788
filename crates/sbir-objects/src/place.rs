//! A folder or a part of a bucket.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use sbir_files::names::{escaped, name_bytes};

use crate::error::{Error, Result};
use crate::key::Key;
use crate::local::Folder;
use crate::remote::{Bucket, Pages};
use crate::walk::Walk;

/// What a file is known by besides its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970. Object stores count in seconds or milliseconds.
    pub mtime_ns: i64,
    /// What an object store calls this state of it.
    pub etag: Option<String>,
}

/// A file that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name below the place.
    pub key: Key,
    /// What it is.
    pub stat: Stat,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it was when it was read; `size` is the number of `bytes`.
    pub stat: Stat,
    /// All of it.
    pub bytes: Bytes,
}

/// How long is waited, and how often something is tried. Of no effect on local folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection to be made.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub idle: Duration,
    /// For one attempt.
    pub attempt: Duration,
    /// For one call with all its attempts and pauses.
    pub deadline: Duration,
    /// The first pause before another attempt; each is up to twice as long as the one before.
    pub pause: Duration,
    /// How many attempts are made at most.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            attempt: Duration::from_secs(120),
            deadline: Duration::from_secs(300),
            pause: Duration::from_millis(200),
            // More than the pauses leave time for: an outage is over in time or not, however often it was asked.
            attempts: 50,
        }
    }
}

/// How places are opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How long is waited.
    pub patience: Patience,
    /// The environment; the process's own where there is none.
    pub environment: Option<Vec<(String, String)>>,
    /// Set to true by somebody else to end every call that waits for a network.
    pub stop: Option<&'static AtomicBool>,
}

/// A folder, or a part of a bucket, that holds files.
#[derive(Debug)]
pub struct Place {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Local(Folder),
    Remote(Bucket),
}

/// Whether this names a place in an object store.
fn is_remote(text: &OsStr) -> bool {
    name_bytes(text).is_some_and(|bytes| bytes.starts_with(b"s3://"))
}

impl Place {
    /// Takes a place; nothing is asked of it yet, and it need not exist. A local folder becomes absolute, with links
    /// followed where it exists.
    ///
    /// # Errors
    /// If it cannot be a place, or the environment does not make sense.
    pub fn open(text: &OsStr, options: &Options) -> Result<Self> {
        let bad = |problem| Error::BadPlace {
            place: name_bytes(text).map_or_else(|| text.display().to_string(), escaped),
            problem,
        };
        if is_remote(text) {
            let text = text.to_str().ok_or_else(|| bad("not UTF-8"))?;
            let (bucket, prefix) = split(text).map_err(bad)?;
            return Ok(Self { inner: Inner::Remote(Bucket::open(bucket, &prefix, options)?) });
        }
        if text.is_empty() {
            return Err(bad("empty"));
        }
        // A scheme that is not known here is no folder's name.
        if text.to_str().is_some_and(|text| text.contains("://")) {
            return Err(bad("not a kind of place that is known"));
        }
        Ok(Self { inner: Inner::Local(Folder::new(Path::new(text))?) })
    }

    /// Takes a file's name apart: the place that it lies in, and its key there.
    ///
    /// # Errors
    /// If it cannot be a file's name.
    pub fn open_file(text: &OsStr, options: &Options) -> Result<(Self, Key)> {
        let bad = || Error::BadPlace {
            place: text.display().to_string(),
            problem: "a file is wanted here, not a folder or a bucket",
        };
        let bytes = name_bytes(text).ok_or_else(bad)?;
        if is_remote(text) {
            let text = text.to_str().ok_or_else(bad)?;
            let (folder, name) = text.rsplit_once('/').ok_or_else(bad)?;
            if folder.len() <= "s3:/".len() || name.is_empty() {
                return Err(bad());
            }
            return Ok((Self::open(folder.as_ref(), options)?, Key::new(name)?));
        }
        let path = Path::new(text);
        let name = path.file_name().filter(|_| !bytes.ends_with(b"/")).ok_or_else(bad)?;
        let name = name_bytes(name).ok_or_else(bad)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok((Self::open(folder.as_os_str(), options)?, Key::new(name)?))
    }

    /// Whether it lies in an object store.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.inner, Inner::Remote(_))
    }

    /// The absolute folder, or `s3://bucket/prefix`, without a slash at the end.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        match &self.inner {
            Inner::Local(folder) => folder.path().to_path_buf(),
            Inner::Remote(bucket) => bucket.name().into(),
        }
    }

    /// A file's whole name, as one printable line.
    #[must_use]
    pub fn name_of(&self, key: &Key) -> String {
        match &self.inner {
            Inner::Local(folder) => match name_bytes(folder.path().join(key.to_path()).as_os_str())
            {
                Some(bytes) => escaped(bytes),
                None => key.to_string(),
            },
            Inner::Remote(bucket) => bucket.name_of(key),
        }
    }

    /// Lists all files below, of any depth, with bounded memory: links and what is no file are passed over. A local
    /// folder's files come in the order of their keys' bytes; an object store has the last word on the order of its
    /// own.
    ///
    /// # Errors
    /// If there is no such folder. What cannot be listed later is an error among the entries: after one of a folder
    /// below, others follow; after one of an object store, none.
    pub fn list(&self) -> Result<Listing<'_>> {
        Ok(Listing {
            inner: match &self.inner {
                Inner::Local(folder) => Kind::Local(Walk::begin(folder.path())?),
                Inner::Remote(bucket) => Kind::Remote(bucket.pages()),
            },
        })
    }

    /// What a file is.
    ///
    /// # Errors
    /// If there is none, or it cannot be asked for.
    pub fn stat(&self, key: &Key) -> Result<Stat> {
        match &self.inner {
            Inner::Local(folder) => folder.stat(key),
            Inner::Remote(bucket) => bucket.stat(key),
        }
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// If there is none, it cannot be read, or has more than `limit` bytes.
    pub fn get(&self, key: &Key, limit: u64) -> Result<Object> {
        match &self.inner {
            Inner::Local(folder) => folder.get(key, limit),
            Inner::Remote(bucket) => bucket.get(key, limit),
        }
    }

    /// Reads the first bytes of a file, `count` or fewer.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn get_start(&self, key: &Key, count: u64) -> Result<Bytes> {
        match &self.inner {
            Inner::Local(folder) => folder.get_start(key, count),
            Inner::Remote(bucket) => bucket.get_start(key, count),
        }
    }

    /// Writes a file, in the place of one of that name. It is there whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        match &self.inner {
            Inner::Local(folder) => folder.put(key, &bytes),
            Inner::Remote(bucket) => bucket.put(key, bytes),
        }
    }

    /// Writes a file unless there is one of that name, and says whether it did. Of several writers one does. It is there
    /// whole or not at all, and safe when this returns.
    ///
    /// An answer that was lost is asked for again: then this may be false though the file is this one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_new(&self, key: &Key, bytes: Bytes) -> Result<bool> {
        match &self.inner {
            Inner::Local(folder) => folder.put_new(key, &bytes),
            Inner::Remote(bucket) => bucket.put_new(key, bytes),
        }
    }

    /// Writes a file of any size, in the place of one of that name, with bounded memory.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn upload(&self, key: &Key, from: &mut File) -> Result<()> {
        match &self.inner {
            Inner::Local(folder) => folder.upload(key, from),
            Inner::Remote(bucket) => bucket.upload(key, from),
        }
    }

    /// A file of any size to read from the start: the file itself, or a copy that is gone with its handle.
    ///
    /// # Errors
    /// If there is none, or it cannot be read or copied.
    pub fn download(&self, key: &Key) -> Result<File> {
        match &self.inner {
            Inner::Local(folder) => folder.open_file(key),
            Inner::Remote(bucket) => bucket.download(key),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Local(folder) => match name_bytes(folder.path().as_os_str()) {
                Some(bytes) => f.write_str(&escaped(bytes)),
                None => folder.path().display().fmt(f),
            },
            Inner::Remote(bucket) => f.write_str(bucket.name()),
        }
    }
}

/// The bucket of an address, and the prefix of all keys: empty, or with a slash at its end.
fn split(text: &str) -> Result<(&str, String), &'static str> {
    let rest = text.strip_prefix("s3://").unwrap_or(text);
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // No user, port, query or fragment: credentials in an address would end up in logs.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !(1..=255).contains(&bucket.len()) || !bucket.bytes().all(fits) || bucket.starts_with('.') {
        return Err("not a bucket's name");
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return Ok((bucket, String::new()));
    }
    let key = Key::new(prefix).and_then(|key| key.object(""));
    key.map_err(|_| "not a folder in a bucket")?;
    Ok((bucket, format!("{prefix}/")))
}

/// What a listing passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Symbolic links.
    pub links: u64,
    /// Keys that are no paths, such as `a//b` or `../a`.
    pub keys: u64,
}

/// Files, one by one.
#[derive(Debug)]
pub struct Listing<'a> {
    inner: Kind<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    Local(Walk),
    Remote(Pages<'a>),
}

impl Listing<'_> {
    /// What was passed over so far.
    #[must_use]
    pub fn passed_over(&self) -> PassedOver {
        match &self.inner {
            Kind::Local(walk) => PassedOver { links: walk.links(), keys: 0 },
            Kind::Remote(pages) => PassedOver { links: 0, keys: pages.unusable() },
        }
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Kind::Local(walk) => walk.next(),
            Kind::Remote(pages) => pages.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(split("s3://b"), Ok(("b", String::new())));
        assert_eq!(split("s3://b/"), Ok(("b", String::new())));
        assert_eq!(split("s3://b/x y/é%/"), Ok(("b", "x y/é%/".to_owned())));
        for bad in [
            "s3://",
            "s3:///x",
            "s3://b//x",
            "s3://b/../x",
            "s3://key:secret@b/x",
            "s3://b?x",
            "s3://b/x//",
            "s3://b b",
            "s3://..",
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_and_places_are_told_apart() {
        let options = Options { environment: Some(Vec::new()), ..Options::default() };
        let file = |text: &str| Place::open_file(text.as_ref(), &options);
        let (place, key) = file("m.jsonl").unwrap();
        assert_eq!(place.root(), std::env::current_dir().unwrap().canonicalize().unwrap());
        assert_eq!(key.as_bytes(), b"m.jsonl");
        let (place, key) = file("s3://b/x/m.jsonl").unwrap();
        assert_eq!((place.to_string(), key.to_string()), ("s3://b/x".into(), "m.jsonl".into()));
        assert_eq!(place.name_of(&key), "s3://b/x/m.jsonl");
        for bad in ["", "/", "a/", "..", "s3://b", "s3://b/", "s3://b/x/"] {
            assert!(file(bad).is_err(), "{bad}");
        }
        for bad in ["", "gs://b/x", "https://host/b"] {
            let message = Place::open(bad.as_ref(), &options).unwrap_err().to_string();
            assert!(message.contains("s3://BUCKET"), "{message}");
        }
    }
}
