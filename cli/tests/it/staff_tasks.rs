//! What staff see and mend: tasks of everybody, trying failed ones again, cancelling, and how the vendors fare.
//!
//! That only staff may is in `role_table`. The worker is driven by hand.

use crate::support::world::{OTHER, USER};
use crate::support::{Kind, World, on_both};
use overseas_shared::domain::Kind as TaskKind;
use overseas_simulator::{FaultKind, FaultRule, FaultTarget, Operation};
use serde_json::{Value, json};

const FOREIGN: &str = "old.example.com";

async fn tasks(world: &World, query: &str) -> Vec<Value> {
    let answer = world.get(&world.staff_token, &format!("/level3/tasks?{query}")).await.ok();
    answer["results"].as_array().unwrap().clone()
}

fn ids(tasks: &[Value]) -> Vec<&str> {
    tasks.iter().map(|task| task["taskid"].as_str().unwrap()).collect()
}

/// A refresh of the user's that the vendor refuses for good; returns its id.
async fn failed_task(world: &World, url: &str) -> String {
    let operation = FaultTarget::Only(Operation::Invalidate);
    let rule = FaultRule { operation, status: Some(400), times: Some(1), ..FaultRule::new(FaultKind::Status) };
    world.control.set_faults(vec![rule]).unwrap();
    let id = world.refresh(url).await.remove(0);
    world.submit(TaskKind::Refresh).await;
    world.control.clear_faults();
    assert_eq!(world.task("refresh", &id).await["state"], "failed");
    id
}

