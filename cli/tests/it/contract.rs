//! The contract's examples, sent as they are written in its text, and their answers compared with the text's:
//! names, types, nesting and values.
//!
//! Placeholders of the text (`..`, ids, times, tokens) are taken out of an answer by their pattern; everything
//! else has to be equal. The world is the text's: its users, the CDNs level3 and qcould, its domains.

use crate::support::database;
use crate::support::http::{FORM, send};
use crate::support::world::{OTHER, Reply, USER, entry};
use crate::support::{Kind, World};
use overseas_shared::db::account::{self, Role};
use overseas_shared::db::catalogue;
use overseas_shared::secret::hash_password;
use serde_json::{Value, json};

const URLS: &str = "http://cdn.example.com/test.html|http://cdn.example.com/test1.html";

/// The text's world: user@example.com has a password, and there is a second CDN.
async fn world(kind: Kind) -> World {
    let world = World::new(kind).await;
    let now = world.clock.now();
    catalogue::create_cdn(&world.db, "qcould", &entry(now)).await.unwrap();
    world
}

async fn give_password(world: &World) {
    let hash = hash_password("a long password").await.unwrap();
    let id = world.user_id(USER).await;
    account::reset_password(&world.db, id, Role::User, &hash, &entry(0)).await.unwrap();
}

/// A request with a body written as in the text.
async fn literal(world: &World, token: &str, method: &str, path: &str, body: &str) -> Reply {
    let request = world.request(method, path).header("content-type", "application/json").body(body.to_owned());
    let request = if token.is_empty() { request } else { request.bearer_auth(token) };
    send(request).await.1
}

/// Takes a text out of an answer, which has to fit the check, and leaves `..`.
fn take(answer: &mut Value, pointer: &str, fits: impl Fn(&str) -> bool) -> String {
    let slot = answer.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is missing"));
    let text = slot.as_str().unwrap_or_else(|| panic!("{pointer} is no text")).to_owned();
    assert!(fits(&text), "{pointer}: {text}");
    *slot = json!("..");
    text
}

fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000/00/00 00:00:00"
}

fn is_task_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

