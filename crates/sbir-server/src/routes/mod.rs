//! Every route, and what they share.

mod gallery;
mod openapi;
mod photos;
mod picture;
mod search;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use sbir_gallery::{Photo, PhotoId, RelPath, is_root};
use serde::Serialize;

use crate::app::App;
use crate::problem::{Problem, json};
use crate::{access, events, metrics, page};

/// Every route of the interface: method and path. The OpenAPI document describes exactly these.
pub const ROUTES: &[(&str, &str)] = &[
    ("post", "/api/search"),
    ("post", "/api/search/image"),
    ("get", "/api/photos/{id}"),
    ("get", "/api/photos/{id}/similar"),
    ("post", "/api/photos/{id}/rank"),
    ("get", "/api/thumbnails/{id}"),
    ("get", "/api/gallery"),
    ("get", "/api/gallery/sample"),
    ("get", "/api/index"),
    ("get", "/api/events"),
    ("get", "/api/health"),
    ("get", "/api/ready"),
    ("get", "/api/metrics"),
    ("get", "/api/openapi.json"),
];

/// What answers a route; none for one that nobody wrote.
fn handler(method: &str, path: &str) -> Option<MethodRouter<Arc<App>>> {
    Some(match (method, path) {
        ("post", "/api/search") => post(search::strokes),
        ("post", "/api/search/image") => post(search::image),
        ("get", "/api/photos/{id}") => get(photos::photo),
        ("get", "/api/photos/{id}/similar") => get(search::similar),
        ("post", "/api/photos/{id}/rank") => post(search::rank),
        ("get", "/api/thumbnails/{id}") => get(photos::thumbnail),
        ("get", "/api/gallery") => get(gallery::list),
        ("get", "/api/gallery/sample") => get(gallery::sample),
        ("get", "/api/index") => get(index),
        ("get", "/api/events") => get(events::events),
        ("get", "/api/health") => get(health),
        ("get", "/api/ready") => get(ready),
        ("get", "/api/metrics") => get(metrics::metrics),
        ("get", "/api/openapi.json") => get(openapi::document),
        _ => return None,
    })
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router =
        Router::new().route("/", get(page::index)).route("/assets/{*name}", get(page::asset));
    for (method, path) in ROUTES {
        if let Some(handler) = handler(method, path) {
            router = router.route(path, handler);
        }
    }
    let not_allowed = || async {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This is not done here with that method.")
    };
    router
        .method_not_allowed_fallback(not_allowed)
        .fallback(|| async { Problem::not_found() })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), access::guard))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), metrics::count))
        .layer(middleware::from_fn(access::strict))
        .with_state(app)
}

/// A photo as answers give it.
#[derive(Debug, Serialize)]
pub(crate) struct PhotoJson {
    id: String,
    name: String,
    path: String,
    version: String,
    width: u32,
    height: u32,
}

impl PhotoJson {
    pub(crate) fn new(photo: &Photo) -> Self {
        // The last name of a path below a root is such a path itself; it is printed the same way.
        let name = RelPath::new(photo.path.file_name().to_vec());
        Self {
            id: photo.id.to_string(),
            name: name.map_or_else(|_| photo.path.to_string(), |name| name.to_string()),
            path: photo.display(),
            version: version(&photo.hash),
            width: photo.width,
            height: photo.height,
        }
    }
}

/// A photo's content in a few letters.
pub(crate) fn version(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    hash[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `GET /api/index`
async fn index(State(app): State<Arc<App>>) -> Response {
    json(StatusCode::OK, &app.state.get())
}

/// `GET /api/health`: whether the process lives, whatever its store does; else it would be started anew for nothing.
async fn health(State(app): State<Arc<App>>) -> Response {
    let answer = serde_json::json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "photos": app.state.get().photos,
    });
    json(StatusCode::OK, &answer)
}

/// `GET /api/ready`: whether to send requests here.
async fn ready(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let shared = Arc::clone(&app);
    let space = blocking(&app, move || {
        shared.store.ready()?;
        Ok(shared.store.space()?)
    });
    let space = space.await.map_err(|problem| Problem::unavailable(problem.message))?;
    // A gallery that was embedded anew with another encoder is not to be asked with this one.
    if let Some(space) = space
        && space.fingerprint != app.embedder.fingerprint()
    {
        let message = format!(
            "The gallery is of the encoder {} now, not of {}; start this server again with --model.",
            space.fingerprint,
            app.embedder.fingerprint()
        );
        return Err(Problem::unavailable(message));
    }
    Ok(json(StatusCode::OK, &serde_json::json!({ "status": "ready" })))
}

/// Short blocking work: look-ups by number and the like.
///
/// # Errors
/// The work's own; 503 where too much of it goes on; 504 when it takes too long.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    app.lookups.run(app.config.limits.timeout, move |_| work()).await
}

/// A photo's number in a path; what is no number is no photo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub(crate) PhotoId);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let number = text.ok().and_then(|Path(text)| text.parse().ok());
        let none = || Problem::new(StatusCode::NOT_FOUND, "There is no photo of that number.");
        number.map(Self).ok_or_else(none)
    }
}

/// A folder to look under: an absolute path, which only narrows what is found.
pub(crate) fn folder(under: Option<&str>) -> Result<Option<PathBuf>, Problem> {
    let Some(under) = under.filter(|under| !under.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(under);
    if !is_root(&path) || under.contains('\0') {
        return Err(Problem::bad("under: give an absolute path, or a place in an object store."));
    }
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_route_has_a_handler() {
        for (method, path) in super::ROUTES {
            assert!(super::handler(method, path).is_some(), "{method} {path}");
        }
    }
}
