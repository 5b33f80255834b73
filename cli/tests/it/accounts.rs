//! Companies, users, and who is mapped to what: `POST /useful/create/company`, `POST /level3/user`,
//! `/level3/user_cdns`, `/level3/user_domains`, `GET /level3/domains`.
//!
//! Besides the answers: what exists already, what twenty at once do, and that a refusal changes nothing.

use crate::support::http::send;
use crate::support::world::{DOMAINS, OTHER, Reply, USER};
use crate::support::{World, on_both};
use serde_json::{Value, json};

const COMPANY: &str = "/useful/create/company";
const OWNER: &str = "owner@example.com";

fn company(name: &str, email: &str) -> Value {
    json!({"company_name": name, "company_alias": "ex", "owner_name": "A. Owner", "owner_email": email})
}

async fn staff(world: &World, path: &str, body: Value) -> Reply {
    world.post(&world.staff_token, path, body).await
}

async fn domains(world: &World, method: &str, body: Value) -> Reply {
    let request = world.request(method, "/level3/user_domains").bearer_auth(&world.staff_token);
    send(request.json(&body)).await.1
}

/// Twenty of the same request at once; returns how many were answered with 200.
async fn twenty_at_once(world: &World, path: &str, body: &Value, otherwise: u16) -> usize {
    let ask = || send(world.request("POST", path).bearer_auth(&world.staff_token).json(body));
    let replies = futures::future::join_all((0..20).map(|_| ask())).await;
    let refused = replies.iter().filter(|(_, reply)| reply.status != 200);
    for (_, reply) in refused.clone() {
        reply.clone().failed(otherwise);
    }
    20 - refused.count()
}

