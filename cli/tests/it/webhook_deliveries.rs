//! How messages reach their receivers: side by side, only where they may go, within limits of time and size, and
//! whatever is killed in between.
//!
//! What messages say and how long they are tried is in `webhook_messages`.

use crate::support::database::execute;
use crate::support::process::Process;
use crate::support::receiver::{Answer, Receiver};
use crate::support::servers::Redis;
use crate::support::{Kind, World, database, eventually, on_both};
use crate::{faults, support::world::OTHER};
use overseas_shared::domain::Kind as TaskKind;
use overseas_worker::jobs::webhooks::Webhooks;
use overseas_worker::measure::measure_all;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

const WAITING: &str = "SELECT COUNT(*) FROM webhook_message WHERE due_at IS NOT NULL";

/// Refreshes that have ended; returns their ids.
async fn done_tasks(world: &World, number: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..number {
        ids.extend(world.refresh(&format!("http://cdn.example.com/{n}")).await);
    }
    world.submit(TaskKind::Refresh).await;
    world.control.advance(60);
    world.poll().await;
    ids
}

/// Delivers once as a worker that keeps to public addresses; returns why the user's first webhook failed.
async fn strictly_refused(world: &World) -> String {
    let mut context = world.another_worker().await;
    Arc::get_mut(&mut context).unwrap().config.webhooks.allow_private = false;
    let tracker = TaskTracker::new();
    tracker.close();
    world.clock.advance(3_600_000);
    Webhooks::new(&context, &tracker, &Arc::default()).start_due(&world.stop).await.unwrap();
    tracker.wait().await;
    world.webhooks().await[0]["failure"].as_str().unwrap().to_owned()
}

