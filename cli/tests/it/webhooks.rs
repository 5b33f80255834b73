//! Webhooks as their owners see them: registered, listed, removed and enabled, within limits.
//!
//! Who may do what is in `role_table`; what is sent is in `webhook_messages` and `webhook_deliveries`.

use crate::support::world::{OTHER, STAFF, USER};
use crate::support::{World, on_both};
use serde_json::{Value, json};

const URL: &str = "https://hooks.example.com/key-of-the-receiver?a=b";

/// What the audit trail says of webhooks, newest first: actor, action, target, detail.
async fn trail(world: &World) -> Vec<[String; 4]> {
    let found = world.get(&world.staff_token, "/level3/audit").await.ok();
    let rows = found["results"].as_array().unwrap().clone();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.iter().map(|row| ["actor", "action", "target", "detail"].map(|name| text(row, name))).collect()
}

on_both! {
    async fn a_webhook_is_registered_listed_and_removed_and_its_secret_is_shown_once(world: World) {
        let made = world.webhook(URL).await;
        let (id, secret) = (made["id"].as_i64().unwrap(), made["secret"].as_str().unwrap());
        assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "32 bytes in base64: {secret}");
        assert_eq!((&made["url"], &made["login_email"], &made["enabled"]), (&json!(URL), &json!(USER), &json!(true)));
        let listed = world.get(&world.user_token, "/level3/webhooks").await.ok();
        let expected = json!([{
            "id": id, "url": URL, "login_email": USER, "enabled": true, "created": made["created"],
            "last_success": null, "last_failure": null, "failure": "", "waiting": 0,
        }]);
        assert_eq!(listed["results"], expected);
        assert!(made["created"].as_i64().unwrap().abs_diff(world.clock.now_seconds()) < 60);
        // The same again for a new secret: both live until the first is removed.
        let second = world.webhook(URL).await;
        assert_ne!(second["secret"], made["secret"]);
        let enabled = world.post(&world.user_token, "/level3/webhooks/enable", json!({"id": id})).await.ok();
        assert_eq!((&enabled["webhook"]["enabled"], &enabled["webhook"]["secret"]), (&json!(true), &Value::Null));
        let removed = world.post(&world.user_token, "/level3/webhooks/remove", json!({"id": id})).await.ok();
        assert_eq!(removed, json!({"err": 0, "id": id}));
        for path in ["remove", "enable"] {
            world.post(&world.user_token, &format!("/level3/webhooks/{path}"), json!({"id": id})).await.failed(404);
            world.post(&world.user_token, &format!("/level3/webhooks/{path}"), json!({})).await.failed(400);
        }
        assert_eq!(world.webhooks().await.len(), 1);
    }

    async fn every_change_leaves_its_audit_row_without_the_receivers_key(world: World) {
        let id = world.webhook(URL).await["id"].as_i64().unwrap();
        let change = async |path: &str| world.post(&world.staff_token, &format!("/level3/webhooks/{path}"), json!({"id": id})).await;
        change("enable").await.ok();
        crate::support::database::execute(&world.url, "UPDATE webhook SET enabled = 0").await;
        assert_eq!(change("enable").await.ok()["webhook"]["enabled"], true);
        change("remove").await.ok();
        change("remove").await.failed(404);
        let new = json!({"url": "ftp://hooks.example.com/"});
        world.post(&world.user_token, "/level3/webhooks", new).await.failed(400);
        let detail = format!("{id} https://hooks.example.com");
        let row = |actor: &str, action: &str| [actor.to_owned(), action.to_owned(), USER.to_owned(), detail.clone()];
        let expected = [row(STAFF, "remove_webhook"), row(STAFF, "enable_webhook"), row(USER, "create_webhook")];
        assert_eq!(trail(&world).await, expected);
    }

    async fn a_user_has_at_most_ten_webhooks_however_many_come_at_once(world: World) {
        let post = |token: &str| {
            let token = token.to_owned();
            let world = &world;
            async move { world.post(&token, "/level3/webhooks", json!({"url": URL, "login_email": USER})).await }
        };
        let answers = futures::future::join_all((0..16).map(|_| post(&world.user_token))).await;
        assert_eq!(answers.iter().filter(|reply| reply.status == 200).count(), 10);
        assert!(post(&world.staff_token).await.failed(409).contains("10 webhooks"));
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook").await, 10);
        let id = world.webhooks().await[0]["id"].clone();
        world.post(&world.user_token, "/level3/webhooks/remove", json!({"id": id})).await.ok();
        post(&world.staff_token).await.ok();
        world.post(&world.other_token, "/level3/webhooks", json!({"url": URL})).await.ok();
    }

    async fn urls_are_public_and_https_unless_the_operator_allows_others(world: World) {
        let mut config = world.context.config.clone();
        config.webhooks.allow_private = false;
        let strict = world.another_api_with(config).await;
        let post = async |base: &str, url: &str| {
            let request = world.client.post(format!("{base}/level3/webhooks")).bearer_auth(&world.user_token);
            crate::support::http::send(request.json(&json!({"url": url}))).await.1
        };
        let (long, longest) = (format!("https://a.example.com/{}", "a".repeat(2027)), format!("https://a.example.com/{}", "a".repeat(2026)));
        for url in [
            "http://hooks.example.com/", "https://localhost/", "https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/",
            "https://[fe80::1]/", "https://169.254.169.254/", "https://intranet/", "https://2130706433/",
            "https://user:password@hooks.example.com/", "https://user@hooks.example.com/", "ftp://hooks.example.com/",
            "hooks.example.com", &long,
        ] {
            assert!(post(&strict, url).await.failed(400).starts_with("url: "), "{url}");
        }
        for url in ["https://hooks.example.com/", "https://8.8.8.8:8443/a", &longest] {
            assert_eq!(post(&strict, url).await.ok()["webhook"]["url"], url);
        }
        for url in ["http://127.0.0.1:1/", "http://intranet/"] {
            post(&world.base, url).await.ok();
        }
        assert!(!post(&world.base, "http://user:password@intranet/").await.failed(400).contains("password@"));
    }

    async fn staff_act_for_a_user_and_a_user_for_itself(world: World) {
        let order = json!({"url": URL, "login_email": OTHER});
        world.post(&world.user_token, "/level3/webhooks", order.clone()).await.failed(403);
        let made = world.post(&world.staff_token, "/level3/webhooks", order).await.ok()["webhook"].clone();
        assert_eq!(made["login_email"], OTHER);
        assert_eq!(world.webhooks().await, [Value::Null; 0]);
        let theirs = world.get(&world.other_token, "/level3/webhooks").await.ok();
        assert_eq!(theirs["results"][0]["id"], made["id"]);
        for path in ["remove", "enable"] {
            let change = json!({"id": made["id"]});
            let message = world.post(&world.user_token, &format!("/level3/webhooks/{path}"), change).await.failed(404);
            assert_eq!(message, "id: there is no such webhook");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook").await, 1);
    }
}
