//! Writing and deleting photos: batches of bounded size, acknowledged when every replica has them.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::points_update_operation::{Operation, SetPayload};
use qdrant_client::qdrant::{
    DeletePoints, Filter, PointStruct, PointsIdsList, PointsSelector, PointsUpdateOperation,
    UpdateBatchPoints, UpdateStatus, UpsertPoints,
};
use sbir_gallery::{Error, PhotoId, Record, Result, Touch, is_root};

use crate::filter;
use crate::gallery::{Bound, Gallery, lock};
use crate::nodes::Kind;
use crate::point::{Entry, field, integer, point_id};
use crate::runtime::{runtime, wait};
use crate::schema::ordering;
use crate::search::unit;

/// The bytes of a request, about.
const REQUEST: usize = 2 << 20;
/// What a point takes besides its vector, about; its path comes on top.
const POINT: usize = 1 << 10;
/// The most points of a request: their work stays well within the deadline.
const MOST_POINTS: usize = 512;
/// The most requests under way for one call.
const IN_FLIGHT: usize = 4;
/// The largest value of f16.
const LARGEST: f32 = 65504.0;
/// How many photos are deleted at a time.
const DELETED: usize = 4096;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Writes photos; all are looked at before the first is written. A thread's work, not a future, since the batch is the
/// caller's.
pub(crate) fn upsert(gallery: &Arc<Gallery>, batch: &[Record]) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let own = Arc::clone(gallery);
    let bound = wait(async move { own.bound_for_writing().await })??;
    let expected = bound.space.dimension;
    for record in batch {
        if !is_root(&record.photo.root) {
            return Err(Error::BadPath { path: record.photo.display() });
        }
        let found = record.embedding.len();
        if found != expected {
            return Err(Error::OtherDimension { gallery: gallery.name(), expected, found });
        }
        let values = &record.embedding;
        // Also as f16: a value below 2⁻²⁵ is none.
        let fits = values.iter().all(|value| value.abs() <= LARGEST);
        if !fits || values.iter().all(|value| value.abs() < 1.0 / 33_554_432.0) {
            return Err(Error::NotFinite);
        }
    }
    // Of several records of one photo the last counts; requests overtake each other.
    let mut last: HashMap<PhotoId, usize> = HashMap::with_capacity(batch.len());
    let mut entries = Vec::with_capacity(batch.len());
    for (place, record) in batch.iter().enumerate() {
        let entry = Entry::new(&record.photo)?;
        last.insert(entry.id, place);
        entries.push(entry);
    }
    let kept = entries.iter().enumerate().filter(|(place, entry)| last[&entry.id] == *place);
    let mut flights = Flights::new(gallery, bound);
    let (now, mut points, mut bytes) = (now(), Vec::new(), 0);
    for (place, entry) in kept {
        let record = &batch[place];
        points.push(entry.point(&record.photo, unit(record.embedding.clone())?, now));
        bytes += POINT + expected * 4 + record.photo.path.as_bytes().len();
        if bytes >= REQUEST || points.len() == MOST_POINTS {
            flights.send(std::mem::take(&mut points))?;
            bytes = 0;
        }
    }
    flights.send(points)?;
    flights.land()
}

/// Requests under way.
struct Flights<'a> {
    gallery: &'a Arc<Gallery>,
    bound: Bound,
    sender: mpsc::Sender<Result<()>>,
    receiver: mpsc::Receiver<Result<()>>,
    flying: usize,
    /// The first that failed. No more are sent then, and those under way are waited for.
    failed: Result<()>,
}

impl<'a> Flights<'a> {
    fn new(gallery: &'a Arc<Gallery>, bound: Bound) -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { gallery, bound, sender, receiver, flying: 0, failed: Ok(()) }
    }

    fn send(&mut self, points: Vec<PointStruct>) -> Result<()> {
        if self.flying == IN_FLIGHT {
            self.wait_for_one();
        }
        if self.failed.is_err() || points.is_empty() {
            return Ok(());
        }
        let request = UpsertPoints {
            collection_name: self.bound.collection.clone(),
            wait: Some(true),
            points,
            ordering: ordering(),
            ..UpsertPoints::default()
        };
        let gallery = Arc::clone(self.gallery);
        let flight = Flight(Some(self.sender.clone()));
        runtime()?.spawn(async move { flight.end(gallery.write_points(request).await) });
        self.flying += 1;
        Ok(())
    }

    fn wait_for_one(&mut self) {
        self.flying -= 1;
        let result = self.receiver.recv().unwrap_or_else(|_| Err(unanswered()));
        if self.failed.is_ok() {
            self.failed = result;
        }
    }

    fn land(mut self) -> Result<()> {
        while self.flying > 0 {
            self.wait_for_one();
        }
        self.failed
    }
}

/// What a request under way owes: one result, also where its task panics or is dropped. Who waits for it holds a sender
/// too, so the channel would not close.
struct Flight(Option<mpsc::Sender<Result<()>>>);

impl Flight {
    fn end(mut self, result: Result<()>) {
        if let Some(sender) = self.0.take() {
            // Where nobody waits any more, nobody wants to know.
            let _ = sender.send(result);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(Err(unanswered()));
        }
    }
}

