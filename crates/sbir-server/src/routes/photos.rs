//! Photos and their thumbnails, by number.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use image::ImageFormat;
use sbir_data::{MAX_FILE_BYTES, Upright};
use sbir_gallery::OpenedPhoto;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use super::{blocking, photo_id, version};
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

/// Opens a photo below its root, or says that it is gone without telling where it was.
async fn open(app: &Arc<App>, id: &str) -> Result<OpenedPhoto, Problem> {
    let id = photo_id(id)?;
    let library = Arc::clone(&app.library);
    let opened = blocking(app, move || library.open_photo(id).map_err(Problem::from)).await?;
    if opened.size > MAX_FILE_BYTES { Err(gone()) } else { Ok(opened) }
}

/// `GET /api/photos/{id}`
pub(crate) async fn photo(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Query<Version>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let opened = open(&app, &id).await?;
    let key = content_key(&opened);
    let caching = caching(&key, &asked);
    if has_etag(&headers, &caching[1].1) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let size = opened.size;
    let (mut file, kind) = blocking(&app, move || {
        let mut file = opened.file;
        let mut start = Vec::with_capacity(32);
        (&mut file).take(32).read_to_end(&mut start).map_err(|_| gone())?;
        file.seek(SeekFrom::Start(0)).map_err(|_| gone())?;
        Ok((file, image::guess_format(&start).ok()))
    })
    .await?;
    // What the bytes are decides, not the name. Browsers get only what they all know and treat as a mere picture.
    let raw = match kind {
        Some(ImageFormat::Jpeg) => Some("image/jpeg"),
        Some(ImageFormat::Png) => Some("image/png"),
        Some(ImageFormat::WebP) => Some("image/webp"),
        Some(ImageFormat::Gif) => Some("image/gif"),
        Some(_) => None,
        None => return Err(gone()),
    };
    if let Some(kind) = raw {
        let mut response = (caching, [(CONTENT_TYPE, kind)], stream(file, size)).into_response();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
        return Ok(response);
    }
    let timeout = app.config.limits.timeout;
    let jpeg = app.pictures.run(timeout, move |_| {
        let bytes = read(&mut file)?;
        let picture = Upright::decode(FilePath::new("photo"), &bytes, None).map_err(|_| gone())?;
        picture.shrunk(LARGEST).to_jpeg(90).map_err(|_| gone())
    });
    Ok((caching, [(CONTENT_TYPE, "image/jpeg")], jpeg.await?).into_response())
}

/// `GET /api/thumbnails/{id}`
pub(crate) async fn thumbnail(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Query<Version>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let opened = open(&app, &id).await?;
    let key = content_key(&opened);
    let caching = caching(&key, &asked);
    if has_etag(&headers, &caching[1].1) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let jpeg = make(&app, opened, key).await?;
    Ok((caching, [(CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
}

async fn make(app: &Arc<App>, opened: OpenedPhoto, key: String) -> Result<Vec<u8>, Problem> {
    if let Some(jpeg) = cached(app, &key).await? {
        return Ok(jpeg);
    }
    let turn = app.thumbnails.turn(&key);
    let _turn = turn.lock().await;
    if let Some(jpeg) = cached(app, &key).await? {
        return Ok(jpeg);
    }
    let shared = Arc::clone(app);
    let work = move |_: &_| {
        let mut file = opened.file;
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
