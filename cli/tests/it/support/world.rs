//! A whole system in the test's process: database, simulator, API, and a worker driven by hand.
//!
//! No job runs by itself: it acts when a test calls `submit`, `poll` or `fetch`. `clock` is the product's
//! time, `control` moves the simulator's, and neither moves the other. Users are written to the database
//! with a session and without a password. The queue is in memory unless a test sets another.
//! Called by most tests, often through `on_both!`.

use crate::support::database::{self, Kind};
use overseas_api::{State, bind, serve};
use overseas_shared::cdn::CallGate;
use overseas_shared::clock::Clock;
use overseas_shared::config::{CdnConfig, Config};
use overseas_shared::db::account::{self, NewUser, Role};
use overseas_shared::db::api_token::{self, NewApiToken};
use overseas_shared::db::audit::NewEntry;
use overseas_shared::db::login::{self, Attempt, NewSession, Subject};
use overseas_shared::db::{Database, catalogue, mapping};
use overseas_shared::domain::{DomainName, EmailAddress, Kind as TaskKind};
use overseas_shared::log_store::LogStore;
use overseas_shared::queue::Queue;
use overseas_shared::secret::new_token;
use overseas_simulator::{Config as SimulatorConfig, Control, Simulator};
use overseas_worker::jobs::logs::merge_turns;
use overseas_worker::jobs::{fetch::Fetch, poll::Poll, submit::Submit, sync};
use overseas_worker::reconcile::{Next, Reconciler};
use overseas_worker::{Account, Context, SharedGate, new_owner, open_accounts};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const USER: &str = "user@example.com";
pub const OTHER: &str = "other@example.com";
pub const STAFF: &str = "staff@example.com";

/// The domains of [`USER`] in the simulator's demo data.
pub const DOMAINS: [&str; 5] =
    ["cdn.example.com", "www.example.com", "a.example.com", "b.example.com", "photo.img.example.com"];

pub struct World {
    pub url: String,
    pub db: Database,
    pub clock: Clock,
    pub simulator: Simulator,
    pub control: Control,
    pub context: Arc<Context>,
    pub base: String,
    pub client: reqwest::Client,
    pub user_token: String,
    pub other_token: String,
    pub staff_token: String,
    pub stop: CancellationToken,
    pub folder: TempDir,
}

/// An answer: its status and its JSON body.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Reply {
    pub async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, body }
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.body["err"], 0, "{}", self.body);
        self.body
    }

    /// The message of a failure in its envelope.
    #[track_caller]
    pub fn failed(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["err"], status, "{}", self.body);
        assert!(self.body["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{}", self.body);
        self.body["message"].as_str().unwrap().to_owned()
    }
}

/// The audit row of what a test prepares.
pub fn entry(now: i64) -> NewEntry {
    NewEntry::by_command(now, "prepare", "test", "")
}

impl World {
    /// A world whose catalogue has been read, with users and mappings.
    pub async fn new(kind: Kind) -> Self {
        Self::with(kind, |_| {}, |_| {}).await
    }

