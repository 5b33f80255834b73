//! Who is calling: where a credential may stand, what a refusal says, whose a row becomes that staff make, and
//! which addresses are trusted.
//!
//! Which status each endpoint has for each kind of caller is in `role_table`; here is what a status cannot say.

use crate::support::http::{FORM, header, send};
use crate::support::world::{OTHER, Reply, STAFF, USER};
use crate::support::{Kind, World, on_both};
use overseas_shared::config::Config;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// Some requests: the method, the path, the body without `login_email`, and whether only staff may.
fn requests() -> [(&'static str, &'static str, Value, bool); 5] {
    let domains = json!({"cdn": "level3", "domains": "cdn.example.com"});
    [
        ("POST", "/level3/refresh", json!({"path": "http://cdn.example.com/a"}), false),
        ("GET", "/level3/refresh_list", json!({}), false),
        ("GET", "/level3/user_domains", json!({}), false),
        ("GET", "/level3/user_cdns", json!({}), false),
        ("PUT", "/level3/user_domains", domains, true),
    ]
}

fn request(world: &World, method: &str, path: &str, body: &Value, email: Option<&str>) -> RequestBuilder {
    let mut body = body.clone();
    if let Some(email) = email {
        body["login_email"] = email.into();
    }
    world.request(method, path).json(&body)
}

fn trusting(networks: &'static str, proxies: &'static str) -> impl FnOnce(&mut Config) {
    let list = |text: &str| text.split(',').filter(|item| !item.is_empty()).map(|item| item.parse().unwrap()).collect();
    move |config| {
        config.http.trusted_networks = list(networks);
        config.http.trusted_proxies = list(proxies);
    }
}

on_both! {
    async fn a_refusal_without_a_credential_says_where_to_get_one(world: World) {
        for (method, path, body, _) in requests() {
            let (headers, reply) = send(request(&world, method, path, &body, Some(USER))).await;
            let message = reply.failed(401);
            assert!(message.contains("/level3/login"), "{method} {path}: {message}");
            assert_eq!(header(&headers, "www-authenticate"), "Bearer");
        }
    }

    async fn a_wrong_token_is_401(world: World) {
        let shortened = &world.user_token[1..];
        let other_case: String = world.user_token.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
        for token in ["x", "null", shortened, &other_case, &"x".repeat(5000)] {
            for (method, path, body, _) in requests() {
                let (headers, reply) = send(request(&world, method, path, &body, None).bearer_auth(token)).await;
                reply.failed(401);
                assert_eq!(header(&headers, "www-authenticate"), "Bearer");
            }
        }
        world.get("", "/level3/domains?token=wrong").await.failed(401);
    }

    async fn a_token_is_taken_from_the_header_the_query_and_the_body(world: World) {
        let token = &world.user_token;
        let path = "/level3/domains";
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let request = world.request("GET", path).header("authorization", format!("{scheme} {token}"));
            send(request).await.1.ok();
        }
        world.get("", &format!("{path}?token={token}")).await.ok();
        send(world.request("GET", path).json(&json!({"token": token}))).await.1.ok();
        let form = world.request("GET", path).header("content-type", FORM);
        send(form.body(format!("token={token}"))).await.1.ok();
        let purge = json!({"token": token, "path": "http://cdn.example.com/a"});
        world.post("", "/level3/refresh", purge).await.ok();
        // Another scheme in the header does not hide the parameter.
        let basic = world.request("GET", &format!("{path}?token={token}"));
        send(basic.header("authorization", "Basic dXNlcjpwdw==")).await.1.ok();
    }

    async fn a_user_acts_for_itself_however_it_writes_its_address(world: World) {
        for (method, path, body, staff_only) in requests() {
            for email in [OTHER, STAFF, "missing@example.com"] {
                let reply = send(request(&world, method, path, &body, Some(email)).bearer_auth(&world.user_token)).await.1;
                let message = reply.failed(403);
                assert!(message.contains(if staff_only { "staff" } else { "login_email" }), "{method} {path}: {message}");
            }
            for email in [None, Some(USER), Some(" USER@Example.com ")].into_iter().filter(|_| !staff_only) {
                send(request(&world, method, path, &body, email).bearer_auth(&world.user_token)).await.1.ok();
            }
        }
        assert_eq!(world.number("SELECT COUNT(DISTINCT user_id) FROM task").await, 1);
    }

    async fn a_task_that_is_not_the_callers_is_named_and_not_listed(world: World) {
        let task = &world.refresh("http://cdn.example.com/a").await[0];
        for id in [task.as_str(), "01K9ZC5T0M7Q4V8XJ2S6B3N1HD", "x"] {
            let path = format!("/level3/refresh_list?taskid={id}");
            let message = world.get(&world.other_token, &path).await.failed(404);
            assert_eq!(message, format!("taskid: other@example.com has no such refresh task: {id}"));
            let listed = world.get(&world.other_token, &format!("{path}&state=queued")).await.ok();
            assert_eq!(listed, json!({"err": 0, "results": []}));
        }
        // Nor is a refresh found among the preloads.
        assert_eq!(world.task("preload", task).await, Value::Null);
    }

    async fn what_staff_order_is_the_users_and_staff_are_in_the_audit_trail(world: World) {
        for (method, path, body, _) in requests() {
            send(request(&world, method, path, &body, Some(USER)).bearer_auth(&world.staff_token)).await.1.ok();
            let nobody = request(&world, method, path, &body, Some("missing@example.com"));
            let message = send(nobody.bearer_auth(&world.staff_token)).await.1.failed(404);
            assert!(message.contains("missing@example.com"), "{message}");
        }
        let listed = world.get(&world.staff_token, &format!("/level3/refresh_list?login_email={USER}")).await.ok();
        let id = listed["results"][0]["taskid"].as_str().unwrap();
        assert_eq!(world.task("refresh", id).await, listed["results"][0], "the task is the user's");
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE actor = 'staff@example.com' AND action = 'refresh' AND target = 'user@example.com'").await, 1);
    }
}