on_both! {
    async fn a_slow_receiver_holds_up_nobody_and_gets_few_at_a_time(world: World) {
        let (slow, fast) = (Receiver::start().await, Receiver::start().await);
        slow.answer(Answer { delay: Duration::from_secs(4), ..Answer::status(200) });
        world.webhook(&slow.url()).await;
        world.webhook(&fast.url()).await;
        done_tasks(&world, 20).await;
        let tracker = TaskTracker::new();
        tracker.close();
        let job = Webhooks::new(&world.context, &tracker, &Arc::default());
        let begun = Instant::now();
        while fast.received().len() < 20 {
            job.start_due(&world.stop).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begun.elapsed() < Duration::from_secs(4), "the fast one waits: {}", fast.received().len());
        }
        assert_eq!(slow.received().len(), 3);
        slow.answer(Answer::status(200));
        while world.number(WAITING).await > 0 {
            job.start_due(&world.stop).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((slow.received().len(), fast.received().len()), (20, 20));
        assert!(slow.most_under_way() <= 3 && fast.most_under_way() <= 3);
    }

    async fn a_receiver_that_fails_gets_one_at_a_time_until_it_takes_one(world: World) {
        let receiver = Receiver::start().await;
        world.webhook(&receiver.url()).await;
        done_tasks(&world, 6).await;
        receiver.answer(Answer::status(500));
        world.send_webhooks().await;
        world.clock.advance(10_000);
        let tracker = TaskTracker::new();
        assert_eq!(world.start_webhooks(&tracker).await, 1);
        tracker.wait().await;
        receiver.answer(Answer::status(200));
        world.clock.advance(20_000);
        assert_eq!(world.start_webhooks(&tracker).await, 1);
        tracker.wait().await;
        assert_eq!(world.start_webhooks(&tracker).await, 3);
        tracker.wait().await;
        world.send_webhooks().await;
        assert_eq!(world.number(WAITING).await, 0);
    }

    async fn redirects_are_not_followed_and_said_so(world: World) {
        let (receiver, target) = (Receiver::start().await, Receiver::start().await);
        world.webhook(&receiver.url()).await;
        receiver.answer(Answer { headers: format!("location: {}\r\n", target.url()), ..Answer::status(307) });
        world.done_task("http://cdn.example.com/a").await;
        world.send_webhooks().await;
        assert_eq!((receiver.received().len(), target.received().len()), (1, 0));
        let listed = world.webhooks().await.remove(0);
        assert_eq!((&listed["failure"], &listed["waiting"]), (&json!("status 307: redirects are not followed"), &json!(1)));
    }

    async fn private_places_are_refused_at_delivery_whatever_was_registered(world: World) {
        let receiver = Receiver::start().await;
        world.webhook(&receiver.url()).await;
        world.done_task("http://cdn.example.com/a").await;
        assert_eq!(strictly_refused(&world).await, "the URL does not begin with https://");
        for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "localhost"] {
            // The last is a name that was public when it was registered and resolves to a private address now.
            execute(&world.url, &format!("UPDATE webhook SET failure = NULL, url = 'https://{host}:{}/'", receiver.port)).await;
            assert_eq!(strictly_refused(&world).await, "the host has no public address", "{host}");
        }
        assert_eq!(receiver.received().len(), 0);
        assert_eq!(world.webhooks().await[0]["waiting"], 1);
    }

    async fn workers_that_deliver_at_the_same_time_send_each_message_once(world: World) {
        let receiver = Receiver::start().await;
        world.webhook(&receiver.url()).await;
        let ids = done_tasks(&world, 30).await;
        let other = world.another_worker().await;
        let tracker = TaskTracker::new();
        tracker.close();
        let jobs = [&world.context, &other].map(|context| Webhooks::new(context, &tracker, &Arc::default()));
        while world.number(WAITING).await > 0 {
            let (one, two) = tokio::join!(jobs[0].start_due(&world.stop), jobs[1].start_due(&world.stop));
            assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tracker.wait().await;
        assert_eq!(receiver.received().len(), ids.len());
    }

    async fn a_message_of_a_webhook_that_is_removed_meanwhile_changes_nothing(world: World) {
        let receiver = Receiver::start().await;
        receiver.answer(Answer { delay: Duration::from_millis(500), ..Answer::status(410) });
        let id = world.webhook(&receiver.url()).await["id"].clone();
        world.done_task("http://cdn.example.com/a").await;
        let tracker = TaskTracker::new();
        assert_eq!(world.start_webhooks(&tracker).await, 1);
        world.post(&world.user_token, "/level3/webhooks/remove", json!({"id": id})).await.ok();
        tracker.wait().await;
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action = 'disable_webhook'").await, 0);
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_left_after_fifteen_seconds_and_an_endless_answer_too() {
    let world = World::new(Kind::Sqlite).await;
    let (silent, endless) = (Receiver::start().await, Receiver::start().await);
    silent.answer(Answer { delay: Duration::from_secs(60), ..Answer::status(200) });
    endless.answer(Answer { endless: true, ..Answer::status(200) });
    world.webhook(&silent.url()).await;
    world.webhook(&endless.url()).await;
    world.done_task("http://cdn.example.com/a").await;
    let begun = Instant::now();
    world.send_webhooks().await;
    assert!((14..25).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let listed = world.webhooks().await;
    assert_eq!(listed[0]["failure"], "no answer within 15 s");
    assert_eq!(silent.received().len(), 1, "its lease was renewed meanwhile");
    // A 2xx is a 2xx; what comes after it is read up to a bound.
    assert_eq!((&listed[1]["failure"], &listed[1]["waiting"]), (&json!(""), &json!(0)));
}

#[tokio::test]
async fn deliveries_are_counted_and_what_waits_is_shown() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (metrics, _guard) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let world = World::new(Kind::Sqlite).await;
    let receiver = Receiver::start().await;
    world.webhook(&receiver.url()).await;
    world.done_task("http://cdn.example.com/a").await;
    world.send_webhooks().await;
    receiver.answer(Answer::status(500));
    world.done_task("http://cdn.example.com/b").await;
    world.send_webhooks().await;
    measure_all(&world.context).await;
    let shows = |line: &str| assert!(metrics.render().contains(line), "{line} in {}", metrics.render());
    shows("overseas_webhooks_waiting 1");
    world.clock.advance(4 * 24 * 3_600_000);
    world.send_webhooks().await;
    for outcome in ["delivered", "failed", "given_up"] {
        shows(&format!("overseas_webhook_deliveries_total{{outcome=\"{outcome}\"}} 1"));
    }
    measure_all(&world.context).await;
    shows("overseas_webhooks_waiting 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_moment_loses_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let world = faults::world(&redis).await;
    let settings = faults::settings(&world, &redis);
    let (steady, moody) = (Receiver::start().await, Receiver::start().await);
    steady.answer(Answer { delay: Duration::from_millis(100), ..Answer::status(200) });
    moody.answer(Answer::status(500));
    world.webhook(&steady.url()).await;
    world.webhook(&moody.url()).await;
    let order = json!({"url": steady.url(), "login_email": OTHER});
    world.post(&world.staff_token, "/level3/webhooks", order).await.ok();
    let mut ids = BTreeSet::new();
    let mut running = Process::start(&settings, folder.path(), &["worker"]);
    for (round, pause) in [2500, 400, 1300, 150, 2100].into_iter().enumerate() {
        for n in 0..15 {
            ids.extend(world.refresh(&format!("http://cdn.example.com/{round}/{n}")).await);
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        running.kill();
        running = Process::start(&settings, folder.path(), &["worker"]);
    }
    moody.answer(Answer::status(200));
    let told = |receiver: &Receiver| -> BTreeSet<String> {
        let received = receiver.received();
        received.iter().map(|message| message.json()["data"]["taskid"].as_str().unwrap().to_owned()).collect()
    };
    let open = format!("SELECT (SELECT COUNT(*) FROM task WHERE step <> 'ended') + ({WAITING})");
    // The back-off of what the moody one refused several times is up to a minute or so.
    eventually("every end is told", 150, || async { database::number(&world.url, &open).await == 0 }).await;
    assert_eq!(told(&steady), ids);
    assert_eq!(told(&moody), ids);
    assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message WHERE state = 'delivered'").await, 2 * 75);
    eprintln!("{} messages, {} and {} requests", ids.len(), steady.received().len(), moody.received().len());
    assert_eq!(running.stop(Duration::from_secs(25)), 0);
}
