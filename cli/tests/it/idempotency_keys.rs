//! `Idempotency-Key`: the same key with the same request is done once and answered alike for a day.
//!
//! At once on two servers, after refusals and failures, for other callers and after the day.

use crate::support::http::send;
use crate::support::world::{Reply, USER};
use crate::support::{World, database, on_both};
use serde_json::{Value, json};

const PATH: &str = "http://cdn.example.com/a|http://www.example.com/b";
const DAY: i64 = 24 * 3_600_000;

async fn ask(world: &World, token: &str, path: &str, key: &str, body: &Value) -> Reply {
    let request = world.request("POST", path).bearer_auth(token).header("idempotency-key", key);
    send(request.json(body)).await.1
}

async fn refresh(world: &World, key: &str, path: &str) -> Reply {
    ask(world, &world.user_token, "/level3/refresh", key, &json!({"path": path})).await
}

async fn tasks(world: &World) -> i64 {
    world.number("SELECT COUNT(*) FROM task").await
}

on_both! {
    async fn the_same_key_with_the_same_body_gives_the_same_answer(world: World) {
        let first = refresh(&world, "key-1", PATH).await.ok();
        world.clock.advance(DAY - 60_000);
        world.submit(overseas_shared::domain::Kind::Refresh).await;
        for _ in 0..3 {
            assert_eq!(refresh(&world, "key-1", PATH).await.ok(), first);
        }
        assert_eq!(tasks(&world).await, 2);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action = 'refresh'").await, 1);
        // Spelled otherwise, it is the same request.
        let same = json!({"path": PATH.split('|').collect::<Vec<_>>(), "login_email": USER});
        assert_eq!(ask(&world, &world.user_token, "/level3/refresh", "key-1", &same).await.ok(), first);
        assert_ne!(refresh(&world, "key-2", PATH).await.ok(), first);
        assert_eq!(tasks(&world).await, 4);
    }

    async fn twenty_requests_at_once_with_one_key_are_done_once(world: World) {
        let second = world.another_api().await;
        let bases = [world.base.clone(), second];
        let requests = (0..20).map(|number| {
            let request = world.client.post(format!("{}/level3/refresh", bases[number % 2]));
            let request = request.bearer_auth(&world.user_token).header("idempotency-key", "at-once");
            send(request.json(&json!({"path": PATH})))
        });
        let answers: Vec<Value> = futures::future::join_all(requests).await.into_iter().map(|(_, reply)| reply.ok()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(tasks(&world).await, 2);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action = 'refresh'").await, 1);
    }

    async fn the_same_key_with_another_request_is_422(world: World) {
        refresh(&world, "key", PATH).await.ok();
        let cases = [
            ("/level3/refresh", json!({"path": "http://cdn.example.com/a"})),
            ("/level3/refresh", json!({"path": format!("{PATH}|http://cdn.example.com/c")})),
            ("/level3/preload", json!({"path": PATH})),
        ];
        for (path, body) in cases {
            let message = ask(&world, &world.user_token, path, "key", &body).await.failed(422);
            assert!(message.contains("Idempotency-Key"), "{message}");
        }
        assert_eq!(tasks(&world).await, 2);
        refresh(&world, "key", PATH).await.ok();
    }

    async fn a_key_belongs_to_its_caller(world: World) {
        let first = refresh(&world, "key", PATH).await.ok();
        world.map("other@example.com", &["cdn.example.com"]).await;
        let body = json!({"path": "http://cdn.example.com/other"});
        ask(&world, &world.other_token, "/level3/refresh", "key", &body).await.ok();
        // Staff acting for the user is another caller too.
        let body = json!({"path": PATH, "login_email": USER});
        let theirs = ask(&world, &world.staff_token, "/level3/refresh", "key", &body).await.ok();
        assert_ne!(theirs, first);
        assert_eq!(tasks(&world).await, 5);
        assert_eq!(refresh(&world, "key", PATH).await.ok(), first);
        assert_eq!(refresh(&world, "KEY", PATH).await.ok()["err"], 0);
        assert_eq!(tasks(&world).await, 7, "keys are compared byte by byte");
    }

    async fn a_malformed_key_is_400(world: World) {
        for key in ["", "a b", "ä", "a\tb", &"x".repeat(256)] {
            let message = refresh(&world, key, PATH).await.failed(400);
            assert!(message.starts_with("Idempotency-Key: "), "{key:?}: {message}");
        }
        for key in ["x", "\"7f3c\"", &"x".repeat(255), "~!@#$%^&*()_+{}|:<>?"] {
            refresh(&world, key, PATH).await.ok();
        }
        assert_eq!(tasks(&world).await, 8);
    }

    async fn after_a_day_a_key_is_new(world: World) {
        let first = refresh(&world, "key", PATH).await.ok();
        world.clock.advance(DAY + 1000);
        let second = refresh(&world, "key", "http://cdn.example.com/another").await.ok();
        assert_ne!(first, second);
        assert_eq!(tasks(&world).await, 3);
        refresh(&world, "key", PATH).await.failed(422);
    }

    async fn only_successes_are_kept(world: World) {
        refresh(&world, "key", "not-a-url").await.failed(400);
        refresh(&world, "key", "http://foreign.example.com/").await.failed(404);
        database::execute(&world.url, "ALTER TABLE audit RENAME TO audit_away").await;
        refresh(&world, "key", PATH).await.failed(500);
        database::execute(&world.url, "ALTER TABLE audit_away RENAME TO audit").await;
        let answer = refresh(&world, "key", PATH).await.ok();
        assert_eq!(refresh(&world, "key", PATH).await.ok(), answer);
        assert_eq!(tasks(&world).await, 2);
    }
}
