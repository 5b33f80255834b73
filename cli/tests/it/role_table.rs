//! Who may do what: every endpoint, as every kind of caller, with data of the user, of another user and of
//! nobody, against the stored table `role_table.txt`.
//!
//! An endpoint of the document that is not in the table fails, and so does a row for one that is gone. When an
//! answer differs, the test prints the table as it is now, to be reviewed and stored. Data are named by their
//! owner: `user's` data are the user's own and another user's foreign data. What a request makes or ends is
//! `Fresh` for each caller: `$n`, `$id` and `$token` in a body, and for each request `$webhook` of a user.

use crate::support::delivery::back;
use crate::support::http::send;
use crate::support::world::{OTHER, Reply, STAFF, USER};
use crate::support::{World, database, on_both};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const STORED: &str = include_str!("role_table.txt");
const PASSWORD: &str = "correct horse battery";
const OWNER: &str = "owner@example.com";
const HOOK: &str = "https://hooks.example.com/a";
/// A domain of [`OTHER`].
const FOREIGN: &str = "old.example.com";
const MISSING: &str = "missing@example.com";
const NO_TASK: &str = "01K9ZC5T0M7Q4V8XJ2S6B3N1HD";

/// A request of the table.
struct Row {
    operation: &'static str,
    data: &'static str,
    body: Value,
}

/// Somebody who calls: the name, where, and with which token.
struct Somebody {
    name: &'static str,
    base: String,
    token: String,
}

/// What a caller's requests may use up: a number for new names, a CDN to rename, the token of a session, a webhook.
struct Fresh {
    number: usize,
    cdn: i64,
    token: String,
    webhook: i64,
}

fn row(operation: &'static str, data: &'static str, body: Value) -> Row {
    Row { operation, data, body }
}

/// The endpoints that need no data of anybody, or the caller's token only.
fn plain_rows() -> Vec<Row> {
    let login = json!({"login_email": OWNER, "password": PASSWORD});
    let mut rows = vec![
        row("POST /level3/login", "-", login),
        row("POST /level3/logout", "unknown token", json!({"token": "unknown"})),
        row("GET /level3/logincheck", "unknown token", json!({"token": "unknown"})),
        row("POST /level3/logincheck", "unknown token", json!({"token": "unknown"})),
        row("GET /level3/audit", "-", json!({})),
        row("GET /level3/tasks", "-", json!({})),
        row("GET /level3/vendors", "-", json!({})),
        row("POST /level3/tasks/retry", "everything", json!({})),
        row("POST /level3/tasks/retry", "nobody's", json!({"taskid": NO_TASK})),
        row("POST /level3/tasks/retry", "none that failed", json!({"state": "failed"})),
        row("POST /level3/tasks/cancel", "everything", json!({})),
        row("POST /level3/tasks/cancel", "nobody's", json!({"taskid": NO_TASK})),
        row("POST /level3/tasks/cancel", "none that is done", json!({"state": "done"})),
        row("GET /level3/capabilities", "-", json!({})),
        row("GET /level3/domains", "-", json!({})),
        row("GET /level3/cdn", "-", json!({})),
        row("POST /level3/cdn", "in use", json!({"cdn": "level3"})),
        row("POST /level3/cdn", "malformed", json!({"cdn": "a b"})),
        row("PUT /level3/cdn", "configured", json!({"id": 1, "cdn": "other"})),
        row("PUT /level3/cdn", "nobody's", json!({"id": 999, "cdn": "other"})),
        row("POST /level3/user", "existing", json!({"login_email": OWNER, "password": PASSWORD})),
        row("POST /level3/user", "nobody's", json!({"login_email": MISSING, "password": PASSWORD})),
        row(
            "POST /useful/create/company",
            "existing",
            json!({"company_name": format!("Company of {OWNER}"), "owner_name": "A", "owner_email": OWNER}),
        ),
        row("POST /useful/create/company", "incomplete", json!({"company_name": "B"})),
    ];
    for page in ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/openapi.yaml"] {
        let operation: &'static str = match page {
            "/healthz" => "GET /healthz",
            "/readyz" => "GET /readyz",
            "/metrics" => "GET /metrics",
            "/docs" => "GET /docs",
            "/openapi.json" => "GET /openapi.json",
            _ => "GET /openapi.yaml",
        };
        rows.push(row(operation, "-", json!({})));
    }
    rows
}

