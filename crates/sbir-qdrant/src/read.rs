//! Reading photos: pages, by id, by path, by content, some of them, counts.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::order_value::Variant as OrderVariant;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions as PayloadOptions;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions as VectorOptions;
use qdrant_client::qdrant::{
    CountPoints, Direction, FacetCounts, Filter, GetPoints, OrderBy, Query, QueryPoints,
    RetrievedPoint, Sample, ScrollPoints, ScrollResponse, WithPayloadSelector, WithVectorsSelector,
    query,
};
use rand::seq::SliceRandom as _;
use sbir_files::names::bytes_to_path;
use sbir_gallery::{
    Cursor, MAX_PAGE, Page, Photo, PhotoId, Record, RelPath, Result, RootInfo, Stats,
};

use crate::fault::Meaning;
use crate::filter;
use crate::gallery::{Bound, Gallery, lock};
use crate::nodes::Kind;
use crate::point::{field, id_of, photo, point_id, vector};
use crate::text::{canonical, photo_id, unescape};

/// The bytes of an answer that is asked for at once.
const ANSWER: usize = 8 << 20;
/// What a photo's payload takes in an answer, with long paths; a page that is larger all the same is asked for in
/// halves.
const PAYLOAD: usize = 2 << 10;
/// The most photos of one content that are given.
const SAME_CONTENT: u32 = 4;
/// The most roots of a gallery.
const MOST_ROOTS: usize = 10_000;
/// Up to how many photos a sample is drawn from all ids.
const SAMPLE_ALL: u64 = 10_000;
/// How often the server is asked for another sample where one had too few.
const SAMPLE_TRIES: usize = 20;
/// How long a count of photos is good for the choice of how to search.
const ESTIMATE_FOR: Duration = Duration::from_secs(10);

pub(crate) fn with_payload(yes: bool) -> Option<WithPayloadSelector> {
    Some(WithPayloadSelector { selector_options: Some(PayloadOptions::Enable(yes)) })
}

pub(crate) fn with_vectors(yes: bool) -> Option<WithVectorsSelector> {
    Some(WithVectorsSelector { selector_options: Some(VectorOptions::Enable(yes)) })
}

/// How many photos an answer may have.
pub(crate) fn rows(dimension: Option<usize>) -> usize {
    ANSWER / (PAYLOAD + dimension.unwrap_or(0) * 4)
}

fn above(id: PhotoId) -> Option<PhotoId> {
    id.0.checked_add(1).map(PhotoId)
}

/// Points in order of id, and where the next begin.
type Part = (Vec<(PhotoId, RetrievedPoint)>, Option<PhotoId>);

impl Gallery {
    fn read_photo(&self, point: &RetrievedPoint) -> Result<Photo> {
        let id = id_of(point.id.as_ref()).ok_or_else(|| self.bad_answer("a point of no photo"))?;
        photo(id, &point.payload).map_err(|problem| self.bad_answer(problem))
    }

    fn read_record(&self, point: RetrievedPoint, dimension: usize) -> Result<Record> {
        let photo = self.read_photo(&point)?;
        let embedding = vector(photo.id, point.vectors, dimension);
        Ok(Record { embedding: embedding.map_err(|problem| self.bad_answer(problem))?, photo })
    }

    /// A page of points in order of id: those at and after a place, and where the next begins.
    async fn scroll(&self, request: ScrollPoints) -> Result<Part> {
        let mut limit = request.limit.unwrap_or(1).max(1);
        loop {
            let answer = self.nodes.call(Kind::Read, self.options.deadline, |connection| {
                let request = ScrollPoints { limit: Some(limit), ..request.clone() };
                async move { Ok(connection.points().scroll(request).await?.into_inner()) }
            });
            match answer.await {
                Ok(answer) => return self.page(&request, limit, answer),
                Err(fault) if fault.meaning() == Meaning::TooLarge && limit > 1 => limit /= 2,
                Err(fault) => return Err(self.explain(&fault, self.options.deadline).await),
            }
        }
    }

