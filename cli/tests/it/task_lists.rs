//! `GET /level3/refresh_list` and `/level3/preload_list`: order, pages, filters, and what a task shows.
//!
//! The worker is driven by hand where a list should show its work.

use crate::support::http::send;
use crate::support::world::{OTHER, USER};
use crate::support::{Kind, World, on_both};
use overseas_shared::domain::Kind as TaskKind;
use overseas_simulator::{FaultKind, FaultRule, FaultTarget, Operation};
use serde_json::{Value, json};

const LIST: &str = "/level3/refresh_list";

async fn list(world: &World, query: &str) -> Vec<Value> {
    let answer = world.get(&world.user_token, &format!("{LIST}{query}")).await.ok();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["err", "results"]);
    answer["results"].as_array().unwrap().clone()
}

fn ids(tasks: &[Value]) -> Vec<&str> {
    tasks.iter().map(|task| task["taskid"].as_str().unwrap()).collect()
}

/// So many tasks, newest first.
async fn fill(world: &World, count: usize) -> Vec<String> {
    let mut made = Vec::new();
    for number in 0..count {
        made.extend(world.refresh(&format!("http://cdn.example.com/{number}")).await);
    }
    made.reverse();
    made
}

on_both! {
    async fn tasks_are_listed_newest_first(world: World) {
        assert_eq!(list(&world, "").await, [] as [Value; 0]);
        let made = fill(&world, 12).await;
        world.preload("http://cdn.example.com/p").await;
        assert_eq!(ids(&list(&world, "").await), made);
        assert_eq!(ids(&list(&world, &format!("?login_email={USER}")).await), made);
        let preloads = world.get(&world.user_token, "/level3/preload_list").await.ok();
        assert_eq!(preloads["results"].as_array().unwrap().len(), 1);
        let theirs = world.get(&world.staff_token, &format!("{LIST}?login_email={OTHER}")).await.ok();
        assert_eq!(theirs, json!({"err": 0, "results": []}));
    }

    async fn pages_follow_each_other_without_a_gap(world: World) {
        let made = fill(&world, 10).await;
        let mut seen: Vec<String> = Vec::new();
        loop {
            let before = seen.last().map(|id| format!("&before={id}")).unwrap_or_default();
            let page = list(&world, &format!("?limit=3{before}")).await;
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 3);
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            // New tasks do not shift the pages.
            world.refresh("http://cdn.example.com/new").await;
        }
        assert_eq!(seen, made);
    }

    async fn a_list_has_two_hundred_tasks_unless_limit_says_otherwise(world: World) {
        fill(&world, 3).await;
        let copies = "INSERT INTO task (id, user_id, cdn_id, property_id, kind, state, step, percent, urls, url_count, \
            submitted_count, fetched_count, attempts, due_at, vendor_ids, fetch_failures, request_id, created_at) \
            SELECT CONCAT(SUBSTR(a.id, 1, 20), a.n, b.n, c.n, 'XYZ'), a.user_id, cdn_id, property_id, kind, state, step, percent, urls, \
            url_count, submitted_count, fetched_count, attempts, due_at, vendor_ids, fetch_failures, request_id, created_at \
            FROM (SELECT t.*, d.n FROM task t JOIN digit d WHERE t.urls LIKE '%/0') a JOIN digit b JOIN digit c";
        let digits = "CREATE TABLE digit AS SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 \
            UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9 UNION SELECT 'A'";
        crate::support::database::execute(&world.url, digits).await;
        crate::support::database::execute(&world.url, copies).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 3 + 11 * 11 * 11);
        assert_eq!(list(&world, "").await.len(), 200);
        assert_eq!(list(&world, "?limit=1").await.len(), 1);
        assert_eq!(list(&world, "?limit=1000").await.len(), 1000);
    }

    async fn a_bad_limit_or_state_is_400(world: World) {
        let bad = ["limit=0", "limit=-1", "limit=1001", "limit=ten", "limit=1e2", "limit=99999999999999999999",
            "limit=1&limit=2", "state=finished", "state=QUEUED", "state=queued,done", "state=queued&state=done"];
        for query in bad {
            for kind in ["refresh", "preload"] {
                let message = world.get(&world.user_token, &format!("/level3/{kind}_list?{query}")).await.failed(400);
                assert!(message.starts_with(&query[..5]), "{query}: {message}");
            }
        }
    }

    async fn tasks_are_filtered_by_state_and_id(world: World) {
        let queued = fill(&world, 2).await;
        let words = ["queued", "running", "done", "failed", "expired"];
        for word in words {
            let expected = if word == "queued" { queued.clone() } else { Vec::new() };
            assert_eq!(ids(&list(&world, &format!("?state={word}")).await), expected, "{word}");
        }
        world.submit(TaskKind::Refresh).await;
        assert_eq!(list(&world, "?state=queued").await.len(), 0);
        assert_eq!(ids(&list(&world, "?state=running").await), queued);
        assert_eq!(ids(&list(&world, &format!("?taskid={}", queued[1])).await), [&queued[1]]);
        assert_eq!(list(&world, &format!("?taskid={}&state=done", queued[1])).await.len(), 0);
        let message = world.get(&world.user_token, "/level3/refresh_list?taskid=unknown").await.failed(404);
        assert!(message.starts_with("taskid: "), "{message}");
        assert_eq!(list(&world, "?before=0").await.len(), 0);
    }

    async fn a_task_shows_the_vendors_id_and_its_progress(world: World) {
        let id = world.refresh("http://cdn.example.com/a").await.remove(0);
        let queued = world.task("refresh", &id).await;
        assert_eq!((&queued["percentComplete"], &queued["state"]), (&json!("0"), &json!("queued")));
        assert_eq!(queued.get("vendor_taskid"), None);
        world.submit(TaskKind::Refresh).await;
        let running = world.task("refresh", &id).await;
        let vendor_id = running["vendor_taskid"].as_str().expect("the vendor's id");
        assert!(!vendor_id.is_empty());
        assert_eq!(running["state"], "running");
        world.control.advance(5);
        world.poll().await;
        let half: u32 = world.task("refresh", &id).await["percentComplete"].as_str().unwrap().parse().unwrap();
        assert!((1..=100).contains(&half), "{half}");
        world.control.advance(60);
        world.poll().await;
        let done = world.task("refresh", &id).await;
        assert_eq!(done, json!({
            "time": queued["time"], "url": "http://cdn.example.com/a", "taskid": id,
            "percentComplete": "100", "state": "done", "cdn": "level3", "vendor_taskid": vendor_id,
        }));
    }

    async fn a_failed_task_says_why(world: World) {
        let operation = FaultTarget::Only(Operation::Invalidate);
        let refused = FaultRule { operation, status: Some(400), ..FaultRule::new(FaultKind::Status) };
        world.control.set_faults(vec![refused]).unwrap();
        let id = world.refresh("http://cdn.example.com/a").await.remove(0);
        world.submit(TaskKind::Refresh).await;
        let failed = world.task("refresh", &id).await;
        assert_eq!(failed["state"], "failed", "{failed}");
        assert!(failed["message"].as_str().is_some_and(|message| message.len() > 10), "{failed}");
        assert!(failed["percentComplete"].is_string(), "{failed}");
    }

    async fn many_readers_at_once_all_see_what_was_answered_before(world: World) {
        let made = fill(&world, 5).await;
        let reads = (0..50).map(|_| send(world.request("GET", LIST).bearer_auth(&world.user_token)));
        let others = (0..50).map(|_| send(world.request("GET", LIST).bearer_auth(&world.other_token)));
        let (mine, theirs) = futures::future::join(futures::future::join_all(reads), futures::future::join_all(others)).await;
        for (_, reply) in mine {
            assert_eq!(ids(reply.ok()["results"].as_array().unwrap()), made);
        }
        for (_, reply) in theirs {
            assert_eq!(reply.ok()["results"], json!([]), "one user's list is never another's");
        }
    }
}

#[tokio::test]
async fn a_list_is_answered_while_the_vendor_is_away() {
    let world = World::new(Kind::Sqlite).await;
    let made = fill(&world, 1).await;
    world.control.set_faults(vec![FaultRule { status: Some(500), ..FaultRule::new(FaultKind::Status) }]).unwrap();
    assert_eq!(ids(&list(&world, "").await), made);
    let mine = world.get(&world.user_token, "/level3/user_domains").await.ok();
    assert_eq!(mine["results"][0]["domains"][0]["state"], "Active");
}
