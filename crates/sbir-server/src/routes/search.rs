//! Searching: by strokes, by a picture, by a photo; and the rank of a photo.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sbir_gallery::{Embedder, Hits, PhotoId, SearchOptions};
use sbir_sketch::{LineStyle, Sketch, format};
use serde::{Deserialize, Serialize};

use super::picture::{self, Kind};
use super::{Number, PhotoJson, folder};
use crate::app::App;
use crate::body::Held;
use crate::config::Limits;
use crate::gate::GivenUp;
use crate::problem::{Problem, json};

/// The most photos among which a rank is told; beyond, it is "this or more".
const MOST_RANKED: usize = 2000;
/// Widths of lines that are drawn, as shares of the side.
const LINES: std::ops::RangeInclusive<f32> = 0.002..=0.05;
/// Photos in an answer unless asked otherwise.
const HITS: usize = 30;

#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    k: Option<usize>,
    min_score: Option<f32>,
    under: Option<String>,
    line: Option<f32>,
    kind: Option<Kind>,
}

type OptionsQuery = Result<Query<Options>, QueryRejection>;

impl Options {
    fn take(query: OptionsQuery) -> Result<Self, Problem> {
        let Query(options) = query.map_err(|error| Problem::bad(error.body_text()))?;
        if options.min_score.is_some_and(|score| !(-1.0..=1.0).contains(&score)) {
            return Err(Problem::bad("min_score: a similarity is between -1 and 1."));
        }
        if options.line.is_some_and(|line| !LINES.contains(&line)) {
            return Err(Problem::bad("line: a width is between 0.002 and 0.05 of the side."));
        }
        Ok(options)
    }

    fn search(&self, app: &App) -> Result<SearchOptions, Problem> {
        let most = app.config.limits.hits;
        let k = self.k.unwrap_or(HITS);
        if !(1..=most).contains(&k) {
            return Err(Problem::bad(format!("k: between 1 and {most}.")));
        }
        let under = folder(self.under.as_deref())?;
        Ok(SearchOptions { k, min_score: self.min_score, under })
    }
}

#[derive(Serialize)]
struct HitJson {
    #[serde(flatten)]
    photo: PhotoJson,
    rank: usize,
    score: f32,
}

#[derive(Serialize)]
struct HitsJson {
    hits: Vec<HitJson>,
    searched: u64,
    exhaustive: bool,
    took_ms: f64,
}

#[derive(Serialize)]
struct RankJson {
    rank: usize,
    exact: bool,
    of: u64,
    score: f32,
    hits: Vec<HitJson>,
}

fn hits_json(hits: &Hits, most: usize) -> Vec<HitJson> {
    let hit = |(at, hit): (usize, &sbir_gallery::Hit)| HitJson {
        photo: PhotoJson::new(&hit.photo),
        rank: at + 1,
        score: hit.score,
    };
    hits.items.iter().take(most).enumerate().map(hit).collect()
}

fn answer(hits: &Hits, started: Instant) -> Response {
    let answer = HitsJson {
        hits: hits_json(hits, usize::MAX),
        searched: hits.searched,
        exhaustive: hits.exhaustive,
        took_ms: (started.elapsed().as_secs_f64() * 1e4).round() / 10.0,
    };
    json(StatusCode::OK, &answer)
}

/// `POST /api/search`
pub(crate) async fn strokes(
    State(app): State<Arc<App>>,
    options: OptionsQuery,
    request: Request,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let options = Options::take(options)?;
    let search = options.search(&app)?;
    let body = app.drawings.take(request).await?;
    let hits = run(&app, move |app, given_up| {
        let sketch = read_sketch(body, &app.config.limits)?;
        let query = embed_sketch(&*app.embedder, &sketch, options.line)?;
        given_up.check()?;
        Ok(app.store.search(&query, &search)?)
    });
    Ok(answer(&hits.await?, started))
}

