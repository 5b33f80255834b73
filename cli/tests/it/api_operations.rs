//! What those who run the service ask for: health, readiness, metrics, and the document.
//!
//! Metrics need the real process and are looked at in `embedded`.

use crate::support::http::{header, send};
use crate::support::process::run;
use crate::support::servers::Redis;
use crate::support::{Kind, World, database, eventually, on_both};
use overseas_shared::config::Config;
use serde_json::Value;
use std::collections::HashMap;

/// The values of an attribute of all tags of a kind, such as `src` of `<script`.
fn attributes<'a>(page: &'a str, tag: &str, name: &str) -> Vec<&'a str> {
    let open = format!("<{tag}");
    let tags = page.split(open.as_str()).skip(1).map(|rest| rest.split('>').next().unwrap());
    let quoted = format!(" {name}=\"");
    tags.filter_map(|tag| tag.split(quoted.as_str()).nth(1)?.split('"').next()).collect()
}

on_both! {
    async fn a_process_that_is_up_is_healthy_without_a_credential(world: World) {
        let health = world.get("", "/healthz").await.ok();
        assert!(health["version"].as_str().is_some_and(|version| version.contains('.')), "{health}");
        assert_eq!(world.get("", "/readyz").await.ok(), health);
    }

    async fn a_missing_migration_is_not_ready_and_says_what_to_run(world: World) {
        let last = "DELETE FROM seaql_migrations WHERE version LIKE '%operations'";
        database::execute(&world.url, last).await;
        let (headers, reply) = send(world.request("GET", "/readyz")).await;
        let message = reply.failed(503);
        assert!(message.contains("overseas migrate up") && message.contains("operations"), "{message}");
        assert!(!header(&headers, "retry-after").is_empty());
        world.get("", "/healthz").await.ok();
    }

    async fn a_newer_schema_is_not_ready(world: World) {
        let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99991231_000001_later', 0)";
        database::execute(&world.url, newer).await;
        let message = world.get("", "/readyz").await.failed(503);
        assert!(message.contains("newer") && message.contains("m99991231_000001_later"), "{message}");
    }

    async fn a_database_that_is_away_is_not_ready(world: World) {
        world.db.close().await;
        let message = world.get("", "/readyz").await.failed(503);
        assert!(message.contains("database"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_is_not_ready_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path()).await;
    let url = redis.url();
    let world = World::with(Kind::Sqlite, |config: &mut Config| config.queue.url = url, |_| {}).await;
    world.get("", "/readyz").await.ok();
    redis.stop();
    let message = world.get("", "/readyz").await.failed(503);
    assert!(message.contains("queue") && !message.contains("database"), "{message}");
    assert!(!message.contains("127.0.0.1"), "an address is an internal: {message}");
    world.refresh("http://cdn.example.com/a").await;
    redis.resume().await;
    eventually("ready again", 20, || async { world.get("", "/readyz").await.status == 200 }).await;
}

#[tokio::test]
async fn the_documentation_needs_no_outside_host() {
    let world = World::new(Kind::Sqlite).await;
    let (headers, reply) = send(world.request("GET", "/docs")).await;
    assert_eq!(reply.status, 200);
    assert!(header(&headers, "content-type").starts_with("text/html"));
    let Value::String(page) = reply.body else { panic!("no page") };
    assert!(page.contains("SwaggerUIBundle") && page.contains("/level3/refresh_list"));
    let body = page.rsplit("<body>").next().unwrap();
    for (tag, name) in [("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")] {
        let outside: Vec<&str> = attributes(if tag == "img" { body } else { &page }, tag, name)
            .into_iter()
            .filter(|address| address.starts_with("//") || address.contains("://"))
            .collect();
        assert_eq!(outside, [""; 0], "{tag}");
    }
    assert!(!page.contains("@import") && !page.contains("url(http"), "nor do the styles");
    let (_, again) = send(world.request("GET", "/docs/")).await;
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn the_document_is_what_the_command_writes() {
    let world = World::new(Kind::Sqlite).await;
    let (headers, reply) = send(world.request("GET", "/openapi.yaml")).await;
    assert!(header(&headers, "content-type").contains("yaml"));
    let Value::String(served) = reply.body else { panic!("no text") };
    let written = run(&HashMap::new(), world.folder.path(), &["openapi"], "");
    assert!(written.status.success());
    assert_eq!(String::from_utf8(written.stdout).unwrap(), served);
    assert!(served.starts_with("components:") || served.starts_with("openapi:"), "{}", &served[..100]);
}

#[tokio::test]
async fn the_document_lists_every_path_of_the_contract_with_its_failures() {
    let world = World::new(Kind::Sqlite).await;
    let (_, reply) = send(world.request("GET", "/openapi.json")).await;
    let paths = reply.body["paths"].as_object().unwrap();
    let contract = [
        ("/level3/domains", "get"),
        ("/level3/refresh", "post"),
        ("/level3/preload", "post"),
        ("/level3/refresh_list", "get"),
        ("/level3/preload_list", "get"),
        ("/level3/user", "post"),
        ("/level3/user_domains", "get"),
        ("/level3/user_domains", "post"),
        ("/level3/user_domains", "put"),
        ("/level3/user_cdns", "get"),
        ("/level3/user_cdns", "post"),
        ("/level3/login", "post"),
        ("/level3/logout", "post"),
        ("/level3/logincheck", "get"),
        ("/level3/logincheck", "post"),
        ("/useful/create/company", "post"),
        ("/healthz", "get"),
        ("/readyz", "get"),
    ];
    for (path, method) in contract {
        let operation = &paths[path][method];
        assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{method} {path}");
        for status in ["200", "400", "401", "404", "500", "503"] {
            assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
        }
        // Tools do not send a body with a GET, so its parameters stand in the query.
        assert!(method != "get" || operation.get("requestBody").is_none(), "{path}");
    }
    let refresh = &paths["/level3/refresh"]["post"];
    assert!(refresh["requestBody"]["content"]["application/json"].is_object());
    assert!(refresh["security"].as_array().is_some_and(|schemes| !schemes.is_empty()));
    assert!(paths["/level3/login"]["post"].get("security").is_none());
}
