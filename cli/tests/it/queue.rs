//! The wake-ups in Redis: bounded, restartable, and of no consequence when they are lost.
//!
//! A test has a Redis of its own, which it may flood or stop, a world on MariaDB whose API sends messages,
//! and a real worker process that receives them. That a task was handed over proves a wake-up only where
//! the sweep is put off. The last test is about processes that refuse a schema with missing steps.
//! `secret` is for `faults` too: the world's settings do not show it.

use crate::support::process::{Process, Settings, run};
use crate::support::servers::Redis;
use crate::support::{World, eventually};
use overseas_shared::queue::{MOST_WAITING, Queue, WakeKind};
use std::time::{Duration, Instant};

/// Settings of a real worker beside a world.
fn settings(world: &World, redis: &str) -> Settings {
    let cdn = &world.context.config.cdn["level3"];
    let pairs = [
        ("DATABASE__URL", world.url.clone()),
        ("QUEUE__URL", redis.to_owned()),
        ("HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("CDN__LEVEL3__VENDOR", "level3".to_owned()),
        ("CDN__LEVEL3__BASE_URL", world.simulator.vendor_url()),
        ("CDN__LEVEL3__KEY_ID", cdn.key_id.clone().unwrap()),
        ("CDN__LEVEL3__SECRET", secret(world)),
        ("CDN__LEVEL3__EDGE", world.simulator.edge_address().to_string()),
        ("CDN__LEVEL3__POLL_SECONDS", "1".to_owned()),
        ("WORKER__LEASE_SECONDS", "3".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (format!("OVERSEAS__{name}"), value)).collect()
}

pub fn secret(world: &World) -> String {
    world.control.config().keys[0].secret.clone()
}

/// A world whose API talks to this Redis.
async fn world_on(redis: &Redis) -> World {
    let url = redis.url();
    World::with(crate::support::Kind::Mariadb, move |config| config.queue.url = url, |_| {}).await
}

async fn waiting(redis: &Redis) -> u64 {
    let mut all = 0;
    for (command, key) in [("ZCARD", "overseas:refresh:scheduled"), ("LLEN", "overseas:refresh:active")] {
        let value = redis.command(&[command, key]).await;
        all += redis::from_redis_value::<u64>(value).unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_backlog_of_any_size_stops_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let queue = Queue::open(&redis.url(), "overseas").unwrap();
    // As many wakes as 20,000 POSTs make while no worker runs; each is delivered before the next is said.
    for round in 0..400 {
        for n in 0..50 {
            queue.wake(WakeKind::Refresh, &format!("cdn{}", (round * 50 + n) % 7));
        }
        tokio::task::yield_now().await;
    }
    eventually("wakes are in Redis", 20, || async { waiting(&redis).await >= 7 }).await;
    queue.ping().await.unwrap();
    assert!(waiting(&redis).await <= MOST_WAITING);

    let world = world_on(&redis).await;
    let ids = world.refresh("http://cdn.example.com/a.html").await;
    let worker = Process::start(&settings(&world, &redis.url()), folder.path(), &["worker"]);
    eventually("the worker hands the task over", 20, || async {
        world.task("refresh", &ids[0]).await["state"] != "queued"
    })
    .await;
    eventually("the messages are taken", 20, || async { waiting(&redis).await == 0 }).await;
    assert_eq!(worker.stop(Duration::from_secs(10)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_restarts_at_once_and_sigterm_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world_on(&redis).await;
    let settings = settings(&world, &redis.url());
    for round in 0..3 {
        let worker = Process::start(&settings, folder.path(), &["worker"]);
        let ids = world.refresh(&format!("http://cdn.example.com/{round}.html")).await;
        eventually("the task is handed over", 10, || async {
            world.task("refresh", &ids[0]).await["state"] != "queued"
        })
        .await;
        if round == 1 {
            worker.kill();
        } else {
            assert_eq!(worker.stop(Duration::from_secs(8)), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_restarts_does_not_end_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path()).await;
    let world = world_on(&redis).await;
    let mut worker = Process::start(&settings(&world, &redis.url()), folder.path(), &["worker"]);
    let handed = async |name: &str| {
        let ids = world.refresh(&format!("http://cdn.example.com/{name}.html")).await;
        eventually(name, 15, || async { world.task("refresh", &ids[0]).await["state"] != "queued" }).await;
    };
    handed("before").await;
    redis.stop();
    // Away: the API still takes tasks, and the worker finds them by its sweep.
    handed("while-redis-is-away").await;
    redis.resume().await;
    handed("after").await;
    assert!(!worker.has_ended(), "{}", worker.log());
    // And messages are received again, not only found by the sweep.
    eventually("messages are received again", 20, || async {
        world.context.queue.wake(WakeKind::Refresh, "level3");
        tokio::time::sleep(Duration::from_millis(300)).await;
        waiting(&redis).await == 0 && redis.used_memory().await > 0 && consumers(&redis).await > 0
    })
    .await;
    assert_eq!(worker.stop(Duration::from_secs(10)), 0);
}

async fn consumers(redis: &Redis) -> u64 {
    let value = redis.command(&["ZCARD", "overseas:refresh:workers"]).await;
    redis::from_redis_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_messages_do_not_pile_up_in_redis() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world_on(&redis).await;
    let worker = Process::start(&settings(&world, &redis.url()), folder.path(), &["worker"]);
    let queue = &world.context.queue;
    let done =
        async || -> u64 { redis::from_redis_value(redis.command(&["SCARD", "overseas:refresh:done"]).await).unwrap() };
    // Distinct names, so that none is folded with another.
    for n in 0..300 {
        queue.wake(WakeKind::Refresh, &format!("cdn{n}"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    eventually("messages are finished", 30, || async { done().await >= 100 && waiting(&redis).await == 0 }).await;
    let full = memory_of_messages(&redis).await;
    queue.tidy().await.unwrap();
    assert_eq!(done().await, 0);
    let data: u64 = redis::from_redis_value(redis.command(&["HLEN", "overseas:refresh:data"]).await).unwrap();
    assert_eq!(data, 0);
    let left = memory_of_messages(&redis).await;
    assert!(left < full, "{left} of {full} bytes");
    drop(worker);
}

/// Bytes that the queue's own keys take; what connections need comes and goes.
async fn memory_of_messages(redis: &Redis) -> u64 {
    let keys: Vec<String> = redis::from_redis_value(redis.command(&["KEYS", "overseas:refresh*"]).await).unwrap();
    let mut sum = 0;
    for key in keys {
        let bytes: Option<u64> = redis::from_redis_value(redis.command(&["MEMORY", "USAGE", &key]).await).unwrap();
        sum += bytes.unwrap_or(0);
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_system_hands_a_task_over_within_moments() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = world_on(&redis).await;
    let mut settings = settings(&world, &redis.url());
    // A sweep that never comes: only the message can be what wakes the worker.
    settings.insert("OVERSEAS__WORKER__SWEEP_SECONDS".to_owned(), "3600".to_owned());
    let worker = Process::start(&settings, folder.path(), &["worker"]);
    let first = world.refresh("http://cdn.example.com/first.html").await;
    eventually("the worker runs", 15, || async {
        world.context.queue.wake(WakeKind::Refresh, "level3");
        world.task("refresh", &first[0]).await["state"] != "queued"
    })
    .await;
    for n in 0..5 {
        let begun = Instant::now();
        let ids = world.refresh(&format!("http://cdn.example.com/{n}.html")).await;
        eventually("a message wakes the worker", 10, || async {
            world.task("refresh", &ids[0]).await["state"] != "queued"
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_refuses_a_schema_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let url = crate::support::database::fresh_url(crate::support::Kind::Mariadb, folder.path()).await;
    let settings: Settings = [("OVERSEAS__DATABASE__URL".to_owned(), url)].into();
    for command in ["api", "worker"] {
        let output = run(&settings, folder.path(), &[command], "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("overseas migrate up"), "{said}");
    }
    let output = run(&settings, folder.path(), &["migrate", "up"], "");
    assert!(output.status.success());
    let output = run(&settings, folder.path(), &["migrate", "status"], "");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.lines().count() > 0 && said.lines().all(|line| line.starts_with("applied")), "{said}");
}
