//! One call to many CDNs: a domain at Level 3 and at Tencent Cloud, and another at EdgeOne, all of one user.
//!
//! Rounds are driven by hand for all accounts of one worker; the vendors are the simulator's, on one address.

use crate::support::delivery::{back, gunzip};
use crate::support::world::USER;
use crate::support::{Kind, World};
use crate::vendors::kit::account;
use overseas_shared::db::task::{self, Claim};
use overseas_shared::domain::{Kind as TaskKind, PurgeUrl, Step};
use overseas_simulator::{Config as SimulatorConfig, FaultKind, FaultRule, FaultTarget, Operation, tencent_usage};
use overseas_worker::jobs::logs::LogFetch;
use overseas_worker::jobs::submit::Submit;
use overseas_worker::jobs::usage::{Recent, recent};
use overseas_worker::reconcile::{Next, Reconciler};
use serde_json::{Value, json};

/// At Level 3 and at Tencent Cloud.
const BOTH: &str = "cdn.example.com";
/// At Tencent Cloud only.
const SHOP: &str = "shop.example.com";
/// At EdgeOne only.
const EDGE: &str = "www.example.org";

/// A world with an account at each vendor, named after it.
async fn world_with(kind: Kind, data: impl FnOnce(&mut SimulatorConfig)) -> World {
    let settings = |config: &mut overseas_shared::config::Config| {
        for vendor in ["tencent", "edgeone"] {
            let account = account(config, vendor);
            config.cdn.insert(vendor.to_owned(), account);
        }
    };
    let world = World::with(kind, settings, data).await;
    for account in &world.context.accounts {
        world.sync_account(account).await;
    }
    world.map_at("tencent", USER, &[BOTH, SHOP]).await;
    world.map_at("edgeone", USER, &[EDGE]).await;
    world
}

macro_rules! at_all_cdns {
    ($(async fn $name:ident($world:ident: World) $body:block)+) => {
        $(mod $name {
            use super::*;

            async fn promise($world: World) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                promise(world_with(Kind::Sqlite, |_| {}).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                promise(world_with(Kind::Mariadb, |_| {}).await).await;
            }
        })+
    };
}

async fn order(world: &World, kind: &str, urls: &[String]) -> Vec<Value> {
    let body = json!({"path": urls.join("|")});
    let answer = world.post(&world.user_token, &format!("/level3/{kind}"), body).await.ok();
    answer["results"].as_array().unwrap().clone()
}

/// The states of all tasks of a kind, by their ids at the vendor.
async fn states(world: &World, kind: &str) -> Vec<String> {
    let answer = world.get(&world.user_token, &format!("/level3/{kind}_list")).await.ok();
    let tasks = answer["results"].as_array().unwrap();
    tasks.iter().map(|task| task["state"].as_str().unwrap().to_owned()).collect()
}

/// What the vendors registered, by operation.
fn registered(world: &World, operation: Operation) -> Vec<Vec<String>> {
    let record = world.control.requests(0).requests;
    let of_operation = record.iter().filter(|entry| entry.registered && entry.operation == operation);
    of_operation.map(|entry| entry.paths.to_vec()).collect()
}

async fn sum(world: &World, query: &str) -> u64 {
    let answer = world.get(&world.user_token, &format!("/level3/{query}")).await.ok();
    answer["results"].as_array().unwrap().iter().map(|row| row["value"].as_u64().unwrap()).sum()
}

