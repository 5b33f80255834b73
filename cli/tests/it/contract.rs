//! Contract: the examples of the API's description, sent as they are written there, are answered as they
//! are written there; and every endpoint takes its parameters in every way of writing them.
//!
//! `like` compares: what the text has must be there with its value, further fields may be. The text's `..`
//! stands for something, and times, ids of tasks and tokens are told by their form. Statistics and logs
//! have tests of their own.

use crate::support::database::execute;
use crate::support::http::{FORM, header, send};
use crate::support::world::{OTHER, Reply, USER, entry};
use crate::support::{World, on_both};
use overseas_shared::db::catalogue;
use serde_json::{Map, Value, json};

const JSON: &str = "application/json";
const PASSWORD: &str = "correct horse battery";
/// What no parameter may be, or not mean.
const WRONG: &str = "wrong value !";

/// Fails when the answer is not like the text's.
fn assert_like(world: &World, answer: &Value, text: &str) {
    let expected: Value = serde_json::from_str(text).unwrap();
    like(world, "", &expected, answer).unwrap_or_else(|what| panic!("{what}\nexpected {text}\nanswered {answer}"));
}

fn like(world: &World, name: &str, expected: &Value, answer: &Value) -> Result<(), String> {
    let fits = match (name, expected, answer) {
        ("time", _, Value::String(time)) => is_now_in_shanghai(world, time),
        ("taskid", _, Value::String(id)) => id.len() == 26 && id.chars().all(|c| c.is_ascii_alphanumeric()),
        ("token", _, Value::String(token)) => token.len() >= 43,
        ("last_login", _, Value::Number(time)) => is_near(world, time.as_i64(), 0),
        ("expires", _, Value::Number(time)) => is_near(world, time.as_i64(), 3600),
        (_, Value::String(dots), Value::String(something)) if dots == ".." => !something.is_empty(),
        (_, Value::Object(fields), Value::Object(answered)) => {
            for (name, field) in fields {
                like(world, name, field, answered.get(name).unwrap_or(&Value::Null))?;
            }
            true
        }
        (_, Value::Array(items), Value::Array(answered)) => {
            for (item, answer) in items.iter().zip(answered) {
                like(world, name, item, answer)?;
            }
            items.len() == answered.len()
        }
        _ => expected == answer,
    };
    if fits { Ok(()) } else { Err(format!("{name}: expected {expected}, answered {answer}")) }
}

fn is_near(world: &World, time: Option<i64>, later: i64) -> bool {
    time.is_some_and(|time| (time - later).abs_diff(world.clock.now_seconds()) < 60)
}

/// `2016/09/13 15:44:07`, eight hours ahead of UTC.
fn is_now_in_shanghai(world: &World, time: &str) -> bool {
    let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let number = |from: usize| time.get(from..from + 2).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or(0);
    let seconds = number(11) * 3600 + number(14) * 60 + number(17);
    let since = (world.clock.now_seconds() + 8 * 3600 - seconds).rem_euclid(86_400);
    form == "0000/00/00 00:00:00" && since < 60
}

/// Sends a body as it is written.
async fn call(world: &World, token: &str, method: &str, path: &str, body: &str) -> Reply {
    let request = world.request(method, path).header("content-type", JSON).body(body.to_owned());
    send(if token.is_empty() { request } else { request.bearer_auth(token) }).await.1
}

async fn staff(world: &World, method: &str, path: &str, body: &str) -> Reply {
    call(world, &world.staff_token, method, path, body).await
}

/// Makes `user@example.com` an address that nobody has, and whose company is known if it is to be.
async fn without_user(world: &World, company: bool) {
    execute(&world.url, "UPDATE `user` SET email = 'former@example.com' WHERE email = 'user@example.com'").await;
    if company {
        let body = json!({"company_name": "Its Company", "owner_name": "An Owner", "owner_email": USER});
        world.post(&world.staff_token, "/useful/create/company", body).await.ok();
    }
}

async fn with_qcould(world: &World) {
    assert_eq!(catalogue::create_cdn(&world.db, "qcould", &entry(world.clock.now())).await.unwrap(), 2);
}

