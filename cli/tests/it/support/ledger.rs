//! What was promised to a client, and whether it was kept: the ledger of the fault tests.
//!
//! It posts tasks, remembers each URL and each task that was answered with 200, and reads the lists of all APIs in turn.
//! A percentage may not be less than one that was known before it was asked for, whichever API answers. In the end every
//! URL that was accepted has reached the vendor, and every task has ended well. Vendor calls that were made twice are
//! printed and not forbidden: at least once means that a crash may repeat what was under way.
//! Called by `faults`, `fault_storms` and `fault_vendors`.

use crate::support::database;
use crate::support::http::header;
use crate::support::world::{DOMAINS, Reply, USER, World};
use overseas_simulator::Control;
use reqwest::Response;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Longer than any POST takes, also on a busy machine.
const LONGEST_POST: Duration = Duration::from_secs(5);

/// How long a client waits before its next task.
const BETWEEN_POSTS: Duration = Duration::from_millis(50);

/// Most tasks of one answer of a list.
const PAGE: usize = 1000;

pub struct Ledger {
    /// The APIs, which are used in turn.
    pub bases: Vec<String>,
    /// The domains, which are used in turn.
    pub domains: Vec<String>,
    /// Empty for a caller from a trusted network.
    token: String,
    client: reqwest::Client,
    turn: AtomicUsize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    urls: BTreeSet<String>,
    tasks: BTreeSet<String>,
    percent: HashMap<String, u32>,
    /// Answers of 503.
    refused: usize,
    /// Requests without an answer.
    unanswered: usize,
}

impl Ledger {
    /// For the user of a world, on its API.
    pub fn of(world: &World) -> Self {
        Self::on(vec![world.base.clone()], &world.user_token)
    }