    /// The same with other settings of the product and of the simulator.
    pub async fn with(kind: Kind, settings: impl FnOnce(&mut Config), data: impl FnOnce(&mut SimulatorConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = database::fresh_url(kind, folder.path()).await;
        let db = database::migrated(&url).await;
        let mut simulated = SimulatorConfig::demo().on_free_ports();
        let delivery = folder.path().join("delivery");
        simulated.log_folder = Some(delivery.clone());
        // Nothing but what a test has delivered.
        simulated.log_days = 0;
        simulated.log_golden_days.clear();
        data(&mut simulated);
        let key = simulated.keys[0].clone();
        let simulator = overseas_simulator::start(simulated).await.unwrap();
        let mut config = Config::default();
        config.database.url = url.clone();
        config.logs.store = folder.path().join("logs").display().to_string();
        config.logs.staging = folder.path().join("staging").display().to_string();
        // Receivers of tests are on this machine.
        config.webhooks.allow_private = true;
        config.cdn.insert(
            "level3".to_owned(),
            CdnConfig {
                base_url: Some(simulator.vendor_url()),
                key_id: Some(key.id),
                secret: Some(key.secret.into()),
                edge: Some(simulator.edge_address().to_string()),
                timeout_seconds: 3,
                rate_limit_pause_seconds: 1,
                logs: Some(delivery.display().to_string()),
                ..CdnConfig::new("level3")
            },
        );
        settings(&mut config);
        let (clock, stop, owner) = (Clock::system(), CancellationToken::new(), new_owner());
        let queue = Queue::open(&config.queue.url, &config.queue.prefix).unwrap();
        let gate = SharedGate::start(db.clone(), clock.clone(), owner.clone(), stop.clone());
        let shared: Arc<dyn CallGate> = Arc::clone(&gate) as Arc<dyn CallGate>;
        let accounts = open_accounts(&config, &db, &shared, &clock).await.unwrap();
        let context = Context {
            db: db.clone(),
            queue: queue.clone(),
            clock: clock.clone(),
            config: config.clone(),
            accounts,
            gate,
            store: LogStore::open(&config.logs.store).unwrap(),
            merges: merge_turns(),
            owner,
        };
        let bound = bind("http.listen", "127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", bound.address);
        let state = Arc::new(State::new(db.clone(), queue, clock.clone(), context.store.clone(), config));
        tokio::spawn(serve(bound, state, stop.clone()));
        let client = overseas_shared::cdn::http::builder(false).build().unwrap();
        let world = Self {
            control: simulator.control(),
            context: Arc::new(context),
            user_token: String::new(),
            other_token: String::new(),
            staff_token: String::new(),
            url,
            db,
            clock,
            simulator,
            base,
            client,
            stop,
            folder,
        };
        world.fill().await
    }

    async fn fill(mut self) -> Self {
        self.sync().await;
        self.user_token = self.user(USER, Role::User).await;
        self.other_token = self.user(OTHER, Role::User).await;
        self.staff_token = self.user(STAFF, Role::Staff).await;
        if self.context.config.cdn.contains_key("level3") {
            self.map(USER, &DOMAINS).await;
        }
        // What a test finds there was left by what it did.
        database::execute(&self.url, "DELETE FROM audit").await;
        self
    }

    /// Makes a user without a password; returns a token of a session.
    pub async fn user(&self, email: &str, role: Role) -> String {
        let email = EmailAddress::parse(email).unwrap();
        let new = NewUser { email, role, password_hash: String::new(), operate_right: true };
        let (token, now) = (new_token(), self.clock.now());
        let entry = entry(now);
        let user = account::create_user(&self.db, &new, &entry).await.unwrap();
        let subject = |name: &str| Subject { name: name.to_owned(), free: 5 };
        let attempt = Attempt { account: subject("account:test"), address: subject("address:test") };
        let session = NewSession { hash: token.hash, user_id: user.id, expires_at: now + 400 * 24 * 3_600_000 };
        login::succeed(&self.db, &attempt, &session, &entry).await.unwrap();
        token.text
    }

    /// Gives a user an API token with these scopes; returns its text.
    pub async fn api_token(&self, email: &str, scopes: &str) -> String {
        let (token, user_id) = (new_token(), self.user_id(email).await);
        let scopes = scopes.parse().unwrap();
        let new = NewApiToken { hash: token.hash, user_id, name: "test".to_owned(), scopes, expires_at: None };
        api_token::create(&self.db, &new, &entry(self.clock.now())).await.unwrap();
        token.text
    }

    pub async fn user_id(&self, email: &str) -> i64 {
        account::find_user(&self.db, &EmailAddress::parse(email).unwrap()).await.unwrap().unwrap().id
    }

    pub async fn map(&self, email: &str, domains: &[&str]) {
        self.map_at("level3", email, domains).await;
    }

    pub async fn map_at(&self, cdn: &str, email: &str, domains: &[&str]) {
        let domains: Vec<DomainName> = domains.iter().map(|name| DomainName::parse(name).unwrap()).collect();
        let cdn = catalogue::find_cdn(&self.db, cdn).await.unwrap().unwrap();
        let (user, change) = (self.user_id(email).await, mapping::Change::Add(&domains));
        mapping::change_domains(&self.db, user, &[cdn.id], change, &entry(self.clock.now())).await.unwrap();
    }

    pub fn account(&self) -> &Arc<Account> {
        &self.context.accounts[0]
    }

    pub async fn sync(&self) {
        self.sync_account(self.account()).await;
    }

    pub async fn sync_account(&self, account: &Account) {
        sync::groups(&self.db, &self.clock, account).await.unwrap();
        sync::services(&self.db, &self.clock, account).await.unwrap();
    }

    /// A second worker on the same rows.
    pub async fn another_worker(&self) -> Arc<Context> {
        let owner = new_owner();
        let gate = SharedGate::start(self.db.clone(), self.clock.clone(), owner.clone(), self.stop.clone());
        let shared: Arc<dyn CallGate> = Arc::clone(&gate) as Arc<dyn CallGate>;
        let config = self.context.config.clone();
        let accounts = open_accounts(&config, &self.db, &shared, &self.clock).await.unwrap();
        Arc::new(Context {
            db: self.db.clone(),
            queue: self.context.queue.clone(),
            clock: self.clock.clone(),
            config,
            accounts,
            gate,
            store: self.context.store.clone(),
            merges: merge_turns(),
            owner,
        })
    }

    /// One round of the submit job.
    pub async fn submit_once(&self, kind: TaskKind) -> Next {
        let job = match kind {
            TaskKind::Refresh => Submit::refresh(&self.context, self.account()),
            TaskKind::Preload => Submit::preload(&self.context, self.account()),
        };
        job.round(&self.stop).await.unwrap()
    }

    /// Rounds of the submit job of every account until nothing is due or the account is to be left alone.
    pub async fn submit_everywhere(&self, kind: TaskKind) {
        for account in &self.context.accounts {
            let job = match kind {
                TaskKind::Refresh => Submit::refresh(&self.context, account),
                TaskKind::Preload => Submit::preload(&self.context, account),
            };
            while job.round(&self.stop).await.unwrap() == Next::Now {}
        }
    }

    /// Moves the clock to the next poll and asks every vendor.
    pub async fn poll_everywhere(&self) {
        self.clock.advance(60_000);
        for account in &self.context.accounts {
            let job = Poll::new(&self.context, account);
            while job.round(&self.stop).await.unwrap() == Next::Now {}
        }
    }

    /// Rounds of the submit job until nothing is due.
    pub async fn submit(&self, kind: TaskKind) {
        while self.submit_once(kind).await == Next::Now {}
    }

    /// Moves the clock to the next poll and asks the vendor.
    pub async fn poll(&self) {
        self.clock.advance(60_000);
        let job = Poll::new(&self.context, self.account());
        while job.round(&self.stop).await.unwrap() == Next::Now {}
    }

    /// Rounds of the fetch job until nothing is due.
    pub async fn fetch(&self) {
        let job = Fetch::new(&self.context, self.account());
        while job.round(&self.stop).await.unwrap() == Next::Now {}
    }

    pub async fn get(&self, token: &str, path: &str) -> Reply {
        let request = self.client.get(format!("{}{path}", self.base));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        Reply::of(request.send().await.unwrap()).await
    }

    pub async fn post(&self, token: &str, path: &str, body: Value) -> Reply {
        let request = self.client.post(format!("{}{path}", self.base)).json(&body);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        Reply::of(request.send().await.unwrap()).await
    }

    /// Refreshes as the user; returns the ids of the tasks.
    pub async fn refresh(&self, path: &str) -> Vec<String> {
        self.order("refresh", path).await
    }

    /// Preloads as the user; returns the ids of the tasks.
    pub async fn preload(&self, path: &str) -> Vec<String> {
        self.order("preload", path).await
    }

    async fn order(&self, kind: &str, path: &str) -> Vec<String> {
        let answer = self.post(&self.user_token, &format!("/level3/{kind}"), json!({"path": path})).await.ok();
        let ids = answer["results"].as_array().unwrap().iter();
        ids.map(|task| task["taskid"].as_str().unwrap().to_owned()).collect()
    }

    /// A task as the list shows it; null when there is none.
    pub async fn task(&self, kind: &str, id: &str) -> Value {
        let reply = self.get(&self.user_token, &format!("/level3/{kind}_list?taskid={id}")).await;
        if reply.status == 404 { Value::Null } else { reply.ok()["results"][0].clone() }
    }

    /// The paths that the vendor was asked to invalidate, sorted.
    pub fn invalidated(&self) -> Vec<String> {
        let record = self.control.requests(0);
        let mut paths: Vec<String> =
            record.requests.iter().filter(|entry| entry.registered).flat_map(|entry| entry.paths.to_vec()).collect();
        paths.sort();
        paths
    }
}
