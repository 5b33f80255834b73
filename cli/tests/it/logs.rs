//! The HTTP side of the daily logs: the documented example, signed links, ranges and conditions, names from clients,
//! and the command that makes a day anew.
//!
//! Who may read whose logs stands in `role_table`.

use crate::support::delivery::{DOMAIN, back, gunzip, sha256};
use crate::support::http::{header, send};
use crate::support::process::{Settings, run};
use crate::support::world::USER;
use crate::support::{Kind, World, on_both};
use chrono::NaiveDate;
use reqwest::Method;
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;

fn documented(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2016, 9, day).unwrap()
}

/// Makes the log of a day out of one file with these lines; returns its row.
async fn made(world: &World, date: NaiveDate, lines: &str) -> Value {
    world.deliver(DOMAIN, date, "a.gz", lines);
    world.log_row(date).await;
    world.log_fetch().await;
    let row = world.log_row(date).await;
    assert_eq!(row["state"], "ready", "{row}");
    row
}

/// A link without the address before it.
fn path_of(row: &Value) -> String {
    let link = row["url"].as_str().unwrap();
    link[link.find("/level3/").unwrap()..].to_owned()
}

on_both! {
    async fn the_documented_example_is_answered_as_it_is_written(world: World) {
        world.deliver(DOMAIN, documented(29), "a.gz", "2016-09-29 10:13:24.250 y \"GET / HTTP/1.1\"\n");
        let (settings, domain) = (settings(&world), ["--domain", DOMAIN]);
        let mut arguments = vec!["sync-logs", "--date", "2016-09-28", "--date", "2016-09-29", "--date", "2016-09-30"];
        arguments.extend(domain);
        let said = run(&settings, world.folder.path(), &arguments, "");
        assert!(said.status.success(), "{said:?}");
        for path in [
            "startDate=20160928&endDate=20160930", "startDate=2016-09-28&endDate=2016-09-30",
        ] {
            let path = format!("/level3/logdownload?domain={DOMAIN}&{path}");
            let answer = world.get(&world.user_token, &path).await.ok();
            let expected = [("2016-09-28", "empty"), ("2016-09-29", "ready"), ("2016-09-30", "empty")];
            assert_eq!(answer["results"].as_array().unwrap().len(), 3);
            for (row, (date, state)) in answer["results"].as_array().unwrap().iter().zip(expected) {
                let found = (row["domain"].as_str(), row["date"].as_str(), row["state"].as_str());
                assert_eq!(found, (Some(DOMAIN), Some(date), Some(state)), "{row}");
                let (size, url) = (row["size"].as_u64().unwrap(), row["url"].as_str().unwrap());
                if state == "ready" {
                    assert!(size > 0);
                    let begin = format!("{}/level3/log/2016-09-29-{DOMAIN}.log.gz?expires=", world.context.config.public_url());
                    assert!(url.starts_with(&begin) && url.contains("&signature="), "{url}");
                } else {
                    assert_eq!((size, url), (0, ""));
                }
            }
        }
        // In a JSON body, as numbers, and in a form.
        let body = json!({"domain": [DOMAIN], "startDate": 20_160_928, "endDate": "20160930"}).to_string();
        let form = format!("domain.0={DOMAIN}&startDate=20160928&endDate=20160930");
        for (kind, body) in [("application/json", body), ("application/x-www-form-urlencoded", form)] {
            let answer = world.raw("GET", "/level3/logdownload", kind, &body).await.ok();
            assert_eq!(answer["results"][1]["state"], "ready", "{answer}");
        }
    }

    async fn a_link_works_without_a_credential_until_it_expires_and_for_its_file_only(world: World) {
        let day = back(&world, 1);
        let row = made(&world, day, "2016-09-29 10:13:24.250 y\n").await;
        made(&world, back(&world, 2), "2016-09-28 10:13:24.250 y\n").await;
        let link = path_of(&row);
        let another = world.another_api().await;
        for base in [&world.base, &another] {
            let got = world.client.get(format!("{base}{link}")).send().await.unwrap();
            assert_eq!(got.status(), 200);
            assert_eq!(sha256(&got.bytes().await.unwrap()), row["sha256"].as_str().unwrap());
        }
        let (other, signature) = (back(&world, 2).to_string(), link.split("signature=").nth(1).unwrap());
        let mut turned = signature.to_owned();
        turned.replace_range(0..1, if signature.starts_with('0') { "1" } else { "0" });
        for wrong in [
            link.replace(&day.to_string(), &other),
            link.replace(DOMAIN, "www.example.com"),
            link.replace("expires=1", "expires=2"),
            link.replace("expires=", "expires=0"),
            link.replace(signature, &turned),
            link.replace(signature, &signature[..62]),
            link.replace(signature, ""),
            link.replace("signature=", "signatur="),
            format!("{link}&cdn=level3"),
            link.replace(DOMAIN, "..%2f..%2fetc%2fpasswd"),
        ] {
            let refused = world.get("", &wrong).await;
            refused.failed(403);
            // A credential does not mend a wrong link.
            world.get(&world.staff_token, &wrong).await.failed(403);
        }
        world.get("", link.split('?').next().unwrap()).await.failed(401);
        world.clock.advance(DAY - 60_000);
        assert_eq!(world.request("GET", &link).send().await.unwrap().status(), 200);
        world.clock.advance(120_000);
        let message = world.get("", &link).await.failed(403);
        assert!(message.contains("expired"), "{message}");
    }
}

