//! Processes that are killed, frozen and stopped while they work: a hundred times, and beside others.
//!
//! Real processes, real MariaDB and Redis. A storm's chances come from a seed that is printed and that
//! `OVERSEAS_TEST_SEED` sets. What is checked afterwards stands in the `Ledger`; how many vendor calls were made twice
//! is printed.

use crate::faults::{STOP, Stage};
use crate::support::database::seed;
use crate::support::process::Process;
use crate::support::servers::free_port;
use crate::support::world::USER;
use crate::support::{Ledger, eventually};
use overseas_simulator::{Config as SimulatorConfig, FaultKind, FaultRule, FaultTarget, Operation, PropertyConfig};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A vendor that takes its time for each call, so that a disaster meets calls under way.
fn slow(operation: Operation, delay_ms: u64) -> FaultRule {
    FaultRule { operation: FaultTarget::Only(operation), delay_ms, ..FaultRule::new(FaultKind::Slow) }
}

/// Adds properties to the vendor's first group.
fn add_properties(data: &mut SimulatorConfig, names: &[String]) {
    let service = &mut data.access_groups[0].services[0];
    let like = service.properties[0].clone();
    service.properties.extend(names.iter().map(|name| PropertyConfig { name: name.clone(), ..like.clone() }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_of_workers_during_two_thousand_tasks_on_twenty_properties_lose_nothing() {
    let mut chance = SmallRng::seed_from_u64(seed());
    let domains: Vec<String> = (1..=20).map(|n| format!("s{n}.example.com")).collect();
    let mut stage = Stage::with(|_| {}, |data| add_properties(data, &domains)).await;
    stage.world.map(USER, &domains.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // Enough that those which dead workers hold until their leases end leave some for the living.
    stage.set("CDN__LEVEL3__MAX_CONCURRENCY", "100");
    stage.world.control.set_faults(vec![slow(Operation::Invalidate, 60)]).unwrap();
    let mut ledger = Ledger::of(&stage.world);
    ledger.domains = domains;
    let mut workers = [stage.worker(), stage.worker()];
    for round in 0..100 {
        let pause = Duration::from_millis(chance.random_range(10..600));
        let posts = async {
            for n in 0..20 {
                ledger.post(round * 20 + n).await;
            }
            ledger.glance().await;
        };
        tokio::join!(posts, tokio::time::sleep(pause));
        let mut new = stage.worker();
        std::mem::swap(&mut new, &mut workers[chance.random_range(0..2)]);
        new.kill();
    }
    let calls = stage.world.control.requests(0).requests.len();
    let open = ledger.open().await.len();
    eprintln!("after 100 kills: {calls} vendor calls, {open} of {} tasks are open", ledger.tasks());
    assert!(calls > 100 && open < ledger.tasks(), "the dying workers did nothing");
    stage.settle(&ledger, 80).await;
    assert_eq!(ledger.tasks(), 2000);
    for worker in workers {
        assert_eq!(worker.stop(STOP), 0);
    }
}

/// Freezes a worker while it hands tasks over, and not in the middle of a transaction, whose locks the database would
/// keep for it.
async fn freeze(stage: &Stage, worker: &Process, ledger: &Ledger) {
    let held = format!("SELECT COUNT(*) FROM task WHERE lease_owner LIKE '{}-%'", worker.child.id());
    let name = stage.world.url.rsplit('/').next().unwrap();
    let locks = format!(
        "SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p \
         ON p.id = t.trx_mysql_thread_id WHERE p.db = '{name}' AND t.trx_started < NOW() - INTERVAL 1 SECOND"
    );
    for _ in 0..20 {
        eventually("it holds tasks", 30, || async {
            ledger.post(ledger.tasks()).await;
            stage.world.number(&held).await > 0
        })
        .await;
        // Now its calls are under way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        worker.signal("STOP");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        if stage.world.number(&held).await > 0 && stage.world.number(&locks).await == 0 {
            return;
        }
        worker.signal("CONT");
    }
    panic!("the worker was never frozen in a call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_that_wakes_writes_over_nobody_beside_two_others_and_two_apis() {
    let mut stage = Stage::new().await;
    let (first_api, first) = stage.api().await;
    stage.set("HTTP__LISTEN", &format!("127.0.0.1:{}", free_port()));
    let (second_api, second) = stage.api().await;
    let ledger = Ledger::on(vec![first, second], &stage.world.user_token);
    stage.world.control.set_faults(vec![slow(Operation::Invalidate, 1_000)]).unwrap();
    let (frozen, others) = (stage.worker(), [stage.worker(), stage.worker()]);
    freeze(&stage, &frozen, &ledger).await;
    // Past its leases: the others take over what it held, among them its turns at the vendor.
    for _ in 0..40 {
        ledger.post(ledger.tasks()).await;
    }
    stage.settle(&ledger, 60).await;
    let rows = "SELECT CAST(SUM(CRC32(CONCAT_WS('/', id, state, step, percent, vendor_ids, ended_at, message))) AS SIGNED) FROM task";
    let before = stage.world.number(rows).await;
    frozen.signal("CONT");
    // The answers to its calls have waited for it.
    eventually("it finds that it is late", 20, || std::future::ready(frozen.log().contains("ran out during the call")))
        .await;
    assert_eq!(stage.world.number(rows).await, before, "it wrote over what others had done");
    for _ in 0..20 {
        ledger.post(ledger.tasks()).await;
    }
    stage.settle(&ledger, 60).await;
    for process in others.into_iter().chain([frozen, first_api, second_api]) {
        assert_eq!(process.stop(STOP), 0);
    }
}

/// Begins a refresh whose body is not whole yet; returns the connection and the rest of the body.
async fn begin_refresh(stage: &Stage, n: usize) -> (TcpStream, String) {
    let body = format!(r#"{{"path":"http://cdn.example.com/under-way/{n}.html"}}"#);
    let mut connection = TcpStream::connect(&stage.settings["OVERSEAS__HTTP__LISTEN"]).await.unwrap();
    let (half, rest) = body.split_at(20);
    let head = format!(
        "POST /level3/refresh HTTP/1.1\r\nHost: overseas\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{half}",
        stage.world.user_token,
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    (connection, rest.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_to_an_api_answers_what_is_under_way_and_loses_and_doubles_nothing() {
    let stage = Stage::new().await;
    let running = stage.worker();
    let (mut api, base) = stage.api().await;
    let ledger = Ledger::on(vec![base.clone()], &stage.world.user_token);
    ledger
        .insist_during(8, async {
            for n in 0..4 {
                let accepted = ledger.tasks();
                eventually("tasks are accepted", 30, || std::future::ready(ledger.tasks() >= accepted + 40)).await;
                let (mut connection, rest) = begin_refresh(&stage, n).await;
                // Its beginning has been read once a later request on another connection was answered.
                assert!(stage.world.client.get(format!("{base}/healthz")).send().await.unwrap().status().is_success());
                api.signal("TERM");
                eventually("it takes no connection any more", 10, || async {
                    TcpStream::connect(&stage.settings["OVERSEAS__HTTP__LISTEN"]).await.is_err()
                })
                .await;
                connection.write_all(rest.as_bytes()).await.unwrap();
                let mut answer = String::new();
                connection.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                eventually("it ends", 15, || std::future::ready(api.has_ended())).await;
                assert!(api.child.wait().unwrap().success(), "{}", api.log());
                api = stage.api().await.0;
            }
        })
        .await;
    stage.settle(&ledger, 60).await;
    let tasks = stage.world.number("SELECT COUNT(*) FROM task").await;
    assert_eq!(usize::try_from(tasks).unwrap(), ledger.tasks() + 4, "a retry made a second task");
    assert_eq!(api.stop(STOP), 0);
    assert_eq!(running.stop(STOP), 0);
}