at_all_cdns! {
    async fn a_domain_on_two_cdns_gets_a_task_at_each_and_both_go_to_a_hundred(world: World) {
        let urls = [BOTH, EDGE].map(|domain| format!("http://{domain}/a.html"));
        for kind in ["refresh", "preload"] {
            let tasks = order(&world, kind, &urls).await;
            assert_eq!(tasks.len(), 3, "{tasks:?}");
            let of_both = tasks.iter().filter(|task| task["url"] == urls[0].as_str()).count();
            assert_eq!(of_both, 2, "{tasks:?}");
        }
        for kind in [TaskKind::Refresh, TaskKind::Preload] {
            world.submit_everywhere(kind).await;
        }
        world.control.advance(60);
        world.poll_everywhere().await;
        let level3 = world.context.accounts.iter().find(|account| account.name == "level3").unwrap();
        let fetch = overseas_worker::jobs::fetch::Fetch::new(&world.context, level3);
        while fetch.round(&world.stop).await.unwrap() == Next::Now {}
        for kind in ["refresh", "preload"] {
            assert_eq!(states(&world, kind).await, ["done"; 3], "{kind}");
        }
        assert_eq!(registered(&world, Operation::TencentPurgeUrlsCache), [[urls[0].clone()]]);
        assert_eq!(registered(&world, Operation::TencentPushUrlsCache), [[urls[0].clone()]]);
        assert_eq!(registered(&world, Operation::EdgeOneCreatePurgeTask), [[urls[1].clone()]]);
        assert_eq!(registered(&world, Operation::EdgeOneCreatePrefetchTask), [[urls[1].clone()]]);
    }

    async fn a_task_of_objects_and_directories_is_one_call_for_each(world: World) {
        let urls = ["/a", "/d/", "/b", "/e/*", "/c"].map(|path| format!("http://{SHOP}{path}"));
        order(&world, "refresh", &urls).await;
        world.submit_everywhere(TaskKind::Refresh).await;
        let url = |path: &str| format!("http://{SHOP}{path}");
        let objects = registered(&world, Operation::TencentPurgeUrlsCache);
        let directories = registered(&world, Operation::TencentPurgePathCache);
        assert_eq!(directories.concat(), [url("/d/"), url("/e/")]);
        let mut flat = objects.concat();
        flat.sort();
        assert_eq!(flat, [url("/a"), url("/b"), url("/c")]);
        world.control.advance(60);
        world.poll_everywhere().await;
        assert_eq!(states(&world, "refresh").await, ["done"]);
        // The rest of the wildcards is refused with a reason.
        let body = json!({"path": format!("http://{SHOP}/img/*.jpg")});
        let message = world.post(&world.user_token, "/level3/refresh", body).await.failed(400);
        assert!(message.contains("the CDN tencent cannot refresh wildcards other than /* at the end"), "{message}");
        let body = json!({"path": format!("ftp://{SHOP}/a.zip")});
        let message = world.post(&world.user_token, "/level3/refresh", body).await.failed(400);
        assert!(message.contains("the CDN tencent cannot take ftp URLs"), "{message}");
    }

    async fn statistics_sum_both_cdns_and_cdn_narrows_them(world: World) {
        for account in &world.context.accounts {
            recent(&world.context, account, Recent::Days3).await.unwrap();
        }
        let now = world.clock.now_seconds();
        let from = now - now.rem_euclid(86_400) - 2 * 86_400;
        let range = format!("domain={BOTH}&startTime={from}&endTime={}", from + 86_100);
        let all = sum(&world, &format!("fluxs?{range}")).await;
        let tencent = sum(&world, &format!("fluxs?{range}&cdn=tencent")).await;
        let level3 = sum(&world, &format!("fluxs?{range}&cdn=level3")).await;
        assert_eq!(all, tencent + level3);
        let slots = (from..from + 86_400).step_by(300);
        let expected: u64 =
            slots.flat_map(|at| ["mainland", "overseas"].map(|area| tencent_usage(BOTH, area, at).0)).sum();
        assert_eq!(tencent, expected);
        assert!(level3 > 0);
        let both = sum(&world, &format!("fluxs/area?{range}")).await;
        let one = sum(&world, &format!("fluxs/area?{range}&cdn=level3")).await;
        assert!(both > one && one > 0);
    }

    async fn a_days_logs_are_one_file_for_each_cdn(world: World) {
        let date = back(&world, 2);
        world.deliver(BOTH, date, "a.gz", &format!("{date} 10:13:24.250 HIT /level3\n"));
        overseas_worker::jobs::logs::schedule_recent(&world.context).await.unwrap();
        for account in &world.context.accounts {
            let job = LogFetch::new(&world.context, account);
            while job.round(&world.stop).await.unwrap() == Next::Now {}
        }
        let rows = world.log_rows(date, date).await;
        assert_eq!(rows.len(), 2, "{rows:?}");
        let mut texts = Vec::new();
        for row in &rows {
            texts.push(gunzip(&world.download(row).await));
        }
        assert_eq!(texts.iter().filter(|text| text.contains("/level3")).count(), 1);
        assert!(texts.iter().all(|text| !text.is_empty()));
    }
}