on_both! {
    async fn staff_find_tasks_by_user_state_domain_kind_and_age(world: World) {
        world.map(OTHER, &[FOREIGN]).await;
        let first = world.refresh("http://cdn.example.com/a").await.remove(0);
        world.clock.advance(100_000);
        let second = world.preload("http://www.example.com/b").await.remove(0);
        let order = json!({"path": format!("http://{FOREIGN}/c")});
        let third = world.post(&world.other_token, "/level3/refresh", order).await.ok()["results"][0]["taskid"].clone();
        let third = third.as_str().unwrap();
        world.submit(TaskKind::Refresh).await;
        assert_eq!(ids(&tasks(&world, "").await), [third, &second, &first]);
        for (query, expected) in [
            (format!("login_email={OTHER}"), vec![third]),
            (format!("login_email={USER}"), vec![second.as_str(), &first]),
            ("state=queued".to_owned(), vec![second.as_str()]),
            ("state=running".to_owned(), vec![third, &first]),
            ("domain=cdn.example.com".to_owned(), vec![first.as_str()]),
            ("kind=preload".to_owned(), vec![second.as_str()]),
            ("cdn=level3&kind=refresh".to_owned(), vec![third, first.as_str()]),
            ("cdn=acme".to_owned(), vec![]),
            ("min_age=60".to_owned(), vec![first.as_str()]),
            ("max_age=60".to_owned(), vec![third, &second]),
            (format!("taskid={first}&taskid={third}"), vec![third, first.as_str()]),
        ] {
            assert_eq!(ids(&tasks(&world, &query).await), expected, "{query}");
        }
        let page = world.get(&world.staff_token, "/level3/tasks?limit=2").await.ok();
        assert_eq!(page["next"], second.as_str());
        let page = world.get(&world.staff_token, &format!("/level3/tasks?limit=2&before={second}")).await.ok();
        assert_eq!((page["results"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
        let task = &tasks(&world, &format!("taskid={first}")).await[0];
        let seen = ["login_email", "cdn", "domain", "kind", "state", "step", "url"].map(|name| task[name].as_str().unwrap());
        assert_eq!(seen, [USER, "level3", "cdn.example.com", "refresh", "running", "watch", "http://cdn.example.com/a"]);
        assert!(task["age"].as_i64().unwrap() >= 100 && task["vendor_taskid"].as_str().unwrap().contains('@'), "{task}");
        for query in ["state=sleeping", "kind=purge", "limit=0", "min_age=-1", "domain=a b"] {
            world.get(&world.staff_token, &format!("/level3/tasks?{query}")).await.failed(400);
        }
    }

    async fn a_failed_task_is_tried_again_as_a_new_one_and_once(world: World) {
        let failed = failed_task(&world, "http://cdn.example.com/a").await;
        let before = world.task("refresh", &failed).await;
        let retry = async |body: Value| world.post(&world.staff_token, "/level3/tasks/retry", body).await;
        let answer = retry(json!({"taskid": failed})).await.ok();
        let new = answer["results"][0]["retried_as"].as_str().unwrap().to_owned();
        assert_eq!((answer["results"][0]["taskid"].as_str(), answer["more"].as_bool()), (Some(failed.as_str()), Some(false)));
        world.submit(TaskKind::Refresh).await;
        world.control.advance(60);
        world.poll().await;
        let task = world.task("refresh", &new).await;
        assert_eq!((task["state"].as_str(), task["url"].as_str()), (Some("done"), before["url"].as_str()), "{task}");
        assert_eq!(world.task("refresh", &failed).await, before, "what has ended stays as it ended");
        assert_eq!(tasks(&world, &format!("taskid={failed}")).await[0]["retried_as"], new.as_str());
        assert!(retry(json!({"taskid": failed})).await.failed(409).contains("tried again already"));
        assert_eq!(retry(json!({"state": "failed"})).await.ok()["results"], json!([]));
        assert!(retry(json!({"taskid": new})).await.failed(409).contains("has not failed"));
        assert!(retry(json!({"taskid": "nothing"})).await.failed(404).contains("there is no task NOTHING"));
        assert!(retry(json!({})).await.failed(400).contains("narrow"));
        let entries = world.get(&world.staff_token, "/level3/audit?action=retry_tasks").await.ok();
        assert_eq!(entries["results"].as_array().unwrap().len(), 1);
        assert!(entries["results"][0]["detail"].as_str().unwrap().contains(&new));
    }

    async fn naming_one_that_cannot_be_changed_changes_nothing(world: World) {
        let failed = failed_task(&world, "http://cdn.example.com/a").await;
        let queued = world.refresh("http://cdn.example.com/b").await.remove(0);
        let both = json!({"taskid": [failed, queued]});
        world.post(&world.staff_token, "/level3/tasks/retry", both.clone()).await.failed(409);
        world.post(&world.staff_token, "/level3/tasks/cancel", both).await.failed(409);
        assert_eq!(world.number("SELECT COUNT(*) FROM task_retry").await, 0);
        assert_eq!(world.task("refresh", &queued).await["state"], "queued");
        // By a filter each is left to what it is.
        let retried = world.post(&world.staff_token, "/level3/tasks/retry", json!({"login_email": USER})).await.ok();
        assert_eq!(retried["results"][0]["taskid"], failed.as_str());
        assert_eq!(retried["results"].as_array().unwrap().len(), 1);
    }

    async fn a_cancelled_task_never_reaches_the_vendor_and_stays_cancelled(world: World) {
        let queued = world.refresh("http://cdn.example.com/a").await.remove(0);
        let cancel = async |body: Value| world.post(&world.staff_token, "/level3/tasks/cancel", body).await;
        assert_eq!(cancel(json!({"taskid": queued})).await.ok()["results"], json!([queued]));
        world.submit(TaskKind::Refresh).await;
        assert_eq!(world.invalidated(), [""; 0]);
        let task = world.task("refresh", &queued).await;
        assert_eq!((task["state"].as_str(), task["percentComplete"].as_str()), (Some("failed"), Some("0")));
        assert!(task["message"].as_str().unwrap().starts_with("cancelled by the operator"), "{task}");
        // One that the vendor has: what is learnt of it later changes nothing any more.
        let running = world.refresh("http://cdn.example.com/b").await.remove(0);
        world.submit(TaskKind::Refresh).await;
        cancel(json!({"state": "running"})).await.ok();
        let before = world.task("refresh", &running).await;
        world.control.advance(60);
        world.poll().await;
        assert_eq!(world.task("refresh", &running).await, before);
        assert!(cancel(json!({"taskid": running})).await.failed(409).contains("has ended already"));
        let entries = world.get(&world.staff_token, "/level3/audit?action=cancel_tasks").await.ok();
        assert_eq!(entries["results"].as_array().unwrap().len(), 2);
    }

    async fn staff_see_how_a_vendor_fares(world: World) {
        let look = async || {
            world.account().write_seen(&world.db).await.unwrap();
            world.get(&world.staff_token, "/level3/vendors").await.ok()["results"][0].clone()
        };
        let now = world.clock.now_seconds();
        world.account().client.account().await.unwrap();
        let vendor = look().await;
        assert_eq!((vendor["cdn"].as_str(), vendor["vendor"].as_str()), (Some("level3"), Some("level3")));
        assert!(vendor["last_success"].as_i64().unwrap() >= now && vendor["last_sync"].as_i64().unwrap() >= now - 60);
        assert_eq!((vendor["last_failure"].as_i64(), vendor["paused_until"].as_i64()), (None, None), "{vendor}");
        assert!(vendor["credits"].as_i64().unwrap() > 0, "{vendor}");
        let rule = FaultRule { status: Some(403), times: Some(1), ..FaultRule::new(FaultKind::Status) };
        world.control.set_faults(vec![rule]).unwrap();
        world.refresh("http://cdn.example.com/a").await;
        world.submit_once(TaskKind::Refresh).await;
        let vendor = look().await;
        assert!(vendor["last_failure"].as_i64().unwrap() >= now, "{vendor}");
        assert_eq!((vendor["failed_operation"].as_str(), vendor["queued"].as_i64()), (Some("submit"), Some(1)), "{vendor}");
        assert!(!vendor["failure"].as_str().unwrap().is_empty());
        assert!(vendor["paused_until"].as_i64().unwrap() >= now, "{vendor}");
        // What an older worker tells does not replace what is known.
        let newer = world.number("SELECT failed_at FROM vendor_state").await;
        let older = overseas_shared::db::vendor::Seen {
            failed_at: Some(1), failure: Some("old".to_owned()), succeeded_at: Some(1), ..Default::default()
        };
        overseas_shared::db::vendor::note(&world.db, world.account().id, &older).await.unwrap();
        assert_eq!(world.number("SELECT failed_at FROM vendor_state").await, newer);
        assert_eq!(world.number("SELECT COUNT(*) FROM vendor_state WHERE failure = 'old'").await, 0);
        world.clock.advance(3_600_000);
        assert_eq!(look().await["paused_until"], Value::Null);
    }
}

#[tokio::test]
async fn a_refusal_of_urls_is_no_failure_of_the_vendor() {
    let world = World::new(Kind::Sqlite).await;
    failed_task(&world, "http://cdn.example.com/a").await;
    assert_eq!(world.account().seen().failed_at, None);
}