/// Requests that make, rename or end something that is fresh for each caller.
fn fresh_rows() -> Vec<Row> {
    let company = json!({"company_name": "New $n", "owner_name": "A", "owner_email": "owner$n@example.com"});
    let unknown = json!({"login_email": "nobody$n@example.com", "password": PASSWORD});
    vec![
        row("POST /level3/user", "new", json!({"login_email": "new$n@example.com", "password": PASSWORD})),
        row("POST /useful/create/company", "new", company),
        row("POST /level3/cdn", "new", json!({"cdn": "made$n"})),
        row("PUT /level3/cdn", "not configured", json!({"id": "$id", "cdn": "renamed-to-more-than-it-was-$n"})),
        row("POST /level3/login", "nobody's", unknown),
        row("GET /level3/logincheck", "living token", json!({"token": "$token"})),
        row("POST /level3/logincheck", "living token", json!({"token": "$token"})),
        row("POST /level3/logout", "living token", json!({"token": "$token"})),
    ]
}

/// Requests that name nobody, and those of a PUT that name a domain or CDN in another way.
fn left_out_rows() -> Vec<Row> {
    let url = json!({"path": "http://cdn.example.com/a"});
    let domains = json!({"cdn": "level3", "domains": "cdn.example.com"});
    let put = "PUT /level3/user_domains";
    let same = |domain: &str| json!({"login_email": USER, "cdn": "level3", "old_domain": domain, "new_domain": domain});
    vec![
        row("POST /level3/refresh", "left out", url.clone()),
        row("POST /level3/preload", "left out", url),
        row("GET /level3/refresh_list", "left out", json!({})),
        row("GET /level3/preload_list", "left out", json!({})),
        row("GET /level3/user_cdns", "left out", json!({})),
        row("GET /level3/user_domains", "left out", json!({})),
        row("GET /level3/webhooks", "left out", json!({})),
        row("POST /level3/webhooks", "left out", json!({"url": HOOK})),
        row("POST /level3/webhooks", "malformed", json!({"url": "ftp://hooks.example.com/"})),
        row("POST /level3/webhooks/enable", "left out", json!({})),
        row("POST /level3/webhooks/remove", "left out", json!({})),
        row("POST /level3/user_cdns", "left out", json!({"cdns": "level3"})),
        row("POST /level3/user_domains", "left out", domains.clone()),
        row(put, "left out", domains),
        row(put, "user's, domain other's", same(FOREIGN)),
        row(put, "user's, domain nobody's", same("missing.example.com")),
        row(put, "user's, id nobody's", json!({"login_email": USER, "id": 999, "domains": []})),
    ]
}