/// A call that is larger than the vendor takes is cut before it is made, by what the vendor says at that time.
#[tokio::test]
async fn requests_are_as_large_as_the_vendor_says_today() {
    let small = |data: &mut SimulatorConfig| data.tencent.as_mut().unwrap().quotas.url.batch = 7;
    let world = world_with(Kind::Mariadb, small).await;
    let urls: Vec<String> = (0..20).map(|number| format!("http://{SHOP}/{number}")).collect();
    order(&world, "refresh", &urls).await;
    world.submit_everywhere(TaskKind::Refresh).await;
    let mut sizes: Vec<usize> = registered(&world, Operation::TencentPurgeUrlsCache).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [6, 7, 7]);
}

#[tokio::test]
async fn directories_that_have_to_wait_for_tomorrow_hold_up_no_objects_of_their_task() {
    let none = |data: &mut SimulatorConfig| data.tencent.as_mut().unwrap().quotas.path.daily = 1;
    let world = world_with(Kind::Mariadb, none).await;
    let url = |path: &str| format!("http://{SHOP}{path}");
    order(&world, "refresh", &[url("/d/"), url("/e/")]).await;
    order(&world, "refresh", &[url("/a"), url("/f/"), url("/b")]).await;
    world.submit_everywhere(TaskKind::Refresh).await;
    assert_eq!(registered(&world, Operation::TencentPurgePathCache).concat(), [url("/d/")]);
    assert_eq!(registered(&world, Operation::TencentPurgeUrlsCache).concat(), [url("/a"), url("/b")]);
    let tasks = world.get(&world.user_token, "/level3/refresh_list").await.ok();
    for task in tasks["results"].as_array().unwrap() {
        let message = task["message"].as_str().unwrap();
        assert!(message.starts_with("waiting: today's quota at the CDN is used up"), "{task}");
    }
    for _ in 0..2 {
        world.control.advance(24 * 3600);
        world.clock.advance(24 * 3_600_000 + 30_000);
        world.submit_everywhere(TaskKind::Refresh).await;
    }
    let mut sent = registered(&world, Operation::TencentPurgePathCache).concat();
    sent.sort();
    assert_eq!(sent, [url("/d/"), url("/e/"), url("/f/")]);
}

#[tokio::test]
async fn a_quota_that_is_used_up_in_one_part_of_the_world_delays_nothing_in_the_other() {
    let small = |data: &mut SimulatorConfig| data.tencent.as_mut().unwrap().quotas.url.daily = 1;
    let world = world_with(Kind::Mariadb, small).await;
    world.map_at("tencent", USER, &["cn.example.com", "sea.example.com"]).await;
    let tencent = world.context.accounts.iter().find(|account| account.name == "tencent").unwrap();
    let job = Submit::refresh(&world.context, tencent);
    let mainland = ["/a", "/b"].map(|path| format!("http://cn.example.com{path}"));
    order(&world, "refresh", &mainland).await;
    // No pause follows, as it would when the vendor fails.
    assert_eq!(job.round(&world.stop).await.unwrap(), Next::Now);
    order(&world, "refresh", &mainland[..1]).await;
    assert_eq!(job.round(&world.stop).await.unwrap(), Next::Now);
    order(&world, "refresh", &["http://sea.example.com/a".to_owned()]).await;
    assert_eq!(job.round(&world.stop).await.unwrap(), Next::Now);
    let sent = registered(&world, Operation::TencentPurgeUrlsCache).concat();
    assert_eq!(sent, ["http://cn.example.com/a", "http://sea.example.com/a"]);
}