    fn page(&self, request: &ScrollPoints, limit: u32, answer: ScrollResponse) -> Result<Part> {
        let mut points = Vec::with_capacity(answer.result.len());
        let mut least = id_of(request.offset.as_ref());
        for point in answer.result {
            let id = id_of(point.id.as_ref());
            let id = id.ok_or_else(|| self.bad_answer("a point of no photo"))?;
            let in_order = match (least, points.last()) {
                (_, Some((last, _))) => *last < id,
                (Some(least), None) => least <= id,
                (None, None) => true,
            };
            if !in_order {
                return Err(self.bad_answer("photos that are not in order"));
            }
            least = None;
            points.push((id, point));
        }
        if points.len() > limit as usize {
            return Err(self.bad_answer("more photos than asked for"));
        }
        // Where the next page begins follows from the last photo; the server's own word for it only says that there is
        // one.
        let next = match (answer.next_page_offset, points.last()) {
            (None, _) => None,
            (Some(_), Some((last, _))) => above(*last),
            (Some(_), None) => return Err(self.bad_answer("an empty page before the last")),
        };
        Ok((points, next))
    }

    /// Up to `limit` points in order of id after a place.
    async fn points(
        &self,
        bound: &Bound,
        filter: Option<Filter>,
        after: Option<Cursor>,
        limit: usize,
        vectors: bool,
    ) -> Result<Page<RetrievedPoint>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut page = Page { items: Vec::new(), next: None };
        let mut from = match after {
            None => None,
            Some(Cursor(id)) => match above(id) {
                Some(id) => Some(id),
                None => return Ok(page),
            },
        };
        loop {
            let most = rows(vectors.then_some(bound.space.dimension)).max(1);
            let request = ScrollPoints {
                collection_name: bound.collection.clone(),
                filter: filter.clone(),
                offset: from.map(point_id),
                limit: u32::try_from(most.min(limit - page.items.len())).ok(),
                with_payload: with_payload(true),
                with_vectors: with_vectors(vectors),
                timeout: Some(self.timeout()),
                ..ScrollPoints::default()
            };
            let (points, next) = self.scroll(request).await?;
            let last = points.last().map(|(id, _)| Cursor(*id));
            page.items.extend(points.into_iter().map(|(_, point)| point));
            match next {
                None => return Ok(page),
                Some(_) if page.items.len() == limit => {
                    page.next = last;
                    return Ok(page);
                }
                next => from = next,
            }
        }
    }

    pub(crate) async fn list(
        &self,
        under: Option<PathBuf>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        let Some(bound) = self.bound().await? else { return Ok(empty_page()) };
        let filter = under.as_deref().map(filter::under).transpose()?;
        let page = self.points(&bound, filter, after, limit, false).await?;
        let items = page.items.iter().map(|point| self.read_photo(point)).collect::<Result<_>>()?;
        Ok(Page { items, next: page.next })
    }

    pub(crate) async fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        let Some(bound) = self.bound().await? else { return Ok(empty_page()) };
        let page = self.points(&bound, None, after, limit, true).await?;
        let dimension = bound.space.dimension;
        let items = page.items.into_iter().map(|point| self.read_record(point, dimension));
        Ok(Page { items: items.collect::<Result<_>>()?, next: page.next })
    }

    /// The ids of photos in order, after a place.
    pub(crate) async fn ids(
        &self,
        bound: &Bound,
        filter: Option<Filter>,
        from: Option<PhotoId>,
        limit: u32,
    ) -> Result<(Vec<PhotoId>, Option<PhotoId>)> {
        let request = ScrollPoints {
            collection_name: bound.collection.clone(),
            filter,
            offset: from.map(point_id),
            limit: Some(limit),
            with_payload: with_payload(false),
            with_vectors: with_vectors(false),
            timeout: Some(self.timeout()),
            ..ScrollPoints::default()
        };
        let (points, next) = self.scroll(request).await?;
        Ok((points.into_iter().map(|(id, _)| id).collect(), next))
    }

    /// The points of these ids that there are, none twice.
    pub(crate) async fn retrieve(
        &self,
        bound: &Bound,
        ids: &[PhotoId],
        payload: bool,
        vectors: bool,
    ) -> Result<HashMap<PhotoId, RetrievedPoint>> {
        let mut found = HashMap::new();
        for ids in ids.chunks(rows(vectors.then_some(bound.space.dimension)).max(1)) {
            let request = GetPoints {
                collection_name: bound.collection.clone(),
                ids: ids.iter().map(|id| point_id(*id)).collect(),
                with_payload: with_payload(payload),
                with_vectors: with_vectors(vectors),
                timeout: Some(self.timeout()),
                ..GetPoints::default()
            };
            let answer = self.call(Kind::Read, |connection| {
                let request = request.clone();
                async move { Ok(connection.points().get(request).await?.into_inner()) }
            });
            let points = answer.await?.result;
            if points.len() > ids.len() {
                return Err(self.bad_answer("more photos than asked for"));
            }
            let asked: HashSet<_> = ids.iter().collect();
            for point in points {
                let id = id_of(point.id.as_ref()).filter(|id| asked.contains(id));
                let id = id.ok_or_else(|| self.bad_answer("a photo that was not asked for"))?;
                found.insert(id, point);
            }
        }
        Ok(found)
    }

    pub(crate) async fn get(&self, ids: Vec<PhotoId>) -> Result<Vec<Record>> {
        let Some(bound) = self.bound().await? else { return Ok(Vec::new()) };
        let points = self.retrieve(&bound, &ids, true, true).await?;
        let dimension = bound.space.dimension;
        points.into_values().map(|point| self.read_record(point, dimension)).collect()
    }

    pub(crate) async fn lookup(
        &self,
        root: PathBuf,
        paths: Vec<RelPath>,
    ) -> Result<Vec<Option<Photo>>> {
        let Some(bound) = self.bound().await? else { return Ok(vec![None; paths.len()]) };
        let root = canonical(&root)?;
        let ids: Vec<_> = paths.iter().map(|path| photo_id(&root, path.as_bytes())).collect();
        let points = self.retrieve(&bound, &ids, true, false).await?;
        ids.iter()
            .map(|id| points.get(id).map(|point| self.read_photo(point)).transpose())
            .collect()
    }

    pub(crate) async fn with_content(&self, hash: [u8; 32]) -> Result<Vec<Record>> {
        let Some(bound) = self.bound().await? else { return Ok(Vec::new()) };
        let filter = Some(filter::content(&hash));
        let page = self.points(&bound, filter, None, SAME_CONTENT as usize, true).await?;
        let dimension = bound.space.dimension;
        let records: Vec<_> = page
            .items
            .into_iter()
            .map(|point| self.read_record(point, dimension))
            .collect::<Result<_>>()?;
        if records.iter().any(|record| record.photo.hash != hash) {
            return Err(self.bad_answer("a photo of another content"));
        }
        Ok(records)
    }

    pub(crate) async fn count(
        &self,
        bound: &Bound,
        filter: Option<Filter>,
        exact: bool,
    ) -> Result<u64> {
        let request = CountPoints {
            collection_name: bound.collection.clone(),
            filter,
            exact: Some(exact),
            timeout: Some(self.timeout()),
            ..CountPoints::default()
        };
        let answer = self.call(Kind::Read, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().count(request).await?.into_inner()) }
        });
        let result = answer.await?.result;
        Ok(result.ok_or_else(|| self.bad_answer("no count"))?.count)
    }

    /// About how many photos there are, as of some seconds ago at most.
    pub(crate) async fn estimate(&self, bound: &Bound) -> Result<u64> {
        let known = *lock(&self.estimate);
        if let Some((when, photos)) = known
            && when.elapsed() < ESTIMATE_FOR
        {
            return Ok(photos);
        }
        let photos = self.count(bound, None, false).await?;
        *lock(&self.estimate) = Some((Instant::now(), photos));
        Ok(photos)
    }

    pub(crate) async fn sample(&self, count: usize) -> Result<Vec<Photo>> {
        let Some(bound) = self.bound().await? else { return Ok(Vec::new()) };
        let count = count.min(MAX_PAGE);
        if count == 0 {
            return Ok(Vec::new());
        }
        let all = self.count(&bound, None, true).await?;
        let mut ids = Vec::new();
        if all <= SAMPLE_ALL {
            let mut from = None;
            loop {
                let (more, next) = self.ids(&bound, None, from, MAX_PAGE as u32).await?;
                ids.extend(more);
                from = next;
                if from.is_none() {
                    break;
                }
            }
            ids.shuffle(&mut rand::rng());
            ids.truncate(count);
        } else {
            for _ in 0..SAMPLE_TRIES {
                for id in self.random_ids(&bound, count).await? {
                    if ids.len() < count && !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                if ids.len() == count {
                    break;
                }
            }
        }
        let points = self.retrieve(&bound, &ids, true, false).await?;
        points.values().map(|point| self.read_photo(point)).collect()
    }

    async fn random_ids(&self, bound: &Bound, count: usize) -> Result<Vec<PhotoId>> {
        let random = query::Variant::Sample(Sample::Random.into());
        let request = QueryPoints {
            collection_name: bound.collection.clone(),
            query: Some(Query { variant: Some(random) }),
            limit: Some(count as u64),
            with_payload: with_payload(false),
            timeout: Some(self.timeout()),
            ..QueryPoints::default()
        };
        let answer = self.call(Kind::Read, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().query(request).await?.into_inner()) }
        });
        let points = answer.await?.result;
        let ids = points.iter().map(|point| id_of(point.id.as_ref())).collect::<Option<Vec<_>>>();
        ids.ok_or_else(|| self.bad_answer("a point of no photo"))
    }

    /// The roots with how many photos each has.
    pub(crate) async fn roots(&self) -> Result<Vec<(PathBuf, u64)>> {
        let Some(bound) = self.bound().await? else { return Ok(Vec::new()) };
        let request = FacetCounts {
            collection_name: bound.collection.clone(),
            key: field::ROOT.into(),
            limit: Some(MOST_ROOTS as u64 + 1),
            exact: Some(true),
            timeout: Some(self.timeout()),
            ..FacetCounts::default()
        };
        let answer = self.call(Kind::Read, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().facet(request).await?.into_inner()) }
        });
        let mut roots = Vec::new();
        for hit in answer.await?.hits {
            let Some(Variant::StringValue(text)) = hit.value.and_then(|value| value.variant) else {
                return Err(self.bad_answer("a root that is no text"));
            };
            let root = unescape(&text).ok_or_else(|| self.bad_answer("a root that is no path"))?;
            // What was deleted may still be counted as none.
            if hit.count > 0 {
                roots.push((bytes_to_path(&root), hit.count));
            }
        }
        if roots.len() > MOST_ROOTS {
            return Err(self.refused(format!(
                "it has more than {MOST_ROOTS} roots; index folders further up"
            )));
        }
        roots.sort();
        Ok(roots)
    }

    /// When a photo was last written, by its writer's clock.
    async fn last_written(&self, bound: &Bound) -> Result<Option<i64>> {
        let order = OrderBy {
            key: field::WRITTEN.into(),
            direction: Some(Direction::Desc.into()),
            start_from: None,
        };
        let request = ScrollPoints {
            collection_name: bound.collection.clone(),
            limit: Some(1),
            with_payload: with_payload(false),
            order_by: Some(order),
            timeout: Some(self.timeout()),
            ..ScrollPoints::default()
        };
        let answer = self.call(Kind::Read, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().scroll(request).await?.into_inner()) }
        });
        let points = answer.await?.result;
        Ok(points.first().and_then(|point| match point.order_value?.variant? {
            OrderVariant::Int(written) => Some(written),
            OrderVariant::Float(_) => None,
        }))
    }

    pub(crate) async fn stats(&self) -> Result<Stats> {
        let none = Stats { space: None, photos: 0, roots: 0, generation: 0, bytes: 0 };
        let Some(bound) = self.bound().await? else { return Ok(none) };
        let (photos, roots, written) = futures_util::future::try_join3(
            self.count(&bound, None, true),
            self.roots(),
            self.last_written(&bound),
        )
        .await?;
        // The same on every machine: those who share a gallery compare generations.
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        hash.write(bound.collection.as_bytes());
        hash.write(&photos.to_le_bytes());
        hash.write(&written.unwrap_or_default().to_le_bytes());
        let roots = roots.len() as u64;
        Ok(Stats { space: Some(bound.space), photos, roots, generation: hash.0, bytes: 0 })
    }
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
struct Fnv(u64);

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn empty_page<T>() -> Page<T> {
    Page { items: Vec::new(), next: None }
}

/// The roots as they are given out.
pub(crate) fn root_infos(roots: Vec<(PathBuf, u64)>) -> Vec<RootInfo> {
    roots.into_iter().map(|(path, photos)| RootInfo::new(path, photos)).collect()
}
