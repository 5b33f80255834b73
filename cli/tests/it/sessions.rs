//! Sessions: login, logout, logincheck, and what slows guessing down; on several servers at once.
//!
//! Time is moved by the world's clock, which the second server shares.

use crate::support::http::{FORM, header, send};
use crate::support::{Kind, World, on_both};
use overseas_shared::secret::token_hash;
use serde_json::{Value, json};

const EMAIL: &str = "owner@example.com";
const PASSWORD: &str = "correct horse battery";

async fn log_in(world: &World) -> Value {
    world.register(EMAIL, PASSWORD).await;
    world.post("", "/level3/login", json!({"login_email": EMAIL, "password": PASSWORD})).await.ok()
}

fn guess(email: &str) -> Value {
    json!({"login_email": email, "password": "a wrong password"})
}

/// Guesses until the server wants the guesser to wait; returns for how many seconds.
async fn guess_until_blocked(world: &World, email: &str) -> u64 {
    for _ in 0..20 {
        let (headers, reply) = send(world.request("POST", "/level3/login").json(&guess(email))).await;
        if reply.status == 429 {
            assert!(reply.failed(429).contains("wait"));
            return header(&headers, "retry-after").parse().unwrap();
        }
        reply.failed(401);
    }
    panic!("20 wrong passwords and no 429");
}