/// The endpoints that act for a user, on its domains and tasks.
async fn tenant_rows(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    let pairs = [
        ("user's", USER, "cdn.example.com"),
        ("other's", OTHER, FOREIGN),
        ("nobody's", MISSING, "missing.example.com"),
        ("user's, domain other's", USER, FOREIGN),
        ("user's, domain nobody's", USER, "missing.example.com"),
    ];
    for (data, email, domain) in pairs {
        for operation in ["POST /level3/refresh", "POST /level3/preload"] {
            rows.push(row(operation, data, json!({"login_email": email, "path": format!("http://{domain}/a")})));
        }
    }
    let dry = json!({"login_email": USER, "path": "http://cdn.example.com/a", "dry_run": true});
    rows.push(row("POST /level3/refresh", "user's, dry run", dry));
    for (data, email) in [("user's", USER), ("other's", OTHER), ("nobody's", MISSING)] {
        rows.push(row("POST /level3/webhooks", data, json!({"login_email": email, "url": HOOK})));
        for operation in ["POST /level3/webhooks/enable", "POST /level3/webhooks/remove"] {
            let id = if email == MISSING { json!(999_999) } else { json!("$webhook") };
            rows.push(row(operation, data, json!({"id": id})));
        }
    }
    for (data, email) in [("user's", USER), ("other's", OTHER), ("nobody's", MISSING), ("staff's", STAFF)] {
        for operation in [
            "GET /level3/refresh_list",
            "GET /level3/preload_list",
            "GET /level3/user_cdns",
            "GET /level3/user_domains",
            "GET /level3/webhooks",
        ] {
            rows.push(row(operation, data, json!({"login_email": email})));
        }
        rows.push(row("POST /level3/user_cdns", data, json!({"login_email": email, "cdns": "level3"})));
        let domains = json!({"login_email": email, "cdn": "level3", "domains": if email == OTHER { FOREIGN } else { "cdn.example.com" }});
        rows.push(row("POST /level3/user_domains", data, domains.clone()));
        rows.push(row("PUT /level3/user_domains", data, domains));
    }
    for (data, domain) in [("user's", "cdn.example.com"), ("other's", FOREIGN), ("nobody's", "missing.example.com")] {
        for operation in
            ["GET /level3/bandwidths", "GET /level3/fluxs", "GET /level3/bandwidths/area", "GET /level3/fluxs/area"]
        {
            let body = json!({"domain": domain, "startTime": 1_470_297_000, "endTime": 1_470_299_100});
            rows.push(row(operation, data, body));
        }
    }
    let day = back(world, 1);
    for (data, domain) in [("user's", "cdn.example.com"), ("other's", FOREIGN), ("nobody's", "missing.example.com")] {
        let body = json!({"domain": domain, "startDate": day.to_string(), "endDate": day.to_string()});
        rows.push(row("GET /level3/logdownload", data, body));
        rows.push(row("GET /level3/log/{name}", data, json!({"name": format!("{day}-{domain}.log.gz")})));
    }
    for (data, name) in [("not yet made", "www.example.com"), ("malformed", "..%2f..%2fetc%2fpasswd")] {
        rows.push(row("GET /level3/log/{name}", data, json!({"name": format!("{day}-{name}.log.gz")})));
    }
    for operation in ["POST /level3/user_domains", "PUT /level3/user_domains"] {
        let unknown = json!({"login_email": USER, "cdn": "acme", "domains": "cdn.example.com"});
        rows.push(row(operation, "user's, CDN nobody's", unknown));
    }
    rows.push(row("POST /level3/user_cdns", "user's, CDN nobody's", json!({"login_email": USER, "cdns": "acme"})));
    for (operation, kind) in [("GET /level3/refresh_list", "refresh"), ("GET /level3/preload_list", "preload")] {
        let path = format!("/level3/{kind}");
        let made = world.post(&world.other_token, &path, json!({"path": format!("http://{FOREIGN}/a")})).await.ok();
        let theirs = made["results"][0]["taskid"].clone();
        let own = world.post(&world.user_token, &path, json!({"path": "http://cdn.example.com/b"})).await.ok();
        let own = own["results"][0]["taskid"].clone();
        rows.push(row(operation, "user's, task user's", json!({"login_email": USER, "taskid": own})));
        rows.push(row(operation, "user's, task other's", json!({"login_email": USER, "taskid": theirs})));
        rows.push(row(operation, "user's, task nobody's", json!({"login_email": USER, "taskid": NO_TASK})));
    }
    rows
}

async fn callers(world: &World) -> Vec<Somebody> {
    let mut trusting = world.context.config.clone();
    trusting.http.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let trusting = world.another_api_with(trusting).await;
    let here = |name, token: &str| Somebody { name, base: world.base.clone(), token: token.to_owned() };
    vec![
        here("nobody", ""),
        here("wrong", "a token of nobody"),
        here("user", &world.user_token),
        here("other", &world.other_token),
        here("read", &world.api_token(USER, "read").await),
        here("purge", &world.api_token(USER, "purge").await),
        here("admin", &world.api_token(USER, "admin").await),
        here("staff", &world.staff_token),
        here("staff-read", &world.api_token(STAFF, "read").await),
        Somebody { name: "trusted", base: trusting, token: String::new() },
    ]
}

