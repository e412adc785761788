//! Between `object_store` and its HTTP client: notes what the server answered, bounds what is taken into memory, and
//! leaves keys out of listings that `object_store` refuses, since it would refuse the whole page with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, path::Path};
use quick_xml::escape::unescape;

use super::attempt::{Answer, note};

/// The most bytes of a page of a listing: a thousand keys of 1,024 bytes, each byte escaped, and as much again.
const MAX_PAGE: usize = 32 << 20;
/// The most bytes of an error's text.
const MAX_ERROR: usize = 64 << 10;

/// Keys that were left out of listings.
#[derive(Debug, Default)]
pub(super) struct Dropped(AtomicU64);

impl Dropped {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes guarded clients.
#[derive(Debug, Default)]
pub(super) struct Connector {
    pub(super) dropped: Arc<Dropped>,
    /// How many clients were made: the ones that get credentials, and at last the store's.
    made: Arc<AtomicU64>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let (made, dropped) = (Arc::clone(&self.made), Arc::clone(&self.dropped));
        Ok(HttpClient::new(Guard { client, dropped, number, made }))
    }
}

#[derive(Debug)]
struct Guard {
    client: HttpClient,
    dropped: Arc<Dropped>,
    number: u64,
    made: Arc<AtomicU64>,
}

#[async_trait]
impl HttpService for Guard {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.number != self.made.load(Ordering::Relaxed) {
            return self.client.execute(request).await;
        }
        let listing = request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|part| part == "list-type=2"));
        // Else an answer to an earlier request of the same call would be taken for this one's.
        note(Answer { asked: true, ..Answer::default() });
        let response = self.client.execute(request).await?;
        let status = response.status();
        let (parts, body) = response.into_parts();
        if !status.is_success() {
            let body = bounded(body, MAX_ERROR).await.unwrap_or_default();
            let code = String::from_utf8_lossy(element(&body, b"Code").unwrap_or_default());
            let known = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let code = if known { code.into_owned() } else { String::new() };
            note(Answer { asked: true, status: status.as_u16(), code });
            return Ok(HttpResponse::from_parts(parts, body.into()));
        }
        note(Answer { asked: true, status: status.as_u16(), code: String::new() });
        if !listing {
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let (page, dropped) = without_unusable(&bounded(body, MAX_PAGE).await?);
        self.dropped.0.fetch_add(dropped, Ordering::Relaxed);
        Ok(HttpResponse::from_parts(parts, page.into()))
    }
}

/// A body that has at most `limit` bytes.
async fn bounded(body: HttpResponseBody, limit: usize) -> Result<Bytes, HttpError> {
    let mut stream = body.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if bytes.len() + chunk.len() > limit {
            let problem = std::io::Error::other("the answer is too long");
            return Err(HttpError::new(HttpErrorKind::Decode, problem));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let at = bytes.get(from..)?.windows(what.len()).position(|window| window == what)?;
    Some(from + at)
}

/// The text between a tag and its end.
fn element<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let begin = [b"<", name, b">"].concat();
    let start = find(bytes, 0, &begin)? + begin.len();
    let end = find(bytes, start, &[b"</", name, b">"].concat())?;
    bytes.get(start..end)
}

/// A page of a listing without the objects whose keys are no paths, and how many of them were files: a key with a slash
/// at its end stands for a folder.
fn without_unusable(page: &[u8]) -> (Vec<u8>, u64) {
    const BEGIN: &[u8] = b"<Contents>";
    const END: &[u8] = b"</Contents>";
    let mut kept = Vec::with_capacity(page.len());
    let (mut dropped, mut at) = (0, 0);
    while let Some(start) = find(page, at, BEGIN) {
        let Some(end) = find(page, start, END).map(|end| end + END.len()) else { break };
        kept.extend_from_slice(&page[at..start]);
        let key = element(&page[start..end], b"Key").and_then(|key| std::str::from_utf8(key).ok());
        let key = key.and_then(|key| unescape(key).ok());
        let key = key.as_deref().unwrap_or_default();
        if Path::parse(key).is_ok_and(|path| !key.is_empty() && path.as_ref() == key) {
            kept.extend_from_slice(&page[start..end]);
        } else if !key.ends_with('/') {
            dropped += 1;
        }
        at = end;
    }
    kept.extend_from_slice(&page[at..]);
    (kept, dropped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(keys: &[&str]) -> String {
        let contents = keys.iter().map(|key| {
            let key = quick_xml::escape::escape(*key);
            format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")
        });
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name>{}<IsTruncated>false</IsTruncated></ListBucketResult>",
            contents.collect::<String>()
        )
    }

    #[test]
    fn keys_that_are_no_paths_are_left_out_and_counted() {
        let keys = ["a", "b//c", "d/../e", "/f", "folder/", "g & h <i>", "j/./k", "", "ü%20"];
        let (kept, dropped) = without_unusable(page(&keys).as_bytes());
        assert_eq!(String::from_utf8(kept).unwrap(), page(&["a", "g & h <i>", "ü%20"]));
        assert_eq!(dropped, 5);
        let untouched = page(&["x", "y"]);
        assert_eq!(without_unusable(untouched.as_bytes()), (untouched.clone().into_bytes(), 0));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400) {
            let mut text = page(&["a", "b//c"]).into_bytes();
            let at = at.min(text.len());
            text.splice(at..at, bytes);
            let (kept, _) = without_unusable(&text);
            prop_assert!(kept.len() <= text.len());
            element(&text, b"Code");
        }
    }
}
