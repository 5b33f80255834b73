//! What takes too long and what panics: each is the end of one request or of one round, and of nothing else.
//!
//! The database is held behind a door, a client never ends its body. Panics are real ones without a back door in the
//! product: the tests are built with checks for overflow, so a time at the end of all times makes an addition panic, and
//! a row from the beginning of all times a subtraction.

use crate::faults::{STOP, Stage};
use crate::support::door::Door;
use crate::support::http::{header, send};
use crate::support::world::USER;
use crate::support::{Kind, Ledger, World, database, eventually};
use futures::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OWNER: &str = "owner@example.com";
const PASSWORD: &str = "long enough 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_end_with_503_after_their_time_while_the_database_is_silent_and_succeed_afterwards() {
    let mut stage = Stage::new().await;
    let address = stage.world.url.split(['@', '/']).nth(3).unwrap().to_owned();
    let mut door = Door::to(&address);
    door.open().await;
    stage.set("DATABASE__URL", &stage.world.url.replace(&address, &door.address()));
    // Longer than a request may take, so that it is the request's limit which ends it.
    stage.set("DATABASE__ACQUIRE_SECONDS", "30");
    stage.set("HTTP__REQUEST_SECONDS", "2");
    let (api, base) = stage.api().await;
    let ledger = Ledger::on(vec![base.clone()], &stage.world.user_token);
    ledger.post(0).await;
    door.hold();
    let get = |path: &str| stage.world.client.get(format!("{base}{path}"));
    let limited = async {
        // More than there are connections to the database.
        let begun = Instant::now();
        let lists = (0..40).map(|_| send(get("/level3/refresh_list").bearer_auth(&stage.world.user_token)));
        for (headers, reply) in join_all(lists).await {
            assert_eq!(reply.failed(503), "no answer within 2 s; try again");
            assert!(header(&headers, "retry-after").parse::<u64>().unwrap() > 0);
        }
        let took = begun.elapsed();
        assert!((Duration::from_secs(2)..Duration::from_secs(10)).contains(&took), "{took:?}");
        assert_eq!(get("/healthz").send().await.unwrap().status(), 200);
        eventually("tasks are refused", 20, || std::future::ready(ledger.refused().0 >= 10)).await;
        door.let_go();
    };
    tokio::join!(join_all((1..=10).map(|n| ledger.insist(n))), limited);
    send(get("/level3/refresh_list").bearer_auth(&stage.world.user_token)).await.1.ok();
    assert_eq!(ledger.tasks(), 11);
    assert_eq!(stage.world.number("SELECT COUNT(*) FROM task").await, 11, "a retry made a second task");
    assert_eq!(api.stop(STOP), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_ends_its_body_is_answered_503_after_the_requests_time() {
    let world = World::new(Kind::Sqlite).await;
    let mut config = world.context.config.clone();
    config.http.request_seconds = 1;
    let base = world.another_api_with(config).await;
    let mut connection = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /level3/refresh HTTP/1.1\r\nHost: overseas\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\npath=",
        world.user_token
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        while !answer.ends_with(b"}") {
            assert!(connection.read_buf(&mut answer).await.unwrap() > 0, "closed without an answer");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("an answer in time");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("no answer within 1 s") && answer.contains("retry-after"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_handler_is_the_failure_of_that_request_alone() {
    let world = World::new(Kind::Mariadb).await;
    world.register(OWNER, PASSWORD).await;
    let login = || world.post("", "/level3/login", json!({"login_email": OWNER, "password": PASSWORD}));
    // The end of a session that begins now is after the end of all times.
    let to_the_end = i64::MAX - world.clock.now() - 60_000;
    world.clock.advance(to_the_end);
    let (logins, others) =
        tokio::join!(join_all((0..4).map(|_| login())), join_all((0..8).map(|_| world.get("", "/healthz"))));
    for reply in logins {
        assert_eq!(reply.failed(500), "the server failed; its log speaks of it under the request id");
    }
    for reply in others {
        assert_eq!(reply.status, 200);
    }
    world.clock.advance(-to_the_end);
    // Whatever the request held was given back: its connection, its turn, its transaction.
    for _ in 0..4 {
        login().await.ok();
    }
    world.get(&world.user_token, "/level3/refresh_list").await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_round_is_the_end_of_that_round_alone_and_loses_nothing() {
    let stage = Stage::new().await;
    let ledger = Ledger::of(&stage.world);
    for n in 0..20 {
        ledger.post(n).await;
    }
    let set_time = async |time: &str| {
        database::execute(&stage.world.url, &format!("UPDATE task SET created_at = {time} ORDER BY id LIMIT 1")).await;
    };
    let time = stage.world.number("SELECT MIN(created_at) FROM task").await;
    set_time("-9223372036854775808").await;
    let mut running = stage.worker();
    eventually("a round panics", 30, || std::future::ready(running.log().contains("a round panicked"))).await;
    set_time(&time.to_string()).await;
    stage.settle(&ledger, 60).await;
    assert!(!running.has_ended(), "{}", running.log());
    let after = stage.world.post(
        &stage.world.user_token,
        "/level3/refresh",
        json!({"path": "http://cdn.example.com/z", "login_email": USER}),
    );
    after.await.ok();
    eventually("the loop goes on", 20, || async { stage.world.invalidated().contains(&"/z".to_owned()) }).await;
    assert_eq!(running.stop(STOP), 0);
}
