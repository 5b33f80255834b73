//! API tokens: what a scope allows, when a token ends, and the commands that give and take them.
//!
//! The commands are the real binary on the same database as the world's API.

use crate::support::http::{header, send};
use crate::support::process::{Settings, run};
use crate::support::world::{OTHER, STAFF, USER};
use crate::support::{Kind, World, on_both};
use serde_json::{Value, json};
use std::process::Output;

fn overseas(world: &World, arguments: &[&str], stdin: &str) -> Output {
    let settings = Settings::from([("OVERSEAS__DATABASE__URL".to_owned(), world.url.clone())]);
    run(&settings, world.folder.path(), arguments, stdin)
}

#[track_caller]
fn answer(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

#[track_caller]
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn purge() -> Value {
    json!({"path": "http://cdn.example.com/a"})
}

on_both! {
    async fn a_token_may_do_what_its_scopes_say(world: World) {
        let table = [("read", 200, 403, 200), ("purge", 403, 200, 200), ("read,purge", 200, 200, 200), ("admin", 200, 200, 200)];
        for (scopes, domains, refresh, list) in table {
            let token = world.api_token(USER, scopes).await;
            let statuses = (
                world.get(&token, "/level3/domains").await.status,
                world.post(&token, "/level3/refresh", purge()).await.status,
                world.get(&token, "/level3/refresh_list").await.status,
            );
            assert_eq!(statuses, (domains, refresh, list), "{scopes}");
            world.get(&token, "/level3/audit").await.failed(403);
        }
        let read = world.api_token(USER, "read").await;
        let message = world.post(&read, "/level3/refresh", purge()).await.failed(403);
        assert!(message.contains("the scope read") && message.contains("needs purge"), "{message}");
        world.get(&read, &format!("/level3/user_cdns?login_email={OTHER}")).await.failed(403);
    }

    async fn a_token_of_staff_changes_nothing_without_the_scope_admin(world: World) {
        let change = json!({"login_email": OTHER, "cdn": "level3", "domains": "a.example.com"});
        for scopes in ["read", "purge", "read,purge"] {
            let token = world.api_token(STAFF, scopes).await;
            world.post(&token, "/level3/user_domains", change.clone()).await.failed(403);
            world.get(&token, "/level3/audit").await.failed(403);
        }
        let read = world.api_token(STAFF, "read").await;
        world.get(&read, &format!("/level3/user_cdns?login_email={USER}")).await.ok();
        let admin = world.api_token(STAFF, "admin").await;
        world.post(&admin, "/level3/user_domains", change).await.ok();
        world.get(&admin, "/level3/audit").await.ok();
    }

    async fn a_token_is_given_listed_used_and_taken_back(world: World) {
        let give = ["token", "give", "--email", USER, "--scope", "read,purge", "--name", "deploy script"];
        let token = answer(&overseas(&world, &give, ""));
        assert_eq!(token.len(), 43, "the token alone is on standard output: {token}");
        let listed = answer(&overseas(&world, &["token", "list"], ""));
        assert!(listed.contains("deploy script") && listed.contains("read,purge") && listed.contains("never"), "{listed}");
        assert!(!listed.contains(&token));
        assert_eq!(world.number("SELECT COUNT(*) FROM api_token WHERE last_used_at IS NULL").await, 1);

        world.get(&token, "/level3/domains").await.ok();
        let second = world.another_api().await;
        send(world.client.get(format!("{second}/level3/domains")).bearer_auth(&token)).await.1.ok();
        let used = world.number("SELECT last_used_at FROM api_token").await;
        assert!(used >= world.clock.now() - 60_000);
        world.clock.advance(61_000);
        world.get(&token, "/level3/domains").await.ok();
        assert!(world.number("SELECT last_used_at FROM api_token").await >= used + 60_000);
        let alive = world.get("", &format!("/level3/logincheck?token={token}")).await.ok();
        assert_eq!((&alive["alive"], &alive["user"]), (&json!(1), &json!(USER)));

        let id = world.number("SELECT id FROM api_token").await.to_string();
        let taken = answer(&overseas(&world, &["token", "revoke", &id], ""));
        assert!(taken.contains("deploy script") && taken.contains(USER), "{taken}");
        world.get(&token, "/level3/domains").await.failed(401);
        send(world.client.get(format!("{second}/level3/domains")).bearer_auth(&token)).await.1.failed(401);
        assert!(refusal(&overseas(&world, &["token", "revoke", &id], "")).contains("no API token"));
        let audit = world.get(&world.staff_token, &format!("/level3/audit?target={USER}&actor=command-line")).await.ok();
        let actions: Vec<&str> = audit["results"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["revoke_token", "give_token"]);
        assert!(!audit.to_string().contains(&token));
    }

    async fn a_token_ends_when_it_was_said_to(world: World) {
        let give = ["token", "give", "--email", USER, "--scope", "read", "--name", "a", "--expires-in-days", "2"];
        let token = answer(&overseas(&world, &give, ""));
        world.clock.advance(2 * 24 * 3_600_000 - 60_000);
        world.get(&token, "/level3/domains").await.ok();
        world.clock.advance(61_000);
        world.get(&token, "/level3/domains").await.failed(401);
        let give = ["token", "give", "--email", USER, "--scope", "read", "--name", "b", "--never-expires"];
        let token = answer(&overseas(&world, &give, ""));
        world.clock.advance(10 * 365 * 24 * 3_600_000);
        world.get(&token, "/level3/domains").await.ok();
        let checked = world.get("", &format!("/level3/logincheck?token={token}")).await.ok();
        assert_eq!(checked, json!({"err": 0, "alive": 1, "user": USER}));
    }

    async fn a_logout_with_an_api_token_takes_it_back(world: World) {
        let token = world.api_token(USER, "admin").await;
        world.post(&token, "/level3/logout", json!({})).await.ok();
        world.get(&token, "/level3/domains").await.failed(401);
        world.get(&world.user_token, "/level3/domains").await.ok();
    }

    async fn a_new_password_ends_the_users_sessions_and_nobody_elses(world: World) {
        let token = world.api_token(USER, "read").await;
        let reset = ["user", "reset-password", "--email", USER, "--password-stdin"];
        let said = answer(&overseas(&world, &reset, "a new long password\n"));
        assert!(said.contains("sessions have ended") && said.contains("1 API token"), "{said}");
        world.get(&world.user_token, "/level3/domains").await.failed(401);
        world.get(&world.other_token, "/level3/domains").await.ok();
        world.get(&token, "/level3/domains").await.ok();
        let login = world.post("", "/level3/login", json!({"login_email": USER, "password": "a new long password"})).await.ok();
        world.get(login["token"].as_str().unwrap(), "/level3/domains").await.ok();
        let list = answer(&overseas(&world, &["user", "list"], ""));
        let line = list.lines().find(|line| line.starts_with(USER)).unwrap();
        assert!(line.contains("level3") && !line.contains("never"), "{list}");
        let row = list.lines().find(|line| line.starts_with(STAFF)).unwrap();
        assert!(row.contains("staff"), "{list}");
    }

    async fn what_the_commands_cannot_do_they_say(world: World) {
        let missing = ["user", "reset-password", "--email", "missing@example.com", "--password-stdin"];
        assert!(refusal(&overseas(&world, &missing, "a new long password\n")).contains("no user missing@example.com"));
        let short = ["user", "reset-password", "--email", USER, "--password-stdin"];
        assert!(refusal(&overseas(&world, &short, "short\n")).contains("at least 10"));
        world.get(&world.user_token, "/level3/domains").await.ok();
        let give = |scope: &'static str, name: &'static str| ["token", "give", "--email", USER, "--scope", scope, "--name", name];
        assert!(refusal(&overseas(&world, &give("read", " "), "")).contains("--name"));
        let wrong = overseas(&world, &give("write", "a"), "");
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("read, purge and admin"));
        assert_eq!(world.number("SELECT COUNT(*) FROM api_token").await, 0);
    }
}

#[tokio::test]
async fn the_credential_of_a_parameter_counts_like_the_header() {
    let world = World::new(Kind::Sqlite).await;
    let token = world.api_token(USER, "purge").await;
    let (headers, reply) = send(world.request("GET", &format!("/level3/domains?token={token}"))).await;
    reply.failed(403);
    assert_eq!(header(&headers, "ratelimit-limit"), "2000");
}
