//! A gallery's collections: which one it is, how it is made, and how another takes its place.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CollectionClusterInfoRequest, CollectionInfo, CreateAlias,
    CreateCollection, DeleteAlias, DeleteCollection, GetCollectionInfoRequest, ListAliasesRequest,
    ListCollectionsRequest, ReplicaState,
};
use sbir_gallery::{Error, Result, Space};
use tonic::Status;

use crate::address::Address;
use crate::fault::{Fault, Meaning, words};
use crate::nodes::{Connection, Kind, LARGEST_ANSWER, Nodes};
use crate::options::Options;
use crate::schema::{self, Described, describe, is_of, register_name};

/// How often who makes a gallery looks again at what others do.
const MOST_LOOKS: usize = 20;
/// How long a writer may not have noticed that another encoder's collection took the place of its own.
const NOTICE_WITHIN: Duration = Duration::from_secs(2);
/// How long is looked for which shards are missing.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(2);

/// The collection that a client reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) collection: String,
    pub(crate) space: Space,
    /// When the alias was last seen to lead there.
    checked: Instant,
}

/// A gallery's name on a server.
pub(crate) struct Gallery {
    pub(crate) nodes: Nodes,
    pub(crate) address: Address,
    pub(crate) options: Options,
    bound: Mutex<Option<Bound>>,
    /// The space that this client once had or asked for.
    wanted: Mutex<Option<Space>>,
    /// Whether the collection waits to take the alias.
    staged: AtomicBool,
    /// How many photos there were, and when.
    pub(crate) estimate: Mutex<Option<(Instant, u64)>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gallery {
    pub(crate) fn new(address: Address, options: Options) -> Result<Self> {
        let nodes = Nodes::new(&address, &options)?;
        Ok(Self {
            nodes,
            address,
            options,
            bound: Mutex::default(),
            wanted: Mutex::default(),
            staged: AtomicBool::new(false),
            estimate: Mutex::default(),
        })
    }

    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }

    /// The server's own limit for a call, in seconds: a little later than ours.
    pub(crate) fn timeout(&self) -> u64 {
        self.options.deadline.as_secs().max(1) + 1
    }

    pub(crate) fn bad_answer(&self, problem: impl Into<String>) -> Error {
        Error::BadAnswer { gallery: self.name(), problem: words(&problem.into()) }
    }

    pub(crate) fn refused(&self, problem: impl Into<String>) -> Error {
        Error::Refused { gallery: self.name(), problem: problem.into() }
    }