on_both! {
    async fn a_company_is_made_with_its_owners_account(world: World) {
        let answer = staff(&world, COMPANY, company("Example Company", " Owner@Example.com ")).await.ok();
        let id = answer["company"]["id"].as_i64().expect("a number");
        assert_eq!(answer, json!({"err": 0, "company": {
            "id": id, "company_name": "Example Company", "company_alias": "ex",
            "owner_name": "A. Owner", "owner_email": OWNER,
        }}));
        let other = json!({"company_name": "例え", "owner_name": "名", "owner_email": "a@example.com"});
        let other = staff(&world, COMPANY, other).await.ok();
        assert_eq!(other["company"]["company_alias"], "例え", "the name is the alias that was left out");
        assert_ne!(other["company"]["id"], id);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action = 'create_company' AND actor = 'staff@example.com'").await, 2);
    }

    async fn the_same_company_or_owner_again_is_409_that_names_which(world: World) {
        staff(&world, COMPANY, company("First", OWNER)).await.ok();
        let message = staff(&world, COMPANY, company("First", "second@example.com")).await.failed(409);
        assert!(message.starts_with("company_name: ") && message.contains("First"), "{message}");
        let message = staff(&world, COMPANY, company("Second", OWNER)).await.failed(409);
        assert!(message.starts_with("owner_email: ") && message.contains(OWNER), "{message}");
        // Nothing of a refused company stays behind.
        staff(&world, COMPANY, company("Second", "second@example.com")).await.ok();
        assert_eq!(world.number("SELECT COUNT(*) FROM company").await, 2);
        assert_eq!(world.number("SELECT COUNT(*) FROM ops_account").await, 2);
    }

    async fn a_conflict_is_told_by_its_index_not_by_what_the_values_look_like(world: World) {
        let email = "company_name@company.name";
        staff(&world, COMPANY, company("First", email)).await.ok();
        let message = staff(&world, COMPANY, company("Second", email)).await.failed(409);
        assert!(message.starts_with("owner_email: "), "{message}");
        staff(&world, COMPANY, company("ops_account.PRIMARY", "b@example.com")).await.ok();
        let message = staff(&world, COMPANY, company("ops_account.PRIMARY", "c@example.com")).await.failed(409);
        assert!(message.starts_with("company_name: "), "{message}");
    }

    async fn a_company_with_unusable_values_is_400(world: World) {
        let long = "x".repeat(256);
        let cases = [
            ("company_name", json!(long)), ("company_name", json!("")), ("company_name", json!("a\u{0}b")),
            ("company_alias", json!(long)), ("owner_name", json!(long)), ("owner_name", json!(" ")),
            ("owner_email", json!("nobody")), ("owner_email", json!(["a@example.com"])),
        ];
        for (name, value) in cases {
            let mut body = company("Good", OWNER);
            body[name] = value;
            let message = staff(&world, COMPANY, body).await.failed(400);
            assert!(message.starts_with(&format!("{name}: ")), "{message}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM company").await, 0);
        staff(&world, COMPANY, company(&"ü".repeat(255), OWNER)).await.ok();
    }

    async fn a_user_is_made_of_an_account_in_the_ops_directory(world: World) {
        let body = json!({"login_email": OWNER, "password": "long enough", "operations": "false"});
        let message = staff(&world, "/level3/user", body.clone()).await.failed(400);
        assert!(message.contains(OWNER) && message.contains(COMPANY), "{message}");
        staff(&world, COMPANY, company("Example Company", OWNER)).await.ok();
        let made = staff(&world, "/level3/user", body.clone()).await.ok();
        assert_eq!(made, json!({"err": 0, "user": OWNER, "operate_right": false, "cdns": []}));
        let message = staff(&world, "/level3/user", body).await.failed(409);
        assert!(message.contains(OWNER), "{message}");
        world.register("second@example.com", "long enough").await;
        let sql = "SELECT COUNT(*) FROM `user` WHERE email = 'second@example.com' AND operate_right AND role = 'user'";
        assert_eq!(world.number(sql).await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action = 'create_user'").await, 2);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE detail LIKE '%long enough%'").await, 0);
    }

    async fn a_user_with_unusable_values_is_400(world: World) {
        staff(&world, COMPANY, company("Example Company", OWNER)).await.ok();
        let cases = [
            ("login_email", json!("nobody")), ("login_email", json!("")), ("login_email", json!(5)),
            ("password", json!("123456789")), ("password", json!("")), ("password", json!(["long enough"])),
            ("password", json!("x".repeat(1025))), ("operations", json!("perhaps")), ("operations", json!([true])),
        ];
        for (name, value) in cases {
            let mut body = json!({"login_email": OWNER, "password": "long enough"});
            body[name] = value.clone();
            let message = staff(&world, "/level3/user", body).await.failed(400);
            assert!(message.starts_with(&format!("{name}: ")), "{value}: {message}");
        }
        let sql = "SELECT COUNT(*) FROM `user` WHERE email = 'owner@example.com'";
        assert_eq!(world.number(sql).await, 0);
        // Ten characters are enough, whatever they are.
        let body = json!({"login_email": OWNER, "password": "ääääääää 字"});
        staff(&world, "/level3/user", body).await.ok();
    }

    async fn twenty_identical_creates_make_one_row_and_no_500(world: World) {
        let body = company("Example Company", OWNER);
        assert_eq!(twenty_at_once(&world, COMPANY, &body, 409).await, 1);
        let user = json!({"login_email": OWNER, "password": "long enough"});
        assert_eq!(twenty_at_once(&world, "/level3/user", &user, 409).await, 1);
        let cdns = json!({"login_email": OWNER, "cdns": "level3"});
        assert_eq!(twenty_at_once(&world, "/level3/user_cdns", &cdns, 0).await, 20);
        let mapping = json!({"login_email": OWNER, "cdn": "level3", "domains": ["a.example.com", "b.example.com"]});
        assert_eq!(twenty_at_once(&world, "/level3/user_domains", &mapping, 0).await, 20);
        let rows = [("company", 1), ("ops_account", 1), ("user_cdn", 2), ("user_domain", 2 + DOMAINS.len() as i64)];
        for (table, count) in rows {
            assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {table}")).await, count, "{table}");
        }
    }

    async fn a_user_is_mapped_to_cdns(world: World) {
        let path = "/level3/user_cdns";
        let mine = world.get(&world.user_token, path).await.ok();
        assert_eq!(mine, json!({"err": 0, "cdns": ["level3"]}));
        assert_eq!(world.get(&world.other_token, path).await.ok()["cdns"], json!([]));
        for cdns in [json!(["level3"]), json!("level3"), json!(["level3", "level3"])] {
            let answer = staff(&world, path, json!({"login_email": OTHER, "cdns": cdns})).await.ok();
            assert_eq!(answer, json!({"err": 0, "cdns": ["level3"]}));
        }
        for cdns in [json!(["level3", "acme"]), json!("acme"), json!([""])] {
            let message = staff(&world, path, json!({"login_email": USER, "cdns": cdns})).await.failed(404);
            assert!(message.contains("acme") || cdns == json!([""]), "{message}");
        }
        staff(&world, path, json!({"login_email": OTHER, "cdns": [1.5, {}]})).await.failed(400);
        staff(&world, path, json!({"login_email": "missing@example.com", "cdns": "level3"})).await.failed(404);
        let theirs = world.get(&world.staff_token, &format!("{path}?login_email={OTHER}")).await.ok();
        assert_eq!(theirs["cdns"], json!(["level3"]));
    }

    async fn domains_are_listed_with_what_the_vendor_says_of_them(world: World) {
        world.map(OTHER, &["www.example.com", "old.example.com", "new.example.com", "x.img.example.com"]).await;
        let answer = world.get(&world.other_token, "/level3/user_domains").await.ok();
        assert_eq!(answer, json!({
            "err": 0, "user": OTHER, "operate_right": true,
            "results": [{"domains": [
                {"domain": "new.example.com", "state": "Pending"},
                {"domain": "old.example.com", "state": "Inactive"},
                {"domain": "www.example.com", "state": "Active"},
                {"domain": "x.img.example.com", "state": "Active"},
            ], "cdn": "level3"}],
        }));
        let staff_sees = world.get(&world.staff_token, &format!("/level3/user_domains?login_email={OTHER}")).await.ok();
        assert_eq!(staff_sees, answer);
        let nobody = world.user("new@example.com", overseas_shared::db::account::Role::User).await;
        assert_eq!(world.get(&nobody, "/level3/user_domains").await.ok()["results"], json!([]));
    }

    async fn post_adds_domains_and_put_makes_them_exactly_these(world: World) {
        let body = |names: Value| json!({"login_email": OTHER, "cdn": "level3", "domains": names});
        let result = |names: Value| json!({"err": 0, "results": [{"domains": names, "cdn": "level3"}]});
        let steps = [
            ("POST", json!(["b.example.com"]), json!(["b.example.com"])),
            ("POST", json!(["A.example.com", "b.example.com."]), json!(["a.example.com", "b.example.com"])),
            ("POST", json!("c.example.com"), json!(["a.example.com", "b.example.com", "c.example.com"])),
            ("PUT", json!(["*.example.com", "c.example.com"]), json!(["*.example.com", "c.example.com"])),
            ("PUT", json!("bücher.example.com"), json!(["xn--bcher-kva.example.com"])),
        ];
        for (method, names, expected) in steps {
            assert_eq!(domains(&world, method, body(names)).await.ok(), result(expected));
        }
        assert_eq!(domains(&world, "PUT", body(json!([]))).await.ok()["results"], json!([]));
        // The user is mapped to the CDN with it, and nobody else is touched.
        let cdns = world.get(&world.other_token, "/level3/user_cdns").await.ok();
        assert_eq!(cdns["cdns"], json!(["level3"]));
        let mine = world.get(&world.user_token, "/level3/domains").await.ok();
        assert_eq!(mine["domains"].as_array().unwrap().len(), DOMAINS.len());
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action IN ('map_domains', 'set_domains') AND target = 'other@example.com'").await, 6);
    }

    async fn a_bad_mapping_changes_nothing(world: World) {
        let cases = [
            (404, json!({"login_email": USER, "cdn": "acme", "domains": "x.example.com"}), "acme"),
            (404, json!({"login_email": "missing@example.com", "cdn": "level3", "domains": "x.example.com"}), "missing@example.com"),
            (400, json!({"login_email": USER, "cdn": "level3", "domains": ["x.example.com", "not a domain"]}), "not a domain"),
            (400, json!({"login_email": USER, "cdn": "level3", "domains": ["http://x.example.com"]}), "http://x.example.com"),
            (400, json!({"login_email": USER, "cdn": "level3", "domains": {"0": "x.example.com"}}), "domains"),
            (400, json!({"login_email": "nobody", "cdn": "level3", "domains": "x.example.com"}), "login_email"),
        ];
        for method in ["POST", "PUT"] {
            for (status, body, named) in &cases {
                let message = domains(&world, method, body.clone()).await.failed(*status);
                assert!(message.contains(named), "{method} {body}: {message}");
            }
        }
        let mine = world.get(&world.user_token, "/level3/domains").await.ok();
        assert_eq!(mine["domains"].as_array().unwrap().len(), DOMAINS.len());
    }

    async fn a_put_without_domains_unmaps_nothing(world: World) {
        let message = domains(&world, "PUT", json!({"login_email": USER, "cdn": "level3"})).await.failed(400);
        assert!(message.starts_with("domains"), "{message}");
        let mine = world.get(&world.user_token, "/level3/domains").await.ok();
        assert_eq!(mine["domains"].as_array().unwrap().len(), DOMAINS.len());
    }

    async fn put_replaces_one_domain_by_another(world: World) {
        let body = json!({"login_email": USER, "cdn": "level3", "old_domain": "www.example.com", "new_domain": "new.example.com"});
        let answer = domains(&world, "PUT", body).await.ok();
        let expected = ["a.example.com", "b.example.com", "cdn.example.com", "new.example.com", "photo.img.example.com"];
        assert_eq!(answer, json!({"err": 0, "results": [{"domains": expected, "cdn": "level3"}]}));
    }

    async fn put_names_a_cdn_by_its_id_or_several_at_once(world: World) {
        crate::support::database::execute(&world.url, "INSERT INTO cdn (name, created_at) VALUES ('second', 0)").await;
        let id = world.number("SELECT id FROM cdn WHERE name = 'second'").await;
        let body = json!({"login_email": OTHER, "id": id, "domains": ["x.example.com"]});
        let answer = domains(&world, "PUT", body).await.ok();
        assert_eq!(answer["results"], json!([{"domains": ["x.example.com"], "cdn": "second"}]));
        let body = json!({"login_email": OTHER, "cdns": ["level3", "second"], "domains": ["y.example.com"]});
        let answer = domains(&world, "PUT", body).await.ok();
        let expected = json!([
            {"domains": ["y.example.com"], "cdn": "level3"}, {"domains": ["y.example.com"], "cdn": "second"},
        ]);
        assert_eq!(answer["results"], expected);
    }

    async fn a_user_sees_its_own_domains_and_staff_see_all_that_are_known(world: World) {
        world.map(OTHER, &["www.example.com", "pending.example.org"]).await;
        let list = async |token: &str| world.get(token, "/level3/domains").await.ok();
        let mut own = DOMAINS;
        own.sort_unstable();
        assert_eq!(list(&world.user_token).await, json!({"err": 0, "domains": own}));
        assert_eq!(list(&world.other_token).await["domains"], json!(["pending.example.org", "www.example.com"]));
        assert_eq!(list(&world.staff_token).await["domains"], json!([
            "*.img.example.com", "a.example.com", "b.example.com", "cdn.example.com", "old.example.com",
            "pending.example.org", "photo.img.example.com", "www.example.com",
        ]));
    }
}
