//! Parameters are taken wherever a client puts them: query string, JSON body or form, on every method.
//!
//! Each case is a request that must be understood as one and the same.

use crate::support::http::{FORM, send};
use crate::support::{Kind, World, on_both};
use serde_json::{Value, json};

const A: &str = "http://cdn.example.com/a.html";
const B: &str = "http://cdn.example.com/b.html";
const JSON: &str = "application/json";

/// The URLs of the tasks that a refresh made.
fn urls(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|task| task["url"].as_str().unwrap()).collect()
}

on_both! {
    async fn a_refresh_is_understood_in_every_way_of_writing_it(world: World) {
        let cases: [(&str, &str, String); 17] = [
            ("", JSON, json!({"path": format!("{A}|{B}")}).to_string()),
            ("", JSON, json!({"path": [A, B]}).to_string()),
            ("", JSON, json!({"path": [format!("{A}|{B}")]}).to_string()),
            ("", JSON, json!({"path": format!(" {A} | {B} |")}).to_string()),
            ("", FORM, format!("path={A}|{B}")),
            ("", FORM, "path=http%3A%2F%2Fcdn.example.com%2Fa.html%7Chttp%3a%2f%2fcdn.example.com%2fb.html".to_owned()),
            ("", FORM, format!("path={A}&path={B}")),
            ("", FORM, format!("path.0={A}&path.1={B}")),
            ("", FORM, format!("path.1={B}&path.0={A}")),
            ("", FORM, format!("path[0]={A}&path[1]={B}")),
            ("", FORM, format!("path[]={A}&path[]={B}")),
            ("", FORM, json!({"path": [A, B]}).to_string()),
            ("", "text/plain", json!({"path": [A, B]}).to_string()),
            ("", "application/x-www-form-urlencoded; charset=utf-8", format!("path={A}|{B}")),
            ("?path=http://cdn.example.com/a.html%7Chttp://cdn.example.com/b.html", JSON, String::new()),
            ("?path=http://cdn.example.com/a.html&path=http://cdn.example.com/b.html", JSON, "{}".to_owned()),
            ("?path.0=http://cdn.example.com/a.html&path.1=http://cdn.example.com/b.html", JSON, "null".to_owned()),
        ];
        for (query, content_type, body) in cases {
            let reply = world.raw("POST", &format!("/level3/refresh{query}"), content_type, &body).await;
            let answer = reply.ok();
            assert_eq!(urls(&answer), [format!("{A}|{B}")], "{query} {content_type} {body}");
        }
    }

    async fn the_query_string_wins_over_the_body(world: World) {
        let target = format!("/level3/refresh?path={A}");
        for (content_type, body) in [(JSON, json!({"path": [B]}).to_string()), (FORM, format!("path={B}&path={B}"))] {
            let answer = world.raw("POST", &target, content_type, &body).await.ok();
            assert_eq!(urls(&answer), [A]);
        }
        let listed = world.raw("GET", "/level3/refresh_list?limit=1", JSON, "{\"limit\": 2}").await.ok();
        assert_eq!(urls(&listed).len(), 1);
        // What only the body has still counts.
        let both = world.raw("GET", "/level3/refresh_list?limit=2", JSON, "{\"state\": \"done\"}").await.ok();
        assert_eq!(urls(&both), [""; 0]);
    }

    async fn a_get_takes_a_json_body_or_a_form(world: World) {
        let mine = world.refresh(A).await;
        let body = json!({"login_email": "user@example.com", "taskid": mine[0], "limit": "5", "state": "queued"});
        let form = format!("login_email=user%40example.com&taskid={}&limit=5&state=queued", mine[0]);
        for (content_type, body) in [(JSON, body.to_string()), (FORM, form), (FORM, body.to_string())] {
            let listed = world.raw("GET", "/level3/refresh_list", content_type, &body).await.ok();
            assert_eq!(urls(&listed), [A], "{body}");
        }
    }

    async fn unknown_parameters_are_ignored(world: World) {
        let query = "?colour=red&colour=blue&x.0=1&y[z]=2&=3&%00=4";
        let body = json!({"path": A, "size": {"deep": [1, null]}, "": 0, "Path": B}).to_string();
        let answer = world.raw("POST", &format!("/level3/refresh{query}"), JSON, &body).await.ok();
        assert_eq!(urls(&answer), [A]);
        world.get(&world.user_token, &format!("/level3/domains{query}")).await.ok();
    }

    async fn lists_of_domains_are_taken_in_every_way_of_writing_them(world: World) {
        let forms = [
            "domains=www.example.com&domains=a.example.com",
            "domains.0=www.example.com&domains.1=a.example.com",
            "domains[0]=www.example.com&domains[1]=a.example.com",
        ];
        for form in forms {
            let request = world.request("PUT", "/level3/user_domains").bearer_auth(&world.staff_token);
            let body = format!("login_email=other@example.com&cdn=level3&{form}");
            let answer = send(request.header("content-type", FORM).body(body)).await.1.ok();
            let expected = json!([{"domains": ["a.example.com", "www.example.com"], "cdn": "level3"}]);
            assert_eq!(answer["results"], expected, "{form}");
        }
        let one = json!({"login_email": "other@example.com", "cdn": "level3", "domains": "B.Example.com"});
        let answer = world.put(&world.staff_token, "/level3/user_domains", one).await.ok();
        assert_eq!(answer["results"], json!([{"domains": ["b.example.com"], "cdn": "level3"}]));
    }
}

#[tokio::test]
async fn numbers_and_truth_may_be_text() {
    let world = World::new(Kind::Sqlite).await;
    for limit in [json!(1), json!("1"), json!(" 1 "), json!(null), json!("")] {
        let request = world.request("GET", "/level3/refresh_list").bearer_auth(&world.user_token);
        send(request.json(&json!({"limit": limit}))).await.1.ok();
    }
    let truths = [
        (json!(false), false),
        (json!("false"), false),
        (json!("False"), false),
        (json!("0"), false),
        (json!(true), true),
        (json!("TRUE"), true),
        (json!(1), true),
        (json!(null), true),
        (json!(""), true),
    ];
    for (number, (written, right)) in truths.into_iter().enumerate() {
        let email = format!("truth{number}@example.com");
        let company = json!({"company_name": email, "owner_name": "x", "owner_email": email});
        world.post(&world.staff_token, "/useful/create/company", company).await.ok();
        let user = json!({"login_email": email, "password": 1_234_567_890, "operations": written});
        let answer = world.post(&world.staff_token, "/level3/user", user).await.ok();
        assert_eq!(answer["operate_right"], right, "{written}");
        let login = json!({"login_email": email, "password": "1234567890"});
        assert_eq!(world.post("", "/level3/login", login).await.ok()["operate_right"], right);
    }
}
