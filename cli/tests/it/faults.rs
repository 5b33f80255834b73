//! Nothing is lost: Redis flushed, away and empty again, the database restarted, workers stopped; and schedules.
//!
//! Real processes, real MariaDB and Redis. After each disaster every accepted URL has reached the
//! vendor, every task has ended, and no percentage has fallen in any answer: the `Ledger` says so.
//! `fault_storms` kills and freezes processes, `fault_vendors` has vendors fail, `fault_limits` requests and rounds.
//! [`Stage`], [`world`] and [`settings`] are for them, for `telemetry`, `upgrade` and
//! `webhook_deliveries`.

use crate::queue::secret;
use crate::support::process::{Process, Settings};
use crate::support::servers::{Mariadb, Redis, free_port};
use crate::support::world::{DOMAINS, Reply, USER};
use crate::support::{Kind, Ledger, World, database, eventually};
use overseas_shared::config::Config;
use overseas_simulator::{Config as SimulatorConfig, Operation};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The time in which a process stops.
pub const STOP: Duration = Duration::from_secs(15);

/// A world with fast tasks, on this Redis.
pub async fn world(redis: &Redis) -> World {
    world_with(redis, |_| {}, |_| {}).await
}

async fn world_with(redis: &Redis, more: impl FnOnce(&mut Config), data: impl FnOnce(&mut SimulatorConfig)) -> World {
    let url = redis.url();
    let settings = |config: &mut Config| {
        config.queue.url = url;
        more(config);
    };
    let data = |simulated: &mut SimulatorConfig| {
        simulated.invalidation_seconds = 1;
        data(simulated);
    };
    World::with(Kind::Mariadb, settings, data).await
}

