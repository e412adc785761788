//! The gallery page by page, and a few photos at random.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use sbir_gallery::Cursor;
use serde::Deserialize;
use serde_json::json as object;

use super::{PhotoJson, blocking, folder};
use crate::app::App;
use crate::problem::{Problem, json};

/// The most photos on a page.
const MOST: usize = 500;
/// The most photos at random.
const MOST_SAMPLED: usize = 100;

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    after: Option<String>,
    limit: Option<usize>,
    under: Option<String>,
}

/// `GET /api/gallery`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(place) = place.map_err(|error| Problem::bad(error.body_text()))?;
    let limit = place.limit.unwrap_or(60);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad(format!("limit: between 1 and {MOST}.")));
    }
    let under = folder(place.under.as_deref())?;
    let after = place.after.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| Problem::bad("after: give `next` of the page before."))?;
    let after = after.map(Cursor);
    let store = Arc::clone(&app.store);
    let answer = blocking(&app, move || {
        let page = store.list(under.as_deref(), after, limit)?;
        // Counting below a folder would read every row of it.
        let total = if under.is_none() { Some(store.stats()?.photos) } else { None };
        let photos: Vec<_> = page.items.iter().map(PhotoJson::new).collect();
        Ok(object!({ "photos": photos, "next": page.next, "total": total }))
    });
    Ok(json(StatusCode::OK, &answer.await?))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sample {
    count: Option<usize>,
}

/// `GET /api/gallery/sample`
pub(crate) async fn sample(
    State(app): State<Arc<App>>,
    sample: Result<Query<Sample>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(sample) = sample.map_err(|error| Problem::bad(error.body_text()))?;
    let count = sample.count.unwrap_or(1);
    if !(1..=MOST_SAMPLED).contains(&count) {
        return Err(Problem::bad(format!("count: between 1 and {MOST_SAMPLED}.")));
    }
    let store = Arc::clone(&app.store);
    let answer = blocking(&app, move || {
        let photos: Vec<_> = store.sample(count)?.iter().map(PhotoJson::new).collect();
        Ok(object!({ "photos": photos }))
    });
    Ok(json(StatusCode::OK, &answer.await?))
}
