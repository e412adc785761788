//! Waiting for the server's indexes, and whether it is well.

use std::time::Duration;

use qdrant_client::qdrant::{
    CollectionInfo, CollectionStatus, CountPoints, GetCollectionInfoRequest, OptimizersConfigDiff,
    UpdateCollection,
};
use sbir_gallery::Result;
use tokio::time::{Instant, sleep};

use crate::gallery::Gallery;
use crate::nodes::Kind;

/// How long a look at the indexing waits before the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many looks in a row must see nothing to do: between two steps the server is idle for a moment.
const QUIET_LOOKS: u32 = 2;
/// How long the server may take to say that it is well.
const READY_WITHIN: Duration = Duration::from_millis(2500);

impl Gallery {
    /// Whether the server has no indexing left to do.
    pub(crate) async fn is_indexed(&self) -> Result<bool> {
        let Some(bound) = self.bound().await? else { return Ok(true) };
        let info = self.collection_info(bound.collection).await?;
        Ok(info.is_none_or(|info| info.status() == CollectionStatus::Green))
    }

    async fn collection_info(&self, collection: String) -> Result<Option<CollectionInfo>> {
        let answer = self.call(Kind::Read, |connection| {
            let request = GetCollectionInfoRequest { collection_name: collection.clone() };
            async move { Ok(connection.collections().get(request).await?.into_inner()) }
        });
        Ok(answer.await?.result)
    }

    /// Waits for the server's indexing, a bounded while. Until it is done searches are complete, but slower.
    pub(crate) async fn settle(&self) -> Result<()> {
        let end = Instant::now() + self.options.settle;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            quiet = if self.is_indexed().await? { quiet + 1 } else { 0 };
            if Instant::now() >= end {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Lets the server go over its segments, and waits as [`Self::settle`] does.
    pub(crate) async fn compact(&self) -> Result<()> {
        let Some(bound) = self.bound().await? else { return Ok(()) };
        let request = UpdateCollection {
            collection_name: bound.collection,
            optimizers_config: Some(OptimizersConfigDiff::default()),
            timeout: Some(self.timeout()),
            ..UpdateCollection::default()
        };
        self.call(Kind::Write, |connection| {
            let request = request.clone();
            async move { connection.collections().update(request).await }
        })
        .await?;
        self.settle().await
    }

    /// Whether every shard answers, soon.
    pub(crate) async fn ready(&self) -> Result<()> {
        let end = Instant::now() + READY_WITHIN;
        let late = || sbir_gallery::Error::TimedOut { gallery: self.name(), after: READY_WITHIN };
        let bound = tokio::time::timeout_at(end, self.bound()).await.map_err(|_| late())??;
        let Some(bound) = bound else { return Ok(()) };
        let request = CountPoints {
            collection_name: bound.collection,
            exact: Some(false),
            timeout: Some(READY_WITHIN.as_secs() + 1),
            ..CountPoints::default()
        };
        let left = end.saturating_duration_since(Instant::now());
        let answer = self.nodes.call(Kind::Read, left, |connection| {
            let request = request.clone();
            async move { connection.points().count(request).await }
        });
        match answer.await {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.explain(&fault, READY_WITHIN).await),
        }
    }
}