#[tokio::test]
async fn a_trusted_network_counts_as_staff() {
    let world = World::with(Kind::Sqlite, trusting("127.0.0.0/8", ""), |_| {}).await;
    for (method, path, body, _) in requests() {
        send(request(&world, method, path, &body, Some(USER))).await.1.ok();
    }
    let message = send(request(&world, "GET", "/level3/refresh_list", &json!({}), None)).await.1.failed(400);
    assert!(message.starts_with("login_email"), "{message}");
    assert_eq!(
        world.number("SELECT COUNT(*) FROM audit WHERE actor = 'trusted-network' AND action = 'refresh'").await,
        1
    );
    // A credential still counts for what it is.
    world.get(&world.other_token, &format!("/level3/refresh_list?login_email={USER}")).await.failed(403);
    world.get("wrong", "/level3/domains").await.failed(401);
}

/// A request that claims to come from elsewhere.
async fn forwarded(world: &World, claims: &[&str]) -> Reply {
    let request = world.request("GET", "/level3/domains");
    send(claims.iter().fold(request, |request, claim| request.header("x-forwarded-for", *claim))).await.1
}

#[tokio::test]
async fn a_forwarded_address_is_believed_only_from_a_trusted_proxy() {
    let world = World::with(Kind::Sqlite, trusting("10.0.0.0/8,::1/128", ""), |_| {}).await;
    for claim in ["10.1.2.3", "::1", "10.1.2.3, 10.1.2.4"] {
        forwarded(&world, &[claim]).await.failed(401);
    }
    let world = World::with(Kind::Sqlite, trusting("10.0.0.0/8,127.0.0.0/8", "127.0.0.0/8"), |_| {}).await;
    forwarded(&world, &[]).await.ok();
    forwarded(&world, &["10.1.2.3"]).await.ok();
    forwarded(&world, &["198.51.100.7, 10.1.2.3"]).await.ok();
    forwarded(&world, &["198.51.100.7", "10.1.2.3"]).await.ok();
    for outside in [["10.1.2.3, 198.51.100.7"].as_slice(), &["10.1.2.3", "198.51.100.7"], &["198.51.100.7, 127.0.0.1"]]
    {
        forwarded(&world, outside).await.failed(401);
    }
}