#[tokio::test]
async fn a_request_that_is_too_large_after_all_is_made_smaller() {
    let world = world_with(Kind::Mariadb, |_| {}).await;
    let operation = FaultTarget::Only(Operation::TencentPurgeUrlsCache);
    let code = Some("LimitExceeded.CdnPurgeUrlExceedBatchLimit".to_owned());
    let rule = FaultRule { operation, code, times: Some(1), ..FaultRule::new(FaultKind::Error) };
    world.control.set_faults(vec![rule]).unwrap();
    let urls: Vec<String> = (0..9).map(|number| format!("http://{SHOP}/{number}")).collect();
    order(&world, "refresh", &urls).await;
    world.submit_everywhere(TaskKind::Refresh).await;
    let mut sizes: Vec<usize> = registered(&world, Operation::TencentPurgeUrlsCache).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [4, 5]);
    assert_eq!(states(&world, "refresh").await, ["running"]);
}

#[tokio::test]
async fn a_burst_beyond_todays_quota_goes_as_far_as_it_reaches_and_the_rest_waits_for_tomorrow() {
    let small = |data: &mut SimulatorConfig| data.tencent.as_mut().unwrap().quotas.url.daily = 10;
    let world = world_with(Kind::Mariadb, small).await;
    let urls: Vec<String> = (0..25).map(|number| format!("http://{SHOP}/{number}")).collect();
    order(&world, "refresh", &urls).await;
    world.submit_everywhere(TaskKind::Refresh).await;
    assert_eq!(registered(&world, Operation::TencentPurgeUrlsCache).concat().len(), 10);
    let task = world.get(&world.user_token, "/level3/refresh_list").await.ok()["results"][0].clone();
    assert_eq!(task["state"], "running");
    let message = task["message"].as_str().unwrap();
    assert!(message.starts_with("waiting: today's quota at the CDN is used up"), "{message}");
    // Both clocks pass midnight in UTC+8, twice.
    for _ in 0..2 {
        world.control.advance(24 * 3600);
        world.clock.advance(24 * 3_600_000 + 30_000);
        world.submit_everywhere(TaskKind::Refresh).await;
    }
    let mut sent = registered(&world, Operation::TencentPurgeUrlsCache).concat();
    sent.sort();
    let mut expected = urls;
    expected.sort();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_worker_that_died_during_the_call_leaves_no_second_request() {
    let world = world_with(Kind::Mariadb, |_| {}).await;
    let tencent = world.context.accounts.iter().find(|account| account.name == "tencent").unwrap();
    let url = format!("http://{SHOP}/a.html");
    order(&world, "refresh", std::slice::from_ref(&url)).await;
    // What a worker does up to the moment at which it dies: the claim, and the call.
    let now = world.clock.now();
    let claim = Claim {
        cdn_id: tencent.id,
        step: Step::Submit,
        kind: TaskKind::Refresh,
        owner: "dead",
        now,
        lease_until: now + 15_000,
        tasks: 10,
        urls: 10,
    };
    assert_eq!(task::claim(&world.db, &claim).await.unwrap().len(), 1);
    let address = overseas_shared::cdn::PropertyAddress { vendor_ref: SHOP.to_owned(), name: SHOP.to_owned() };
    let urls = [PurgeUrl::parse(&url).unwrap()];
    let accepted = tencent.client.submit(&address, overseas_shared::cdn::Action::Refresh, &urls).await.unwrap();
    world.clock.advance(16_000);
    world.control.advance(16);
    world.submit_everywhere(TaskKind::Refresh).await;
    assert_eq!(registered(&world, Operation::TencentPurgeUrlsCache).len(), 1);
    let task = world.get(&world.user_token, "/level3/refresh_list").await.ok()["results"][0].clone();
    assert_eq!((task["state"].as_str(), task["vendor_taskid"].as_str()), (Some("running"), Some(&*accepted.vendor_id)));
}