    /// Makes a call within the deadline.
    pub(crate) async fn call<T, F, Fut>(&self, kind: Kind, call: F) -> Result<T>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        match self.nodes.call(kind, self.options.deadline, call).await {
            Ok(answer) => Ok(answer),
            Err(fault) => Err(self.explain(&fault, self.options.deadline).await),
        }
    }

    /// What to tell of a fault.
    pub(crate) async fn explain(&self, fault: &Fault, deadline: Duration) -> Error {
        let gallery = self.name();
        match fault.meaning() {
            Meaning::Late => Error::TimedOut { gallery, after: deadline },
            Meaning::Unreachable => Error::Unreachable { gallery, problem: fault.words() },
            Meaning::Incomplete => {
                let missing = self.missing().await;
                let missing = missing.unwrap_or_else(|| format!("a part of it: {}", fault.words()));
                Error::Incomplete { gallery, missing }
            }
            Meaning::Key => {
                let problem = if self.options.key.is_some() {
                    "the server does not take the key in QDRANT_API_KEY for this"
                } else {
                    "the server asks for a key; set QDRANT_API_KEY"
                };
                Error::Refused { gallery, problem: problem.into() }
            }
            Meaning::NotFound => {
                // The next call looks anew.
                *lock(&self.bound) = None;
                let problem = format!("it is gone ({}); index its folders again", fault.words());
                Error::Refused { gallery, problem }
            }
            Meaning::TooLarge => {
                let problem = format!("an answer of more than {} MiB", LARGEST_ANSWER >> 20);
                Error::BadAnswer { gallery, problem }
            }
            Meaning::Exists | Meaning::Other => Error::Refused { gallery, problem: fault.words() },
        }
    }

    /// Which shards have no replica on a node that answers, as far as the nodes tell.
    async fn missing(&self) -> Option<String> {
        let collection = lock(&self.bound).as_ref()?.collection.clone();
        let request = CollectionClusterInfoRequest { collection_name: collection };
        let answers = self.nodes.each(EXPLAIN_WITHIN, |connection| {
            let request = request.clone();
            async move {
                let answer = connection.collections().collection_cluster_info(request).await?;
                Ok(answer.into_inner())
            }
        });
        let answers = answers.await;
        let silent: Vec<_> =
            answers.iter().filter(|(_, info)| info.is_none()).map(|(host, _)| *host).collect();
        let shown = answers.iter().find_map(|(_, info)| info.as_ref())?;
        let mut shards: Vec<u32> = shown.local_shards.iter().map(|shard| shard.shard_id).collect();
        shards.extend(shown.remote_shards.iter().map(|shard| shard.shard_id));
        shards.sort_unstable();
        shards.dedup();
        let all = shards.len();
        for (_, info) in &answers {
            let local = info.iter().flat_map(|info| &info.local_shards);
            for live in local.filter(|shard| shard.state() == ReplicaState::Active) {
                shards.retain(|shard| *shard != live.shard_id);
            }
        }
        if shards.is_empty() || silent.is_empty() {
            return None;
        }
        let shards = shards.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let silent = silent.join(", ");
        Some(format!("shard {shards} of {all} is missing: no answer from {silent}"))
    }

    // === Which collection ===

    /// The collection that a client reads and writes; none before the gallery is made.
    pub(crate) async fn bound(&self) -> Result<Option<Bound>> {
        let known = lock(&self.bound).clone();
        if known.is_some() {
            return Ok(known);
        }
        let Some(found) = self.resolve().await? else { return Ok(None) };
        let wanted = lock(&self.wanted).clone();
        if let Some(wanted) = wanted {
            wanted.check(&self.name(), &found.space)?;
        }
        Ok(Some(self.bind(found)))
    }

    fn bind(&self, bound: Bound) -> Bound {
        *lock(&self.wanted) = Some(bound.space.clone());
        *lock(&self.bound) = Some(bound.clone());
        bound
    }

    /// As [`Self::bound`], for a writer: what goes into a collection that another has taken the place of is found by
    /// nobody.
    pub(crate) async fn bound_for_writing(&self) -> Result<Bound> {
        let no_space =
            || self.refused("no gallery yet; make one with `sbir index FOLDER --gallery URL`");
        let bound = self.bound().await?.ok_or_else(no_space)?;
        if self.staged.load(Ordering::Relaxed) || bound.checked.elapsed() < NOTICE_WITHIN {
            return Ok(bound);
        }
        let found = self.resolve().await?.ok_or_else(no_space)?;
        bound.space.check(&self.name(), &found.space)?;
        Ok(self.bind(found))
    }

    /// The collection that the alias leads to.
    async fn resolve(&self) -> Result<Option<Bound>> {
        let checked = Instant::now();
        let Some(collection) = self.aliased().await? else { return Ok(None) };
        let described = self.described(&collection).await?;
        let described = described.ok_or_else(|| self.bad_answer("an alias that leads nowhere"))?;
        if described.gallery != self.address.name {
            let other = &described.gallery;
            return Err(self.bad_answer(format!("the collection of another gallery, '{other}'")));
        }
        Ok(Some(Bound { collection, space: described.space, checked }))
    }

    async fn aliased(&self) -> Result<Option<String>> {
        let answer = self.call(Kind::Read, |connection| async move {
            let answer = connection.collections().list_aliases(ListAliasesRequest {}).await?;
            Ok(answer.into_inner())
        });
        let mut aliases = answer.await?.aliases.into_iter();
        let own = aliases.find(|alias| alias.alias_name == self.address.name);
        Ok(own.map(|alias| alias.collection_name))
    }

    /// What a collection says of itself; none where there is no such collection.
    async fn info(&self, collection: &str) -> Result<Option<CollectionInfo>> {
        let answer = self.nodes.call(Kind::Read, self.options.deadline, |connection| {
            let request = GetCollectionInfoRequest { collection_name: collection.to_owned() };
            async move { Ok(connection.collections().get(request).await?.into_inner()) }
        });
        match answer.await {
            Ok(answer) => {
                let info = answer.result.ok_or_else(|| self.bad_answer("an empty answer"))?;
                Ok(Some(info))
            }
            Err(fault) if fault.meaning() == Meaning::NotFound => Ok(None),
            Err(fault) => Err(self.explain(&fault, self.options.deadline).await),
        }
    }

    async fn described(&self, collection: &str) -> Result<Option<Described>> {
        let Some(info) = self.info(collection).await? else { return Ok(None) };
        let described = describe(&info).map_err(|problem| {
            self.refused(format!(
                "the collection '{collection}' has {problem}; choose another name for the gallery"
            ))
        });
        described.map(Some)
    }

    // === Making it ===

    /// Binds a new gallery to a space, or checks the one that there is.
    pub(crate) async fn ensure(&self, space: &Space) -> Result<()> {
        if space.dimension == 0 || space.dimension > 1 << 16 {
            return Err(self.refused(format!(
                "vectors of {} values; Qdrant takes 1 to 65,536",
                space.dimension
            )));
        }
        let bound = match self.bound().await? {
            Some(bound) => bound,
            None => self.create(space).await?,
        };
        space.check(&self.name(), &bound.space)?;
        self.bind(bound);
        Ok(())
    }

    /// Makes the gallery, or finds what another made meanwhile. Of several with different encoders the one counts that
    /// made the register, which the server lets only one do; any of the same encoder may go on where it stopped.
    async fn create(&self, space: &Space) -> Result<Bound> {
        let register = register_name(&self.address.name);
        for _ in 0..MOST_LOOKS {
            let request = schema::register(&self.address.name, space, self.timeout());
            let held = if self.create_collection(request).await? {
                space.clone()
            } else {
                match self.described(&register).await? {
                    Some(described) => described.space,
                    // Another was done.
                    None => space.clone(),
                }
            };
            // Whoever was done before the register was made has set the alias.
            if let Some(bound) = self.resolve().await? {
                self.drop_collection(&register).await?;
                return Ok(bound);
            }
            space.check(&self.name(), &held)?;
            if self.described(&register).await?.is_none() {
                continue;
            }
            let collection = self.make(space).await?;
            self.set_alias(&collection, false).await?;
            self.drop_collection(&register).await?;
            if let Some(bound) = self.resolve().await? {
                return Ok(bound);
            }
        }
        Err(self.refused("others make and remove this gallery all the time"))
    }

    /// Makes the collection of a space with its indexes, as far as it is not there.
    async fn make(&self, space: &Space) -> Result<String> {
        let (shards, timeout) = (self.options.shards, self.timeout());
        let replicas = self.options.replicas.unwrap_or(if self.nodes.len() > 1 { 2 } else { 1 });
        let name = &self.address.name;
        let request = schema::collection(name, space, shards, replicas.max(1), timeout);
        let collection = request.collection_name.clone();
        self.create_collection(request).await?;
        let described = self.described(&collection).await?;
        let described = described.ok_or_else(|| self.refused("its collection is gone again"))?;
        space.check(&self.name(), &described.space)?;
        for field in described.unindexed {
            self.call(Kind::Write, |connection| {
                let request = schema::index(&collection, field);
                async move { connection.points().create_field_index(request).await }
            })
            .await?;
        }
        Ok(collection)
    }

    /// Makes a collection, and says whether there was none before.
    async fn create_collection(&self, request: CreateCollection) -> Result<bool> {
        let answer = self.nodes.call(Kind::Write, self.options.deadline, |connection| {
            let request = request.clone();
            async move { connection.collections().create(request).await }
        });
        match answer.await {
            Ok(_) => Ok(true),
            Err(fault) if fault.meaning() == Meaning::Exists => Ok(false),
            Err(fault) => Err(self.explain(&fault, self.options.deadline).await),
        }
    }

    async fn drop_collection(&self, collection: &str) -> Result<()> {
        let answer = self.nodes.call(Kind::Write, self.options.deadline, |connection| {
            let request = DeleteCollection {
                collection_name: collection.to_owned(),
                timeout: Some(self.timeout()),
            };
            async move { connection.collections().delete(request).await }
        });
        match answer.await {
            Err(fault) if fault.meaning() != Meaning::NotFound => {
                Err(self.explain(&fault, self.options.deadline).await)
            }
            _ => Ok(()),
        }
    }

    /// Lets the alias lead to a collection, in one step also where it led to another.
    async fn set_alias(&self, collection: &str, instead: bool) -> Result<()> {
        let alias_name = self.address.name.clone();
        let action = |action| AliasOperations { action: Some(action) };
        let mut actions = Vec::new();
        if instead {
            actions
                .push(action(Action::DeleteAlias(DeleteAlias { alias_name: alias_name.clone() })));
        }
        let collection_name = collection.to_owned();
        actions.push(action(Action::CreateAlias(CreateAlias { collection_name, alias_name })));
        let request = ChangeAliases { actions, timeout: Some(self.timeout()) };
        self.call(Kind::Write, |connection| {
            let request = request.clone();
            async move { connection.collections().update_aliases(request).await }
        })
        .await?;
        Ok(())
    }

    // === Another encoder ===

    /// A gallery that writes to a collection of a space, whatever the alias leads to.
    pub(crate) async fn stage(self: Arc<Self>, space: Space) -> Result<Self> {
        let staged = Self::new(self.address.clone(), self.options.clone())?;
        let collection = staged.make(&space).await?;
        staged.staged.store(true, Ordering::Relaxed);
        staged.bind(Bound { collection, space, checked: Instant::now() });
        Ok(staged)
    }

    /// Lets the alias lead to this client's collection, and says what it led to before.
    pub(crate) async fn publish(&self) -> Result<Option<String>> {
        let bound = lock(&self.bound).clone().ok_or_else(|| self.refused("nothing to publish"))?;
        let before = self.aliased().await?;
        if before.as_ref() != Some(&bound.collection) {
            self.set_alias(&bound.collection, before.is_some()).await?;
        }
        self.staged.store(false, Ordering::Relaxed);
        self.bind(Bound { checked: Instant::now(), ..bound.clone() });
        Ok(before.filter(|before| *before != bound.collection))
    }

    /// The gallery's collections that no alias leads to.
    pub(crate) async fn unpublished(&self) -> Result<Vec<String>> {
        let answer = self.call(Kind::Read, |connection| async move {
            let mut client = connection.collections();
            let collections = client.list(ListCollectionsRequest {}).await?.into_inner();
            let aliases = client.list_aliases(ListAliasesRequest {}).await?.into_inner();
            Ok((collections.collections, aliases.aliases))
        });
        let (collections, aliases) = answer.await?;
        let mut found = Vec::new();
        for collection in collections.into_iter().map(|collection| collection.name) {
            let published = aliases.iter().any(|alias| alias.collection_name == collection);
            let name = &self.address.name;
            if !published && (is_of(name, &collection) || collection == register_name(name)) {
                let described = self.described(&collection).await?;
                if described.is_some_and(|described| described.gallery == self.address.name) {
                    found.push(collection);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes the gallery's collections that no alias leads to, and says which those were.
    pub(crate) async fn drop_unpublished(&self) -> Result<Vec<String>> {
        let found = self.unpublished().await?;
        for collection in &found {
            self.drop_collection(collection).await?;
        }
        Ok(found)
    }
}
