//! Searching: candidates from the server, scores from the vectors that it keeps.

use std::path::PathBuf;

use qdrant_client::qdrant::vector_input::Variant as InputVariant;
use qdrant_client::qdrant::{
    DenseVector, Filter, QuantizationSearchParams, Query, QueryBatchPoints, QueryPoints,
    SearchParams, VectorInput, query,
};
use sbir_gallery::{Error, Hit, Hits, Photo, PhotoId, Result, SearchOptions};

use crate::filter;
use crate::gallery::{Bound, Gallery};
use crate::nodes::Kind;
use crate::point::{id_of, photo, vector};
use crate::read::{rows, with_payload, with_vectors};

/// How many more are asked for than wanted: what the server ranks by differs from the cosine by its rounding.
const SLACK: usize = 8;
/// By how much at most: the server rounds the query to f16, each value by 2⁻¹¹ of it.
const ROUNDING: f32 = 1.0 / 2048.0;
/// By how much less than the least score is asked for.
const MARGIN: f32 = 4.0 * ROUNDING;
/// The most photos that are asked for because others are as near as the last.
const MOST_TIES: usize = 10_000;
/// The most queries of one call.
const MOST_QUERIES: usize = 64;

/// What is the same for all queries of a search.
struct Search {
    k: usize,
    least: Option<f32>,
    filter: Option<Filter>,
    exact: bool,
}

/// What the server gave for a query.
struct Found {
    candidates: Vec<Candidate>,
    /// Whether it gave as many as were asked for, so that there may be more.
    full: bool,
}

/// A photo that may be among the nearest, with its cosine.
struct Candidate {
    id: PhotoId,
    score: f32,
    photo: Photo,
}

impl Gallery {
    pub(crate) async fn search(
        &self,
        queries: Vec<Vec<f32>>,
        options: SearchOptions,
    ) -> Result<Vec<Hits>> {
        let nothing = Hits { items: Vec::new(), exhaustive: true, searched: 0 };
        let Some(bound) = self.bound().await? else { return Ok(vec![nothing; queries.len()]) };
        let queries = queries
            .into_iter()
            .map(|query| self.unit_query(&bound, query))
            .collect::<Result<Vec<_>>>()?;
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let under: Option<&PathBuf> = options.under.as_ref();
        let filter = under.map(|place| filter::under(place)).transpose()?;
        let exact = self.estimate(&bound).await? <= self.options.exact_up_to;
        let search = Search { k: options.k, least: options.min_score, filter, exact };
        let count = self.count(&bound, search.filter.clone(), exact);
        if search.k == 0 {
            let searched = count.await?;
            return Ok(vec![Hits { exhaustive: exact, searched, ..nothing }; queries.len()]);
        }
        let found = self.all(&bound, &queries, &search);
        let (searched, found) = futures_util::future::try_join(count, found).await?;
        Ok(found.into_iter().map(|hits| Hits { searched, ..hits }).collect())
    }

    fn unit_query(&self, bound: &Bound, query: Vec<f32>) -> Result<Vec<f32>> {
        let expected = bound.space.dimension;
        if query.len() != expected {
            let found = query.len();
            return Err(Error::OtherDimension { gallery: self.name(), expected, found });
        }
        unit(query)
    }

    /// The hits of each query, a batch of queries after the other so that answers stay small.
    async fn all(&self, bound: &Bound, queries: &[Vec<f32>], search: &Search) -> Result<Vec<Hits>> {
        let most = rows(Some(bound.space.dimension)).max(1);
        let first = search.k.saturating_add(SLACK).min(most);
        let mut found = Vec::with_capacity(queries.len());
        for part in queries.chunks((most / first).clamp(1, MOST_QUERIES)) {
            let answers = self.candidates(bound, part, search, first).await?;
            for (query, answer) in part.iter().zip(answers) {
                found.push(self.settled(bound, query, search, first, answer).await?);
            }
        }
        Ok(found)
    }

    /// Asks for more until nothing that was not given can be among the nearest.
    async fn settled(
        &self,
        bound: &Bound,
        query: &[f32],
        search: &Search,
        mut asked: usize,
        mut found: Found,
    ) -> Result<Hits> {
        let mut settled;
        loop {
            let candidates = &mut found.candidates;
            candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
            settled = !found.full || {
                // Approximate searches miss some anyway, but should cut no ties by chance.
                let rounding = if search.exact { ROUNDING } else { 0.0 };
                let last = candidates.last().map_or(f32::MIN, |last| last.score);
                let kept = candidates.get(search.k - 1).map(|kept| kept.score);
                kept.is_some_and(|kept| last + rounding < kept)
            };
            let enough = asked >= search.k.saturating_add(MOST_TIES);
            if settled || enough {
                break;
            }
            asked = asked.saturating_mul(4).max(search.k.saturating_add(SLACK).min(1 << 20));
            found = self.many(bound, query, search, asked).await?;
        }
        let allowed = |hit: &Hit| search.least.is_none_or(|least| hit.score >= least);
        let hits = found.candidates.into_iter();
        let hits = hits.map(|found| Hit { photo: found.photo, score: found.score });
        let items = hits.take(search.k).filter(allowed).collect();
        Ok(Hits { items, exhaustive: search.exact && settled, searched: 0 })
    }