fn unanswered() -> Error {
    io::Error::other("a call ended without an answer").into()
}

/// The points of these ids.
fn chosen(ids: &[PhotoId]) -> Option<PointsSelector> {
    let ids = PointsIdsList { ids: ids.iter().map(|id| point_id(*id)).collect() };
    Some(PointsSelector { points_selector_one_of: Some(PointsSelectorOneOf::Points(ids)) })
}

impl Gallery {
    async fn write_points(&self, request: UpsertPoints) -> Result<()> {
        let answer = self.call(Kind::Write, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().upsert(request).await?.into_inner()) }
        });
        let result = answer.await?.result;
        self.done(result.map(|result| result.status()))
    }

    /// Whether a write is through, not only noted.
    fn done(&self, status: Option<UpdateStatus>) -> Result<()> {
        if status == Some(UpdateStatus::Completed) {
            return Ok(());
        }
        Err(self.bad_answer("no word that the write is done"))
    }

    pub(crate) async fn touch(&self, batch: Vec<Touch>) -> Result<()> {
        if batch.is_empty() || self.bound().await?.is_none() {
            return Ok(());
        }
        let bound = self.bound_for_writing().await?;
        let now = now();
        for part in batch.chunks(MOST_POINTS) {
            let operation = |touch: &Touch| {
                let payload = [
                    (field::SIZE, integer(touch.size.cast_signed())),
                    (field::MTIME, integer(touch.mtime_ns)),
                    (field::WRITTEN, integer(now)),
                ];
                // By filter: of an id that is not there the server would make an error.
                let filter = PointsSelectorOneOf::Filter(filter::ids(&[touch.id]));
                let payload = SetPayload {
                    payload: payload.map(|(name, value)| (name.to_owned(), value)).into(),
                    points_selector: Some(PointsSelector { points_selector_one_of: Some(filter) }),
                    ..SetPayload::default()
                };
                PointsUpdateOperation { operation: Some(Operation::SetPayload(payload)) }
            };
            let request = UpdateBatchPoints {
                collection_name: bound.collection.clone(),
                wait: Some(true),
                operations: part.iter().map(operation).collect(),
                ordering: ordering(),
                timeout: None,
            };
            let answer = self.call(Kind::Write, |connection| {
                let request = request.clone();
                async move { Ok(connection.points().update_batch(request).await?.into_inner()) }
            });
            let results = answer.await?.result;
            if results.len() != part.len() {
                return Err(self.bad_answer("another number of results than of writes"));
            }
            for result in results {
                self.done(Some(result.status()))?;
            }
        }
        Ok(())
    }

    pub(crate) async fn delete_ids(&self, ids: Vec<PhotoId>) -> Result<u64> {
        if self.bound().await?.is_none() {
            return Ok(0);
        }
        let bound = self.bound_for_writing().await?;
        let mut deleted = 0;
        for ids in ids.chunks(DELETED) {
            let there: Vec<_> =
                self.retrieve(&bound, ids, false, false).await?.into_keys().collect();
            deleted += self.delete_points(&bound, &there).await?;
        }
        Ok(deleted)
    }

    /// Deletes all photos, or those at or below a place, some at a time, so that their number is known and no call takes
    /// long.
    pub(crate) async fn delete_under(&self, place: Option<PathBuf>) -> Result<u64> {
        if self.bound().await?.is_none() {
            return Ok(0);
        }
        let bound = self.bound_for_writing().await?;
        let filter: Option<Filter> = place.as_deref().map(filter::under).transpose()?;
        let (mut deleted, mut from) = (0, None);
        loop {
            let (ids, next) = self.ids(&bound, filter.clone(), from, DELETED as u32).await?;
            deleted += self.delete_points(&bound, &ids).await?;
            if next.is_none() {
                return Ok(deleted);
            }
            from = next;
        }
    }

    async fn delete_points(&self, bound: &Bound, ids: &[PhotoId]) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let request = DeletePoints {
            collection_name: bound.collection.clone(),
            wait: Some(true),
            points: chosen(ids),
            ordering: ordering(),
            ..DeletePoints::default()
        };
        let answer = self.call(Kind::Write, |connection| {
            let request = request.clone();
            async move { Ok(connection.points().delete(request).await?.into_inner()) }
        });
        let result = answer.await?.result;
        self.done(result.map(|result| result.status()))?;
        *lock(&self.estimate) = None;
        Ok(ids.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_whose_task_dies_is_heard_of() {
        let (sender, receiver) = mpsc::channel();
        let patience = Duration::from_secs(30);
        let flight = Flight(Some(sender.clone()));
        runtime().unwrap().spawn(async move {
            let _flight = flight;
            // A panic without its message in the tests' output.
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(receiver.recv_timeout(patience).unwrap().is_err());
        let flight = Flight(Some(sender.clone()));
        runtime().unwrap().spawn(async move { flight.end(Ok(())) });
        assert!(receiver.recv_timeout(patience).unwrap().is_ok());
        // Each gives one result.
        assert!(receiver.try_recv().is_err());
        drop(sender);
    }
}