/// `POST /api/search/image`
pub(crate) async fn image(
    State(app): State<Arc<App>>,
    options: OptionsQuery,
    request: Request,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let options = Options::take(options)?;
    let search = options.search(&app)?;
    let limits = &app.config.limits;
    let body = app.uploads.take(request).await?;
    let most_pixels = limits.picture_pixels;
    let side = app.embedder.image_size();
    let kind = options.kind.unwrap_or_default();
    let decode = move |_: &GivenUp| picture::decode(body.bytes(), most_pixels, side, kind);
    let ((picture, kind), place) = app.pictures.run_and_stay(limits.timeout, decode).await?;
    let hits = run(&app, move |app, given_up| {
        // Until here: decoded pictures are large, and only as many exist as there are places.
        let _place = place;
        let query = match kind {
            Kind::Photo => app.embedder.embed_photos(&[picture]),
            _ => app.embedder.embed_drawing(&picture),
        };
        given_up.check()?;
        Ok(app.store.search(&query.map_err(|error| encoder_failed(&error))?, &search)?)
    });
    Ok(answer(&hits.await?, started))
}

/// `GET /api/photos/{id}/similar`
pub(crate) async fn similar(
    State(app): State<Arc<App>>,
    Number(id): Number,
    options: OptionsQuery,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let search = Options::take(options)?.search(&app)?;
    let hits = run(&app, move |app, _| {
        let query = app.store.record(id)?.embedding;
        Ok(app.store.search(&query, &search)?)
    });
    Ok(answer(&hits.await?, started))
}

/// `POST /api/photos/{id}/rank`
pub(crate) async fn rank(
    State(app): State<Arc<App>>,
    Number(id): Number,
    options: OptionsQuery,
    request: Request,
) -> Result<Response, Problem> {
    let options = Options::take(options)?;
    let shown = options.search(&app)?.k;
    let body = app.drawings.take(request).await?;
    let ranked = run(&app, move |app, given_up| {
        let sketch = read_sketch(body, &app.config.limits)?;
        let photo = app.store.record(id)?.embedding;
        let query = embed_sketch(&*app.embedder, &sketch, options.line)?;
        given_up.check()?;
        rank_among(app, id, &photo, &query, shown)
    });
    Ok(json(StatusCode::OK, &ranked.await?))
}

fn rank_among(
    app: &App,
    id: PhotoId,
    photo: &[f32],
    query: &[f32],
    shown: usize,
) -> Result<RankJson, Problem> {
    let score: f32 = photo.iter().zip(query).map(|(a, b)| a * b).sum();
    let hits = app.store.search(query, &SearchOptions::nearest(MOST_RANKED.max(shown)))?;
    let place = hits.items.iter().position(|hit| hit.photo.id == id);
    let of = app.store.stats()?.photos;
    Ok(RankJson {
        rank: place.unwrap_or(hits.items.len()) + 1,
        exact: place.is_some(),
        of,
        score: place.map_or(score, |place| hits.items[place].score),
        hits: hits_json(&hits, shown),
    })
}

/// Embedding and search, behind the gate.
async fn run<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App, &GivenUp) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let shared = Arc::clone(app);
    app.searches.run(app.config.limits.timeout, move |given_up| work(&shared, given_up)).await
}

fn read_sketch(body: Held, limits: &Limits) -> Result<Sketch, Problem> {
    let sketch = format::json::parse(body.bytes())
        .map_err(|problem| Problem::unprocessable(format!("The drawing: {problem}")))?;
    drop(body);
    if sketch.strokes.len() > limits.strokes {
        return Err(Problem::too_large("Strokes", limits.strokes));
    }
    if sketch.point_count() > limits.points {
        return Err(Problem::too_large("Points", limits.points));
    }
    if sketch.is_blank() {
        return Err(Problem::unprocessable("The drawing has no line."));
    }
    Ok(sketch)
}

/// A drawing's embedding, with the encoder's own line width or the one asked for.
fn embed_sketch(
    embedder: &dyn Embedder,
    sketch: &Sketch,
    line: Option<f32>,
) -> Result<Vec<f32>, Problem> {
    let query = match line {
        None => embedder.embed_sketch(sketch),
        Some(width) => {
            let side = embedder.image_size();
            let raster = sbir_sketch::render(sketch, side, &LineStyle::Antialiased { width });
            let pixels = raster.pixels.iter().flat_map(|&grey| [grey; 3]).collect();
            let picture = sbir_data::Upright::new(side as u32, side as u32, pixels)
                .map_err(|error| Problem::internal(error.to_string()))?;
            embedder.embed_drawing(&picture)
        }
    };
    query.map_err(|error| encoder_failed(&error))
}

fn encoder_failed(error: &sbir_gallery::EmbedError) -> Problem {
    Problem::internal(format!("The encoder failed: {error}"))
}