on_both! {
    async fn a_login_answers_as_the_contract_says(world: World) {
        let before = world.clock.now_seconds();
        let answer = log_in(&world).await;
        let token = answer["token"].as_str().unwrap();
        let last_login = answer["last_login"].as_i64().unwrap();
        assert_eq!(answer, json!({
            "err": 0, "user": EMAIL, "login_email": EMAIL, "operate_right": true,
            "token": token, "last_login": last_login, "expires": last_login + 3600,
        }));
        assert!((before..=world.clock.now_seconds()).contains(&last_login));
        assert!(token.len() >= 43, "256 bits: {token}");
        assert_eq!(world.get(token, "/level3/domains").await.ok()["domains"], json!([]));
        let again = json!({"login_email": " OWNER@example.com ", "password": PASSWORD});
        let again = world.post("", "/level3/login", again).await.ok();
        assert_ne!(again["token"], token);
        assert_eq!(again["user"], EMAIL);
        world.get(token, "/level3/domains").await.ok();
    }

    async fn a_login_may_be_a_form_or_a_query(world: World) {
        world.register(EMAIL, PASSWORD).await;
        let form = world.request("POST", "/level3/login").header("content-type", FORM);
        let text = format!("login_email={EMAIL}&password=correct+horse%20battery");
        send(form.body(text.clone())).await.1.ok();
        send(world.request("POST", &format!("/level3/login?{text}"))).await.1.ok();
    }

    async fn only_hashes_of_tokens_and_passwords_are_stored(world: World) {
        let answer = log_in(&world).await;
        let token = answer["token"].as_str().unwrap();
        let hash: String = token_hash(token).iter().map(|byte| format!("{byte:02X}")).collect();
        let sql = format!("SELECT COUNT(*) FROM session WHERE HEX(token_hash) = '{hash}'");
        assert_eq!(world.number(&sql).await, 1);
        assert_eq!(world.number("SELECT MAX(LENGTH(token_hash)) FROM session").await, 32);
        let sql = format!("SELECT COUNT(*) FROM `user` WHERE email = '{EMAIL}' AND password_hash LIKE '$argon2id$%'");
        assert_eq!(world.number(&sql).await, 1);
        world.post("", "/level3/logout", json!({"token": token})).await.ok();
        for file in std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!holds(token) && !holds(PASSWORD), "{}", file.display());
        }
    }

    async fn a_logout_counts_at_once_on_every_server(world: World) {
        let answer = log_in(&world).await;
        let token = answer["token"].as_str().unwrap();
        let second = world.another_api().await;
        let ask = async |base: &str| {
            let request = world.client.get(format!("{base}/level3/domains")).bearer_auth(token);
            send(request).await.1.status
        };
        assert_eq!((ask(&world.base).await, ask(&second).await), (200, 200));
        let gone = world.post("", "/level3/logout", json!({"token": token})).await.ok();
        assert!(gone["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert_eq!((ask(&second).await, ask(&world.base).await), (401, 401));
        assert_eq!(world.post("", "/level3/logout", json!({"token": token})).await.ok(), gone);
        assert_eq!(world.post("", "/level3/logout", json!({"token": "unknown"})).await.ok(), gone);
        assert_eq!(world.post(token, "/level3/logout", json!({})).await.ok(), gone);
        // The sessions of others live on.
        world.get(&world.user_token, "/level3/domains").await.ok();
    }

    async fn a_logout_takes_the_token_from_the_header_too(world: World) {
        let answer = log_in(&world).await;
        let token = answer["token"].as_str().unwrap();
        world.post(token, "/level3/logout", json!({})).await.ok();
        world.get(token, "/level3/domains").await.failed(401);
    }

    async fn logincheck_tells_whether_a_session_lives(world: World) {
        let answer = log_in(&world).await;
        let token = answer["token"].as_str().unwrap();
        let alive = json!({"err": 0, "alive": 1, "user": EMAIL, "expires": answer["expires"]});
        let dead = json!({"err": 0, "alive": 0});
        let check = "/level3/logincheck";
        let ways = |token: &str| [
            world.request("GET", &format!("{check}?token={token}")),
            world.request("GET", check).json(&json!({"token": token})),
            world.request("POST", check).json(&json!({"token": token})),
            world.request("POST", check).header("content-type", FORM).body(format!("token={token}")),
            world.request("GET", check).bearer_auth(token),
        ];
        for request in ways(token) {
            assert_eq!(send(request).await.1.ok(), alive);
        }
        for request in ways("unknown").into_iter().chain([world.request("GET", check), world.request("POST", check)]) {
            assert_eq!(send(request).await.1.ok(), dead);
        }
        world.post("", "/level3/logout", json!({"token": token})).await.ok();
        for request in ways(token) {
            assert_eq!(send(request).await.1.ok(), dead);
        }
    }

    async fn a_session_ends_by_itself(world: World) {
        let answer = log_in(&world).await;
        let token = answer["token"].as_str().unwrap();
        world.clock.advance(3_590_000);
        world.get(token, "/level3/domains").await.ok();
        world.clock.advance(11_000);
        world.get(token, "/level3/domains").await.failed(401);
        let checked = world.get("", &format!("/level3/logincheck?token={token}")).await.ok();
        assert_eq!(checked, json!({"err": 0, "alive": 0}));
    }

    async fn a_wrong_password_and_an_unknown_user_get_the_same_answer(world: World) {
        world.register(EMAIL, PASSWORD).await;
        let ask = async |email: &str| {
            let request = world.request("POST", "/level3/login").header("x-request-id", "same");
            let (headers, reply) = send(request.json(&guess(email))).await;
            assert_eq!(header(&headers, "www-authenticate"), "Bearer");
            reply.clone().failed(401);
            reply.body
        };
        assert_eq!(ask(EMAIL).await, ask("missing@example.com").await);
        for password in ["", " correct horse battery", "correct horse battery ", "Correct horse battery"] {
            let body = json!({"login_email": EMAIL, "password": password});
            let status = world.post("", "/level3/login", body).await.status;
            assert!(status == 401 || (password.is_empty() && status == 400), "{password:?}: {status}");
        }
    }

    async fn a_malformed_address_is_400(world: World) {
        for email in ["nobody", "@example.com", "a b@example.com", "a@b@example.com", "a@", &"x".repeat(300)] {
            let message = world.post("", "/level3/login", guess(email)).await.failed(400);
            assert!(message.starts_with("login_email: "), "{message}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM login_failure").await, 0);
    }

    async fn repeated_failures_make_every_server_ask_for_patience(world: World) {
        world.register(EMAIL, PASSWORD).await;
        let second = world.another_api().await;
        // The clock stands still for nobody, so the waits have to grow past the test's own pace.
        let mut longest = 0;
        while longest < 60 {
            let seconds = guess_until_blocked(&world, EMAIL).await;
            assert!((1..=900).contains(&seconds), "{seconds}");
            longest = longest.max(seconds);
            world.clock.advance(i64::try_from(seconds).unwrap() * 1000);
        }
        world.post("", "/level3/login", guess(EMAIL)).await.failed(401);
        for base in [&world.base, &second] {
            // Even the right password has to wait, or the answer would tell that it is the right one.
            let body = json!({"login_email": EMAIL, "password": PASSWORD});
            let (headers, reply) = send(world.client.post(format!("{base}/level3/login")).json(&body)).await;
            reply.failed(429);
            assert!(header(&headers, "retry-after").parse::<u64>().unwrap() > 60);
        }
        // Nobody else is kept out, and the sessions of the user live on.
        world.register("second@example.com", PASSWORD).await;
        let body = json!({"login_email": "second@example.com", "password": PASSWORD});
        world.post("", "/level3/login", body).await.ok();
        world.clock.advance(900_000);
        let body = json!({"login_email": EMAIL, "password": PASSWORD});
        send(world.client.post(format!("{second}/level3/login")).json(&body)).await.1.ok();
        // The right password wipes the slate.
        world.post("", "/level3/login", guess(EMAIL)).await.failed(401);
        world.post("", "/level3/login", guess(EMAIL)).await.failed(401);
    }

    async fn unknown_users_are_slowed_down_like_known_ones(world: World) {
        let seconds = guess_until_blocked(&world, "missing@example.com").await;
        assert!((1..=900).contains(&seconds), "{seconds}");
    }
}

#[tokio::test]
async fn one_address_cannot_try_every_user() {
    let world = World::with(Kind::Sqlite, |config| config.auth.free_login_failures = 1, |_| {}).await;
    let mut statuses = Vec::new();
    for number in 0..30 {
        let reply = world.post("", "/level3/login", guess(&format!("user{number}@example.com"))).await;
        statuses.push(reply.status);
    }
    assert_eq!(statuses[..5], [401; 5], "an office behind one address may mistype");
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// Counted, not timed: a hash is nearly all that a login costs, and the rows are the rest.
#[tokio::test]
async fn an_unknown_user_costs_the_work_of_a_wrong_password() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (metrics, _guard) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let world = World::new(Kind::Sqlite).await;
    world.register(EMAIL, PASSWORD).await;
    let hashes = || {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with("overseas_password_hashes_total")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let work = async |email: &str| {
        let (before, rows) = (hashes(), world.number("SELECT SUM(failures) FROM login_failure").await);
        world.post("", "/level3/login", guess(email)).await.failed(401);
        (hashes() - before, world.number("SELECT SUM(failures) FROM login_failure").await - rows)
    };
    world.post("", "/level3/login", guess("first@example.com")).await.failed(401);
    assert_eq!(work(EMAIL).await, (1, 2), "one hash; counted for the account and for the address");
    assert_eq!(work("missing@example.com").await, (1, 2));
    // A user who was made without a password, as one of another system would be.
    world.user("without@example.com", overseas_shared::db::account::Role::User).await;
    assert_eq!(work("without@example.com").await, (1, 2));
}

#[tokio::test]
async fn a_crowd_of_guesses_is_held_like_a_row_of_them() {
    for kind in [Kind::Sqlite, Kind::Mariadb] {
        let world = World::new(kind).await;
        world.register(EMAIL, PASSWORD).await;
        let second = world.another_api().await;
        let bases = [&world.base, &second];
        let guesses = (0..100).map(|number| {
            let request = world.client.post(format!("{}/level3/login", bases[number % 2]));
            send(request.json(&guess(EMAIL)))
        });
        let replies = futures::future::join_all(guesses).await;
        let checked = replies.iter().filter(|(_, reply)| reply.status == 401).count();
        let held = replies.iter().filter(|(_, reply)| reply.status == 429).count();
        assert_eq!(checked + held, 100);
        // Five are free; after a second's wait a slow machine may let one more be tried.
        assert!((5..=8).contains(&checked), "{checked} passwords were tried");
    }
}

#[tokio::test]
async fn an_address_that_logs_in_as_many_is_not_held_for_it() {
    let world = World::with(Kind::Sqlite, |config| config.auth.free_login_failures = 1, |_| {}).await;
    world.register(EMAIL, PASSWORD).await;
    for _ in 0..15 {
        world.post("", "/level3/login", json!({"login_email": EMAIL, "password": PASSWORD})).await.ok();
    }
    assert_eq!(world.number("SELECT COALESCE(SUM(failures), 0) FROM login_failure").await, 0);
}
