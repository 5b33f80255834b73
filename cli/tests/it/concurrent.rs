//! The same call many times at once: one row, the answers that the contract says, and never a 5xx.
//!
//! Fifty requests are sent together over connections of their own; what was made is counted behind the
//! product's back. Both databases.

use crate::support::http::send;
use crate::support::world::{OTHER, Reply, USER};
use crate::support::{World, on_both};
use futures::future::join_all;
use serde_json::{Value, json};

const AT_ONCE: usize = 50;

/// Sends a request of staff fifty times at once.
async fn fifty(world: &World, method: &str, path: &str, body: &Value) -> Vec<Reply> {
    let ask = |_| send(world.request(method, path).bearer_auth(&world.staff_token).json(body));
    join_all((0..AT_ONCE).map(ask)).await.into_iter().map(|(_, reply)| reply).collect()
}

/// One made it, the others were told that it exists.
#[track_caller]
fn assert_one_made_it(replies: Vec<Reply>) {
    let (made, others): (Vec<Reply>, Vec<Reply>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!(made.len(), 1, "{others:?}");
    for reply in others {
        reply.failed(409);
    }
}

/// All got the same answer.
#[track_caller]
fn assert_all_the_same(replies: Vec<Reply>) {
    let answers: Vec<Value> = replies.into_iter().map(Reply::ok).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

on_both! {
    async fn one_company_and_one_user_are_made(world: World) {
        let company = json!({"company_name": "A", "owner_name": "B", "owner_email": "c@example.com"});
        assert_one_made_it(fifty(&world, "POST", "/useful/create/company", &company).await);
        let user = json!({"login_email": "c@example.com", "password": "long enough"});
        assert_one_made_it(fifty(&world, "POST", "/level3/user", &user).await);
        for rows in [
            "company WHERE name = 'A'", "ops_account WHERE email = 'c@example.com'", "`user` WHERE email = 'c@example.com'",
            "audit WHERE action = 'create_company'", "audit WHERE action = 'create_user'",
        ] {
            assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {rows}")).await, 1, "{rows}");
        }
    }

    async fn a_cdn_and_domains_are_mapped_once(world: World) {
        let cdns = json!({"login_email": OTHER, "cdns": ["level3"]});
        assert_all_the_same(fifty(&world, "POST", "/level3/user_cdns", &cdns).await);
        let domains = json!({"login_email": OTHER, "cdn": "level3", "domains": ["b.example.com", "a.example.com"]});
        for method in ["POST", "PUT"] {
            assert_all_the_same(fifty(&world, method, "/level3/user_domains", &domains).await);
        }
        let replace = json!({"login_email": OTHER, "cdn": "level3", "old_domain": "a.example.com", "new_domain": "c.example.com"});
        let replies = fifty(&world, "PUT", "/level3/user_domains", &replace).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
        assert!(replies.iter().all(|reply| [200, 404].contains(&reply.status)));
        let id = world.user_id(OTHER).await;
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM user_cdn WHERE user_id = {id}")).await, 1);
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM user_domain WHERE user_id = {id}")).await, 2);
    }

    async fn two_lists_at_once_leave_one_of_them_and_not_a_mixture(world: World) {
        let lists = [["a.example.com", "b.example.com"], ["c.example.com", "d.example.com"]];
        let ask = |number: usize| {
            let body = json!({"login_email": OTHER, "cdn": "level3", "domains": lists[number % 2]});
            send(world.request("PUT", "/level3/user_domains").bearer_auth(&world.staff_token).json(&body))
        };
        for (_, reply) in join_all((0..AT_ONCE).map(ask)).await {
            reply.ok();
        }
        let now = world.get(&world.other_token, "/level3/domains").await.ok();
        assert!(lists.iter().any(|list| now["domains"] == json!(list)), "{now}");
    }

    async fn one_cdn_is_made_and_one_gets_the_name(world: World) {
        assert_one_made_it(fifty(&world, "POST", "/level3/cdn", &json!({"cdn": "acme"})).await);
        let id = world.number("SELECT id FROM cdn WHERE name = 'acme'").await;
        assert_all_the_same(fifty(&world, "PUT", "/level3/cdn", &json!({"id": id, "cdn": "Acme"})).await);
        let second = world.post(&world.staff_token, "/level3/cdn", json!({"cdn": "second"})).await.ok();
        for reply in fifty(&world, "PUT", "/level3/cdn", &json!({"id": second["id"], "cdn": "Acme"})).await {
            reply.failed(409);
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM cdn WHERE name = 'Acme'").await, 1);
    }

    async fn fifty_right_logins_of_one_user_all_succeed(world: World) {
        world.register("owner@example.com", "correct horse battery").await;
        let login = json!({"login_email": "owner@example.com", "password": "correct horse battery"});
        let replies = join_all((0..AT_ONCE).map(|_| send(world.request("POST", "/level3/login").json(&login)))).await;
        let mut tokens: Vec<String> = Vec::new();
        for (_, reply) in replies {
            tokens.push(reply.ok()["token"].as_str().unwrap().to_owned());
        }
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), AT_ONCE);
        world.get(&tokens[7], "/level3/domains").await.ok();
        assert_eq!(world.number("SELECT COUNT(*) FROM login_failure WHERE failures > 0").await, 0);
    }

    async fn a_token_is_logged_out_once_and_every_answer_is_the_same(world: World) {
        let logout = json!({"token": world.user_token});
        let replies = join_all((0..AT_ONCE).map(|_| send(world.request("POST", "/level3/logout").json(&logout)))).await;
        assert_all_the_same(replies.into_iter().map(|(_, reply)| reply).collect());
        world.get(&world.user_token, "/level3/domains").await.failed(401);
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM audit WHERE action = 'logout' AND actor = '{USER}'")).await, 1);
    }
}