pub fn settings(world: &World, redis: &Redis) -> Settings {
    let pairs = [
        ("DATABASE__URL", world.url.clone()),
        ("QUEUE__URL", redis.url()),
        ("HTTP__LISTEN", format!("127.0.0.1:{}", free_port())),
        ("CDN__LEVEL3__VENDOR", "level3".to_owned()),
        ("CDN__LEVEL3__BASE_URL", world.simulator.vendor_url()),
        ("CDN__LEVEL3__KEY_ID", world.control.config().keys[0].id.clone()),
        ("CDN__LEVEL3__SECRET", secret(world)),
        ("CDN__LEVEL3__EDGE", world.simulator.edge_address().to_string()),
        ("CDN__LEVEL3__POLL_SECONDS", "1".to_owned()),
        ("WORKER__LEASE_SECONDS", "3".to_owned()),
        ("WORKER__SWEEP_SECONDS", "1".to_owned()),
        ("WEBHOOKS__ALLOW_PRIVATE", "true".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (format!("OVERSEAS__{name}"), value)).collect()
}

/// A world with a Redis of its own, and the settings of real processes beside it.
pub struct Stage {
    pub world: World,
    pub redis: Redis,
    pub settings: Settings,
    pub folder: TempDir,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// The same with other settings of the product and of the simulator.
    pub async fn with(more: impl FnOnce(&mut Config), data: impl FnOnce(&mut SimulatorConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = Redis::start(folder.path()).await;
        let world = world_with(&redis, more, data).await;
        let settings = settings(&world, &redis);
        Self { world, redis, settings, folder }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(format!("OVERSEAS__{name}"), value.to_owned());
    }

    pub fn worker(&self) -> Process {
        Process::start(&self.settings, self.folder.path(), &["worker"])
    }

    /// An API process that answers, and its address; on the port of the settings.
    pub async fn api(&self) -> (Process, String) {
        let base = format!("http://{}", self.settings["OVERSEAS__HTTP__LISTEN"]);
        let api = Process::start(&self.settings, self.folder.path(), &["api"]);
        eventually("the API is ready", 30, || async {
            let answer = self.world.client.get(format!("{base}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        (api, base)
    }

    /// Waits until what was accepted has reached the vendor and has ended.
    pub async fn settle(&self, ledger: &Ledger, seconds: u64) {
        ledger.settle(&[&self.world.control], seconds, &self.world.url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_flushed_away_for_half_a_minute_and_empty_again_refuses_and_loses_nothing() {
    let mut stage = Stage::new().await;
    let mut running = stage.worker();
    let ledger = Ledger::of(&stage.world);
    let flushes = async |redis: &Redis| {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            redis.command(&["FLUSHALL"]).await;
        }
    };
    let mut next = ledger.post_during(0, flushes(&stage.redis)).await;
    stage.redis.stop();
    next = ledger.post_during(next, tokio::time::sleep(Duration::from_secs(30))).await;
    // The sweep does the work meanwhile.
    stage.settle(&ledger, 30).await;
    next = ledger.post_during(next, async { stage.redis.resume().await }).await;
    next = ledger.post_during(next, flushes(&stage.redis)).await;
    stage.settle(&ledger, 40).await;
    assert_eq!(ledger.tasks(), next);
    assert!(!running.has_ended(), "{}", running.log());
    assert_eq!(running.stop(STOP), 0);
}

/// An installation on a database server of its own, so that other tests keep theirs: makes the user through its API.
async fn fill(world: &World, base: &str) {
    let post = async |path: &str, body: Value| {
        let answer = world.client.post(format!("{base}{path}")).json(&body).send().await.unwrap();
        Reply::of(answer).await.ok()
    };
    post("/useful/create/company", json!({"company_name": "A", "owner_name": "B", "owner_email": USER})).await;
    post("/level3/user", json!({"login_email": USER, "password": "long enough 1"})).await;
    let mapping = json!({"login_email": USER, "cdn": "level3", "domains": DOMAINS});
    // The CDN is there once the worker has started.
    eventually("the domains are mapped", 30, || async {
        let answer = world.client.post(format!("{base}/level3/user_domains")).json(&mapping).send().await.unwrap();
        Reply::of(answer).await.status == 200
    })
    .await;
    eventually("the catalogue is there", 20, || async {
        let answer = world.client.get(format!("{base}/level3/user_domains?login_email={USER}")).send().await.unwrap();
        !Reply::of(answer).await.body.to_string().contains("Pending")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_and_comes_back_loses_no_task_does_none_twice_and_ends_nobody() {
    let mut stage = Stage::new().await;
    let mut server = Mariadb::start(stage.folder.path()).await;
    let url = database::on_server(&server.url()).await;
    database::migrated(&url).await.close().await;
    stage.set("DATABASE__URL", &url);
    stage.set("QUEUE__PREFIX", "other");
    stage.set("HTTP__TRUSTED_NETWORKS", "127.0.0.0/8");
    let (mut api, base) = stage.api().await;
    let mut running = stage.worker();
    fill(&stage.world, &base).await;
    let ledger = Ledger::on(vec![base], "");
    ledger
        .insist_during(4, async {
            for _ in 0..3 {
                let (accepted, refused) = (ledger.tasks(), ledger.refused().0);
                eventually("tasks are accepted", 30, || std::future::ready(ledger.tasks() >= accepted + 30)).await;
                server.kill();
                eventually("clients are refused", 30, || std::future::ready(ledger.refused().0 >= refused + 8)).await;
                server.resume().await;
            }
            let accepted = ledger.tasks();
            eventually("tasks are accepted again", 30, || std::future::ready(ledger.tasks() >= accepted + 10)).await;
        })
        .await;
    ledger.settle(&[&stage.world.control], 60, &url).await;
    let tasks = database::number(&url, "SELECT COUNT(*) FROM task").await;
    assert_eq!(usize::try_from(tasks).unwrap(), ledger.tasks(), "a retry made a second task");
    assert_eq!(ledger.refused().1, 0, "requests without an answer");
    assert!(!api.has_ended() && !running.has_ended(), "{}\n{}", api.log(), running.log());
    assert_eq!(running.stop(STOP), 0);
    assert_eq!(api.stop(STOP), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_to_workers_during_work_loses_nothing() {
    let stage = Stage::new().await;
    let ledger = Ledger::of(&stage.world);
    for round in 0..4 {
        for n in 0..25 {
            ledger.post(round * 25 + n).await;
        }
        let running = stage.worker();
        tokio::time::sleep(Duration::from_millis(200 + 150 * round as u64)).await;
        assert_eq!(running.stop(STOP), 0);
    }
    let running = stage.worker();
    stage.settle(&ledger, 40).await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_fires_once_a_period_however_many_workers_start_at_once() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let before = catalogue_calls(world);
    let workers: Vec<Process> = (0..3).map(|_| stage.worker()).collect();
    let runs = "SELECT COUNT(*) FROM schedule_run WHERE job = 'sync-catalogue@start' AND ended_at IS NOT NULL";
    eventually("the catalogue was read", 20, || async { world.number(runs).await >= 1 }).await;
    // All three have looked at the timetable by the time each has measured.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let runs = world.number("SELECT COUNT(*) FROM schedule_run WHERE job LIKE 'sync-catalogue%'").await;
    assert_eq!(catalogue_calls(world) - before, usize::try_from(runs).unwrap(), "one reading for each run");
    drop(workers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_fires_once_in_each_period_while_three_workers_run() {
    let stage = Stage::new().await;
    let world = &stage.world;
    // The past of the properties' traffic is none of this test's business.
    database::execute(&world.url, "INSERT INTO property_usage (property_id, backfilled_to) SELECT id, 0 FROM property")
        .await;
    let before = catalogue_calls(world);
    let mut workers = Vec::new();
    for _ in 0..3 {
        let context = Arc::into_inner(world.another_worker().await).unwrap();
        workers.push(tokio::spawn(overseas_worker::run(context, world.stop.child_token())));
    }
    let ended = "SELECT COUNT(*) FROM schedule_run WHERE job = 'sync-catalogue' AND ended_at IS NOT NULL";
    let first = "SELECT COUNT(*) FROM schedule_run WHERE job = 'sync-catalogue@start' AND ended_at IS NOT NULL";
    eventually("the first period's run has ended", 20, || async { world.number(first).await >= 1 }).await;
    let periods = 8;
    for period in 1..=periods {
        world.clock.advance(30 * 60_000);
        eventually("the period's run has ended", 20, || async { world.number(ended).await >= period }).await;
    }
    // Each looks at the timetable once a second: nobody has found the last period untaken.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(world.number(ended).await <= periods + 1, "one more at most, if a period of the real time ended meanwhile");
    let runs = world.number("SELECT COUNT(*) FROM schedule_run WHERE job LIKE 'sync-catalogue%'").await;
    assert_eq!(catalogue_calls(world) - before, usize::try_from(runs).unwrap(), "one reading for each run");
    world.stop.cancel();
    futures::future::join_all(workers).await;
}

fn catalogue_calls(world: &World) -> usize {
    let record = world.control.requests(0);
    record.requests.iter().filter(|entry| entry.operation == Operation::AccessGroups).count()
}
