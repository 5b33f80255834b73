//! Following tasks to their end: percentages, the vendor's forgetfulness, preload and its fetches.
//!
//! Two clocks are moved: the simulator's makes an invalidation progress, the product's makes polls due
//! and limits pass. The hours that the tests name are the promises of `shared::domain::task`. Here too
//! is what happens after the end: the deletion of old tasks.

use crate::support::{World, on_both};
use overseas_shared::domain::Kind as TaskKind;
use overseas_simulator::{FaultKind, FaultRule, FaultTarget, Operation};

const HOUR: i64 = 3_600_000;

fn forget() -> FaultRule {
    FaultRule { operation: FaultTarget::Only(Operation::Invalidations), ..FaultRule::new(FaultKind::Forget) }
}

on_both! {
    async fn a_refresh_goes_to_a_hundred_and_never_falls(world: World) {
        let ids = world.refresh("http://cdn.example.com/a.html|http://cdn.example.com/b.html").await;
        assert_eq!(world.task("refresh", &ids[0]).await["percentComplete"], "0");
        world.submit(TaskKind::Refresh).await;
        let mut last = 0;
        for _ in 0..12 {
            world.control.advance(1);
            world.poll().await;
            let task = world.task("refresh", &ids[0]).await;
            let percent: u32 = task["percentComplete"].as_str().unwrap().parse().unwrap();
            assert!(percent >= last, "{percent} after {last}");
            last = percent;
        }
        let task = world.task("refresh", &ids[0]).await;
        assert_eq!((task["percentComplete"].as_str(), task["state"].as_str()), (Some("100"), Some("done")));
    }

    async fn a_poll_is_one_call_for_a_property_however_many_tasks(world: World) {
        for n in 0..30 {
            world.refresh(&format!("http://cdn.example.com/{n}.html|http://www.example.com/{n}.html")).await;
            world.submit(TaskKind::Refresh).await;
        }
        let polls = |world: &World| world.control.requests(0).requests.iter().filter(|entry| entry.operation == Operation::Invalidations).count();
        let before = polls(&world);
        world.poll().await;
        assert_eq!(polls(&world) - before, 2);
    }

    async fn nothing_is_polled_when_nothing_is_open(world: World) {
        world.refresh("http://cdn.example.com/a.html").await;
        world.submit(TaskKind::Refresh).await;
        world.control.advance(60);
        world.poll().await;
        let calls = world.control.requests(0).requests.len();
        world.poll().await;
        world.poll().await;
        assert_eq!(world.control.requests(0).requests.len(), calls);
    }

    async fn a_task_that_the_vendor_never_lists_waits_and_then_expires(world: World) {
        let ids = world.refresh("http://cdn.example.com/a.html").await;
        world.control.set_faults(vec![forget()]).unwrap();
        world.submit(TaskKind::Refresh).await;
        world.poll().await;
        assert_eq!(world.task("refresh", &ids[0]).await["state"], "running");
        world.clock.advance(11 * HOUR);
        world.poll().await;
        assert_eq!(world.task("refresh", &ids[0]).await["state"], "running");
        world.clock.advance(HOUR);
        world.poll().await;
        let task = world.task("refresh", &ids[0]).await;
        assert_eq!(task["state"], "expired");
        assert!(task["message"].as_str().unwrap().contains("12 hours"), "{task}");
    }

    async fn a_task_that_was_listed_and_is_gone_after_a_day_counts_as_done(world: World) {
        let ids = world.refresh("http://cdn.example.com/a.html").await;
        world.submit(TaskKind::Refresh).await;
        world.control.advance(4);
        world.poll().await;
        let seen = world.task("refresh", &ids[0]).await;
        assert_ne!(seen["percentComplete"], "0");
        world.control.set_faults(vec![forget()]).unwrap();
        world.clock.advance(23 * HOUR);
        world.poll().await;
        assert_eq!(world.task("refresh", &ids[0]).await["percentComplete"], seen["percentComplete"]);
        world.clock.advance(HOUR);
        world.poll().await;
        let task = world.task("refresh", &ids[0]).await;
        assert_eq!((task["percentComplete"].as_str(), task["state"].as_str()), (Some("100"), Some("done")));
    }

    async fn a_burst_beyond_the_vendors_list_ends_when_its_last_request_does(world: World) {
        // 160 requests, of which the vendor lists the last 100: every one must have been seen before it fell out.
        let mut ids = Vec::new();
        for batch in 0..8 {
            let urls: Vec<String> = (0..1000).map(|n| format!("http://cdn.example.com/{batch}/{n}.html")).collect();
            ids.extend(world.refresh(&urls.join("|")).await);
        }
        world.submit(TaskKind::Refresh).await;
        world.poll().await;
        assert_eq!(world.task("refresh", &ids[0]).await["state"], "running", "nothing has finished yet");
        world.control.advance(60);
        world.poll().await;
        for id in ids {
            let task = world.task("refresh", &id).await;
            assert_eq!(task["state"], "done", "{task}");
        }
    }

    async fn a_vendor_that_answers_garbage_to_polls_only_delays(world: World) {
        let ids = world.refresh("http://cdn.example.com/a.html").await;
        world.submit(TaskKind::Refresh).await;
        world.control.advance(60);
        for kind in [FaultKind::Garbage, FaultKind::Cut, FaultKind::Huge] {
            let bytes = (kind == FaultKind::Huge).then_some(80 * 1024 * 1024);
            let rule = FaultRule { operation: FaultTarget::Only(Operation::Invalidations), times: Some(1), bytes, ..FaultRule::new(kind) };
            world.control.set_faults(vec![rule]).unwrap();
            world.poll().await;
            assert_eq!(world.task("refresh", &ids[0]).await["state"], "running", "{kind:?}");
        }
        world.poll().await;
        assert_eq!(world.task("refresh", &ids[0]).await["state"], "done");
    }

    async fn a_preload_is_half_the_invalidation_and_half_the_fetches(world: World) {
        let urls: Vec<String> = (0..20).map(|n| format!("http://cdn.example.com/{n}.html")).collect();
        let ids = world.preload(&urls.join("|")).await;
        world.submit(TaskKind::Preload).await;
        world.poll().await;
        let half = world.task("preload", &ids[0]).await;
        assert!(half["percentComplete"].as_str().unwrap().parse::<u32>().unwrap() <= 50);
        assert!(edge_urls(&world).is_empty(), "nothing is fetched before the invalidation has ended");
        world.control.advance(60);
        world.poll().await;
        assert_eq!(world.task("preload", &ids[0]).await["percentComplete"], "50");
        world.fetch().await;
        let task = world.task("preload", &ids[0]).await;
        assert_eq!((task["percentComplete"].as_str(), task["state"].as_str()), (Some("100"), Some("done")));
        let mut fetched = edge_urls(&world);
        fetched.sort();
        let mut wanted = urls.clone();
        wanted.sort();
        assert_eq!(fetched, wanted, "each URL once");
        let forced = world.control.requests(0).requests.iter().filter(|entry| entry.operation == Operation::Invalidate).all(|entry| entry.query.contains("force=true"));
        assert!(forced);
    }

    async fn a_url_that_cannot_be_fetched_fails_the_preload_and_is_named(world: World) {
        let ids = world
            .preload("http://cdn.example.com/good.html|http://cdn.example.com/bad.html?status=404|http://cdn.example.com/worse.html?status=500")
            .await;
        world.submit(TaskKind::Preload).await;
        world.control.advance(60);
        world.poll().await;
        world.fetch().await;
        let task = world.task("preload", &ids[0]).await;
        assert_eq!(task["state"], "failed");
        assert_ne!(task["percentComplete"], "100");
        let message = task["message"].as_str().unwrap();
        assert!(message.contains("/bad.html?status=404: status 404"), "{message}");
        assert!(message.contains("/worse.html?status=500: status 500"), "{message}");
        assert!(!message.contains("good.html"), "{message}");
        assert_eq!(edge_urls(&world).len(), 3, "the good one is at the edge all the same");
    }

    async fn a_redirect_is_followed_on_the_same_host_only(world: World) {
        let same = world.preload("http://cdn.example.com/a.html?redirect=/b.html").await;
        let other = world.preload("http://www.example.com/a.html?redirect=http://evil.example.net/").await;
        world.submit(TaskKind::Preload).await;
        world.control.advance(60);
        world.poll().await;
        world.fetch().await;
        assert_eq!(world.task("preload", &same[0]).await["state"], "done");
        let refused = world.task("preload", &other[0]).await;
        assert_eq!(refused["state"], "failed");
        assert!(refused["message"].as_str().unwrap().contains("another host"), "{refused}");
        assert!(!edge_urls(&world).iter().any(|url| url.starts_with("http://evil")));
    }

    async fn an_edge_that_is_away_is_tried_again(world: World) {
        let rule = FaultRule { operation: FaultTarget::Only(Operation::Edge), times: Some(1), ..FaultRule::new(FaultKind::Cut) };
        let ids = world.preload("http://cdn.example.com/a.html?bytes=100000").await;
        world.submit(TaskKind::Preload).await;
        world.control.advance(60);
        world.poll().await;
        world.control.set_faults(vec![rule]).unwrap();
        world.fetch().await;
        let waiting = world.task("preload", &ids[0]).await;
        assert_eq!(waiting["state"], "running", "{waiting}");
        world.clock.advance(10_000);
        world.fetch().await;
        assert_eq!(world.task("preload", &ids[0]).await["state"], "done");
    }

    async fn ended_tasks_are_deleted_after_their_time_and_open_ones_are_not(world: World) {
        let done = world.refresh("http://cdn.example.com/a.html").await;
        world.submit(TaskKind::Refresh).await;
        world.control.advance(60);
        world.poll().await;
        let open = world.refresh("http://cdn.example.com/b.html").await;
        let before = world.clock.now() + 1000;
        assert_eq!(overseas_shared::db::task::sweep(&world.db, before, 100).await.unwrap(), 1);
        assert!(world.task("refresh", &done[0]).await.is_null());
        assert_eq!(world.task("refresh", &open[0]).await["state"], "queued");
        assert_eq!(overseas_shared::db::submission::sweep(&world.db, before, 100).await.unwrap(), 1);
    }
}

fn edge_urls(world: &World) -> Vec<String> {
    let record = world.control.requests(0);
    record
        .requests
        .iter()
        .filter(|entry| entry.operation == Operation::Edge)
        .filter_map(|entry| entry.url.clone())
        .collect()
}