#[tokio::test]
async fn ranges_and_conditions_are_those_of_http() {
    let world = World::new(Kind::Sqlite).await;
    let day = back(&world, 1);
    let lines: String = (0..3000).map(|n| format!("2016-09-29 10:13:24.250 {:x}\n", n * 7919 % 6007)).collect();
    let row = made(&world, day, &lines).await;
    let whole = world.download(&row).await;
    let (size, path) = (whole.len(), path_of(&row));
    let tag = format!("\"{}\"", row["sha256"].as_str().unwrap());
    assert!(size > 3000);
    let all = (200, 0..size);
    let part = |range: std::ops::Range<usize>| (206, range);
    for (asked, (status, range)) in [
        ("bytes=0-0", part(0..1)),
        ("bytes=10-19", part(10..20)),
        ("bytes=100-", part(100..size)),
        ("bytes=-7", part(size - 7..size)),
        ("bytes=-9999999", part(0..size)),
        ("bytes=5-9999999", part(5..size)),
        // Several ranges and what cannot be read give the whole file.
        ("bytes=0-1,3-4", all.clone()),
        ("bytes=x-", all.clone()),
        ("lines=0-1", all.clone()),
    ] {
        let response = world.request("GET", &path).header("range", asked).send().await.unwrap();
        assert_eq!(response.status(), status, "{asked}");
        let headers = response.headers().clone();
        assert_eq!(header(&headers, "content-length"), range.len().to_string(), "{asked}");
        if status == 206 {
            let expected = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            assert_eq!(header(&headers, "content-range"), expected);
        }
        assert_eq!(header(&headers, "etag"), tag);
        assert_eq!(header(&headers, "accept-ranges"), "bytes");
        assert_eq!(response.bytes().await.unwrap(), whole[range], "{asked}");
    }
    let beyond = world.request("GET", &path).header("range", format!("bytes={size}-"));
    let (headers, reply) = send(beyond).await;
    reply.failed(416);
    assert_eq!(header(&headers, "content-range"), format!("bytes */{size}"));
    for (name, value, status) in [
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-range", &tag, 206),
        ("if-range", "\"other\"", 200),
    ] {
        let request = world.request("GET", &path).header(name, value);
        let request = if name == "if-range" { request.header("range", "bytes=1-2") } else { request };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{name}: {value}");
        let expected = match status {
            304 => 0,
            206 => 2,
            _ => size,
        };
        assert_eq!(response.bytes().await.unwrap().len(), expected);
    }
    let head = world.client.request(Method::HEAD, format!("{}{path}", world.base)).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(header(head.headers(), "content-length"), size.to_string());
    assert_eq!(header(head.headers(), "content-type"), "application/gzip");
    let name = format!("attachment; filename=\"{day}-{DOMAIN}.log.gz\"");
    assert_eq!(header(head.headers(), "content-disposition"), name);
    assert!(header(head.headers(), "x-request-id").len() > 10);
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_name_from_a_client_never_becomes_a_path() {
    let world = World::new(Kind::Sqlite).await;
    made(&world, back(&world, 1), "2016-09-29 10:13:24.250 y\n").await;
    std::fs::write(world.folder.path().join("logs/secret.log.gz"), "secret").unwrap();
    let date = back(&world, 1);
    for name in [
        "secret.log.gz",
        "..%2fsecret.log.gz",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5csecret.log.gz",
        &format!("{date}-..%2f..%2fsecret.log.gz"),
        &format!("{date}-cdn.example.com.log.gz%00.txt"),
        &format!("{date}-cdn.example.com.log"),
        &format!("{date}-.log.gz"),
        "%ff%fe.log.gz",
        "%252e%252e%252fsecret.log.gz",
    ] {
        let reply = world.get(&world.staff_token, &format!("/level3/log/{name}")).await;
        assert!([400, 404].contains(&reply.status), "{name}: {}", reply.body);
        assert!(!reply.body.to_string().contains("secret\""), "{name}");
    }
    let good = format!("{}/level3/log/{date}-CDN.Example.com.log.gz", world.base);
    let good = world.client.get(good).bearer_auth(&world.user_token).send().await.unwrap();
    assert_eq!(good.status(), 200);
}

#[tokio::test]
async fn wrong_questions_are_refused_with_words() {
    let world = World::new(Kind::Sqlite).await;
    let token = &world.user_token;
    for (query, status, expected) in [
        ("startDate=20160928&endDate=20160930", 400, "domain: missing"),
        ("domain=cdn.example.com&endDate=20160930", 400, "startDate: missing"),
        ("domain=cdn.example.com&startDate=20160928", 400, "endDate: missing"),
        ("domain=cdn.example.com&startDate=20160931&endDate=20161001", 400, "startDate: `20160931` is not a day"),
        ("domain=cdn.example.com&startDate=1&endDate=20161001", 400, "startDate: `1` is not a day"),
        ("domain=cdn.example.com&startDate=20161002&endDate=20161001", 400, "endDate: is before startDate"),
        ("domain=cdn.example.com&startDate=20160101&endDate=20160402", 400, "more than 92 days"),
        ("domain=a b&startDate=20160928&endDate=20160930", 400, "domain: `a b` is not a domain name"),
        (
            "domain=unknown.example.com&startDate=20160928&endDate=20160930",
            404,
            "there is no domain unknown.example.com",
        ),
        (
            "domain=cdn.example.com&cdn=acme&startDate=20160928&endDate=20160930",
            404,
            "there is no domain cdn.example.com",
        ),
    ] {
        let message = world.get(token, &format!("/level3/logdownload?{query}")).await.failed(status);
        assert!(message.contains(expected), "{query}: {message}");
    }
    assert_eq!(world.number("SELECT COUNT(*) FROM log_day").await, 0, "a refused question queues nothing");
    let longest = "/level3/logdownload?domain=cdn.example.com&startDate=20160101&endDate=20160401";
    assert_eq!(world.get(token, longest).await.ok()["results"].as_array().unwrap().len(), 92);
    let message = world.get("", &longest.replace("logdownload", "log/x")).await.failed(401);
    assert!(message.contains("no credential"), "{message}");
}

#[tokio::test]
async fn a_cdn_without_logs_has_empty_days_and_queues_nothing() {
    let without = |config: &mut overseas_shared::config::Config| {
        config.cdn.get_mut("level3").unwrap().logs = None;
    };
    let world = World::with(Kind::Sqlite, without, |_| {}).await;
    let row = world.log_row(back(&world, 1)).await;
    assert_eq!(row["state"], "empty");
    world.log_hour().await;
    assert_eq!(world.number("SELECT COUNT(*) FROM log_day").await, 0);
}

#[tokio::test]
async fn a_domain_at_two_cdns_has_a_row_and_a_link_for_each() {
    let world = World::new(Kind::Sqlite).await;
    let day = back(&world, 1);
    made(&world, day, "2016-09-29 10:13:24.250 first\n").await;
    // The same domain at a CDN that is mapped and not configured here.
    let cdn = world.post(&world.staff_token, "/level3/cdn", json!({"cdn": "acme"})).await.ok();
    assert_eq!(cdn["cdn"], "acme");
    let mapped = json!({"login_email": USER, "cdn": "acme", "domains": DOMAIN});
    world.post(&world.staff_token, "/level3/user_cdns", json!({"login_email": USER, "cdns": "acme"})).await.ok();
    world.post(&world.staff_token, "/level3/user_domains", mapped).await.ok();
    let rows = world.log_rows(day, day).await;
    let states: Vec<_> =
        rows.iter().map(|row| (row["cdn"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("acme", "empty"), ("level3", "ready")]);
    assert!(path_of(&rows[1]).contains("?cdn=level3&expires="), "{}", rows[1]);
    assert!(gunzip(&world.download(&rows[1]).await).contains("first"));
    let narrowed =
        format!("/level3/logdownload?domain={DOMAIN}&cdn=level3&startDate={0}&endDate={0}", day.format("%Y%m%d"));
    assert_eq!(world.get(&world.user_token, &narrowed).await.ok()["results"].as_array().unwrap().len(), 1);
    let elsewhere = path_of(&rows[1]).replace("cdn=level3", "cdn=acme");
    world.get("", &elsewhere).await.failed(403);
}

#[tokio::test]
async fn a_file_that_is_gone_from_the_store_is_a_failure_of_ours() {
    let world = World::new(Kind::Sqlite).await;
    let row = made(&world, back(&world, 1), "2016-09-29 10:13:24.250 y\n").await;
    std::fs::remove_dir_all(world.folder.path().join("logs")).unwrap();
    let message = world.get("", &path_of(&row)).await.failed(503);
    assert_eq!(message, "the log cannot be read at the moment; try again");
}

fn settings(world: &World) -> Settings {
    let key = overseas_simulator::Config::demo().keys[0].clone();
    Settings::from([
        ("OVERSEAS__DATABASE__URL".to_owned(), world.url.clone()),
        ("OVERSEAS__CDN__LEVEL3__VENDOR".to_owned(), "level3".to_owned()),
        ("OVERSEAS__CDN__LEVEL3__BASE_URL".to_owned(), world.simulator.vendor_url()),
        ("OVERSEAS__CDN__LEVEL3__KEY_ID".to_owned(), key.id),
        ("OVERSEAS__CDN__LEVEL3__SECRET".to_owned(), key.secret),
        ("OVERSEAS__CDN__LEVEL3__LOGS".to_owned(), world.delivery().display().to_string()),
        ("OVERSEAS__LOGS__STORE".to_owned(), world.folder.path().join("logs").display().to_string()),
        ("OVERSEAS__LOGS__STAGING".to_owned(), world.folder.path().join("staging").display().to_string()),
    ])
}

#[tokio::test]
async fn the_command_makes_a_day_anew_and_says_what_it_did() {
    let world = World::new(Kind::Sqlite).await;
    let (settings, day) = (settings(&world), documented(29));
    let sync = |arguments: &[&str]| {
        let arguments = [&["sync-logs"], arguments].concat();
        let output = run(&settings, world.folder.path(), &arguments, "");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    world.deliver(DOMAIN, day, "a.gz", "2016-09-29 10:13:25.000 y\n2016-09-29 10:13:24.000 y\n");
    let (ok, said, _) = sync(&["--date", "2016-09-29", "--domain", DOMAIN]);
    assert!(ok && said.starts_with("cdn.example.com 2016-09-29: 2 lines, "), "{said}");
    assert!(said.ends_with(" bytes from 1 files\n"), "{said}");
    // Again without a reason, and with one file more.
    let first = world.number("SELECT made_at FROM log_day WHERE state = 'ready'").await;
    world.deliver(DOMAIN, day, "b.gz", "2016-09-29 10:13:23.000 y\n");
    assert!(sync(&["--date", "2016-09-29", "--domain", DOMAIN]).1.contains("3 lines"));
    assert!(world.number("SELECT made_at FROM log_day WHERE state = 'ready'").await > first);
    let times: Vec<String> =
        gunzip(&world.download(&world.log_row(day).await).await).lines().map(|line| line[17..19].to_owned()).collect();
    assert_eq!(times, ["23", "24", "25"]);
    // A broken file is said, and what could be read is there.
    let whole = world.deliver(DOMAIN, day, "c.gz", "2016-09-29 10:13:22.000 y\n");
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&whole, &bytes[..bytes.len() - 6]).unwrap();
    let (ok, said, _) = sync(&["--date", "2016-09-29", "--domain", DOMAIN]);
    assert!(ok && said.contains("4 lines") && said.contains("c.gz is broken: it ends early"), "{said}");
    // All domains of a date.
    let (ok, said, _) = sync(&["--date", "2016-09-28"]);
    assert!(
        ok && said.lines().count() > 3 && said.lines().all(|line| line.ends_with("the vendor has no files")),
        "{said}"
    );
    for (arguments, expected) in [
        (vec!["--date", "2016-9-1"], "expected a UTC day like 2016-09-29"),
        (vec![], "--date"),
        (vec!["--date", "2016-09-29", "--domain", "unknown.example.com"], "there is no such domain"),
        (vec!["--date", &back(&world, 0).to_string()], "is not over yet"),
    ] {
        let (ok, _, said) = sync(&arguments);
        assert!(!ok && said.contains(expected), "{arguments:?}: {said}");
    }
}
