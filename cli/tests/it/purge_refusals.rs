//! What a refresh or preload refuses: all or nothing, and the message names each bad item.
//!
//! Each test ends by looking behind the product's back: no task, no audit row, no call to the vendor.

use crate::support::http::send;
use crate::support::world::{OTHER, USER};
use crate::support::{Kind, World, on_both};
use overseas_shared::config::CdnConfig;
use serde_json::json;

const GOOD: &str = "http://cdn.example.com/good.html";

/// Asks for a good URL together with these; returns the message.
async fn refusal(world: &World, kind: &str, urls: &[&str], status: u16) -> String {
    let path: Vec<&str> = [GOOD].into_iter().chain(urls.iter().copied()).collect();
    let body = json!({"path": path});
    let message = world.post(&world.user_token, &format!("/level3/{kind}"), body).await.failed(status);
    assert!(!message.contains("good.html"), "only what is bad is named: {message}");
    message
}

async fn assert_nothing_was_made(world: &World) {
    for rows in ["task", "idempotency", "audit WHERE action <> 'prepare'"] {
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {rows}")).await, 0, "{rows}");
    }
    assert_eq!(world.control.summary().paths_invalidated, 0);
}

on_both! {
    async fn one_bad_url_makes_no_task(world: World) {
        let bad = [
            "cdn.example.com/a.html", "/a.html", "mailto:user@example.com", "file:///etc/passwd", "http://",
            "http:///a", "javascript:alert(1)", "http:/cdn.example.com/a", "gopher://cdn.example.com/a", "*",
            "http://cdn.example.com/a b", "http://cdn.example.com\\a", "http://cdn..example.com/a",
            "http://user:secret@cdn.example.com/", "http://cdn.example.com/\u{7}", "http:///cdn.example.com/a",
            "http:cdn.example.com/?next=http://cdn.example.com/a",
        ];
        for kind in ["refresh", "preload"] {
            for url in bad {
                let message = refusal(&world, kind, &[url], 400).await;
                assert!(message.starts_with("path: ") && message.contains(url), "{url}: {message}");
            }
            let message = refusal(&world, kind, &bad, 400).await;
            for url in bad {
                assert!(message.contains(url), "each bad item is named, also {url}: {message}");
            }
        }
        assert_nothing_was_made(&world).await;
    }

    async fn a_domain_that_is_not_the_users_is_404(world: World) {
        world.map(OTHER, &["foreign.example.com"]).await;
        let hosts = ["foreign.example.com", "nowhere.example.com", "old.example.com", "img.example.com",
            "x.cdn.example.com", "example.com", "127.0.0.1", "localhost"];
        for kind in ["refresh", "preload"] {
            let urls = hosts.map(|host| format!("http://{host}/a"));
            let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
            let message = refusal(&world, kind, &urls, 404).await;
            for host in hosts {
                assert!(message.contains(host), "{host}: {message}");
            }
        }
        assert_nothing_was_made(&world).await;
    }

    async fn a_preload_takes_neither_wildcards_nor_directories(world: World) {
        let bad = ["http://cdn.example.com/images/", "http://cdn.example.com/*.jpg", "http://cdn.example.com/a?x=*"];
        let message = refusal(&world, "preload", &bad, 400).await;
        for url in bad {
            assert!(message.contains(url), "{message}");
        }
        assert_nothing_was_made(&world).await;
    }

    async fn a_pending_domain_is_400_that_says_so(world: World) {
        world.map(USER, &["soon.example.com", "later.example.com"]).await;
        for kind in ["refresh", "preload"] {
            let message = refusal(&world, kind, &["http://soon.example.com/", "http://later.example.com/"], 400).await;
            for word in ["soon.example.com", "later.example.com", "level3", "Pending"] {
                assert!(message.contains(word), "{message}");
            }
        }
        assert_nothing_was_made(&world).await;
    }

    async fn a_cdn_that_is_not_configured_is_400_that_says_so(world: World) {
        let sql = "INSERT INTO cdn (name, created_at) VALUES ('former', 0)";
        crate::support::database::execute(&world.url, sql).await;
        let body = json!({"login_email": USER, "cdn": "former", "domains": ["f.example.com"]});
        world.post(&world.staff_token, "/level3/user_domains", body).await.ok();
        let orders = world.number("SELECT COUNT(*) FROM audit").await;
        let body = json!({"path": [GOOD, "http://f.example.com/a"]});
        let message = world.post(&world.user_token, "/level3/refresh", body).await.failed(400);
        for word in ["f.example.com", "former", "not configured"] {
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit").await, orders);
    }

    async fn a_user_without_operate_right_is_403(world: World) {
        let company = json!({"company_name": "X", "owner_name": "X", "owner_email": "reader@example.com"});
        world.post(&world.staff_token, "/useful/create/company", company).await.ok();
        let user = json!({"login_email": "reader@example.com", "password": "long enough", "operations": "false"});
        assert_eq!(world.post(&world.staff_token, "/level3/user", user).await.ok()["operate_right"], false);
        world.map("reader@example.com", &["cdn.example.com"]).await;
        let login = json!({"login_email": "reader@example.com", "password": "long enough"});
        let login = world.post("", "/level3/login", login).await.ok();
        assert_eq!(login["operate_right"], false);
        let token = login["token"].as_str().unwrap();
        for kind in ["refresh", "preload"] {
            let path = format!("/level3/{kind}");
            let message = world.post(token, &path, json!({"path": GOOD})).await.failed(403);
            assert!(message.contains("reader@example.com"), "{message}");
            // Staff may do for the user only what the user may do.
            let body = json!({"login_email": "reader@example.com", "path": GOOD});
            world.post(&world.staff_token, &path, body).await.failed(403);
            world.get(token, &format!("{path}_list")).await.ok();
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 0);
    }

    async fn more_than_a_thousand_urls_are_413(world: World) {
        let urls: Vec<String> = (0..1001).map(|number| format!("http://cdn.example.com/{number}")).collect();
        for path in [json!(urls), json!(urls.join("|")), json!([urls[..500].join("|"), urls[500..].join("|")])] {
            let body = json!({"path": path});
            let message = world.post(&world.user_token, "/level3/refresh", body).await.failed(413);
            assert!(message.starts_with("path: ") && message.contains("1001") && message.contains("1000"), "{message}");
        }
        assert_nothing_was_made(&world).await;
    }

    async fn a_url_over_2048_bytes_is_413(world: World) {
        let long = format!("http://cdn.example.com/{}", "x".repeat(2049 - 23));
        assert_eq!(long.len(), 2049);
        for kind in ["refresh", "preload"] {
            let message = refusal(&world, kind, &[&long], 413).await;
            assert!(message.contains(&long[..80]) && message.contains("2048"), "{message}");
            assert!(message.len() < 500, "{message}");
        }
        // Bytes, not characters.
        let wide = format!("http://cdn.example.com/{}", "ä".repeat(1013));
        assert!(wide.chars().count() < 2048 && wide.len() > 2048);
        refusal(&world, "refresh", &[&wide], 413).await;
        assert_nothing_was_made(&world).await;
    }

    async fn a_message_stays_readable_however_much_is_wrong(world: World) {
        let bad: Vec<String> = (0..1000).map(|number| format!("bad-{number}")).collect();
        let message = world.post(&world.user_token, "/level3/refresh", json!({"path": bad})).await.failed(400);
        assert!(message.contains("bad-0") && message.contains("more") && message.len() < 10_000, "{message}");
        let unknown: Vec<String> = (0..1000).map(|number| format!("http://n{number}.example.com/")).collect();
        let message = world.post(&world.user_token, "/level3/refresh", json!({"path": unknown})).await.failed(404);
        assert!(message.contains("more") && message.len() < 10_000, "{message}");
        assert_nothing_was_made(&world).await;
    }

    async fn what_is_stored_is_never_read_as_sql(world: World) {
        let url = "http://cdn.example.com/'); DROP TABLE task; --?a=\"`${x}%27%00";
        let message = refusal(&world, "refresh", &[url], 400).await;
        assert!(message.contains("DROP TABLE"), "spaces are refused: {message}");
        let url = url.replace(' ', "+");
        let answer = world.post(&world.user_token, "/level3/refresh", json!({"path": url})).await.ok();
        let id = answer["results"][0]["taskid"].as_str().unwrap();
        assert_eq!(world.task("refresh", id).await["url"], url);
        let listed = world.get(&world.user_token, "/level3/refresh_list?taskid='%20OR%20'1'='1&before=%25").await.ok();
        assert_eq!(listed["results"], json!([]));
    }
}

#[tokio::test]
async fn a_refusal_names_the_items_of_every_kind_of_fault_at_once() {
    let world = World::new(Kind::Sqlite).await;
    world.map(USER, &["soon.example.com"]).await;
    let body = json!({"path": ["not-a-url", "http://foreign.example.com/", "http://soon.example.com/"]});
    let reply = send(world.request("POST", "/level3/refresh").bearer_auth(&world.user_token).json(&body)).await.1;
    assert!((400..=404).contains(&reply.status));
    let message = reply.body["message"].as_str().unwrap();
    for item in ["not-a-url", "foreign.example.com", "soon.example.com"] {
        assert!(message.contains(item), "{item}: {message}");
    }
}

#[tokio::test]
async fn an_api_whose_settings_lack_the_cdn_refuses_its_domains() {
    let world = World::new(Kind::Sqlite).await;
    let mut careless = world.context.config.clone();
    careless.cdn.clear();
    careless.cdn.insert("other".to_owned(), CdnConfig::new("level3"));
    let base = world.another_api_with(careless).await;
    let request = world.client.post(format!("{base}/level3/refresh")).bearer_auth(&world.user_token);
    let message = send(request.json(&json!({"path": GOOD}))).await.1.failed(400);
    assert!(message.contains("level3") && message.contains("not configured"), "{message}");
}
