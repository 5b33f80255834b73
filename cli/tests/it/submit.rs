//! Handing tasks to the vendor: grouping, leases, retries, and what the vendor may do to us.
//!
//! Most tests ask the simulator's record: every URL arrived, none twice without need, in as few calls as
//! promised, whatever faults were set. The others look at who may claim and write a row. No worker loop
//! runs here: rounds are driven by hand, and back-offs are passed by moving the clock.

use crate::support::{World, on_both};
use overseas_shared::db::task::{self, Claim};
use overseas_shared::domain::{Kind as TaskKind, Step};
use overseas_simulator::{FaultKind, FaultRule, FaultTarget, Operation};
use overseas_worker::jobs::submit::Submit;
use overseas_worker::reconcile::{Next, Reconciler};
use std::collections::HashSet;

fn invalidate_fault(kind: FaultKind) -> FaultRule {
    FaultRule { operation: FaultTarget::Only(Operation::Invalidate), ..FaultRule::new(kind) }
}

fn vendor_calls(world: &World) -> usize {
    world.control.requests(0).requests.iter().filter(|entry| entry.operation == Operation::Invalidate).count()
}

on_both! {
    async fn a_thousand_urls_become_twenty_calls_none_doubled(world: World) {
        let urls: Vec<String> = (0..1000).map(|n| format!("http://cdn.example.com/{n}.html?v=1")).collect();
        let ids = world.refresh(&urls.join("|")).await;
        world.submit(TaskKind::Refresh).await;
        assert_eq!(vendor_calls(&world), 20);
        let paths = world.invalidated();
        assert_eq!(paths.len(), 1000);
        assert_eq!(paths.iter().collect::<HashSet<_>>().len(), 1000);
        assert!(paths.contains(&"/999.html?v=1".to_owned()));
        let task = world.task("refresh", &ids[0]).await;
        assert_eq!(task["state"], "running");
        assert_eq!(task["vendor_taskid"].as_str().unwrap().split('|').count(), 20);
    }

    async fn tasks_of_one_property_share_a_call(world: World) {
        for n in 0..20 {
            world.refresh(&format!("http://cdn.example.com/{n}.html|http://www.example.com/{n}.html")).await;
        }
        world.submit(TaskKind::Refresh).await;
        assert_eq!(vendor_calls(&world), 2);
        assert_eq!(world.invalidated().len(), 40);
    }

    async fn a_purge_that_is_repeated_after_it_was_handed_over_is_a_new_purge(world: World) {
        for _ in 0..2 {
            world.refresh("http://cdn.example.com/a.html").await;
            world.submit(TaskKind::Refresh).await;
        }
        assert_eq!(world.invalidated(), ["/a.html", "/a.html"]);
        // While both are still queued, one call serves both.
        let twins = [world.refresh("http://cdn.example.com/b.html").await, world.refresh("http://cdn.example.com/b.html").await];
        world.submit(TaskKind::Refresh).await;
        assert_eq!(world.invalidated(), ["/a.html", "/a.html", "/b.html"]);
        for twin in twins {
            assert_eq!(world.task("refresh", &twin[0]).await["state"], "running");
        }
    }

    async fn directories_and_wildcards_reach_the_vendor_as_patterns(world: World) {
        world.refresh("http://cdn.example.com/images/|http://cdn.example.com/css/*.css|http://cdn.example.com/").await;
        world.submit(TaskKind::Refresh).await;
        assert_eq!(world.invalidated(), ["/*", "/css/*.css", "/images/*"]);
    }

    async fn a_vendor_that_fails_gets_the_urls_on_a_later_try(world: World) {
        for kind in [FaultKind::Status, FaultKind::Garbage, FaultKind::Cut] {
            let status = (kind == FaultKind::Status).then_some(500);
            world.control.set_faults(vec![FaultRule { status, times: Some(1), ..invalidate_fault(kind) }]).unwrap();
            let ids = world.refresh(&format!("http://cdn.example.com/{kind:?}.html")).await;
            assert!(matches!(world.submit_once(TaskKind::Refresh).await, Next::Pause(_)), "{kind:?}");
            let waiting = world.task("refresh", &ids[0]).await;
            assert_eq!(waiting["state"], "queued");
            assert!(waiting["message"].as_str().unwrap().starts_with("waiting: "), "{waiting}");
            world.clock.advance(10_000);
            world.submit(TaskKind::Refresh).await;
            let sent = world.task("refresh", &ids[0]).await;
            assert_eq!(sent["state"], "running", "{kind:?}");
            assert!(sent.get("message").is_none(), "{sent}");
        }
    }

    async fn a_rate_limit_stops_the_round_and_loses_nothing(world: World) {
        world.control.set_faults(vec![FaultRule { times: Some(1), ..invalidate_fault(FaultKind::Forbidden) }]).unwrap();
        let urls: Vec<String> = (0..500).map(|n| format!("http://cdn.example.com/{n}.html")).collect();
        world.refresh(&urls.join("|")).await;
        assert!(matches!(world.submit_once(TaskKind::Refresh).await, Next::Pause(_)));
        assert!(vendor_calls(&world) <= 3, "at most the calls that were under way");
        world.clock.advance(5_000);
        crate::support::eventually("all URLs are handed over", 20, || async {
            world.submit_once(TaskKind::Refresh).await;
            world.clock.advance(2_000);
            world.invalidated().len() == 500
        })
        .await;
        assert_eq!(world.invalidated().iter().collect::<HashSet<_>>().len(), 500);
    }

    async fn one_refused_url_fails_its_own_task_only(world: World) {
        let good = world.refresh("http://cdn.example.com/good.html").await;
        let other = world.refresh("http://cdn.example.com/other.html").await;
        let rule = FaultRule { status: Some(400), times: Some(2), ..invalidate_fault(FaultKind::Status) };
        world.control.set_faults(vec![rule]).unwrap();
        // Refused together, then each alone: the second refusal meets one of them.
        world.submit(TaskKind::Refresh).await;
        let mut states = vec![
            world.task("refresh", &good[0]).await["state"].as_str().unwrap().to_owned(),
            world.task("refresh", &other[0]).await["state"].as_str().unwrap().to_owned(),
        ];
        states.sort();
        assert_eq!(states, ["failed", "running"]);
    }

    async fn at_most_three_calls_at_a_time_over_all_workers(world: World) {
        world.control.set_faults(vec![FaultRule { delay_ms: 40, ..invalidate_fault(FaultKind::Slow) }]).unwrap();
        for domain in ["cdn", "www", "a", "b"] {
            let urls: Vec<String> = (0..400).map(|n| format!("http://{domain}.example.com/{n}.html")).collect();
            world.refresh(&urls.join("|")).await;
        }
        let others = [world.another_worker().await, world.another_worker().await];
        let rounds = others.iter().map(|context| {
            let job = Submit::refresh(context, &context.accounts[0]);
            let stop = world.stop.clone();
            async move { while job.round(&stop).await.unwrap() == Next::Now {} }
        });
        futures::future::join_all(rounds).await;
        let peak = world.control.requests(0).requests.iter().map(|entry| entry.concurrent).max();
        assert!(peak <= Some(3), "{peak:?} calls at a time");
        assert_eq!(world.invalidated().len(), 1600);
        assert_eq!(vendor_calls(&world), 32, "no task was handed over twice");
    }

    async fn two_workers_never_claim_the_same_task(world: World) {
        for n in 0..40 {
            world.refresh(&format!("http://cdn.example.com/{n}.html")).await;
        }
        let claims = (0..8).map(|worker| {
            let (db, now, cdn_id) = (world.db.clone(), world.clock.now(), world.account().id);
            async move {
                let owner = format!("w{worker}");
                let claim = Claim {
                    cdn_id, step: Step::Submit, kind: TaskKind::Refresh, owner: &owner, now, lease_until: now + 10_000, tasks: 7, urls: 100,
                };
                task::claim(&db, &claim).await.unwrap()
            }
        });
        let claimed: Vec<String> = futures::future::join_all(claims).await.into_iter().flatten().map(|task| task.id).collect();
        assert_eq!(claimed.len(), 40);
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 40);
    }

    async fn a_lease_that_runs_out_is_claimed_again_and_the_old_owner_writes_nothing(world: World) {
        let ids = world.refresh("http://cdn.example.com/a.html").await;
        let (now, cdn_id) = (world.clock.now(), world.account().id);
        let claim = |owner, now| Claim {
            cdn_id, step: Step::Submit, kind: TaskKind::Refresh, owner, now, lease_until: now + 10_000, tasks: 10, urls: 100,
        };
        assert_eq!(task::claim(&world.db, &claim("old", now)).await.unwrap().len(), 1);
        assert_eq!(task::claim(&world.db, &claim("new", now + 9_999)).await.unwrap().len(), 0);
        assert_eq!(task::claim(&world.db, &claim("new", now + 10_001)).await.unwrap().len(), 1);
        task::postpone(&world.db, &ids, "old", "the old owner was here", now, task::Traces::None).await.unwrap();
        let end = overseas_shared::domain::State::Failed;
        task::end(&world.db, &ids, "old", end, "the old owner was here", now).await.unwrap();
        let task = world.task("refresh", &ids[0]).await;
        assert_eq!(task["state"], "queued");
        assert!(task.get("message").is_none(), "{task}");
    }

    async fn a_task_that_no_vendor_takes_ends_with_a_reason(world: World) {
        world.control.set_faults(vec![FaultRule { status: Some(500), ..invalidate_fault(FaultKind::Status) }]).unwrap();
        let ids = world.refresh("http://cdn.example.com/a.html").await;
        world.submit_once(TaskKind::Refresh).await;
        world.clock.advance(72 * 3_600_000);
        world.submit_once(TaskKind::Refresh).await;
        let task = world.task("refresh", &ids[0]).await;
        assert_eq!(task["state"], "expired");
        assert!(task["message"].as_str().unwrap().contains("72 h"), "{task}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_said_and_do_not_hammer_the_vendor() {
    let settings = |config: &mut overseas_shared::config::Config| {
        // Right for the catalogue that the world reads first; the second account has the wrong secret.
        let mut wrong = config.cdn["level3"].clone();
        wrong.secret = Some("wrong".to_owned().into());
        config.cdn.insert("zzz".to_owned(), wrong);
    };
    let world = World::with(crate::support::Kind::Sqlite, settings, |_| {}).await;
    let account = &world.context.accounts[1];
    let before = world.control.requests(0).requests.len();
    for _ in 0..10 {
        let error = account.client.account().await.unwrap_err();
        assert!(error.to_string().contains("credentials"), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    assert_eq!(world.control.requests(0).requests.len() - before, 1);
}
