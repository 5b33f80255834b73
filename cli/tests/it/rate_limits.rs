//! Rate limits: whom they count, what they say, and that several API processes share them.
//!
//! In memory the world's clock fills the buckets, so the numbers are exact; in Redis its own clock does.

use crate::support::database;
use crate::support::http::{header, send};
use crate::support::servers::Redis;
use crate::support::world::{Reply, USER};
use crate::support::{Kind, World};
use overseas_shared::config::Config;
use reqwest::header::HeaderMap;
use serde_json::json;

fn limited(burst: u32, per_second: u32) -> impl FnOnce(&mut Config) {
    move |config| {
        config.http.rate_limit.burst = burst;
        config.http.rate_limit.per_second = per_second;
    }
}

async fn ask(world: &World, token: &str) -> (HeaderMap, Reply) {
    send(world.request("GET", "/level3/domains").bearer_auth(token)).await
}

fn number(headers: &HeaderMap, name: &str) -> i64 {
    header(headers, name).parse().unwrap_or_else(|_| panic!("{name}: {headers:?}"))
}

#[tokio::test]
async fn one_request_too_many_is_429_and_says_when_to_come_back() {
    let world = World::with(Kind::Sqlite, limited(10, 1), |_| {}).await;
    for left in (0..10).rev() {
        let (headers, reply) = ask(&world, &world.user_token).await;
        reply.ok();
        assert_eq!(number(&headers, "ratelimit-limit"), 10);
        assert!((left..=left + 1).contains(&number(&headers, "ratelimit-remaining")), "{left}: {headers:?}");
        assert!((0..=11 - left).contains(&number(&headers, "ratelimit-reset")), "{headers:?}");
    }
    let (mut headers, mut reply) = ask(&world, &world.user_token).await;
    // A slow machine may have earned one more meanwhile.
    while reply.status == 200 {
        (headers, reply) = ask(&world, &world.user_token).await;
    }
    assert!(reply.failed(429).contains("10 at once and 1 a second"));
    assert_eq!((number(&headers, "retry-after"), number(&headers, "ratelimit-remaining")), (1, 0));
    ask(&world, &world.other_token).await.1.ok();
    world.clock.advance(3_000);
    for _ in 0..3 {
        ask(&world, &world.user_token).await.1.ok();
    }
}

#[tokio::test]
async fn all_tokens_of_a_user_are_one_caller_and_a_refusal_changes_nothing() {
    let world = World::with(Kind::Sqlite, limited(5, 1), |_| {}).await;
    let token = world.api_token(USER, "admin").await;
    let mut statuses = Vec::new();
    for number in 0..20 {
        let token = if number % 2 == 0 { &token } else { &world.user_token };
        let reply = world.post(token, "/level3/refresh", json!({"path": "http://cdn.example.com/a"})).await;
        statuses.push(reply.status);
    }
    let accepted = statuses.iter().filter(|status| **status == 200).count();
    assert!((5..=9).contains(&accepted), "{statuses:?}");
    assert_eq!(world.number("SELECT COUNT(*) FROM task").await, i64::try_from(accepted).unwrap());
}

#[tokio::test]
async fn guessing_tokens_and_calling_without_one_count_for_the_address() {
    let world = World::with(Kind::Sqlite, limited(6, 1), |_| {}).await;
    let mut statuses = Vec::new();
    for number in 0..24 {
        let reply = match number % 4 {
            0 => ask(&world, &format!("guess {number}")).await.1,
            1 => world.get("", "/level3/domains").await,
            2 => world.get("", "/level3/logincheck?token=guess").await,
            _ => world.post("", "/level3/login", json!({"login_email": "x@example.com", "password": "guess"})).await,
        };
        statuses.push(reply.status);
    }
    assert!(statuses[..6].iter().all(|status| *status != 429), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 429).count() >= 12, "{statuses:?}");
    // Who has a token of its own is another caller.
    ask(&world, &world.user_token).await.1.ok();
}

#[tokio::test]
async fn trusted_networks_health_and_documents_have_no_limit() {
    let trusting = |config: &mut Config| {
        limited(3, 1)(config);
        config.http.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let world = World::with(Kind::Sqlite, trusting, |_| {}).await;
    for _ in 0..20 {
        world.get("", "/level3/domains").await.ok();
        let (headers, reply) = ask(&world, &world.user_token).await;
        reply.ok();
        assert_eq!(header(&headers, "ratelimit-limit"), "", "what is not counted is not spoken of");
    }
    let mut strict = world.context.config.clone();
    strict.http.trusted_networks.clear();
    let strict = world.another_api_with(strict).await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs"] {
        for _ in 0..5 {
            assert_eq!(world.client.get(format!("{strict}{path}")).send().await.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn a_limit_can_be_switched_off() {
    let off = |config: &mut Config| {
        limited(1, 1)(config);
        config.http.rate_limit.enabled = false;
    };
    let world = World::with(Kind::Sqlite, off, |_| {}).await;
    for _ in 0..10 {
        ask(&world, &world.user_token).await.1.ok();
    }
}

#[tokio::test]
async fn several_api_processes_share_one_limit_in_redis() {
    let prefix = format!("t{}", ulid::Ulid::generate());
    let shared = |config: &mut Config| {
        limited(100, 1)(config);
        config.queue.url = database::server("OVERSEAS_TEST_REDIS");
        config.queue.prefix = prefix;
    };
    let world = World::with(Kind::Sqlite, shared, |_| {}).await;
    let second = world.another_api().await;
    let third = world.another_api().await;
    let bases = [&world.base, &second, &third];
    let begun = std::time::Instant::now();
    let mut accepted = 0;
    for round in 0..10 {
        let requests = (0..30).map(|number| {
            let request = world.client.get(format!("{}/level3/domains", bases[(round + number) % 3]));
            send(request.bearer_auth(&world.user_token))
        });
        for (headers, reply) in futures::future::join_all(requests).await {
            assert!(reply.status == 200 || reply.status == 429, "{reply:?}");
            assert_eq!(number(&headers, "ratelimit-limit"), 100);
            accepted += u64::from(reply.status == 200);
        }
    }
    // Never more than the bucket held and earned; a process may hold back what it took and did not use.
    let earned = begun.elapsed().as_secs() + 1;
    assert!(accepted <= 100 + earned, "{accepted} in {earned} s");
    assert!(accepted >= 90, "{accepted}");
}

#[tokio::test]
async fn without_redis_the_api_answers_and_counts_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path()).await;
    let away = |config: &mut Config| {
        limited(20, 1)(config);
        config.queue.url = redis.url();
    };
    let world = World::with(Kind::Sqlite, away, |_| {}).await;
    ask(&world, &world.user_token).await.1.ok();
    redis.stop();
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(ask(&world, &world.user_token).await.1.status);
    }
    assert!(statuses[..15].iter().all(|status| *status == 200), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
}