async fn fresh(world: &World, number: usize) -> Fresh {
    let owner = format!("new{number}@example.com");
    let company = json!({"company_name": format!("Company of {owner}"), "owner_name": "A", "owner_email": owner});
    world.post(&world.staff_token, "/useful/create/company", company).await.ok();
    let cdn = json!({"cdn": format!("spare{number}")});
    let cdn = world.post(&world.staff_token, "/level3/cdn", cdn).await.ok()["id"].as_i64().unwrap();
    let login = json!({"login_email": OWNER, "password": PASSWORD});
    let token = world.post("", "/level3/login", login).await.ok()["token"].as_str().unwrap().to_owned();
    Fresh { number, cdn, token, webhook: 0 }
}

/// The id of a webhook of the user that a row is about, and no other webhook beside it, so that no user has too many.
async fn fresh_webhook(world: &World, row: &Row) -> i64 {
    if !row.operation.contains("/level3/webhooks") {
        return 0;
    }
    database::execute(&world.url, "DELETE FROM webhook").await;
    let email = if row.data == "other's" { OTHER } else { USER };
    let made =
        world.post(&world.staff_token, "/level3/webhooks", json!({"login_email": email, "url": HOOK})).await.ok();
    made["webhook"]["id"].as_i64().unwrap()
}

async fn ask(world: &World, caller: &Somebody, row: &Row, fresh: &Fresh) -> Reply {
    let (method, path) = row.operation.split_once(' ').unwrap();
    let body = row.body.to_string().replace("$n", &fresh.number.to_string());
    let body = body.replace("\"$id\"", &fresh.cdn.to_string()).replace("$token", &fresh.token);
    let body = body.replace("\"$webhook\"", &fresh.webhook.to_string());
    let path = path.replace("{name}", row.body["name"].as_str().unwrap_or_default());
    let request = world.client.request(method.parse().unwrap(), format!("{}{path}", caller.base));
    let request = request.header("x-request-id", "same").header("content-type", "application/json").body(body);
    let request = if caller.token.is_empty() { request } else { request.bearer_auth(&caller.token) };
    send(request).await.1
}

/// A number that changes with the rows of tenants: how many there are, and how long the names in two tables
/// are that a request can replace.
async fn fingerprint(world: &World) -> i64 {
    let tables = [
        "`user`",
        "company",
        "ops_account",
        "cdn",
        "user_cdn",
        "user_domain",
        "task",
        "idempotency",
        "audit",
        "session",
        "api_token",
        "log_day",
        "webhook",
    ];
    let counts: Vec<String> = tables.iter().map(|table| format!("(SELECT COUNT(*) FROM {table})")).collect();
    let names = "1000000 * (SELECT CAST(SUM(LENGTH(name)) AS SIGNED) FROM cdn) + \
        1000000000 * (SELECT CAST(SUM(LENGTH(domain)) AS SIGNED) FROM user_domain)";
    world.number(&format!("SELECT {} + {names}", counts.join(" + "))).await
}

/// Whether an answer with success may have changed something: a login and a logout need no right.
fn may_change(row: &Row, caller: &Somebody) -> bool {
    let session = row.operation.ends_with("/login") || row.operation.ends_with("/logout");
    let reads = row.operation.starts_with("GET ") || row.operation.ends_with("/logincheck");
    session || !reads && !["nobody", "wrong", "read", "staff-read"].contains(&caller.name)
}

