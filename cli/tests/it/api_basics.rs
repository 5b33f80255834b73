//! What holds for every answer: one envelope for all failures whoever made them, an id on every
//! response, and no internals in any of them.
//!
//! The paths and methods come from the document, so an endpoint that is added is covered too.

use crate::support::delivery::{DOMAIN, back};
use crate::support::http::{header, send};
use crate::support::world::Reply;
use crate::support::{Kind, World, database, on_both};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Every path of the document with its methods, in capitals.
async fn documented(world: &World) -> Vec<(String, Vec<String>)> {
    let document = world.get("", "/openapi.json").await.body;
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = |operations: &Value| -> Vec<String> {
        operations.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect()
    };
    // Yesterday's log stands for all logs.
    let log = format!("{}-{DOMAIN}.log.gz", back(world, 1));
    paths.map(|(path, operations)| (path.replace("{name}", &log), methods(operations))).collect()
}

/// Text that only the machinery below the API would write.
fn speaks_of_internals(text: &str) -> bool {
    let words = [
        "sql", "table", "select", "insert", "column", "sqlite", "mysql", "mariadb", "sqlx", "panicked", ".rs", "error:",
    ];
    words.iter().any(|word| text.to_lowercase().contains(word))
}

fn assert_retry_after(headers: &HeaderMap) {
    let seconds: u64 = header(headers, "retry-after").parse().expect("Retry-After in seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn an_unknown_path_is_404_in_the_envelope() {
    let world = World::new(Kind::Sqlite).await;
    for path in ["/", "/level3", "/level3/nothing", "/level4/refresh", "/level3/refresh/x", "/docs/x"] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let (headers, reply) = send(world.request(method, path)).await;
            let message = reply.clone().failed(404);
            assert!(message.contains(path), "{method} {path}: {message}");
            assert_eq!(header(&headers, "content-type"), "application/json");
            assert_eq!(header(&headers, "x-request-id"), reply.body["request_id"]);
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let world = World::new(Kind::Sqlite).await;
    let mut paths = documented(&world).await;
    assert!(paths.len() >= 14, "{paths:?}");
    for page in ["/docs", "/openapi.json", "/openapi.yaml", "/metrics"] {
        paths.push((page.to_owned(), vec!["GET".to_owned()]));
    }
    for (path, methods) in paths {
        let wrong = ["GET", "POST", "PUT", "DELETE", "PATCH"].into_iter();
        for method in wrong.filter(|method| !methods.contains(&(*method).to_owned())) {
            let request = world.request(method, &path).bearer_auth(&world.staff_token);
            let (headers, reply) = send(request).await;
            let message = reply.failed(405);
            assert!(message.contains(&path) && message.contains(method), "{method}: {message}");
            let mut allowed: Vec<&str> = header(&headers, "allow").split(", ").collect();
            allowed.retain(|name| *name != "HEAD" && *name != "OPTIONS");
            assert_eq!(allowed, methods, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_400() {
    let world = World::new(Kind::Sqlite).await;
    let bodies = ["{", "{\"path\": }", "[1, 2]", "\"text\"", "17", "true", "{} {}", "path=a", "\u{0}"];
    for body in bodies {
        for (method, path) in [("POST", "/level3/refresh"), ("GET", "/level3/refresh_list"), ("POST", "/level3/login")]
        {
            let message = world.raw(method, path, "application/json", body).await.failed(400);
            assert!(message.contains("body"), "{method} {path} {body}: {message}");
        }
    }
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    world.raw("POST", "/level3/refresh", "application/json", &deep).await.failed(400);
    let not_utf8 = world.request("POST", "/level3/refresh").body(vec![b'{', b'"', 0xff, b'"', b'}']);
    send(not_utf8.bearer_auth(&world.user_token)).await.1.failed(400);
}

#[tokio::test]
async fn a_body_over_the_cap_is_413() {
    let world = World::with(Kind::Sqlite, |config| config.http.max_body_bytes = 1000, |_| {}).await;
    let list = "/level3/refresh_list";
    let fits = format!("{{\"x\": \"{}\"}}", "x".repeat(991));
    assert_eq!(fits.len(), 1000);
    world.raw("GET", list, "application/json", &fits).await.ok();
    let message = world.raw("GET", list, "application/json", &format!("{fits} ")).await.failed(413);
    assert!(message.contains("1000 bytes"), "{message}");
    world.raw("POST", "/level3/login", "text/plain", &"x".repeat(300_000)).await.failed(413);
}

#[tokio::test]
async fn every_response_carries_a_request_id() {
    let world = World::new(Kind::Sqlite).await;
    let pages = ["/healthz", "/docs", "/openapi.json", "/metrics", "/nothing", "/level3/domains", "/level3/login"];
    let mut seen = std::collections::HashSet::new();
    for path in pages {
        let (headers, _) = send(world.request("GET", path)).await;
        let id = header(&headers, "x-request-id").to_owned();
        assert!(id.len() == 26 && seen.insert(id.clone()), "{path}: {id}");
    }
}

#[tokio::test]
async fn a_harmless_request_id_is_taken_over_and_any_other_is_replaced() {
    let world = World::new(Kind::Sqlite).await;
    let longest = "x".repeat(64);
    for id in ["a", "7f3c-11.B_z", longest.as_str()] {
        for path in ["/healthz", "/nothing"] {
            let (headers, _) = send(world.request("GET", path).header("x-request-id", id)).await;
            assert_eq!(header(&headers, "x-request-id"), id);
        }
    }
    let too_long = "x".repeat(65);
    for id in ["", " ", "a b", "a\"b", "<script>", "a;b", "a/b", too_long.as_str()] {
        let (headers, reply) = send(world.request("GET", "/nothing").header("x-request-id", id)).await;
        let answered = header(&headers, "x-request-id");
        assert!(answered != id && answered.len() == 26, "{id}: {answered}");
        assert_eq!(reply.body["request_id"], answered);
    }
}

on_both! {
    async fn a_message_names_the_parameter(world: World) {
        let staff = &world.staff_token;
        let cases = [
            ("POST", "/level3/refresh", json!({"path": {"a": 1}}), "path"),
            ("POST", "/level3/refresh", json!({"path": [["http://cdn.example.com/"]]}), "path"),
            ("POST", "/level3/refresh", json!({"path": true}), "path"),
            ("POST", "/level3/refresh", json!({"login_email": ["a@b.c"], "path": "x"}), "login_email"),
            ("POST", "/level3/refresh", json!({"login_email": "nobody", "path": "x"}), "login_email"),
            ("POST", "/level3/refresh", json!({"login_email": "user@example.com"}), "path"),
            ("POST", "/level3/preload", json!({"login_email": "user@example.com", "path": " | "}), "path"),
            ("GET", "/level3/refresh_list", json!({"limit": "many"}), "limit"),
            ("GET", "/level3/refresh_list", json!({"limit": 1.5}), "limit"),
            ("GET", "/level3/preload_list", json!({"state": "finished"}), "state"),
            ("POST", "/level3/user", json!({"login_email": "a@example.com"}), "password"),
            ("POST", "/level3/user", json!({"password": "long enough"}), "login_email"),
            ("POST", "/level3/user", json!({"login_email": "a@b.c", "password": "x", "operations": "perhaps"}), "operations"),
            ("POST", "/useful/create/company", json!({"owner_name": "x", "owner_email": "a@b.c"}), "company_name"),
            ("POST", "/useful/create/company", json!({"company_name": "x", "owner_email": "a@b.c"}), "owner_name"),
            ("POST", "/useful/create/company", json!({"company_name": "x", "owner_name": "x"}), "owner_email"),
            ("POST", "/level3/user_cdns", json!({"login_email": "user@example.com"}), "cdns"),
            ("POST", "/level3/user_cdns", json!({"cdns": "level3"}), "login_email"),
            ("POST", "/level3/user_domains", json!({"login_email": "user@example.com", "domains": "a.b"}), "cdn"),
            ("POST", "/level3/user_domains", json!({"login_email": "user@example.com", "cdn": "level3"}), "domains"),
            ("PUT", "/level3/user_domains", json!({"cdn": "level3", "domains": "a.b"}), "login_email"),
            ("POST", "/level3/login", json!({"password": "x"}), "login_email"),
            ("POST", "/level3/login", json!({"login_email": "user@example.com"}), "password"),
        ];
        for (method, path, body, name) in cases {
            let request = world.request(method, path).bearer_auth(staff).json(&body);
            let message = send(request).await.1.failed(400);
            assert!(message.starts_with(&format!("{name}: ")) || message.starts_with(&format!("{name}[")),
                "{method} {path} {body}: {message}");
        }
    }

    async fn a_trailing_slash_means_the_same(world: World) {
        world.deliver(DOMAIN, back(&world, 1), "a.gz", "2016-09-29 10:13:24.250 y\n");
        world.log_hour().await;
        for (path, methods) in documented(&world).await {
            for method in methods {
                let ask = async |path: &str| {
                    let request = world.request(&method, path).bearer_auth(&world.user_token);
                    let mut reply = send(request.header("x-request-id", "same")).await.1;
                    if reply.status == 404 {
                        reply.body = Value::Null;
                    }
                    (reply.status, reply.body)
                };
                if path == "/level3/logout" {
                    continue;
                }
                let plain = ask(&path).await;
                assert_ne!(plain.0, 404, "{path}");
                assert_eq!(plain, ask(&format!("{path}/")).await, "{method} {path}");
            }
        }
        let listed = world.get(&world.user_token, "/level3/refresh_list/?limit=1").await.ok();
        assert_eq!(listed["results"], json!([]));
    }

    async fn a_defect_shows_no_internals(world: World) {
        let path = json!({"path": "http://cdn.example.com/a"});
        for table in ["audit", "user_domain"] {
            database::execute(&world.url, &format!("DROP TABLE {table}")).await;
            let message = world.post(&world.user_token, "/level3/refresh", path.clone()).await.failed(500);
            assert!(!speaks_of_internals(&message) && !message.contains(table), "{message}");
        }
        let message = world.get(&world.staff_token, "/level3/domains").await.failed(500);
        assert!(!speaks_of_internals(&message), "{message}");
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 0, "nothing is written by halves");
    }

    async fn a_database_that_is_away_is_503_with_retry_after(world: World) {
        world.db.close().await;
        let login = json!({"login_email": "user@example.com", "password": "whatever it is"});
        let requests = [
            world.request("GET", "/level3/domains").bearer_auth(&world.user_token),
            world.request("POST", "/level3/refresh").bearer_auth(&world.user_token)
                .json(&json!({"path": "http://cdn.example.com/a"})),
            world.request("GET", "/level3/logincheck").bearer_auth(&world.user_token),
            world.request("POST", "/level3/login").json(&login),
            world.request("POST", "/level3/logout").bearer_auth(&world.user_token),
        ];
        for request in requests {
            let (headers, reply) = send(request).await;
            let message = reply.failed(503);
            assert!(message.contains("database") && message.contains("try again"), "{message}");
            assert!(!message.contains("pool") && !message.contains("sqlx"), "{message}");
            assert_retry_after(&headers);
        }
        world.get("", "/healthz").await.ok();
    }
}

#[tokio::test]
async fn browsers_of_other_origins_are_let_in_only_by_the_settings() {
    let closed = World::new(Kind::Sqlite).await;
    let portal = "https://portal.example.com";
    let (headers, _) = send(closed.request("GET", "/healthz").header("origin", portal)).await;
    assert_eq!(header(&headers, "access-control-allow-origin"), "");

    let open = |config: &mut overseas_shared::config::Config| config.http.cors_origins = vec![portal.to_owned()];
    let world = World::with(Kind::Sqlite, open, |_| {}).await;
    for path in ["/healthz", "/level3/domains", "/nothing"] {
        let (headers, _) = send(world.request("GET", path).header("origin", portal)).await;
        assert_eq!(header(&headers, "access-control-allow-origin"), portal, "{path}");
    }
    let preflight = world.request("OPTIONS", "/level3/refresh").header("origin", portal);
    let preflight = preflight.header("access-control-request-method", "POST");
    let (headers, reply): (_, Reply) = send(preflight.header("access-control-request-headers", "authorization")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(header(&headers, "access-control-allow-methods").contains("POST"));
    let stranger = world.request("GET", "/healthz").header("origin", "https://evil.example.com");
    assert_eq!(header(&send(stranger).await.0, "access-control-allow-origin"), "");
}
