//! The audit trail: every change leaves one row with who, from where, what and in which request; no change,
//! no row; and staff can find it again.
//!
//! What tests prepare behind the API has the action `prepare`.

use crate::support::http::send;
use crate::support::world::{OTHER, STAFF, USER};
use crate::support::{World, on_both};
use serde_json::{Value, json};

/// The rows that a query finds, newest first.
async fn rows(world: &World, query: &str) -> Vec<Value> {
    let answer = world.get(&world.staff_token, &format!("/level3/audit?{query}")).await.ok();
    answer["results"].as_array().unwrap().clone()
}

on_both! {
    async fn every_change_leaves_a_row_of_its_request(world: World) {
        let company = json!({"company_name": "A", "owner_name": "B", "owner_email": "c@example.com"});
        let map = json!({"login_email": OTHER, "cdn": "level3", "domains": ["a.example.com"]});
        let purge = json!({"login_email": USER, "path": "http://cdn.example.com/a"});
        let changes = [
            ("POST", "/useful/create/company", company, "create_company", "A", "owner c@example.com"),
            ("POST", "/level3/user", json!({"login_email": "c@example.com", "password": "long enough"}), "create_user", "c@example.com", "operations true"),
            ("POST", "/level3/user_cdns", json!({"login_email": OTHER, "cdns": "level3"}), "map_cdns", OTHER, "level3"),
            ("POST", "/level3/user_domains", map.clone(), "map_domains", OTHER, "level3: a.example.com"),
            ("PUT", "/level3/user_domains", map, "set_domains", OTHER, "level3: a.example.com"),
            (
                "PUT", "/level3/user_domains",
                json!({"login_email": OTHER, "cdn": "level3", "old_domain": "a.example.com", "new_domain": "b.example.com"}),
                "replace_domain", OTHER, "level3: a.example.com by b.example.com",
            ),
            ("POST", "/level3/cdn", json!({"cdn": "acme"}), "create_cdn", "acme", ""),
            ("PUT", "/level3/cdn", json!({"id": 2, "cdn": "Acme"}), "rename_cdn", "Acme", "was acme"),
            ("POST", "/level3/webhooks", json!({"login_email": OTHER, "url": "https://a.example.com/b"}), "create_webhook", OTHER, "1 https://a.example.com"),
            ("POST", "/level3/webhooks/remove", json!({"id": 1}), "remove_webhook", OTHER, "1 https://a.example.com"),
            ("POST", "/level3/refresh", purge.clone(), "refresh", USER, "1 URLs"),
            ("POST", "/level3/preload", purge, "preload", USER, "1 URLs"),
        ];
        for (number, (method, path, body, action, target, detail)) in changes.into_iter().enumerate() {
            let id = format!("request-{number}");
            let request = world.request(method, path).bearer_auth(&world.staff_token).header("x-request-id", &id);
            send(request.json(&body)).await.1.ok();
            let found = rows(&world, &format!("request_id={id}")).await;
            assert_eq!(found.len(), 1, "{method} {path}: {found:?}");
            let row = &found[0];
            assert_eq!((&row["action"], &row["target"]), (&json!(action), &json!(target)), "{row}");
            assert!(row["detail"].as_str().unwrap().starts_with(detail), "{row}");
            assert_eq!((&row["actor"], &row["address"]), (&json!(STAFF), &json!("127.0.0.1")), "{row}");
            assert!(row["timestamp"].as_i64().unwrap().abs_diff(world.clock.now_seconds()) < 60);
            let time = row["time"].as_str().unwrap();
            assert!(time.len() == 19 && &time[4..5] == "/" && &time[10..11] == " ", "{time}");
        }
    }

    async fn what_is_refused_leaves_no_row(world: World) {
        let before = world.number("SELECT COUNT(*) FROM audit").await;
        let staff = &world.staff_token;
        world.post(staff, "/level3/user", json!({"login_email": "nobody@example.com", "password": "long enough"})).await.failed(400);
        world.post(staff, "/level3/cdn", json!({"cdn": "level3"})).await.failed(409);
        let replace = json!({"login_email": USER, "cdn": "level3", "old_domain": "x.example.com", "new_domain": "y.example.com"});
        world.put(staff, "/level3/user_domains", replace).await.failed(404);
        world.post(&world.user_token, "/level3/cdn", json!({"cdn": "acme"})).await.failed(403);
        world.post(&world.user_token, "/level3/refresh", json!({"path": "http://foreign.example.com/"})).await.failed(404);
        world.post("", "/level3/logout", json!({"token": "unknown"})).await.ok();
        assert_eq!(world.number("SELECT COUNT(*) FROM audit").await, before);
    }

    async fn logins_and_logouts_leave_rows_and_failed_ones_none(world: World) {
        world.register("owner@example.com", "correct horse battery").await;
        let login = |password: &str| json!({"login_email": "owner@example.com", "password": password});
        world.post("", "/level3/login", login("wrong")).await.failed(401);
        let answer = world.post("", "/level3/login", login("correct horse battery")).await.ok();
        world.post("", "/level3/logout", json!({"token": answer["token"]})).await.ok();
        let found = rows(&world, "actor=owner@example.com").await;
        let actions: Vec<&str> = found.iter().map(|row| row["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["logout", "login"]);
        assert!(!Value::Array(found).to_string().contains(answer["token"].as_str().unwrap()));
    }

    async fn pages_hold_every_row_once_newest_first(world: World) {
        for number in 0..25 {
            let request = world.request("POST", "/level3/refresh").header("x-request-id", format!("page-{number:02}"));
            send(request.bearer_auth(&world.user_token).json(&json!({"path": "http://cdn.example.com/a"}))).await.1.ok();
        }
        let (mut seen, mut before) = (Vec::new(), String::new());
        for _ in 0..10 {
            let path = format!("/level3/audit?action=refresh&limit=10{before}");
            let page = world.get(&world.staff_token, &path).await.ok();
            let rows = page["results"].as_array().unwrap();
            seen.extend(rows.iter().map(|row| row["request_id"].as_str().unwrap().to_owned()));
            match page["next"].as_i64() {
                Some(next) => before = format!("&before={next}"),
                None => break,
            }
        }
        let expected: Vec<String> = (0..25).rev().map(|number| format!("page-{number:02}")).collect();
        assert_eq!(seen, expected);
    }

    async fn filters_narrow_and_bad_ones_are_400(world: World) {
        let purge = json!({"path": "http://cdn.example.com/a"});
        world.post(&world.user_token, "/level3/refresh", purge.clone()).await.ok();
        let middle = world.clock.now_seconds() + 100;
        world.clock.advance(200_000);
        world.post(&world.user_token, "/level3/preload", purge).await.ok();
        let count = async |query: String| rows(&world, &query).await.len();
        for (query, expected) in [
            (format!("actor={USER}"), 2),
            (format!("actor={OTHER}"), 0),
            ("action=preload".to_owned(), 1),
            (format!("target={USER}&action=refresh"), 1),
            (format!("actor={USER}&address=127.0.0.1"), 2),
            (format!("actor={USER}&address=192.0.2.1"), 0),
            (format!("actor={USER}&since={middle}"), 1),
            (format!("actor={USER}&until={middle}"), 1),
            (format!("actor={USER}&since={middle}&until={middle}"), 0),
            (format!("actor={USER}&limit=1"), 1),
        ] {
            assert_eq!(count(query.clone()).await, expected, "{query}");
        }
        for query in ["limit=0", "limit=1001", "limit=x", "since=yesterday", "before=x"] {
            let name = query.split('=').next().unwrap();
            let message = world.get(&world.staff_token, &format!("/level3/audit?{query}")).await.failed(400);
            assert!(message.starts_with(&format!("{name}: ")), "{message}");
        }
    }
}
