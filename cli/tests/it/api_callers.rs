//! Who may do what: every endpoint with no credential, a wrong one, a user's, staff's, and from a
//! trusted network; with what is the caller's own, another's, and nobody's.
//!
//! The table of requests is at the top; an endpoint that names a user belongs into it.

use crate::support::http::{FORM, header, send};
use crate::support::world::{OTHER, Reply, STAFF, USER};
use crate::support::{Kind, World, on_both};
use overseas_shared::config::Config;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// Requests that name a user: the method, the path, the body without `login_email`, and whether only staff may.
fn requests() -> Vec<(&'static str, &'static str, Value, bool)> {
    let url = json!({"path": "http://cdn.example.com/a"});
    vec![
        ("POST", "/level3/refresh", url.clone(), false),
        ("POST", "/level3/preload", url, false),
        ("GET", "/level3/refresh_list", json!({}), false),
        ("GET", "/level3/preload_list", json!({}), false),
        ("GET", "/level3/domains", json!({}), false),
        ("GET", "/level3/user_domains", json!({}), false),
        ("GET", "/level3/user_cdns", json!({}), false),
        ("POST", "/level3/user_cdns", json!({"cdns": "level3"}), true),
        ("POST", "/level3/user_domains", json!({"cdn": "level3", "domains": "cdn.example.com"}), true),
        ("PUT", "/level3/user_domains", json!({"cdn": "level3", "domains": "cdn.example.com"}), true),
        ("POST", "/level3/user", json!({"password": "long enough"}), true),
        (
            "POST",
            "/useful/create/company",
            json!({"company_name": "A", "owner_name": "B", "owner_email": "c@example.com"}),
            true,
        ),
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
    async fn without_a_credential_everything_of_tenants_is_401(world: World) {
        for (method, path, body, _) in requests() {
            for email in [None, Some(USER), Some("missing@example.com")] {
                let (headers, reply) = send(request(&world, method, path, &body, email)).await;
                let message = reply.failed(401);
                assert!(message.contains("/level3/login"), "{method} {path}: {message}");
                assert_eq!(header(&headers, "www-authenticate"), "Bearer");
            }
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM company").await, 0);
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

    async fn a_user_acts_for_itself_only(world: World) {
        for (method, path, body, staff_only) in requests().into_iter().filter(|(_, path, ..)| !path.ends_with("/domains")) {
            for email in [OTHER, STAFF, "missing@example.com"] {
                let reply = send(request(&world, method, path, &body, Some(email)).bearer_auth(&world.user_token)).await.1;
                let message = reply.failed(403);
                assert!(message.contains(if staff_only { "staff" } else { "login_email" }), "{method} {path}: {message}");
            }
            if !staff_only {
                for email in [None, Some(USER), Some(" USER@Example.com ")] {
                    let own = request(&world, method, path, &body, email).bearer_auth(&world.user_token);
                    send(own).await.1.ok();
                }
            }
        }
        assert_eq!(world.number("SELECT COUNT(DISTINCT user_id) FROM task").await, 1);
        assert_eq!(world.number("SELECT COUNT(DISTINCT user_id) FROM user_domain").await, 1);
    }

    async fn what_only_staff_may_do_changes_nothing_for_a_user(world: World) {
        let counts = async || {
            let mut counts = Vec::new();
            for table in ["user", "company", "ops_account", "user_cdn", "user_domain", "audit"] {
                counts.push(world.number(&format!("SELECT COUNT(*) FROM `{table}`")).await);
            }
            counts
        };
        let before = counts().await;
        for (method, path, body, staff_only) in requests() {
            if staff_only {
                let reply = send(request(&world, method, path, &body, Some(USER)).bearer_auth(&world.user_token)).await.1;
                assert!(reply.failed(403).contains("staff"), "{method} {path}");
            }
        }
        assert_eq!(counts().await, before);
    }

    async fn another_users_domain_answers_like_one_that_does_not_exist(world: World) {
        world.map(OTHER, &["www.example.com"]).await;
        let theirs = "cdn.example.com";
        let nowhere = "nowhere.example.com";
        for path in ["/level3/refresh", "/level3/preload"] {
            let ask = async |host: &str| {
                let body = json!({"path": format!("http://{host}/a")});
                let request = world.request("POST", path).bearer_auth(&world.other_token);
                send(request.header("x-request-id", "same").json(&body)).await.1.body.to_string()
            };
            let foreign = ask(theirs).await;
            assert!(foreign.contains("404"), "{foreign}");
            assert_eq!(foreign.replace(theirs, nowhere), ask(nowhere).await);
        }
        let listed = world.get(&world.other_token, "/level3/domains").await.ok();
        assert_eq!(listed["domains"], json!(["www.example.com"]));
    }

    async fn another_users_task_answers_like_one_that_does_not_exist(world: World) {
        let task = &world.refresh("http://cdn.example.com/a").await[0];
        for id in [task.as_str(), "01K9ZC5T0M7Q4V8XJ2S6B3N1HD", "x"] {
            let path = format!("/level3/refresh_list?taskid={id}");
            let message = world.get(&world.other_token, &path).await.failed(404);
            assert_eq!(message, format!("taskid: other@example.com has no such refresh task: {id}"));
            let listed = world.get(&world.other_token, &format!("{path}&state=queued")).await.ok();
            assert_eq!(listed, json!({"err": 0, "results": []}));
        }
        assert_eq!(&world.task("refresh", task).await["taskid"], task);
        // Nor is a refresh found among the preloads.
        assert_eq!(world.task("preload", task).await, Value::Null);
    }

    async fn staff_act_for_anyone(world: World) {
        for (method, path, body, _) in requests().into_iter().filter(|(_, path, ..)| *path != "/level3/user") {
            let ask = request(&world, method, path, &body, Some(USER)).bearer_auth(&world.staff_token);
            send(ask).await.1.ok();
            if path.contains("domains") || path.contains("company") {
                continue;
            }
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
    for (method, path, body, _) in requests().into_iter().filter(|(_, path, ..)| *path != "/level3/user") {
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