/// The table as the server answers now.
async fn measure(world: &World, rows: &[Row], callers: &[Somebody]) -> String {
    let names: Vec<String> = callers.iter().map(|caller| format!("{:<12}", caller.name)).collect();
    let mut table = format!("{:<64}{}", "", names.concat()).trim_end().to_owned() + "\n";
    let mut stock = Vec::new();
    for number in 0..callers.len() {
        stock.push(fresh(world, number).await);
    }
    for row in rows {
        let mut statuses = String::new();
        for (caller, fresh) in callers.iter().zip(&mut stock) {
            fresh.webhook = fresh_webhook(world, row).await;
            let before = fingerprint(world).await;
            let reply = ask(world, caller, row, fresh).await;
            let status = reply.status;
            if status >= 400 {
                reply.failed(status);
            }
            if status >= 400 || !may_change(row, caller) {
                let what = format!("{} {} as {}", row.operation, row.data, caller.name);
                assert_eq!(fingerprint(world).await, before, "{what} may change nothing, and did");
            }
            statuses.push_str(&format!("{status:<12}"));
        }
        table.push_str(format!("{:<64}{statuses}", format!("{} | {}", row.operation, row.data)).trim_end());
        table.push('\n');
    }
    table
}

/// Yesterday's log of a domain, as staff asked for it.
async fn make_log(world: &World, domain: &str) {
    let day = back(world, 1);
    world.deliver(domain, day, "a.gz", "2016-09-29 10:13:24.250 y\n");
    let path = format!("/level3/logdownload?domain={domain}&startDate={day}&endDate={day}");
    world.get(&world.staff_token, &path).await.ok();
    world.log_fetch().await;
    assert_eq!(world.get(&world.staff_token, &path).await.ok()["results"][0]["state"], "ready");
}

async fn prepared(world: &World) -> Vec<Row> {
    world.map(OTHER, &[FOREIGN]).await;
    world.register(OWNER, PASSWORD).await;
    for domain in ["cdn.example.com", FOREIGN] {
        make_log(world, domain).await;
    }
    let mut rows = plain_rows();
    rows.extend(tenant_rows(world).await);
    rows.extend(fresh_rows());
    rows.extend(left_out_rows());
    rows.sort_by_key(|row| row.operation.split_once(' ').map(|(method, path)| (path, method)));
    rows
}

on_both! {
    async fn every_caller_may_do_what_the_table_says_and_no_more(world: World) {
        let rows = prepared(&world).await;
        let document = world.get("", "/openapi.json").await.body;
        let pages = ["GET /metrics", "GET /docs", "GET /openapi.json", "GET /openapi.yaml"].map(str::to_owned);
        let mut documented: BTreeSet<String> = pages.into();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let methods = operations.as_object().unwrap().keys();
            documented.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let tabled: BTreeSet<String> = rows.iter().map(|row| row.operation.to_owned()).collect();
        assert_eq!(tabled, documented, "an endpoint without a row, or a row without an endpoint");
        let callers = callers(&world).await;
        let now = measure(&world, &rows, &callers).await;
        assert!(now == STORED, "role_table.txt differs; the table is now:\n{now}");
    }

    async fn what_is_anothers_looks_like_what_is_nobodys(world: World) {
        let rows = prepared(&world).await;
        let callers = callers(&world).await;
        let (mut fresh, mut compared) = (fresh(&world, 0).await, 0);
        let twins = [
            ("user's, domain other's", "user's, domain nobody's"), ("user's, task other's", "user's, task nobody's"),
            ("other's", "nobody's"),
        ];
        for caller in callers.iter().filter(|caller| ["user", "read", "purge", "admin"].contains(&caller.name)) {
            let nobodys = |row: &Row| twins.iter().find(|twin| twin.0 == row.data).map(|twin| twin.1);
            for (row, nobodys) in rows.iter().filter_map(|row| Some((row, nobodys(row)?))) {
                let missing = rows.iter().find(|other| other.operation == row.operation && other.data == nobodys);
                let mut answers = Vec::new();
                for row in [row, missing.unwrap()] {
                    fresh.webhook = fresh_webhook(&world, row).await;
                    let reply = ask(&world, caller, row, &fresh).await;
                    let mut answer = format!("{} {}", reply.status, reply.body);
                    for name in [FOREIGN, "missing.example.com", row.body["taskid"].as_str().unwrap_or("no task")] {
                        answer = answer.replace(name, "it");
                    }
                    answers.push(answer);
                }
                assert_eq!(answers[0], answers[1], "{} {} as {}", row.operation, row.data, caller.name);
                compared += 1;
            }
        }
        assert_eq!(compared, 4 * 24);
    }
}