async fn failures(kind: Kind) {
    let world = world(kind).await;
    let user = &world.user_token;
    let form = |status: u16, body: &Value| {
        assert_eq!(body["err"], status, "{body}");
        assert_eq!(body.as_object().unwrap().len(), 3, "err, message and request_id: {body}");
        assert!(body["message"].as_str().is_some_and(|text| text.len() > 10), "{body}");
    };
    let large = format!(r#"{{"path": "{}"}}"#, "x".repeat(9 * 1024 * 1024));
    for (method, path, body, status) in [
        ("POST", "/level3/refresh", "{", 400),
        ("GET", "/level3/nothing", "", 404),
        ("DELETE", "/level3/refresh", "", 405),
        ("POST", "/level3/refresh", large.as_str(), 413),
    ] {
        let reply = literal(&world, user, method, path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
        form(status, &reply.body);
    }
    let reply = literal(&world, "", "GET", "/level3/domains", "").await;
    assert_eq!(reply.status, 401);
    form(401, &reply.body);
}

async fn domains(kind: Kind) {
    let world = world(kind).await;
    world.map(OTHER, &["cdn.example.com"]).await;
    let answer = literal(&world, &world.other_token, "GET", "/level3/domains", "").await.ok();
    assert_eq!(answer, json!({"err": 0, "domains": ["cdn.example.com"]}));
}

async fn tasks(kind: Kind) {
    let world = world(kind).await;
    let body = format!(r#"{{"login_email":"user@example.com","path":"{URLS}"}}"#);
    for name in ["refresh", "preload"] {
        let mut answer = literal(&world, &world.user_token, "POST", &format!("/level3/{name}"), &body).await.ok();
        take(&mut answer, "/results/0/time", is_time);
        let id = take(&mut answer, "/results/0/taskid", is_task_id);
        let task = json!({"time": "..", "url": URLS, "taskid": "..", "percentComplete": "0", "state": "queued"});
        assert_eq!(answer, json!({"err": 0, "results": [task], "status": "success"}));
        let list = format!("/level3/{name}_list?login_email=user@example.com");
        let mut listed = literal(&world, &world.user_token, "GET", &list, "").await.ok();
        assert_eq!(take(&mut listed, "/results/0/taskid", is_task_id), id);
        take(&mut listed, "/results/0/time", is_time);
        assert_eq!(listed, json!({"err": 0, "results": [task]}));
        let array =
            r#"{"login_email":"user@example.com","path":["http://cdn.example.com/a?b=c","http://cdn.example.com/d"]}"#;
        let answer = literal(&world, &world.user_token, "POST", &format!("/level3/{name}"), array).await.ok();
        assert_eq!(answer["results"][0]["url"], "http://cdn.example.com/a?b=c|http://cdn.example.com/d");
    }
}

async fn accounts(kind: Kind) {
    let world = world(kind).await;
    let staff = &world.staff_token;
    let company =
        r#"{"company_name":"Example","company_alias":"ex","owner_name":"A. Owner","owner_email":"new@example.com"}"#;
    let answer = literal(&world, staff, "POST", "/useful/create/company", company).await.ok();
    let expected = json!({"id": 1, "company_name": "Example", "company_alias": "ex", "owner_name": "A. Owner", "owner_email": "new@example.com"});
    assert_eq!(answer, json!({"err": 0, "company": expected}));
    literal(&world, staff, "POST", "/useful/create/company", company).await.failed(409);
    let other_owner = company.replace("new@example.com", "second@example.com");
    literal(&world, staff, "POST", "/useful/create/company", &other_owner).await.failed(409);
    let same_owner = company.replace("\"Example\"", "\"Another\"");
    literal(&world, staff, "POST", "/useful/create/company", &same_owner).await.failed(409);

    let user = r#"{"login_email":"new@example.com","password":"a long password","operations":"false"}"#;
    let unknown = user.replace("new@", "unknown@");
    assert!(literal(&world, staff, "POST", "/level3/user", &unknown).await.failed(400).contains("ops directory"));
    for bad in [user.replace("new@example.com", "new"), user.replace("a long password", "short")] {
        literal(&world, staff, "POST", "/level3/user", &bad).await.failed(400);
    }
    let answer = literal(&world, staff, "POST", "/level3/user", user).await.ok();
    assert_eq!(answer, json!({"err": 0, "user": "new@example.com", "operate_right": false, "cdns": []}));
    literal(&world, staff, "POST", "/level3/user", user).await.failed(409);
}

async fn mappings(kind: Kind) {
    let world = world(kind).await;
    let staff = &world.staff_token;
    database::execute(&world.url, "DELETE FROM user_domain").await;
    let both = r#"{"login_email":"user@example.com","cdn":"level3","domains":["a.example.com"]}"#;
    let result = |domains: &[&str]| json!({"err": 0, "results": [{"domains": domains, "cdn": "level3"}]});
    let answer = literal(&world, staff, "POST", "/level3/user_domains", both).await.ok();
    assert_eq!(answer, result(&["a.example.com"]));
    let one = r#"{"login_email":"user@example.com","cdn":"level3","domains":"b.example.com"}"#;
    let answer = literal(&world, staff, "POST", "/level3/user_domains", one).await.ok();
    assert_eq!(answer, result(&["a.example.com", "b.example.com"]));
    let answer =
        literal(&world, &world.user_token, "GET", "/level3/user_domains?login_email=user@example.com", "").await.ok();
    let active = |domain: &str| json!({"domain": domain, "state": "Active"});
    let results = json!([{"domains": [active("a.example.com"), active("b.example.com")], "cdn": "level3"}]);
    assert_eq!(answer, json!({"err": 0, "user": "user@example.com", "operate_right": true, "results": results}));

    let put = async |body: &str| literal(&world, staff, "PUT", "/level3/user_domains", body).await;
    assert_eq!(put(both).await.ok(), result(&["a.example.com"]));
    let replace = r#"{"login_email":"user@example.com","cdn":"level3","old_domain":"a.example.com","new_domain":"c.example.com"}"#;
    assert_eq!(put(replace).await.ok(), result(&["c.example.com"]));
    put(replace).await.failed(404);
    let by_id = r#"{"login_email":"user@example.com","id":1,"domains":["a.example.com"]}"#;
    assert_eq!(put(by_id).await.ok(), result(&["a.example.com"]));
    let several = r#"{"login_email":"user@example.com","cdns":["level3","qcould"],"domains":["a.example.com"]}"#;
    let results =
        json!([{"domains": ["a.example.com"], "cdn": "level3"}, {"domains": ["a.example.com"], "cdn": "qcould"}]);
    assert_eq!(put(several).await.ok(), json!({"err": 0, "results": results}));
    put(r#"{"login_email":"user@example.com","cdn":"acme","domains":[]}"#).await.failed(404);

    let get = "/level3/user_cdns?login_email=user@example.com";
    let answer = literal(&world, &world.user_token, "GET", get, "").await.ok();
    assert_eq!(answer, json!({"err": 0, "cdns": ["level3", "qcould"]}), "a CDN is mapped with its domains");
    let add = r#"{"login_email":"other@example.com","cdns":["level3"]}"#;
    let answer = literal(&world, staff, "POST", "/level3/user_cdns", add).await.ok();
    assert_eq!(answer, json!({"err": 0, "cdns": ["level3"]}));
}

async fn sessions(kind: Kind) {
    let world = world(kind).await;
    give_password(&world).await;
    let login = r#"{"login_email":"user@example.com","password":"a long password"}"#;
    let mut answer = literal(&world, "", "POST", "/level3/login", login).await.ok();
    let token = take(&mut answer, "/token", |token| token.len() == 43);
    let last_login = answer["last_login"].as_i64().unwrap();
    assert!(last_login.abs_diff(world.clock.now_seconds()) < 60);
    assert_eq!(
        answer,
        json!({
            "err": 0, "user": "user@example.com", "login_email": "user@example.com", "operate_right": true, "token": "..",
            "last_login": last_login, "expires": last_login + 3600,
        })
    );
    let check = format!(r#"{{"token":"{token}"}}"#);
    let alive = json!({"err": 0, "alive": 1, "user": "user@example.com", "expires": last_login + 3600});
    for method in ["GET", "POST"] {
        assert_eq!(literal(&world, "", method, "/level3/logincheck", &check).await.ok(), alive);
    }
    let mut gone = literal(&world, "", "POST", "/level3/logout", &check).await.ok();
    take(&mut gone, "/message", |text| !text.is_empty());
    assert_eq!(gone, json!({"err": 0, "message": ".."}));
    for method in ["GET", "POST"] {
        let dead = literal(&world, "", method, "/level3/logincheck", &check).await.ok();
        assert_eq!(dead, json!({"err": 0, "alive": 0}));
    }
}

async fn cdns(kind: Kind) {
    let world = world(kind).await;
    let staff = &world.staff_token;
    let listed = literal(&world, &world.user_token, "GET", "/level3/cdn", "").await.ok();
    let results = json!([{"id": 1, "name": "level3"}, {"id": 2, "name": "qcould"}]);
    assert_eq!(listed, json!({"err": 0, "results": results}));
    let made = literal(&world, staff, "POST", "/level3/cdn", r#"{"cdn":"acme"}"#).await.ok();
    assert_eq!(made, json!({"err": 0, "cdn": "acme", "id": 3}));
    let renamed = literal(&world, staff, "PUT", "/level3/cdn", r#"{"id":3,"cdn":"Acme"}"#).await.ok();
    assert_eq!(renamed, json!({"err": 0, "cdn": "Acme", "id": 3}));
    for (method, body) in [("POST", r#"{"cdn":"Acme"}"#), ("PUT", r#"{"id":3,"cdn":"qcould"}"#)] {
        literal(&world, staff, method, "/level3/cdn", body).await.failed(409);
    }
    let document = world.get("", "/openapi.json").await.body;
    for (method, operation) in document["paths"]["/level3/cdn"].as_object().unwrap() {
        assert_eq!(operation["deprecated"], true, "{method}");
    }
}

/// Every documented call with parameters: as a query, as JSON, as a form, with a trailing slash, and with a list
/// written with indexes; the query string wins over the body.
async fn parameters(kind: Kind) {
    let world = world(kind).await;
    give_password(&world).await;
    world.register("owner@example.com", "a long password").await;
    let calls = [
        ("GET", "/level3/refresh_list", "login_email=user@example.com&limit=5", 200),
        ("GET", "/level3/preload_list", "login_email=user@example.com&state=done", 200),
        ("POST", "/level3/refresh", "login_email=user@example.com&path=http://cdn.example.com/a", 200),
        ("POST", "/level3/preload", "login_email=user@example.com&path=http://cdn.example.com/a", 200),
        ("GET", "/level3/user_domains", "login_email=user@example.com", 200),
        (
            "POST",
            "/level3/user_domains",
            "login_email=user@example.com&cdn=level3&domains.0=a.example.com&domains.1=b.example.com",
            200,
        ),
        (
            "PUT",
            "/level3/user_domains",
            "login_email=user@example.com&cdns.0=level3&domains.0=a.example.com&domains.1=cdn.example.com",
            200,
        ),
        ("GET", "/level3/user_cdns", "login_email=user@example.com", 200),
        ("POST", "/level3/user_cdns", "login_email=user@example.com&cdns.0=level3&cdns.1=qcould", 200),
        ("POST", "/level3/user", "login_email=owner@example.com&password=a%20long%20password", 409),
        (
            "POST",
            "/useful/create/company",
            "company_name=Company%20of%20owner@example.com&owner_name=A&owner_email=owner@example.com",
            409,
        ),
        ("PUT", "/level3/cdn", "id=2&cdn=qcould", 200),
        ("POST", "/level3/cdn", "cdn=qcould", 409),
        ("GET", "/level3/audit", "action=refresh&limit=1", 200),
        ("POST", "/level3/login", "login_email=user@example.com&password=a%20long%20password", 200),
        ("GET", "/level3/logincheck", "token=unknown", 200),
        ("POST", "/level3/logout", "token=unknown", 200),
    ];
    for (method, path, form, status) in calls {
        let mut body = serde_json::Map::new();
        for (key, value) in form_urlencoded::parse(form.as_bytes()) {
            match key.split_once('.') {
                Some((name, _)) => body.entry(name).or_insert(json!([])).as_array_mut().unwrap().push(json!(value)),
                None => drop(body.insert(key.into_owned(), json!(value))),
            }
        }
        // What the body says of a name that the query string has does not matter.
        let wrong: Value = body.keys().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>().into();
        let json = Value::Object(body).to_string();
        let with = |path: &str| world.request(method, path).bearer_auth(&world.staff_token);
        let typed = |path: &str, kind: &str, body: &str| with(path).header("content-type", kind).body(body.to_owned());
        let ways = [
            with(&format!("{path}?{form}")),
            with(&format!("{path}/?{form}")),
            typed(path, "application/json", &json),
            typed(&format!("{path}/"), "application/json; charset=utf-8", &json),
            typed(path, FORM, form),
            typed(path, FORM, &json),
            typed(&format!("{path}?{form}"), "application/json", &wrong.to_string()),
        ];
        for (number, way) in ways.into_iter().enumerate() {
            let reply = send(way).await.1;
            assert_eq!(reply.status, status, "{method} {path}, way {number}: {}", reply.body);
        }
    }
}

macro_rules! examples {
    ($($name:ident => $section:ident),* $(,)?) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn sqlite() {
                super::$section(Kind::Sqlite).await;
            }

            #[tokio::test]
            async fn mariadb() {
                super::$section(Kind::Mariadb).await;
            }
        })*
    };
}

examples! {
    failures_are_in_the_envelope => failures,
    domains_are_as_written => domains,
    refresh_and_preload_are_as_written => tasks,
    companies_and_users_are_as_written => accounts,
    user_domains_and_user_cdns_are_as_written => mappings,
    sessions_are_as_written => sessions,
    cdns_are_as_written => cdns,
    parameters_may_stand_anywhere => parameters,
}
