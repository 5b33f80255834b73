//! Nothing is lost: workers killed at any moment, Redis flushed and away, the database restarted.
//!
//! Real processes, real MariaDB and Redis. After each disaster every accepted URL has reached the
//! vendor, every task has ended, and no percentage has fallen in any answer. Its world and its worker serve
//! `webhook_deliveries` too.

use crate::queue::secret;
use crate::support::process::{Process, Settings};
use crate::support::servers::{Mariadb, Redis};
use crate::support::world::{DOMAINS, USER};
use crate::support::{Kind, World, database, eventually};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

/// A world with fast tasks, on this Redis.
pub async fn world(redis: &Redis) -> World {
    let url = redis.url();
    let settings = move |config: &mut overseas_shared::config::Config| config.queue.url = url;
    World::with(Kind::Mariadb, settings, |data| data.invalidation_seconds = 1).await
}

pub fn settings(world: &World, redis: &Redis) -> Settings {
    let pairs = [
        ("DATABASE__URL", world.url.clone()),
        ("QUEUE__URL", redis.url()),
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

/// What was accepted, and what the lists have shown so far.
#[derive(Default)]
struct Ledger {
    accepted: BTreeSet<String>,
    percent: HashMap<String, u32>,
}

impl Ledger {
    /// Posts one task with two URLs and remembers them once they are accepted.
    async fn post(&mut self, world: &World, n: usize) {
        let kind = if n % 5 == 4 { "preload" } else { "refresh" };
        let domain = DOMAINS[n % DOMAINS.len()];
        let urls = format!("http://{domain}/{n}/a.html|http://{domain}/{n}/b.html");
        let answer = world.post(&world.user_token, &format!("/level3/{kind}"), serde_json::json!({"path": urls})).await;
        answer.ok();
        self.accepted.extend(["a", "b"].map(|name| format!("/{n}/{name}.html")));
    }

    /// Reads all tasks; checks that no percentage has fallen; returns how many have not ended.
    async fn open(&mut self, world: &World) -> usize {
        let mut open = 0;
        for kind in ["refresh", "preload"] {
            let list = world.get(&world.user_token, &format!("/level3/{kind}_list?limit=1000")).await.ok();
            for task in list["results"].as_array().unwrap() {
                open += usize::from(!self.note(task));
            }
        }
        open
    }

    fn note(&mut self, task: &Value) -> bool {
        let percent: u32 = task["percentComplete"].as_str().unwrap().parse().unwrap();
        let before = self.percent.insert(task["taskid"].as_str().unwrap().to_owned(), percent);
        assert!(before.is_none_or(|before| percent >= before), "{before:?} fell: {task}");
        let state = task["state"].as_str().unwrap();
        assert!(state != "failed" && state != "expired", "{task}");
        state == "done"
    }

    /// Waits until every task has ended, then compares with what the vendor was told.
    async fn settle(&mut self, world: &World, seconds: u64) {
        let end = std::time::Instant::now() + Duration::from_secs(seconds);
        loop {
            let open = self.open(world).await;
            if open == 0 {
                break;
            }
            if std::time::Instant::now() >= end {
                let sql = "SELECT CAST(GROUP_CONCAT(CONCAT(kind, ' ', step, ' ', state, ' ', percent, ' ', message) SEPARATOR '; ') AS CHAR) FROM (SELECT kind, step, state, percent, COALESCE(message, '-') AS message FROM task WHERE step <> 'ended' LIMIT 5) t";
                let some = database::text(&world.url, sql).await;
                panic!("{open} tasks have not ended within {seconds} s, such as: {some}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let told: BTreeSet<String> = world.invalidated().into_iter().collect();
        let lost: Vec<&String> = self.accepted.difference(&told).collect();
        assert!(lost.is_empty(), "never reached the vendor: {lost:?}");
        // Reported, not asserted: at least once means that a crash may repeat what was under way.
        eprintln!(
            "{} URLs accepted, {} told, {} doubled",
            self.accepted.len(),
            world.invalidated().len(),
            world.control.summary().duplicates.count
        );
    }
}

pub fn worker(settings: &Settings, folder: &Path) -> Process {
    Process::start(settings, folder, &["worker"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_moment_loses_no_task() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let settings = settings(&world, &redis);
    let mut ledger = Ledger::default();
    let mut running = worker(&settings, folder.path());
    let pauses = [310, 45, 700, 130, 20, 520, 260, 90, 400, 180];
    for (round, pause) in pauses.into_iter().enumerate() {
        for n in 0..50 {
            ledger.post(&world, round * 50 + n).await;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        running.kill();
        ledger.open(&world).await;
        running = worker(&settings, folder.path());
    }
    ledger.settle(&world, 60).await;
    assert_eq!(running.stop(Duration::from_secs(10)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_loses_no_task() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let running = worker(&settings(&world, &redis), folder.path());
    let mut ledger = Ledger::default();
    for n in 0..100 {
        ledger.post(&world, n).await;
        if n % 20 == 10 {
            redis.command(&["FLUSHALL"]).await;
        }
    }
    ledger.settle(&world, 40).await;
    assert_eq!(running.stop(Duration::from_secs(10)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_for_half_a_minute_delays_nothing_much_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let mut running = worker(&settings(&world, &redis), folder.path());
    let mut ledger = Ledger::default();
    for n in 0..20 {
        ledger.post(&world, n).await;
    }
    redis.stop();
    let away = std::time::Instant::now();
    let mut n = 20;
    while away.elapsed() < Duration::from_secs(30) {
        // `post` asserts that the answer is 200.
        ledger.post(&world, n).await;
        n += 1;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // The sweep has done the work meanwhile.
    ledger.settle(&world, 30).await;
    redis.resume().await;
    for n in n..n + 20 {
        ledger.post(&world, n).await;
    }
    ledger.settle(&world, 40).await;
    assert!(!running.has_ended(), "{}", running.log());
    assert_eq!(running.stop(Duration::from_secs(10)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_restarts_loses_no_task_and_ends_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let mut server = Mariadb::start(folder.path()).await;
    let world = world(&redis).await;
    // A second system on a server of its own, so that other tests keep theirs.
    let url = database::on_server(&server.url()).await;
    let db = database::migrated(&url).await;
    db.close().await;
    let mut settings = settings(&world, &redis);
    settings.insert("OVERSEAS__DATABASE__URL".to_owned(), url.clone());
    settings.insert("OVERSEAS__HTTP__LISTEN".to_owned(), format!("127.0.0.1:{}", crate::support::servers::free_port()));
    settings.insert("OVERSEAS__QUEUE__PREFIX".to_owned(), "other".to_owned());
    settings.insert("OVERSEAS__HTTP__TRUSTED_NETWORKS".to_owned(), "127.0.0.0/8".to_owned());
    let base = format!("http://{}", settings["OVERSEAS__HTTP__LISTEN"]);
    let mut api = Process::start(&settings, folder.path(), &["api"]);
    let mut running = worker(&settings, folder.path());
    eventually("the api runs", 20, || async {
        world.client.get(format!("{base}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    let post = async |path: &str, body: Value| {
        let answer = world.client.post(format!("{base}{path}")).json(&body).send().await.unwrap();
        crate::support::world::Reply::of(answer).await
    };
    post("/useful/create/company", serde_json::json!({"company_name": "A", "owner_name": "B", "owner_email": USER}))
        .await
        .ok();
    post("/level3/user", serde_json::json!({"login_email": USER, "password": "long enough 1"})).await.ok();
    post("/level3/user_domains", serde_json::json!({"login_email": USER, "cdn": "level3", "domains": DOMAINS}))
        .await
        .ok();
    eventually("the catalogue is there", 20, || async {
        let answer = world.client.get(format!("{base}/level3/user_domains?login_email={USER}")).send().await.unwrap();
        !crate::support::world::Reply::of(answer).await.body.to_string().contains("Pending")
    })
    .await;
    let mut accepted = BTreeSet::new();
    for n in 0..60 {
        if n == 30 {
            server.kill();
            let answer =
                post("/level3/refresh", serde_json::json!({"login_email": USER, "path": "http://cdn.example.com/x"}))
                    .await;
            answer.failed(503);
            server.resume().await;
        }
        let path = format!("/restart/{n}.html");
        let url = format!("http://{}{path}", DOMAINS[n % DOMAINS.len()]);
        let answer = post("/level3/refresh", serde_json::json!({"login_email": USER, "path": url})).await;
        if answer.status == 200 {
            accepted.insert(path);
        } else {
            answer.failed(503);
        }
    }
    assert!(accepted.len() >= 50, "only {} accepted", accepted.len());
    eventually("every accepted URL reached the vendor", 40, || async {
        let told: BTreeSet<String> = world.invalidated().into_iter().collect();
        accepted.is_subset(&told)
    })
    .await;
    assert!(!api.has_ended() && !running.has_ended(), "{}\n{}", api.log(), running.log());
    eventually("every task has ended", 40, || async {
        database::number(&url, "SELECT COUNT(*) FROM task WHERE step <> 'ended'").await == 0
    })
    .await;
    assert_eq!(running.stop(Duration::from_secs(10)), 0);
    assert_eq!(api.stop(Duration::from_secs(15)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_work_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let settings = settings(&world, &redis);
    let mut ledger = Ledger::default();
    for round in 0..4 {
        for n in 0..25 {
            ledger.post(&world, round * 25 + n).await;
        }
        let running = worker(&settings, folder.path());
        tokio::time::sleep(Duration::from_millis(200 + 150 * round as u64)).await;
        assert_eq!(running.stop(Duration::from_secs(10)), 0);
    }
    let running = worker(&settings, folder.path());
    ledger.settle(&world, 40).await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_that_wakes_writes_over_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let settings = settings(&world, &redis);
    let mut ledger = Ledger::default();
    let (frozen, other) = (worker(&settings, folder.path()), worker(&settings, folder.path()));
    for n in 0..60 {
        ledger.post(&world, n).await;
        if n == 20 {
            frozen.signal("STOP");
        }
    }
    // Past its lease, so that the other worker has taken over what it held.
    ledger.settle(&world, 40).await;
    frozen.signal("CONT");
    for n in 60..80 {
        ledger.post(&world, n).await;
    }
    ledger.settle(&world, 40).await;
    assert_eq!(frozen.stop(Duration::from_secs(10)), 0);
    assert_eq!(other.stop(Duration::from_secs(10)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_fires_once_a_period_however_many_workers_run() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world(&redis).await;
    let settings = settings(&world, &redis);
    let before = catalogue_calls(&world);
    let workers: Vec<Process> = (0..3).map(|_| worker(&settings, folder.path())).collect();
    let runs = "SELECT COUNT(*) FROM schedule_run WHERE job = 'sync-catalogue@start' AND ended_at IS NOT NULL";
    eventually("the catalogue was read", 20, || async { database::number(&world.url, runs).await >= 1 }).await;
    // All three have looked at the timetable by the time each has measured.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let doubled =
        "SELECT COUNT(*) FROM (SELECT job, period FROM schedule_run GROUP BY job, period HAVING COUNT(*) > 1) t";
    assert_eq!(database::number(&world.url, doubled).await, 0);
    let runs = database::number(&world.url, "SELECT COUNT(*) FROM schedule_run WHERE job LIKE 'sync-catalogue%'").await;
    assert_eq!(catalogue_calls(&world) - before, usize::try_from(runs).unwrap(), "one reading for each run");
    drop(workers);
}

fn catalogue_calls(world: &World) -> usize {
    let record = world.control.requests(0);
    record.requests.iter().filter(|entry| entry.operation == overseas_simulator::Operation::AccessGroups).count()
}