    fn request(
        &self,
        bound: &Bound,
        query: &[f32],
        search: &Search,
        limit: usize,
        whole: bool,
    ) -> QueryPoints {
        let quantization = if search.exact {
            QuantizationSearchParams { ignore: Some(true), ..Default::default() }
        } else {
            QuantizationSearchParams {
                ignore: Some(false),
                rescore: Some(true),
                oversampling: Some(self.options.oversampling.max(1.0)),
            }
        };
        let params = SearchParams {
            hnsw_ef: Some(self.options.beam.max(limit as u64)),
            exact: Some(search.exact),
            quantization: Some(quantization),
            indexed_only: Some(false),
            ..SearchParams::default()
        };
        let dense = InputVariant::Dense(DenseVector { data: query.to_vec() });
        let nearest = query::Variant::Nearest(VectorInput { variant: Some(dense) });
        QueryPoints {
            collection_name: bound.collection.clone(),
            query: Some(Query { variant: Some(nearest) }),
            filter: search.filter.clone(),
            params: Some(params),
            score_threshold: search.least.map(|least| least - MARGIN),
            limit: Some(limit as u64),
            with_payload: with_payload(whole),
            with_vectors: with_vectors(whole),
            timeout: Some(self.timeout()),
            ..QueryPoints::default()
        }
    }

    /// The nearest of each query with payload and vectors, in one call.
    async fn candidates(
        &self,
        bound: &Bound,
        queries: &[Vec<f32>],
        search: &Search,
        limit: usize,
    ) -> Result<Vec<Found>> {
        let requests = queries.iter().map(|query| self.request(bound, query, search, limit, true));
        let request = QueryBatchPoints {
            collection_name: bound.collection.clone(),
            query_points: requests.collect(),
            read_consistency: None,
            timeout: Some(self.timeout()),
        };
        let answer = self.call(Kind::Read, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().query_batch(request).await?.into_inner()) }
        });
        let answers = answer.await?.result;
        if answers.len() != queries.len() {
            return Err(self.bad_answer("another number of answers than of queries"));
        }
        let wrong = |problem: String| self.bad_answer(problem);
        let mut all = Vec::with_capacity(answers.len());
        for (query, answer) in queries.iter().zip(answers) {
            if answer.result.len() > limit {
                return Err(self.bad_answer("more photos than asked for"));
            }
            let full = answer.result.len() == limit;
            let mut found = Vec::with_capacity(answer.result.len());
            for point in answer.result {
                let id = id_of(point.id.as_ref());
                let id = id.ok_or_else(|| self.bad_answer("a point of no photo"))?;
                let photo = photo(id, &point.payload).map_err(wrong)?;
                let vector = vector(id, point.vectors, bound.space.dimension).map_err(wrong)?;
                found.push(Candidate { id, score: cosine(query, &vector), photo });
            }
            all.push(Found { candidates: self.distinct(found)?, full });
        }
        Ok(all)
    }

    /// As [`Self::candidates`] for many: first the ids, then the photos part by part.
    async fn many(
        &self,
        bound: &Bound,
        query: &[f32],
        search: &Search,
        limit: usize,
    ) -> Result<Found> {
        let request = self.request(bound, query, search, limit, false);
        let answer = self.call(Kind::Read, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().query(request).await?.into_inner()) }
        });
        let points = answer.await?.result;
        if points.len() > limit {
            return Err(self.bad_answer("more photos than asked for"));
        }
        let ids = points.iter().map(|point| id_of(point.id.as_ref())).collect::<Option<Vec<_>>>();
        let ids = ids.ok_or_else(|| self.bad_answer("a point of no photo"))?;
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(rows(Some(bound.space.dimension)).max(1)) {
            for (id, point) in self.retrieve(bound, ids, true, true).await? {
                let wrong = |problem: String| self.bad_answer(problem);
                let photo = photo(id, &point.payload).map_err(wrong)?;
                let vector = vector(id, point.vectors, bound.space.dimension).map_err(wrong)?;
                found.push(Candidate { id, score: cosine(query, &vector), photo });
            }
        }
        Ok(Found { candidates: self.distinct(found)?, full: points.len() == limit })
    }

    fn distinct(&self, mut found: Vec<Candidate>) -> Result<Vec<Candidate>> {
        found.sort_by_key(|candidate| candidate.id);
        if found.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(self.bad_answer("a photo twice"));
        }
        Ok(found)
    }
}

/// A vector of unit length; it is changed only where it is not of that length already.
///
/// # Errors
/// If it has no direction.
pub(crate) fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>> {
    let square: f64 = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let length = square.sqrt();
    if !length.is_finite() || length == 0.0 {
        return Err(Error::NotFinite);
    }
    if (length - 1.0).abs() > 1e-3 {
        for value in &mut vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
    Ok(vector)
}

/// The cosine of two vectors that are not zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    (product / (square_a * square_b).sqrt()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_unit_length_keep_their_bits() {
        let vector = vec![0.6, -0.8, 1e-5];
        assert_eq!(unit(vector.clone()).unwrap(), vector);
        let scaled = unit(vec![3e30, -4e30]).unwrap();
        assert!((scaled[0] - 0.6).abs() < 1e-6 && (scaled[1] + 0.8).abs() < 1e-6);
        for bad in [vec![0.0; 3], vec![f32::NAN, 1.0], vec![f32::INFINITY], Vec::new()] {
            assert!(matches!(unit(bad), Err(Error::NotFinite)));
        }
        assert_eq!(cosine(&[0.6, 0.8], &[0.6, 0.8]), 1.0);
        assert_eq!(cosine(&[2.0, 0.0], &[0.0, 3.0]), 0.0);
    }
}
