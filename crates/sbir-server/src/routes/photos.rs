//! Photos and their thumbnails, by number.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use image::ImageFormat;
use sbir_data::{MAX_FILE_BYTES, Upright, is_heic};
use sbir_gallery::{OpenedPhoto, PhotoId};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use super::{Number, blocking, version};
use crate::app::App;
use crate::page::has_etag;
use crate::problem::Problem;
use crate::thumbnails::SIDE;

/// Photos in formats that browsers should not get are shown at this many pixels a side at most.
const LARGEST: u32 = 4096;

#[derive(Debug, Deserialize)]
pub(crate) struct Version {
    v: Option<String>,
}

/// Names a photo's content as it is now: of an unchanged file by its hash, else by its size and time too.
fn content_key(opened: &OpenedPhoto) -> String {
    let hash = version(&opened.photo.hash);
    if opened.changed {
        format!("{hash}-{:x}-{:x}", opened.size, opened.mtime_ns.max(0))
    } else {
        hash
    }
}

/// With the right version in the address an answer holds for good; else the browser asks again each time.
fn caching(key: &str, asked: &Version) -> [(axum::http::HeaderName, String); 2] {
    let lasting = asked.v.as_deref() == Some(key);
    let control =
        if lasting { "private, max-age=31536000, immutable" } else { "private, no-cache" };
    [(CACHE_CONTROL, control.to_owned()), (ETAG, format!("\"{key}\""))]
}

fn gone() -> Problem {
    Problem::new(StatusCode::GONE, "This photo is not there any more, or is no photo now.")
}

/// Bytes at a file's start that tell its format.
const START: u64 = 256;

/// What of a photo is asked for.
#[derive(Clone, Copy, Debug)]
enum Size {
    Full,
    Thumbnail,
}

/// A picture as it goes out.
struct Picture {
    kind: &'static str,
    bytes: u64,
    body: Body,
}

impl Picture {
    fn jpeg(bytes: Vec<u8>) -> Self {
        Self { kind: "image/jpeg", bytes: bytes.len() as u64, body: bytes.into() }
    }
}

type VersionQuery = Result<Query<Version>, QueryRejection>;

/// `GET /api/photos/{id}`
pub(crate) async fn photo(
    State(app): State<Arc<App>>,
    Number(id): Number,
    asked: VersionQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    show(&app, id, asked, &headers, Size::Full).await
}

/// `GET /api/thumbnails/{id}`
pub(crate) async fn thumbnail(
    State(app): State<Arc<App>>,
    Number(id): Number,
    asked: VersionQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    show(&app, id, asked, &headers, Size::Thumbnail).await
}

/// Opens a photo below its root and answers with it, or says that it is gone without telling where it was.
async fn show(
    app: &Arc<App>,
    id: PhotoId,
    asked: VersionQuery,
    headers: &HeaderMap,
    size: Size,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::bad(error.body_text()))?;
    let shared = Arc::clone(app);
    let open = move || Ok(shared.files.open(shared.store.record(id)?.photo)?);
    let opened = blocking(app, open).await?;
    if opened.size > MAX_FILE_BYTES {
        return Err(gone());
    }
    let key = content_key(&opened);
    let caching = caching(&key, &asked);
    if has_etag(headers, &caching[1].1) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let picture = match size {
        Size::Full => full(app, opened).await?,
        Size::Thumbnail => Picture::jpeg(make(app, opened, key).await?),
    };
    let mut response = (caching, [(CONTENT_TYPE, picture.kind)], picture.body).into_response();
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(picture.bytes));
    Ok(response)
}

/// A photo as it is, or as JPEG if browsers should not get its format.
async fn full(app: &Arc<App>, opened: OpenedPhoto) -> Result<Picture, Problem> {
    let bytes = opened.size;
    let look = move || {
        let mut file = opened.content.into_file()?;
        let mut start = Vec::with_capacity(START as usize);
        (&mut file).take(START).read_to_end(&mut start).map_err(|_| gone())?;
        file.seek(SeekFrom::Start(0)).map_err(|_| gone())?;
        Ok((file, image::guess_format(&start).ok(), is_heic(&start)))
    };
    let (mut file, format, heic) = blocking(app, look).await?;
    // What the bytes are decides, not the name. Browsers get only what they all know and treat as a mere picture.
    let kind = match format {
        Some(ImageFormat::Jpeg) => "image/jpeg",
        Some(ImageFormat::Png) => "image/png",
        Some(ImageFormat::WebP) => "image/webp",
        Some(ImageFormat::Gif) => "image/gif",
        None if !heic => return Err(gone()),
        _ => {
            let encode = move |_: &_| {
                let bytes = read(&mut file)?;
                let name = FilePath::new("photo");
                let picture = Upright::decode(name, &bytes, None).map_err(|_| gone())?;
                picture.shrunk(LARGEST).to_jpeg(90).map_err(|_| gone())
            };
            return Ok(Picture::jpeg(app.pictures.run(app.config.limits.timeout, encode).await?));
        }
    };
    Ok(Picture { kind, bytes, body: stream(file, bytes) })
}

/// A photo's thumbnail: the one that is kept, or a new one.
async fn make(app: &Arc<App>, opened: OpenedPhoto, key: String) -> Result<Vec<u8>, Problem> {
    if let Some(jpeg) = cached(app, &key).await? {
        return Ok(jpeg);
    }
    let turn = app.thumbnails.turn(&key);
    let patience = app.config.limits.patience;
    let _turn = tokio::time::timeout(patience, turn.lock()).await.map_err(|_| Problem::busy())?;
    if let Some(jpeg) = cached(app, &key).await? {
        return Ok(jpeg);
    }
    let shared = Arc::clone(app);
    let work = move |_: &_| {
        let mut file = opened.content.into_file()?;
        let bytes = read(&mut file)?;
        let jpeg =
            sbir_data::thumbnail(FilePath::new("photo"), &bytes, SIDE).map_err(|_| gone())?;
        shared.thumbnails.put(&key, &jpeg);
        shared.metrics.thumbnails_made.fetch_add(1, Ordering::Relaxed);
        Ok(jpeg)
    };
    app.pictures.run(app.config.limits.timeout, work).await
}

async fn cached(app: &Arc<App>, key: &str) -> Result<Option<Vec<u8>>, Problem> {
    let (shared, key) = (Arc::clone(app), key.to_owned());
    blocking(app, move || Ok(shared.thumbnails.get(&key))).await
}

fn read(file: &mut std::fs::File) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|_| gone())?;
    Ok(bytes)
}

/// A file's first `size` bytes, a piece at a time; one that turns out shorter breaks the answer off.
fn stream(file: std::fs::File, size: u64) -> Body {
    let reader = tokio::fs::File::from_std(file).take(size);
    Body::from_stream(futures_util::stream::unfold(reader, |mut reader| async move {
        let mut piece = Vec::with_capacity(64 << 10);
        match reader.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(piece)), reader)),
            Err(error) => Some((Err(error), reader)),
        }
    }))
}
