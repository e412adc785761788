//! The gallery page by page, and a few photos at random.

use std::collections::HashSet;
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
use crate::library::Library;
use crate::problem::{Problem, json};

/// The most photos on a page.
const MOST: usize = 500;
/// The most photos at random.
const MOST_SAMPLED: usize = 100;

#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    after: Option<i64>,
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
    let library = Arc::clone(&app.library);
    let answer = blocking(&app, move || {
        let page = library.list(under.as_deref(), place.after.map(Cursor), limit)?;
        // Counting below a folder would read every row of it.
        let total = if under.is_none() { Some(library.stats()?.photos) } else { None };
        let photos: Vec<_> = page.items.iter().map(PhotoJson::new).collect();
        Ok(object!({ "photos": photos, "next": page.next.map(|next| next.0), "total": total }))
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
    let library = Arc::clone(&app.library);
    let answer = blocking(&app, move || {
        let photos = drawn(&*library, count)?;
        Ok(object!({ "photos": photos }))
    });
    Ok(json(StatusCode::OK, &answer.await?))
}

/// Photos at random places among the numbers, each once.
fn drawn(library: &dyn Library, count: usize) -> Result<Vec<PhotoJson>, Problem> {
    let last = last_number(library)?;
    let mut seen = HashSet::new();
    let mut photos = Vec::new();
    if last <= count as i64 * 4 {
        // So few that all can be looked at: in random order.
        let mut all = library.list(None, None, count * 4)?.items;
        while photos.len() < count && !all.is_empty() {
            let at = below(all.len() as u64)? as usize;
            photos.push(PhotoJson::new(&all.swap_remove(at)));
        }
        return Ok(photos);
    }
    for _ in 0..count * 4 {
        if photos.len() == count {
            break;
        }
        let before = below(last as u64)? as i64;
        let page = library.list(None, Some(Cursor(before)), 1)?;
        if let Some(photo) = page.items.first()
            && seen.insert(photo.id)
        {
            photos.push(PhotoJson::new(photo));
        }
    }
    Ok(photos)
}

/// The highest number of a photo, found by halving.
fn last_number(library: &dyn Library) -> Result<i64, Problem> {
    let any_after = |number: i64| -> Result<bool, Problem> {
        Ok(!library.list(None, Some(Cursor(number)), 1)?.items.is_empty())
    };
    let (mut low, mut high) = (0, 1);
    while any_after(high)? {
        low = high;
        high = high.checked_mul(2).unwrap_or(i64::MAX);
        if low == i64::MAX {
            break;
        }
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if any_after(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// A random number below `bound`.
fn below(bound: u64) -> Result<u64, Problem> {
    let random = getrandom::u64().map_err(|error| Problem::internal(error.to_string()))?;
    // The bias is below one in 2³² for any gallery.
    Ok(random % bound.max(1))
}
