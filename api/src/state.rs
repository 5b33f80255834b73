//! What the handlers share: the database, the queue, the settings, and the look-ups that many
//! requests make together.
//!
//! What is remembered of tenants is checked against the epoch with every request (`memory`); the
//! batchers only merge what is asked at the same time.
//! Made once at the start of the API.

use crate::error::ApiError;
use crate::memory::{Memory, Place};
use crate::routes::statistics::{self, Question};
use crate::turns::Turns;
use bytes::Bytes;
use futures::FutureExt;
use overseas_shared::batch::{Batcher, Coalescer};
use overseas_shared::cdn::{Capabilities, LogSupport, registry};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::mapping::{self, PurgePlace};
use overseas_shared::db::session::{self, Session, TokenHash};
use overseas_shared::db::task::{self, TaskFilter, TaskOrder};
use overseas_shared::db::{Database, DbError, epoch};
use overseas_shared::db::{api_token, log};
use overseas_shared::domain::Scope;
use overseas_shared::domain::log::LinkSigner;
use overseas_shared::log_store::LogStore;
use overseas_shared::queue::Queue;
use overseas_shared::rate_limit::{Limit, RateLimiter};
use overseas_shared::task_id::TaskIds;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Most requests that share one trip to the database.
const TOGETHER: usize = 64;
/// Trips of one kind that are under way at a time.
const LANES: usize = 2;

/// The places of a host for a user.
type Places = Result<Vec<PurgePlace>, DbError>;

/// Shared by all handlers.
pub struct State {
    /// The rows.
    pub db: Database,
    /// For telling the worker that there is work.
    pub queue: Queue,
    /// The time.
    pub clock: Clock,
    /// The settings.
    pub config: Config,
    /// What each configured CDN can do, by its name.
    pub capabilities: HashMap<String, Capabilities>,
    /// Makes ids of tasks.
    pub task_ids: TaskIds,
    /// Renders the metrics.
    pub metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    /// How often a caller may call; `None` where that is switched off.
    pub limiter: Option<RateLimiter>,
    /// Logins of one account are checked one after the other.
    pub logins: Turns,
    /// Where finished logs are kept.
    pub store: LogStore,
    link_signer: OnceCell<LinkSigner>,
    memory: Memory,
    epochs: Coalescer<(), Result<i64, DbError>>,
    sessions: Batcher<TokenHash, Result<Option<Session>, DbError>>,
    places: Batcher<Place, Places>,
    orders: Batcher<TaskOrder, Result<(), DbError>>,
    lists: Coalescer<(Scope, TaskFilter), Result<Bytes, ApiError>>,
    statistics: Coalescer<Question, Result<Bytes, ApiError>>,
}

impl State {
    /// Starts the batchers.
    #[must_use]
    pub fn new(db: Database, queue: Queue, clock: Clock, store: LogStore, config: Config) -> Self {
        let capabilities = config
            .cdn
            .iter()
            .filter_map(|(name, cdn)| Some((name.clone(), registry::capabilities(&cdn.vendor)?)))
            .collect();
        Self {
            logins: Turns::default(),
            store,
            link_signer: OnceCell::new(),
            memory: Memory::default(),
            epochs: epoch_coalescer(&db),
            sessions: session_batcher(&db, &clock),
            places: place_batcher(&db),
            orders: order_batcher(&db),
            lists: list_coalescer(&db, config.time_zone),
            statistics: statistics_coalescer(&db),
            task_ids: TaskIds::default(),
            metrics: None,
            limiter: open_limiter(&config, &clock),
            capabilities,
            db,
            queue,
            clock,
            config,
        }
    }

    /// Whether a CDN's daily access logs are fetched at all.
    #[must_use]
    pub fn has_logs(&self, cdn: &str) -> bool {
        match self.capabilities.get(cdn).map(|capabilities| capabilities.logs) {
            Some(LogSupport::Native) => true,
            Some(LogSupport::Delivery) => self.config.cdn.get(cdn).is_some_and(|settings| settings.logs.is_some()),
            Some(LogSupport::None) | None => false,
        }
    }