on_both! {
    async fn section_0_failures_have_a_status_a_message_and_a_request_id(world: World) {
        let (user, refresh) = (&world.user_token, "/level3/refresh");
        let long = format!("{{\"path\":\"http://cdn.example.com/{}\"}}", "x".repeat(2048));
        let cases = [
            (400, user, "POST", refresh, "{".to_owned(), "body"),
            (401, &String::new(), "GET", "/level3/domains", String::new(), "login"),
            (401, &"unknown".to_owned(), "GET", "/level3/domains", String::new(), "login"),
            (403, user, "GET", "/level3/user_cdns?login_email=other@example.com", String::new(), "login_email"),
            (403, user, "GET", "/level3/user_cdns?login_email=missing@example.com", String::new(), "login_email"),
            (403, user, "POST", "/level3/cdn", r#"{"cdn":"acme"}"#.to_owned(), "staff"),
            (404, user, "GET", "/level3/nothing", String::new(), "/level3/nothing"),
            (404, user, "POST", refresh, r#"{"path":"http://x.example.org/"}"#.to_owned(), "x.example.org"),
            (405, user, "PUT", refresh, String::new(), "PUT"),
            (413, user, "POST", refresh, long, "2048"),
        ];
        for (status, token, method, path, body, named) in cases {
            let request = world.request(method, path).header("content-type", JSON).body(body);
            let request = if token.is_empty() { request } else { request.bearer_auth(token) };
            let (headers, reply) = send(request).await;
            assert_eq!(header(&headers, "x-request-id"), reply.body["request_id"], "{method} {path}");
            let message = reply.failed(status);
            assert!(message.contains(named), "{method} {path}: {message}");
        }
        // What is another user's and what is nobody's get the same answer but for the name.
        world.map(OTHER, &["www.example.com", "theirs.example.org"]).await;
        let host = async |host: &str| {
            let body = json!({"path": format!("http://{host}/")});
            world.post(user, refresh, body).await.failed(404).replace(host, "HOST")
        };
        assert_eq!(host("theirs.example.org").await, host("nobodys.example.org").await);
        let theirs = json!({"path": "http://www.example.com/"});
        let theirs = world.post(&world.other_token, refresh, theirs).await.ok();
        let task = async |id: &str| {
            world.get(user, &format!("/level3/refresh_list?taskid={id}")).await.failed(404).replace(id, "ID")
        };
        let theirs = theirs["results"][0]["taskid"].as_str().unwrap();
        assert_eq!(task(theirs).await, task("01K9ZC5T0M7Q4V8XJ2S6B3N1HD").await);
    }

    async fn section_0_who_needs_no_credential_and_who_is_trusted(world: World) {
        for (method, path, status) in [
            ("POST", "/level3/login", 400), ("GET", "/level3/logincheck", 200), ("POST", "/level3/logincheck", 200),
            ("POST", "/level3/logout", 200), ("GET", "/healthz", 200), ("GET", "/docs", 200),
            ("GET", "/openapi.json", 200), ("GET", "/level3/domains", 401), ("GET", "/level3/cdn", 401),
            ("POST", "/level3/refresh", 401), ("POST", "/level3/user", 401), ("POST", "/useful/create/company", 401),
        ] {
            let (headers, reply) = send(world.request(method, path).header("origin", "https://example.com")).await;
            assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
            assert!(!header(&headers, "x-request-id").is_empty());
            assert!(!headers.contains_key("access-control-allow-origin"), "no origins by default: {headers:?}");
        }
        let mut config = world.context.config.clone();
        config.http.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
        let inside = world.another_api_with(config).await;
        send(world.client.post(format!("{inside}/level3/cdn")).json(&json!({"cdn": "acme"}))).await.1.ok();
        let purge = json!({"login_email": OTHER, "path": "http://www.example.com/"});
        world.map(OTHER, &["www.example.com"]).await;
        send(world.client.post(format!("{inside}/level3/refresh")).json(&purge)).await.1.ok();
        let mine = world.client.post(format!("{inside}/level3/cdn")).bearer_auth(&world.user_token);
        send(mine.json(&json!({"cdn": "another"}))).await.1.failed(403);
    }

    async fn section_1_domains(world: World) {
        let body = r#"{"login_email":"user@example.com","cdn":"level3","domains":["cdn.example.com"]}"#;
        staff(&world, "PUT", "/level3/user_domains", body).await.ok();
        let answer = world.get(&world.user_token, "/level3/domains").await.ok();
        assert_like(&world, &answer, r#"{"err":0,"domains":["cdn.example.com"]}"#);
        let all = world.get(&world.staff_token, "/level3/domains").await.ok();
        let names: Vec<&str> = all["domains"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(names.is_sorted() && names.len() > 5 && names.contains(&"cdn.example.com"), "{names:?}");
    }

    async fn sections_6_to_9_refresh_preload_and_their_lists(world: World) {
        let task = r#"{"time":"2016/09/13 15:44:07",
            "url":"http://cdn.example.com/test.html|http://cdn.example.com/test1.html",
            "taskid":"01K9ZC5T0M7Q4V8XJ2S6B3N1HD","percentComplete":"0","state":"queued"}"#;
        let body = r#"{"login_email":"user@example.com",
            "path":"http://cdn.example.com/test.html|http://cdn.example.com/test1.html"}"#;
        for kind in ["refresh", "preload"] {
            let path = format!("/level3/{kind}");
            let made = call(&world, &world.user_token, "POST", &path, body).await.ok();
            assert_like(&world, &made, &format!(r#"{{"err":0,"results":[{task}],"status":"success"}}"#));
            let list = format!("/level3/{kind}_list?login_email=user@example.com");
            let listed = world.get(&world.user_token, &list).await.ok();
            assert_like(&world, &listed, &format!(r#"{{"err":0,"results":[{task}]}}"#));
            assert_eq!(listed["results"][0]["taskid"], made["results"][0]["taskid"]);
            assert!(listed.get("status").is_none(), "{listed}");
            let second = staff(&world, "POST", &path, body).await.ok();
            let newest = world.get(&world.user_token, &format!("{list}&limit=1")).await.ok();
            assert_eq!(newest["results"][0]["taskid"], second["results"][0]["taskid"]);
            for path in ["http://cdn.example.com/*", "http://cdn.example.com/a/"] {
                let reply = world.post(&world.user_token, &format!("/level3/{kind}"), json!({"path": path})).await;
                if kind == "refresh" { reply.ok(); } else { reply.failed(400); }
            }
        }
        let keyed = async |body: &str| {
            let request = world.request("POST", "/level3/refresh").bearer_auth(&world.user_token);
            send(request.header("idempotency-key", "a-key").header("content-type", JSON).body(body.to_owned())).await.1
        };
        assert_eq!(keyed(body).await.ok(), keyed(body).await.ok());
        keyed(r#"{"path":"http://cdn.example.com/other.html"}"#).await.failed(422);
        let array = r#"{"path":["http://cdn.example.com/a?b=c&d","http://www.example.com/"]}"#;
        let made = call(&world, &world.user_token, "POST", "/level3/refresh", array).await.ok();
        let tasks = made["results"].as_array().unwrap().iter();
        let mut urls: Vec<&str> = tasks.map(|task| task["url"].as_str().unwrap()).collect();
        urls.sort_unstable();
        assert_eq!(urls, ["http://cdn.example.com/a?b=c&d", "http://www.example.com/"], "a task for each property");
    }

    async fn section_10_users(world: World) {
        without_user(&world, false).await;
        let body = r#"{"login_email":"user@example.com","password":"a long password","operations":"false"}"#;
        let message = staff(&world, "POST", "/level3/user", body).await.failed(400);
        assert!(message.contains("user@example.com") && message.contains("ops directory"), "{message}");
        without_user(&world, true).await;
        let answer = staff(&world, "POST", "/level3/user", body).await.ok();
        assert_like(&world, &answer, r#"{"err":0,"user":"user@example.com","operate_right":false,"cdns":[]}"#);
        staff(&world, "POST", "/level3/user", body).await.failed(409);
        // The example's answer is that of a user who may refresh and preload, as by default.
        for (number, operations) in ["", ",\"operations\":\"true\"", ",\"operations\":true"].into_iter().enumerate() {
            let email = format!("user{number}@example.com");
            let company = json!({"company_name": email, "owner_name": "An Owner", "owner_email": email});
            world.post(&world.staff_token, "/useful/create/company", company).await.ok();
            let body = format!("{{\"login_email\":\"{email}\",\"password\":\"a long password\"{operations}}}");
            let answer = staff(&world, "POST", "/level3/user", &body).await.ok();
            let text = format!(r#"{{"err":0,"user":"{email}","operate_right":true,"cdns":[]}}"#);
            assert_like(&world, &answer, &text);
        }
        for (part, wrong) in [("user@example.com", "user"), ("a long password", "..")] {
            staff(&world, "POST", "/level3/user", &body.replace(part, wrong)).await.failed(400);
        }
    }

    async fn section_11_user_domains(world: World) {
        with_qcould(&world).await;
        let path = "/level3/user_domains";
        let both = r#"{"err":0,"results":[{"domains":["a.example.com","b.example.com"],"cdn":"level3"}]}"#;
        let one = |domains: &str| format!(r#"{{"login_email":"user@example.com","cdn":"level3","domains":{domains}}}"#);
        staff(&world, "PUT", path, &one("[\"b.example.com\"]")).await.ok();
        let body = r#"{"login_email":"user@example.com","cdn":"level3","domains":["a.example.com"]}"#;
        assert_like(&world, &staff(&world, "POST", path, body).await.ok(), both);
        let text = r#"{"err":0,"user":"user@example.com","operate_right":true,
            "results":[{"domains":[{"domain":"a.example.com","state":"Active"},
            {"domain":"b.example.com","state":"Active"}],"cdn":"level3"}]}"#;
        for token in [&world.user_token, &world.staff_token] {
            assert_like(&world, &world.get(token, &format!("{path}?login_email=user@example.com")).await.ok(), text);
        }
        assert_like(&world, &staff(&world, "PUT", path, body).await.ok(), &both.replace(",\"b.example.com\"", ""));
        assert_like(&world, &staff(&world, "POST", path, &one("\"b.example.com\"")).await.ok(), both);
        let replace = r#"{"login_email":"user@example.com","cdn":"level3",
            "old_domain":"b.example.com","new_domain":"old.example.com"}"#;
        let replaced = staff(&world, "PUT", path, replace).await.ok();
        assert_like(&world, &replaced, &both.replace("b.example.com", "old.example.com"));
        let several = r#"{"login_email":"user@example.com","cdns":["level3","qcould"],"domains":["a.example.com"]}"#;
        let mapped = r#"{"err":0,"results":[{"domains":["a.example.com"],"cdn":"level3"},
            {"domains":["a.example.com"],"cdn":"qcould"}]}"#;
        assert_like(&world, &staff(&world, "PUT", path, several).await.ok(), mapped);
        let by_id = r#"{"login_email":"user@example.com","id":2,"domains":["B.Example.com","bücher.example.com"]}"#;
        let mapped = r#"{"err":0,"results":[{"domains":["a.example.com"],"cdn":"level3"},
            {"domains":["b.example.com","xn--bcher-kva.example.com"],"cdn":"qcould"}]}"#;
        assert_like(&world, &staff(&world, "PUT", path, by_id).await.ok(), mapped);
        let cdns = world.get(&world.user_token, "/level3/user_cdns").await.ok();
        assert_like(&world, &cdns, r#"{"err":0,"cdns":["level3","qcould"]}"#);
        let states = world.get(&world.user_token, path).await.ok();
        assert_eq!(states["results"][1]["domains"][0], json!({"domain": "b.example.com", "state": "Pending"}));
        for method in ["POST", "PUT"] {
            let body = body.replace("level3", "acme");
            assert!(staff(&world, method, path, &body).await.failed(404).contains("acme"));
            call(&world, &world.user_token, method, path, &body).await.failed(403);
        }
    }

    async fn section_12_user_cdns(world: World) {
        with_qcould(&world).await;
        let path = "/level3/user_cdns";
        let body = r#"{"login_email":"user@example.com","cdns":["level3"]}"#;
        assert_like(&world, &staff(&world, "POST", path, body).await.ok(), r#"{"err":0,"cdns":["level3"]}"#);
        let mine = world.get(&world.user_token, "/level3/user_cdns?login_email=user@example.com").await.ok();
        assert_like(&world, &mine, r#"{"err":0,"cdns":["level3"]}"#);
        let added = staff(&world, "POST", path, &body.replace("level3", "qcould")).await.ok();
        assert_like(&world, &added, r#"{"err":0,"cdns":["level3","qcould"]}"#);
        call(&world, &world.user_token, "POST", path, body).await.failed(403);
    }

    async fn sections_14_to_16_the_session(world: World) {
        without_user(&world, true).await;
        let user = json!({"login_email": USER, "password": PASSWORD});
        world.post(&world.staff_token, "/level3/user", user).await.ok();
        let body = r#"{"login_email":"user@example.com","password":"correct horse battery"}"#;
        let login = call(&world, "", "POST", "/level3/login", body).await.ok();
        assert_like(&world, &login, r#"{"err":0,"user":"user@example.com","login_email":"user@example.com",
            "operate_right":true,"token":"..","last_login":1470299400,"expires":1470303000}"#);
        let lasts = login["expires"].as_i64().unwrap() - login["last_login"].as_i64().unwrap();
        assert_eq!(lasts, 1_470_303_000 - 1_470_299_400);
        let token = login["token"].as_str().unwrap();
        let body = format!(r#"{{"token":"{token}"}}"#);
        let checks = async || {
            [
                world.get("", &format!("/level3/logincheck?token={token}")).await.ok(),
                call(&world, "", "GET", "/level3/logincheck", &body).await.ok(),
                call(&world, "", "POST", "/level3/logincheck", &body).await.ok(),
            ]
        };
        for answer in checks().await {
            assert_like(&world, &answer, r#"{"err":0,"alive":1,"user":"..","expires":1470303000}"#);
            assert_eq!((&answer["user"], &answer["expires"]), (&json!(USER), &login["expires"]));
        }
        world.get("", &format!("/level3/domains?token={token}")).await.ok();
        let second = world.another_api().await;
        let message = call(&world, "", "POST", "/level3/logout", &body).await.ok();
        assert_like(&world, &message, r#"{"err":0,"message":".."}"#);
        for answer in checks().await {
            assert_eq!(answer, json!({"err": 0, "alive": 0}));
        }
        send(world.client.get(format!("{second}/level3/domains")).bearer_auth(token)).await.1.failed(401);
        assert_eq!(call(&world, "", "POST", "/level3/logout", r#"{"token":"unknown"}"#).await.ok(), message);
        let wrong = async |email: &str| {
            let body = json!({"login_email": email, "password": "a wrong password"});
            send(world.request("POST", "/level3/login").json(&body)).await
        };
        assert_eq!(wrong(USER).await.1.failed(401), wrong("missing@example.com").await.1.failed(401));
        for _ in 0..10 {
            wrong(USER).await;
        }
        let (headers, reply) = wrong(USER).await;
        reply.failed(429);
        assert!(header(&headers, "retry-after").parse::<u64>().unwrap() > 0);
    }

    async fn section_17_companies(world: World) {
        let text = r#""company_name":"Example Company","company_alias":"example",
            "owner_name":"A. Owner","owner_email":"owner@example.com""#;
        let (path, body) = ("/useful/create/company", format!("{{{text}}}"));
        let answer = staff(&world, "POST", path, &body).await.ok();
        assert_like(&world, &answer, &format!("{{\"err\":0,\"company\":{{\"id\":1,{text}}}}}"));
        staff(&world, "POST", path, &body.replace("owner@", "other.owner@")).await.failed(409);
        staff(&world, "POST", path, &body.replace("Example Company", "Other Company")).await.failed(409);
        call(&world, &world.user_token, "POST", path, &body).await.failed(403);
    }

    async fn section_18_cdns(world: World) {
        with_qcould(&world).await;
        let path = "/level3/cdn";
        for token in [&world.user_token, &world.staff_token] {
            let listed = world.get(token, path).await.ok();
            assert_like(&world, &listed, r#"{"err":0,"results":[{"id":1,"name":"level3"},{"id":2,"name":"qcould"}]}"#);
        }
        let made = staff(&world, "POST", path, r#"{"cdn":"acme"}"#).await.ok();
        assert_like(&world, &made, r#"{"err":0,"cdn":"acme","id":3}"#);
        let renamed = staff(&world, "PUT", path, r#"{"id":3,"cdn":"Acme"}"#).await.ok();
        assert_like(&world, &renamed, r#"{"err":0,"cdn":"Acme","id":3}"#);
        for (method, body) in [("POST", r#"{"cdn":"Acme"}"#), ("PUT", r#"{"id":3,"cdn":"qcould"}"#)] {
            staff(&world, method, path, body).await.failed(409);
        }
        call(&world, &world.user_token, "PUT", path, r#"{"id":3,"cdn":"mine"}"#).await.failed(403);
        let document = world.get("", "/openapi.json").await.body;
        for method in ["get", "post", "put"] {
            assert_eq!(document["paths"][path][method]["deprecated"], true, "{method}");
        }
    }
}

/// Every endpoint that has parameters, in an order in which each finds what it needs: the request, its
/// parameters, a part of its answer. `{n}` is the number of the way, `{token}` that of its login.
const CASES: &str = r#"POST /useful/create/company
{"company_name":"C {n}","company_alias":"c{n}","owner_name":"Owner","owner_email":"{owner}"}
{"company":{"company_name":"C {n}","company_alias":"c{n}","owner_name":"Owner","owner_email":"{owner}"}}
POST /level3/user
{"login_email":"{owner}","password":"correct horse battery","operations":"false"}
{"user":"{owner}","operate_right":false,"cdns":[]}
POST /level3/login
{"login_email":"{owner}","password":"correct horse battery"}
{"user":"{owner}","operate_right":false,"token":".."}
GET /level3/logincheck
{"token":"{token}"}
{"alive":1,"user":"{owner}"}
POST /level3/logincheck
{"token":"{token}"}
{"alive":1,"user":"{owner}"}
POST /level3/logout
{"token":"{token}"}
{"message":".."}
POST /level3/cdn
{"cdn":"acme{n}"}
{"cdn":"acme{n}"}
PUT /level3/cdn
{"id":"3","cdn":"renamed{n}"}
{"id":3,"cdn":"renamed{n}"}
POST /level3/user_cdns
{"login_email":"{owner}","cdns":["level3","qcould"]}
{"cdns":["level3","qcould"]}
GET /level3/user_cdns
{"login_email":"{owner}"}
{"cdns":["level3","qcould"]}
POST /level3/user_domains
{"login_email":"{owner}","cdn":"level3","domains":["www.example.com","a.example.com"]}
{"results":[{"domains":["a.example.com","www.example.com"],"cdn":"level3"}]}
PUT /level3/user_domains
{"login_email":"{owner}","cdns":["level3","qcould"],"domains":["a.x.org","b.x.org"]}
{"results":[{"domains":["a.x.org","b.x.org"],"cdn":"level3"},{"domains":["a.x.org","b.x.org"],"cdn":"qcould"}]}
PUT /level3/user_domains
{"login_email":"{owner}","id":"2","old_domain":"b.x.org","new_domain":"c.x.org"}
{"results":[{"domains":["a.x.org","b.x.org"],"cdn":"level3"},{"domains":["a.x.org","c.x.org"],"cdn":"qcould"}]}
PUT /level3/user_domains
{"login_email":"{owner}","cdn":"qcould","domains":["b.x.org","d.x.org"]}
{"results":[{"cdn":"level3"},{"domains":["b.x.org","d.x.org"],"cdn":"qcould"}]}
GET /level3/user_domains
{"login_email":"{owner}"}
{"user":"{owner}","operate_right":false,"results":[{"cdn":"level3"},{"cdn":"qcould"}]}
POST /level3/refresh
{"login_email":"user@example.com","path":["http://cdn.example.com/{n}?a=b&c","http://cdn.example.com/*"]}
{"results":[{"url":"http://cdn.example.com/{n}?a=b&c|http://cdn.example.com/*"}],"status":"success"}
GET /level3/refresh_list
{"login_email":"user@example.com","state":"queued","limit":"1","before":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ"}
{"results":[{"url":"http://cdn.example.com/{n}?a=b&c|http://cdn.example.com/*","state":"queued"}]}
POST /level3/preload
{"login_email":"user@example.com","path":["http://cdn.example.com/{n}?a=b&c","http://cdn.example.com/d"]}
{"results":[{"url":"http://cdn.example.com/{n}?a=b&c|http://cdn.example.com/d"}],"status":"success"}
GET /level3/preload_list
{"login_email":"user@example.com","state":"queued","limit":"1","before":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ"}
{"results":[{"url":"http://cdn.example.com/{n}?a=b&c|http://cdn.example.com/d","state":"queued"}]}"#;

/// How a list is written in a query string or form.
#[derive(Debug, Clone, Copy)]
enum List {
    Repeated,
    Dotted,
}

/// Where the parameters of a request stand, and the credential.
#[derive(Debug, Clone, Copy)]
enum Way {
    Json,
    JsonWithToken,
    JsonCalledForm,
    Query(List),
    Form(List),
    QueryOverJson,
    QueryOverForm,
}

#[rustfmt::skip]
const WAYS: [Way; 9] = [
    Way::Json, Way::JsonWithToken, Way::JsonCalledForm, Way::QueryOverJson, Way::QueryOverForm,
    Way::Query(List::Repeated), Way::Query(List::Dotted), Way::Form(List::Repeated), Way::Form(List::Dotted),
];

/// The parameters as a query string or form.
fn form(params: &Map<String, Value>, list: List) -> String {
    let mut pairs: Vec<(String, &str)> = Vec::new();
    for (name, value) in params {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            let dotted = matches!(list, List::Dotted) && items.len() > 1;
            let name = if dotted { format!("{name}.{index}") } else { name.clone() };
            pairs.push((name, item.as_str().unwrap()));
        }
    }
    reqwest::Url::parse_with_params("http://x/", pairs).unwrap().query().unwrap().to_owned()
}

/// Query string, content type and body.
fn written(params: &Map<String, Value>, way: Way) -> (String, &'static str, String) {
    let json = || Value::Object(params.clone()).to_string();
    let wrong: Map<String, Value> = params.keys().map(|name| (name.clone(), json!(WRONG))).collect();
    match way {
        Way::Json | Way::JsonWithToken => (String::new(), JSON, json()),
        Way::JsonCalledForm => (String::new(), FORM, json()),
        Way::Query(list) => (form(params, list), JSON, String::new()),
        Way::Form(list) => (String::new(), FORM, form(params, list)),
        Way::QueryOverJson => (form(params, List::Dotted), JSON, Value::Object(wrong).to_string()),
        Way::QueryOverForm => (form(params, List::Repeated), FORM, form(&wrong, List::Repeated)),
    }
}

on_both! {
    async fn every_endpoint_takes_its_parameters_in_every_way(world: World) {
        with_qcould(&world).await;
        catalogue::create_cdn(&world.db, "third", &entry(world.clock.now())).await.unwrap();
        let lines: Vec<&str> = CASES.lines().collect();
        let ways = ["", "/"].into_iter().flat_map(|slash| WAYS.map(|way| (slash, way)));
        for (number, (slash, way)) in ways.enumerate() {
            let (owner, mut token) = (format!("owner{number}@example.com"), String::new());
            for case in lines.chunks_exact(3) {
                let text = |line: usize| case[line].replace("{n}", &number.to_string()).replace("{owner}", &owner);
                let (method, path) = case[0].split_once(' ').unwrap();
                let (params, expected) = (text(1).replace("{token}", &token), text(2));
                let mut params: Map<String, Value> = serde_json::from_str(&params).unwrap();
                let public = params.contains_key("token") || path == "/level3/login";
                if matches!(way, Way::JsonWithToken) && !public {
                    params.insert("token".to_owned(), json!(world.staff_token));
                }
                let (query, content_type, body) = written(&params, way);
                let request = world.request(method, &format!("{path}{slash}?{query}"));
                let bare = public || matches!(way, Way::JsonWithToken);
                let request = if bare { request } else { request.bearer_auth(&world.staff_token) };
                let request = request.header("content-type", content_type);
                let reply = send(request.body(body.clone())).await.1;
                assert_eq!(reply.status, 200, "{method} {path}{slash}?{query} {body}: {}", reply.body);
                assert_like(&world, &reply.body, &expected);
                if let Some(new) = reply.body["token"].as_str() {
                    token = new.to_owned();
                }
                if path == "/level3/logout" {
                    world.get(&token, "/level3/domains").await.failed(401);
                }
            }
            for path in ["/level3/domains", "/level3/cdn"] {
                world.get(&world.user_token, &format!("{path}{slash}?colour=red")).await.ok();
            }
        }
    }
}
