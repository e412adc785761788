//! A part of a bucket.

mod attempt;
mod guard;
mod open;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload,
};
use sbir_files::names::escaped;

use crate::error::{Error, Result};
use crate::key::Key;
use crate::place::{Entry, Object, Patience, Stat};
use attempt::{Answer, note};
use guard::Dropped;

/// Larger files are sent in parts of [`PART`].
const WHOLE: u64 = 32 << 20;
/// The size of a part in bytes. S3 takes 10,000 of them.
const PART: u64 = 16 << 20;
/// How long the parts of a file that was not sent whole are tried to be removed.
const ABORT_WITHIN: Duration = Duration::from_secs(5);

/// A bucket, seen from a prefix.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: AmazonS3,
    bucket: String,
    /// Empty, or with a slash at its end.
    prefix: String,
    /// `s3://bucket/prefix`, without a slash at its end.
    name: String,
    patience: Patience,
    stop: Option<&'static AtomicBool>,
    /// Whether the environment has credentials, or leads to some.
    credentials: bool,
    dropped: Arc<Dropped>,
}

impl Bucket {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn name_of(&self, key: &Key) -> String {
        format!("s3://{}/{}{key}", self.bucket, escaped(self.prefix.as_bytes()))
    }

    pub(crate) fn pages(&self) -> Pages<'_> {
        Pages {
            bucket: self,
            entries: VecDeque::new(),
            token: None,
            ended: false,
            dropped: self.dropped.count(),
        }
    }

    pub(crate) fn stat(&self, key: &Key) -> Result<Stat> {
        let path = key.object(&self.prefix)?;
        self.call(&self.name_of(key), async || self.store.head(&path).await).map(|meta| stat(&meta))
    }

    pub(crate) fn get(&self, key: &Key, limit: u64) -> Result<Object> {
        let path = key.object(&self.prefix)?;
        let got = self.call(&self.name_of(key), async || {
            let result = self.store.get_opts(&path, GetOptions::default()).await?;
            let meta = result.meta.clone();
            if meta.size > limit {
                return Ok((meta, None));
            }
            let bytes = collect(result, limit).await?;
            Ok((meta, bytes))
        })?;
        let (meta, bytes) = got;
        match bytes {
            Some(bytes) => {
                Ok(Object { stat: Stat { size: bytes.len() as u64, ..stat(&meta) }, bytes })
            }
            None => Err(Error::TooLarge { name: self.name_of(key), size: meta.size, limit }),
        }
    }

    pub(crate) fn get_start(&self, key: &Key, count: u64) -> Result<Bytes> {
        self.get_range(key, 0, count, None).map(|(_, bytes)| bytes)
    }

    /// Some bytes of an object, fewer at its end, and what it is.
    fn get_range(
        &self,
        key: &Key,
        from: u64,
        count: u64,
        etag: Option<&str>,
    ) -> Result<(ObjectMeta, Bytes)> {
        let path = key.object(&self.prefix)?;
        let name = self.name_of(key);
        let got = self.call(&name, async || {
            let range = Some(GetRange::Bounded(from..from.saturating_add(count)));
            let options =
                GetOptions { range, if_match: etag.map(str::to_owned), ..GetOptions::default() };
            let result = self.store.get_opts(&path, options).await?;
            let meta = result.meta.clone();
            Ok((meta, collect(result, count).await?))
        });
        match got {
            Ok((meta, Some(bytes))) => Ok((meta, bytes)),
            // More than was asked for, or of another state of the object.
            Ok((_, None)) => Err(Error::Changed { name }),
            Err(Error::Server { status: 412, .. }) => Err(Error::Changed { name }),
            // There is no range of an empty object.
            Err(Error::Server { status: 416, .. }) if from == 0 => {
                let meta = self.call(&name, async || self.store.head(&path).await)?;
                if meta.size == 0 { Ok((meta, Bytes::new())) } else { Err(Error::Changed { name }) }
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        let path = key.object(&self.prefix)?;
        let payload = PutPayload::from_bytes(bytes);
        self.call(&self.name_of(key), async || {
            self.store.put_opts(&path, payload.clone(), PutMode::Overwrite.into()).await.map(drop)
        })
    }

    pub(crate) fn put_new(&self, key: &Key, bytes: Bytes) -> Result<bool> {
        let path = key.object(&self.prefix)?;
        let payload = PutPayload::from_bytes(bytes);
        self.call(&self.name_of(key), async || {
            let options = PutOptions::from(PutMode::Create);
            match self.store.put_opts(&path, payload.clone(), options).await {
                Ok(_) => Ok(true),
                // Two writers at once may both be told of a conflict, and neither have written: then it is tried again.
                Err(object_store::Error::AlreadyExists { path: at, source }) => {
                    match self.store.head(&path).await {
                        Ok(_) => Ok(false),
                        Err(object_store::Error::NotFound { .. }) => {
                            note(Answer { asked: true, status: 409, code: "Conflict".into() });
                            Err(object_store::Error::AlreadyExists { path: at, source })
                        }
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            }
        })
    }

    pub(crate) fn upload(&self, key: &Key, from: &mut File) -> Result<()> {
        from.rewind()?;
        let size = from.metadata()?.len();
        if size <= WHOLE {
            let mut bytes = Vec::new();
            from.take(WHOLE).read_to_end(&mut bytes)?;
            return self.put(key, bytes.into());
        }
        let path = key.object(&self.prefix)?;
        let name = self.name_of(key);
        let id = self.call(&name, async || self.store.create_multipart(&path).await)?;
        let sent = self.send_parts(&name, &path, &id, from);
        if sent.is_err() {
            // What is left of it takes space, also where somebody asked to stop; there is nobody to tell if that fails
            // too.
            let abort = async || self.store.abort_multipart(&path, &id).await;
            let _ = self.call_to_the_end(&name, ABORT_WITHIN, abort);
        }
        sent
    }

    fn send_parts(&self, name: &str, path: &Path, id: &String, from: &mut File) -> Result<()> {
        let mut parts = Vec::new();
        loop {
            let mut bytes = Vec::new();
            (&*from).take(PART).read_to_end(&mut bytes)?;
            if bytes.is_empty() {
                break;
            }
            let payload = PutPayload::from_bytes(bytes.into());
            let part = self.call(name, async || {
                self.store.put_part(path, id, parts.len(), payload.clone()).await
            })?;
            parts.push(part);
        }
        self.call(name, async || {
            self.store.complete_multipart(path, id, parts.clone()).await.map(drop)
        })
    }

    pub(crate) fn download(&self, key: &Key) -> Result<File> {
        let mut file = tempfile::tempfile()?;
        let (mut at, mut etag): (u64, Option<String>) = (0, None);
        loop {
            let (meta, bytes) = self.get_range(key, at, PART, etag.as_deref())?;
            file.write_all(&bytes)?;
            at += bytes.len() as u64;
            if at >= meta.size {
                break;
            }
            if bytes.is_empty() {
                return Err(Error::Changed { name: self.name_of(key) });
            }
            etag = meta.e_tag;
        }
        file.rewind()?;
        Ok(file)
    }
}

/// A body of at most `limit` bytes; none if it has more.
async fn collect(
    result: object_store::GetResult,
    limit: u64,
) -> object_store::Result<Option<Bytes>> {
    let expected = result.range.end.saturating_sub(result.range.start);
    let mut stream = result.into_stream();
    let mut bytes = Vec::with_capacity(expected.min(limit) as usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    if (bytes.len() as u64) < expected {
        let problem = format!("{} of {expected} bytes came", bytes.len());
        return Err(object_store::Error::Generic { store: "S3", source: problem.into() });
    }
    Ok(Some(bytes.into()))
}

fn stat(meta: &ObjectMeta) -> Stat {
    Stat {
        size: meta.size,
        mtime_ns: meta.last_modified.timestamp_nanos_opt().unwrap_or_default(),
        etag: meta.e_tag.clone(),
    }
}

/// The objects of a bucket below its prefix, a page in memory.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    bucket: &'a Bucket,
    entries: VecDeque<ObjectMeta>,
    token: Option<String>,
    ended: bool,
    /// What had been dropped before.
    dropped: u64,
}

impl Pages<'_> {
    /// How many keys were passed over, since they are no paths. Listings of one place at once share the count.
    pub(crate) fn unusable(&self) -> u64 {
        self.bucket.dropped.count() - self.dropped
    }

    fn fetch(&mut self) -> Result<()> {
        let prefix = (!self.bucket.prefix.is_empty()).then_some(self.bucket.prefix.as_str());
        let page = self.bucket.call(&self.bucket.name, async || {
            let options =
                PaginatedListOptions { page_token: self.token.clone(), ..Default::default() };
            self.bucket.store.list_paginated(prefix, options).await
        })?;
        self.entries = page.result.objects.into();
        // A server that gives the same token again would go on for ever.
        self.ended = page.page_token.is_none() || page.page_token == self.token;
        self.token = page.page_token;
        Ok(())
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(meta) = self.entries.pop_front() else {
                if self.ended {
                    return None;
                }
                if let Err(error) = self.fetch() {
                    self.ended = true;
                    return Some(Err(error));
                }
                continue;
            };
            let key = meta.location.as_ref().strip_prefix(self.bucket.prefix.as_str());
            // A server may list what was not asked for.
            let Some(Ok(key)) = key.map(Key::new) else { continue };
            return Some(Ok(Entry { key, stat: stat(&meta) }));
        }
    }
}