    /// The number under which what is remembered is true; see [`epoch`].
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] when the database cannot be asked.
    pub async fn epoch(&self) -> Result<i64, ApiError> {
        Ok(self.epochs.ask(()).await??)
    }

    /// The live session of a token.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] when the database cannot be asked.
    pub async fn session(&self, epoch: i64, hash: TokenHash) -> Result<Option<Session>, ApiError> {
        if let Some(known) = self.memory.session(epoch, &hash) {
            return Ok(Some(known).filter(|session| session.lives(self.clock.now())));
        }
        let found = self.sessions.ask(hash).await??;
        if let Some(session) = &found {
            self.memory.keep_session(epoch, hash, session);
        }
        Ok(found)
    }

    /// Notes that an API token is used, once a minute. A failure is no reason to refuse the request.
    pub async fn note_token_use(&self, token: i64) {
        let now = self.clock.now();
        if self.memory.is_token_noted(token, now, api_token::USE_MILLISECONDS) {
            return;
        }
        if let Err(error) = api_token::note_use(&self.db, token, now).await {
            tracing::warn!(token, %error, "the use of an API token could not be noted");
        }
    }

    /// Where a user may purge a host.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] when the database cannot be asked.
    pub async fn purge_places(&self, epoch: i64, place: Place) -> Result<Vec<PurgePlace>, ApiError> {
        if let Some(known) = self.memory.places(epoch, &place) {
            return Ok(known);
        }
        let found = self.places.ask(place.clone()).await??;
        self.memory.keep_places(epoch, place, &found);
        Ok(found)
    }

    /// Signs and checks download links, with the same key in all processes.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] when the database cannot be asked.
    pub async fn link_signer(&self) -> Result<&LinkSigner, ApiError> {
        let read = || async { log::link_secret(&self.db).await.map(|secret| LinkSigner::new(&secret)) };
        Ok(self.link_signer.get_or_try_init(read).await?)
    }

    /// Writes an order of tasks; when this returns, it is committed.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when its idempotency key was used meanwhile.
    pub async fn create_tasks(&self, order: TaskOrder) -> Result<(), DbError> {
        if order.idempotency.is_some() {
            // On its own: a key that was used meanwhile must not undo other requests' tasks.
            return task::create(&self.db, &[order]).await;
        }
        let stopping = |_| DbError::Unavailable("the server is stopping".to_owned());
        self.orders.ask(order).await.map_err(stopping)?
    }

    /// The serialised answer with the tasks that pass the filter.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] when the database cannot be asked.
    pub async fn task_list(&self, scope: Scope, filter: TaskFilter) -> Result<Bytes, ApiError> {
        self.lists.ask((scope, filter)).await?
    }

    /// The serialised answer to a question about usage.
    ///
    /// # Errors
    /// 404 for a domain that the caller may not see; [`ApiError::Unavailable`] when the database cannot be asked.
    pub async fn statistics(&self, question: Question) -> Result<Bytes, ApiError> {
        self.statistics.ask(question).await?
    }
}

/// The address was checked when the queue was opened, so it can be read.
fn open_limiter(config: &Config, clock: &Clock) -> Option<RateLimiter> {
    let settings = &config.http.rate_limit;
    let limit = Limit { burst: settings.burst, per_second: settings.per_second };
    let opened = RateLimiter::open(&config.queue.url, &config.queue.prefix, limit, clock.clone());
    opened.inspect_err(|error| tracing::error!(%error, "there is no rate limit")).ok().filter(|_| settings.enabled)
}

fn statistics_coalescer(db: &Database) -> Coalescer<Question, Result<Bytes, ApiError>> {
    let db = db.clone();
    Coalescer::new(move |question: Question| {
        let db = db.clone();
        async move { statistics::answer(&db, &question).await }.boxed()
    })
}

fn epoch_coalescer(db: &Database) -> Coalescer<(), Result<i64, DbError>> {
    let db = db.clone();
    Coalescer::new(move |()| {
        let db = db.clone();
        async move { epoch::read(&db).await }.boxed()
    })
}

fn session_batcher(db: &Database, clock: &Clock) -> Batcher<TokenHash, Result<Option<Session>, DbError>> {
    let (db, clock) = (db.clone(), clock.clone());
    Batcher::new(LANES, TOGETHER, move |hashes: Vec<TokenHash>| {
        let (db, now) = (db.clone(), clock.now());
        async move {
            let distinct: HashSet<TokenHash> = hashes.iter().copied().collect();
            let distinct: Vec<TokenHash> = distinct.into_iter().collect();
            match session::find_many(&db, &distinct, now).await {
                Ok(found) => hashes.iter().map(|hash| Ok(found.get(hash).cloned())).collect(),
                Err(error) => hashes.iter().map(|_| Err(error.clone())).collect(),
            }
        }
        .boxed()
    })
}

fn place_batcher(db: &Database) -> Batcher<Place, Places> {
    let db = db.clone();
    Batcher::new(LANES, TOGETHER, move |pairs: Vec<Place>| {
        let db = db.clone();
        async move {
            match mapping::purge_places(&db, &pairs).await {
                Ok(found) => pairs.iter().map(|pair| Ok(found.get(pair).cloned().unwrap_or_default())).collect(),
                Err(error) => pairs.iter().map(|_| Err(error.clone())).collect(),
            }
        }
        .boxed()
    })
}

fn order_batcher(db: &Database) -> Batcher<TaskOrder, Result<(), DbError>> {
    let db = db.clone();
    Batcher::new(LANES, TOGETHER, move |orders: Vec<TaskOrder>| {
        let db = db.clone();
        async move {
            let together = task::create(&db, &orders).await;
            match together {
                // One order that the database refuses must not take the others with it.
                Err(DbError::Other(_) | DbError::Conflict(_)) if orders.len() > 1 => {
                    let mut outcomes = Vec::with_capacity(orders.len());
                    for order in &orders {
                        outcomes.push(task::create(&db, std::slice::from_ref(order)).await);
                    }
                    outcomes
                }
                outcome => orders.iter().map(|_| outcome.clone()).collect(),
            }
        }
        .boxed()
    })
}

fn list_coalescer(db: &Database, zone: chrono_tz::Tz) -> Coalescer<(Scope, TaskFilter), Result<Bytes, ApiError>> {
    let db = db.clone();
    Coalescer::new(move |(scope, filter): (Scope, TaskFilter)| {
        let db = db.clone();
        async move {
            let tasks = task::list(&db, scope, &filter).await?;
            crate::routes::task_lists::list_answer(&tasks, zone)
        }
        .boxed()
    })
}

/// The state as the handlers get it.
pub type SharedState = Arc<State>;
