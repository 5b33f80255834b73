//! Concurrency: fifty of the same call at once end as one of them would have.
//!
//! Where a row is made there is one; each caller is answered with 200, or with 409 where the contract has
//! it; and never with a 5xx, whatever locks the database takes. Two lists that are set at once never mix.

use crate::support::http::send;
use crate::support::world::{OTHER, Reply, USER, entry};
use crate::support::{World, on_both};
use futures::future::join_all;
use overseas_shared::db::catalogue;
use serde_json::{Value, json};

const MANY: usize = 50;
const OWNER: &str = "owner@example.com";
const PASSWORD: &str = "correct horse battery";

/// A call that is made many times.
struct Call<'a> {
    method: &'static str,
    path: &'static str,
    token: &'a str,
    body: Value,
}

impl<'a> Call<'a> {
    fn by_staff(world: &'a World, method: &'static str, path: &'static str, body: Value) -> Self {
        Self { method, path, token: &world.staff_token, body }
    }

    async fn send(&self, world: &World) -> Reply {
        let request = world.request(self.method, self.path);
        let request = if self.token.is_empty() { request } else { request.bearer_auth(self.token) };
        send(request.json(&self.body)).await.1
    }
}

/// Makes every call many times, all at once and in turns.
async fn at_once(world: &World, calls: &[Call<'_>]) -> Vec<Reply> {
    join_all((0..MANY).map(|number| calls[number % calls.len()].send(world))).await
}

/// The answers of the calls that all must succeed.
async fn all_succeed(world: &World, call: Call<'_>) -> Vec<Value> {
    at_once(world, &[call]).await.into_iter().map(Reply::ok).collect()
}

/// The answer of the one call that succeeded; all others were told that it exists already, and what.
async fn one_succeeds(world: &World, call: Call<'_>, named: &str) -> Value {
    let (done, refused): (Vec<_>, Vec<_>) =
        at_once(world, &[call]).await.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((done.len(), refused.len()), (1, MANY - 1), "{done:?} {:?}", refused.first());
    for reply in refused {
        let message = reply.failed(409);
        assert!(message.contains(named), "{message}");
    }
    done.into_iter().next().unwrap().ok()
}

async fn assert_counts(world: &World, counts: &[(&str, i64)]) {
    for (what, expected) in counts {
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {what}")).await, *expected, "{what}");
    }
}

async fn log_in(world: &World) -> String {
    let login = json!({"login_email": OWNER, "password": PASSWORD});
    world.post("", "/level3/login", login).await.ok()["token"].as_str().unwrap().to_owned()
}

fn company() -> Value {
    json!({"company_name": "Example Company", "owner_name": "An Owner", "owner_email": OWNER})
}

fn mapping(domains: Value) -> Value {
    json!({"login_email": OTHER, "cdn": "level3", "domains": domains})
}

fn mapped(domains: Value) -> Value {
    json!({"err": 0, "results": [{"domains": domains, "cdn": "level3"}]})
}

on_both! {
    async fn a_company_is_made_once_with_one_account(world: World) {
        let call = Call::by_staff(&world, "POST", "/useful/create/company", company());
        let made = one_succeeds(&world, call, "exists already").await;
        let id = made["company"]["id"].as_i64().unwrap();
        assert_counts(&world, &[
            ("company", 1), (&format!("company WHERE id = {id}"), 1), ("ops_account", 1),
            ("audit WHERE action = 'create_company'", 1),
        ]).await;
    }

    async fn companies_that_share_an_owner_are_made_once(world: World) {
        let calls = ["A", "B"].map(|name| {
            let body = json!({"company_name": name, "owner_name": "An Owner", "owner_email": OWNER});
            Call::by_staff(&world, "POST", "/useful/create/company", body)
        });
        let replies = at_once(&world, &calls).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
        for reply in replies.into_iter().filter(|reply| reply.status != 200) {
            reply.failed(409);
        }
        let audited = "audit WHERE action = 'create_company'";
        assert_counts(&world, &[("company", 1), ("ops_account", 1), (audited, 1)]).await;
    }

    async fn a_user_is_made_once(world: World) {
        world.post(&world.staff_token, "/useful/create/company", company()).await.ok();
        let body = json!({"login_email": OWNER, "password": PASSWORD});
        let made = one_succeeds(&world, Call::by_staff(&world, "POST", "/level3/user", body), OWNER).await;
        assert_eq!(made, json!({"err": 0, "user": OWNER, "operate_right": true, "cdns": []}));
        let user = "`user` WHERE email = 'owner@example.com'";
        assert_counts(&world, &[(user, 1), ("audit WHERE action = 'create_user'", 1)]).await;
        log_in(&world).await;
    }

    async fn a_user_is_mapped_to_a_cdn_once(world: World) {
        let body = json!({"login_email": OTHER, "cdns": ["level3"]});
        for answer in all_succeed(&world, Call::by_staff(&world, "POST", "/level3/user_cdns", body)).await {
            assert_eq!(answer, json!({"err": 0, "cdns": ["level3"]}));
        }
        let user = world.user_id(OTHER).await;
        assert_counts(&world, &[(&format!("user_cdn WHERE user_id = {user}"), 1)]).await;
    }

    async fn a_user_is_mapped_to_a_domain_once(world: World) {
        let domains = json!(["a.example.com", "b.example.com"]);
        for method in ["POST", "PUT"] {
            let call = Call::by_staff(&world, method, "/level3/user_domains", mapping(domains.clone()));
            for answer in all_succeed(&world, call).await {
                assert_eq!(answer, mapped(domains.clone()));
            }
            let user = world.user_id(OTHER).await;
            let rows = format!("user_domain WHERE user_id = {user}");
            assert_counts(&world, &[(&rows, 2), (&format!("user_cdn WHERE user_id = {user}"), 1)]).await;
        }
        // Those of others stay as they were.
        let user = world.user_id(USER).await;
        assert_counts(&world, &[(&format!("user_domain WHERE user_id = {user}"), 5)]).await;
    }

    async fn of_two_lists_that_are_set_at_once_one_stays(world: World) {
        let lists = [
            json!(["a.example.org", "b.example.org", "x.example.org"]),
            json!(["c.example.org", "x.example.org"]),
        ];
        let put = |list: &Value| Call::by_staff(&world, "PUT", "/level3/user_domains", mapping(list.clone()));
        let replies = at_once(&world, &[put(&lists[0]), put(&lists[1])]).await;
        // What is answered is a list that was set, too: never a mixture, never half of one.
        for answer in replies.into_iter().map(Reply::ok) {
            assert!(lists.iter().any(|list| answer == mapped(list.clone())), "{answer}");
        }
        let left = world.get(&world.other_token, "/level3/domains").await.ok();
        assert!(lists.contains(&left["domains"]), "{left}");
        let user = world.user_id(OTHER).await;
        let rows = left["domains"].as_array().unwrap().len() as i64;
        assert_counts(&world, &[(&format!("user_domain WHERE user_id = {user}"), rows)]).await;
    }

    async fn a_domain_is_replaced_once_and_then_is_not_there(world: World) {
        world.map(OTHER, &["old.example.org"]).await;
        let body = json!({
            "login_email": OTHER, "cdn": "level3", "old_domain": "old.example.org", "new_domain": "new.example.org",
        });
        let replies = at_once(&world, &[Call::by_staff(&world, "PUT", "/level3/user_domains", body)]).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
        for reply in replies.into_iter().filter(|reply| reply.status != 200) {
            reply.failed(404);
        }
        let left = world.get(&world.other_token, "/level3/domains").await.ok();
        assert_eq!(left["domains"], json!(["new.example.org"]));
    }

    async fn a_cdn_is_made_once(world: World) {
        let call = Call::by_staff(&world, "POST", "/level3/cdn", json!({"cdn": "acme"}));
        let made = one_succeeds(&world, call, "acme").await;
        let rows = format!("cdn WHERE name = 'acme' AND id = {}", made["id"]);
        assert_counts(&world, &[(&rows, 1), ("cdn", 2), ("audit WHERE action = 'create_cdn'", 1)]).await;
    }

    async fn a_cdn_may_be_given_the_same_name_many_times(world: World) {
        let id = catalogue::create_cdn(&world.db, "acme", &entry(world.clock.now())).await.unwrap();
        let call = Call::by_staff(&world, "PUT", "/level3/cdn", json!({"id": id, "cdn": "Acme"}));
        for answer in all_succeed(&world, call).await {
            assert_eq!(answer, json!({"err": 0, "cdn": "Acme", "id": id}));
        }
        let listed = world.get(&world.staff_token, "/level3/cdn").await.ok();
        assert_eq!(listed["results"][1], json!({"id": id, "name": "Acme"}));
        assert_counts(&world, &[("cdn", 2)]).await;
    }

    async fn of_two_cdns_one_gets_the_name_that_both_want(world: World) {
        let mut ids = Vec::new();
        for name in ["first", "second"] {
            ids.push(catalogue::create_cdn(&world.db, name, &entry(world.clock.now())).await.unwrap());
        }
        let put = |id: i64| Call::by_staff(&world, "PUT", "/level3/cdn", json!({"id": id, "cdn": "acme"}));
        let replies = at_once(&world, &[put(ids[0]), put(ids[1])]).await;
        let winner = world.number("SELECT id FROM cdn WHERE name = 'acme'").await;
        for (number, reply) in replies.into_iter().enumerate() {
            if ids[number % 2] == winner {
                reply.ok();
            } else {
                assert!(reply.failed(409).contains("acme"));
            }
        }
        assert_counts(&world, &[("cdn", 3), ("cdn WHERE name = 'acme'", 1)]).await;
    }

    async fn all_logins_of_one_user_succeed_each_with_its_own_token(world: World) {
        world.register(OWNER, PASSWORD).await;
        let before = world.number("SELECT COUNT(*) FROM session").await;
        let body = json!({"login_email": OWNER, "password": PASSWORD});
        let answers = all_succeed(&world, Call { method: "POST", path: "/level3/login", token: "", body }).await;
        let mut tokens: Vec<&str> = answers.iter().map(|answer| answer["token"].as_str().unwrap()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), MANY);
        let many = MANY as i64;
        assert_counts(&world, &[("session", before + many), ("audit WHERE action = 'login'", many)]).await;
        for token in tokens {
            world.get(token, "/level3/domains").await.ok();
        }
        // None of them is left counted as failed.
        log_in(&world).await;
    }

    async fn a_token_is_logged_out_once_and_all_get_the_same_answer(world: World) {
        world.register(OWNER, PASSWORD).await;
        let (token, second) = (log_in(&world).await, log_in(&world).await);
        let before = world.number("SELECT COUNT(*) FROM session").await;
        let body = json!({"token": token});
        let answers = all_succeed(&world, Call { method: "POST", path: "/level3/logout", token: "", body }).await;
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_counts(&world, &[("session", before - 1), ("audit WHERE action = 'logout'", 1)]).await;
        world.get(&token, "/level3/domains").await.failed(401);
        world.get(&second, "/level3/domains").await.ok();
    }
}