    /// For [`USER`] on these APIs.
    pub fn on(bases: Vec<String>, token: &str) -> Self {
        let client = overseas_shared::cdn::http::builder(false).timeout(Duration::from_secs(30)).build().unwrap();
        let domains = DOMAINS.map(str::to_owned).into();
        Self { bases, domains, token: token.to_owned(), client, turn: AtomicUsize::default(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    fn next_base(&self) -> &str {
        &self.bases[self.turn.fetch_add(1, Ordering::Relaxed) % self.bases.len()]
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, reqwest::Error> {
        if self.token.is_empty() { request.send().await } else { request.bearer_auth(&self.token).send().await }
    }

    /// One try of the task with this number, of which every fifth is a preload. It has two URLs.
    async fn order(&self, n: usize) -> Result<Response, reqwest::Error> {
        let kind = if n % 5 == 4 { "preload" } else { "refresh" };
        let domain = &self.domains[n % self.domains.len()];
        let path = format!("http://{domain}/{n}/a.html|http://{domain}/{n}/b.html");
        let request = self.client.post(format!("{}/level3/{kind}", self.next_base()));
        let request = request.header("idempotency-key", format!("task-{n}"));
        self.send(request.json(&json!({"path": path, "login_email": USER}))).await
    }

    fn accept(&self, n: usize, answer: &Value) {
        let mut known = self.known();
        known.urls.extend(["a", "b"].map(|name| format!("/{n}/{name}.html")));
        for task in answer["results"].as_array().unwrap() {
            known.tasks.insert(task["taskid"].as_str().unwrap().to_owned());
        }
    }

    /// Posts a task that must be accepted at once.
    pub async fn post(&self, n: usize) {
        let begun = Instant::now();
        let answer = self.order(n).await.unwrap();
        assert!(begun.elapsed() < LONGEST_POST, "a POST took {:?}", begun.elapsed());
        self.accept(n, &Reply::of(answer).await.ok());
    }

    /// Posts a task, again and again with the same `Idempotency-Key` while the answer is 503 or there is none.
    pub async fn insist(&self, n: usize) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < end, "task {n} was refused for a minute");
            let Ok(answer) = self.order(n).await else {
                self.known().unanswered += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if answer.status().as_u16() == 503 {
                let wait: u64 = header(answer.headers(), "retry-after").parse().expect("a 503 has Retry-After");
                assert!((1..=60).contains(&wait), "Retry-After: {wait}");
                Reply::of(answer).await.failed(503);
                self.known().refused += 1;
                // Sooner than the answer says, so that the disaster is met often.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            return match self.read(answer).await {
                Some(reply) => self.accept(n, &reply.ok()),
                None => continue,
            };
        }
    }

    /// Posts tasks, each to be accepted at once, as long as something happens; returns the number of the next one.
    pub async fn post_during(&self, first: usize, disaster: impl Future<Output = ()>) -> usize {
        let (ended, mut n) = (AtomicBool::new(false), first);
        let posting = async {
            while !ended.load(Ordering::Relaxed) {
                self.post(n).await;
                n += 1;
                tokio::time::sleep(BETWEEN_POSTS).await;
            }
        };
        tokio::join!(posting, async {
            disaster.await;
            ended.store(true, Ordering::Relaxed);
        });
        n
    }

    /// So many clients insist on their tasks as long as something happens.
    pub async fn insist_during(&self, clients: usize, disaster: impl Future<Output = ()>) {
        let ended = AtomicBool::new(false);
        let posting = (0..clients).map(async |client| {
            let mut n = client;
            while !ended.load(Ordering::Relaxed) {
                self.insist(n).await;
                n += clients;
                tokio::time::sleep(BETWEEN_POSTS).await;
            }
        });
        let looking = async {
            while !ended.load(Ordering::Relaxed) {
                self.glance().await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        tokio::join!(futures::future::join_all(posting), looking, async {
            disaster.await;
            ended.store(true, Ordering::Relaxed);
        });
    }

    /// An answer whose body may be cut by the end of its server.
    async fn read(&self, answer: Response) -> Option<Reply> {
        let status = answer.status().as_u16();
        let body = answer.bytes().await.ok().and_then(|body| serde_json::from_slice(&body).ok());
        if body.is_none() {
            self.known().unanswered += 1;
        }
        Some(Reply { status, body: body? })
    }

    /// One page of a list, its percentages noted; `None` when the API was away.
    async fn page(&self, kind: &str, limit: usize, before: &str) -> Option<Vec<Value>> {
        let earlier = self.known().percent.clone();
        let before = if before.is_empty() { String::new() } else { format!("&before={before}") };
        let path = format!("/level3/{kind}_list?limit={limit}&login_email={USER}{before}");
        let answer = self.send(self.client.get(format!("{}{path}", self.next_base()))).await.ok()?;
        let reply = self.read(answer).await?;
        if reply.status == 503 {
            return None;
        }
        let tasks = reply.ok()["results"].as_array().unwrap().clone();
        for task in &tasks {
            self.note(task, &earlier);
        }
        Some(tasks)
    }

    fn note(&self, task: &Value, earlier: &HashMap<String, u32>) {
        let id = task["taskid"].as_str().unwrap();
        let percent: u32 = task["percentComplete"].as_str().unwrap().parse().unwrap();
        let before = earlier.get(id).copied().unwrap_or(0);
        assert!(percent >= before, "{before} fell: {task}");
        let state = task["state"].as_str().unwrap();
        assert!(state != "failed" && state != "expired", "{task}");
        let mut known = self.known();
        let most = known.percent.entry(id.to_owned()).or_default();
        *most = percent.max(*most);
    }

    /// Looks at the newest tasks on every API; one that is away is left out.
    pub async fn glance(&self) {
        for _ in &self.bases {
            for kind in ["refresh", "preload"] {
                self.page(kind, 100, "").await;
            }
        }
    }

    /// Reads all tasks, whose percentages may not have fallen; returns the URLs of those that have not ended.
    pub async fn open(&self) -> Vec<String> {
        let (mut open, mut listed) = (Vec::new(), BTreeSet::new());
        let tasks = self.known().tasks.clone();
        for kind in ["refresh", "preload"] {
            let mut before = String::new();
            loop {
                let page = self.page(kind, PAGE, &before).await.expect("the API answers");
                for task in &page {
                    listed.insert(task["taskid"].as_str().unwrap().to_owned());
                    if task["state"] != "done" {
                        open.push(task["url"].as_str().unwrap().to_owned());
                    }
                }
                if page.len() < PAGE {
                    break;
                }
                before = page[PAGE - 1]["taskid"].as_str().unwrap().to_owned();
            }
        }
        let lost: Vec<&String> = tasks.difference(&listed).collect();
        assert!(lost.is_empty(), "accepted and in no list: {lost:?}");
        open
    }

    /// Waits until every task has ended, then compares with what these vendors were told.
    pub async fn settle(&self, vendors: &[&Control], seconds: u64, database: &str) {
        let begun = Instant::now();
        loop {
            let open = self.open().await;
            if open.is_empty() {
                break;
            }
            if begun.elapsed() >= Duration::from_secs(seconds) {
                let sql = "SELECT CAST(GROUP_CONCAT(CONCAT(kind, ' ', step, ' ', state, ' ', percent, ' ', message) SEPARATOR '; ') AS CHAR) FROM (SELECT kind, step, state, percent, COALESCE(message, '-') AS message FROM task WHERE step <> 'ended' LIMIT 5) t";
                let some = database::text(database, sql).await;
                panic!("{} tasks have not ended within {seconds} s, such as: {some}", open.len());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let mut told = BTreeSet::new();
        for vendor in vendors {
            let registered = vendor.requests(0).requests.into_iter().filter(|entry| entry.registered);
            told.extend(registered.flat_map(|entry| entry.paths.to_vec()));
        }
        let known = self.known();
        let lost: Vec<&String> = known.urls.difference(&told).collect();
        assert!(lost.is_empty(), "never reached the vendor: {lost:?}");
        let doubled: usize = vendors.iter().map(|vendor| vendor.summary().duplicates.count).sum();
        eprintln!(
            "{} URLs accepted, {} told, {doubled} doubled; {} refused, {} without an answer; settled in {:.1?}",
            known.urls.len(),
            told.len(),
            known.refused,
            known.unanswered,
            begun.elapsed()
        );
    }

    /// How many tasks were accepted.
    pub fn tasks(&self) -> usize {
        self.known().tasks.len()
    }

    /// Answers of 503, and requests without an answer.
    pub fn refused(&self) -> (usize, usize) {
        let known = self.known();
        (known.refused, known.unanswered)
    }
}
