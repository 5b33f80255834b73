//! One suite for all vendors, each against its simulator: what the rest of the system relies on, whoever the vendor is.
//!
//! A client that passes it can be added without a change elsewhere. Rounds are driven by hand; what is different about
//! the vendors is in `kit`. Each promise is a test for each vendor.

pub(crate) mod kit;

use self::kit::Vendor;
use crate::support::delivery::{back, gunzip};
use crate::support::{World, eventually};
use chrono::NaiveDate;
use overseas_shared::db::usage;
use overseas_shared::domain::Kind as TaskKind;
use overseas_simulator::{FaultKind, FaultRule, Operation};
use overseas_worker::jobs::submit::Submit;
use overseas_worker::jobs::usage::{Recent, range, recent, steps};
use overseas_worker::reconcile::Reconciler;
use serde_json::Value;

/// Runs a test for every vendor.
macro_rules! at_every_vendor {
    ($(async fn $name:ident($vendor:ident: Vendor, $world:ident: World) $body:block)+) => {
        $(mod $name {
            use super::*;

            async fn promise($vendor: Vendor, $world: World) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn level3() {
                promise(Vendor::Level3, Vendor::Level3.world().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn tencent() {
                promise(Vendor::Tencent, Vendor::Tencent.world().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn edgeone() {
                promise(Vendor::EdgeOne, Vendor::EdgeOne.world().await).await;
            }
        })+
    };
}

/// How often the vendor was asked for this.
fn calls(world: &World, operation: Operation) -> usize {
    world.control.requests(0).requests.iter().filter(|entry| entry.operation == operation).count()
}

/// How often the vendor took something.
fn taken(world: &World) -> usize {
    world.control.requests(0).requests.iter().filter(|entry| entry.registered).count()
}

fn percent(task: &Value) -> u8 {
    task["percentComplete"].as_str().unwrap().parse().unwrap()
}

fn text<'a>(task: &'a Value, key: &str) -> &'a str {
    task[key].as_str().unwrap_or_default()
}

/// Reads a range of usage of all domains.
async fn collect(world: &World, from: i64, to: i64) {
    let account = world.account();
    let due = usage::listed(&world.db, account.id, false).await.unwrap();
    let properties: Vec<_> = due.into_iter().map(|due| due.property).collect();
    let windows = steps(from, to, 86_400);
    let run = range(&world.db, &world.clock, account, &properties, &windows, &world.stop, |_, _, _| {}).await;
    assert_eq!(run.failed, 0);
}

async fn usage_sum(world: &World, what: &str, domain: &str, from: i64, to: i64) -> u64 {
    let path = format!("/level3/{what}?domain={domain}&startTime={from}&endTime={to}");
    let answer = world.get(&world.user_token, &path).await.ok();
    answer["results"].as_array().unwrap().iter().map(|row| row["value"].as_u64().unwrap()).sum()
}

at_every_vendor! {
    async fn the_catalogue_lists_the_domains(vendor: Vendor, world: World) {
        let known = world.get(&world.staff_token, "/level3/domains").await.ok();
        let known: Vec<&str> = known["domains"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(known.contains(&vendor.domain()) && known.contains(&vendor.quiet_domain()), "{known:?}");
        let account = world.account().client.account().await.unwrap();
        assert!(!account.summary.is_empty());
    }

    async fn a_refresh_and_a_preload_go_to_a_hundred_and_never_fall(vendor: Vendor, world: World) {
        let paths = format!("{}|{}|{}", vendor.url("/a.html?x=1"), vendor.url("/images/"), vendor.url("/css/*"));
        let refresh = world.refresh(&paths).await.remove(0);
        let preload = world.preload(&vendor.url("/b.html")).await.remove(0);
        world.submit(TaskKind::Refresh).await;
        world.submit(TaskKind::Preload).await;
        let mut seen = vec![0];
        for _ in 0..5 {
            world.poll().await;
            let task = world.task("refresh", &refresh).await;
            assert!(!text(&task, "vendor_taskid").is_empty(), "{task}");
            seen.push(percent(&task));
            world.control.advance(3);
        }
        world.fetch().await;
        assert!(seen.is_sorted() && seen.ends_with(&[100]), "{seen:?}");
        assert_eq!(text(&world.task("refresh", &refresh).await, "state"), "done");
        let preload = world.task("preload", &preload).await;
        assert_eq!((text(&preload, "state"), percent(&preload)), ("done", 100), "{preload}");
    }

    async fn a_url_that_the_vendor_refuses_fails_its_own_task_and_no_other(vendor: Vendor, world: World) {
        let good = world.refresh(&vendor.url("/good.html")).await.remove(0);
        let bad = world.refresh(&format!("{}|{}", vendor.url("/spoilt.html"), vendor.url("/other.html"))).await.remove(0);
        vendor.spoil(&world, "/spoilt.html");
        world.submit(TaskKind::Refresh).await;
        world.control.advance(60);
        world.poll().await;
        let (good, bad) = (world.task("refresh", &good).await, world.task("refresh", &bad).await);
        assert_eq!((text(&good, "state"), percent(&good)), ("done", 100), "{good}");
        assert_eq!(text(&bad, "state"), "failed", "{bad}");
        assert!(percent(&bad) < 100, "{bad}");
        let message = text(&bad, "message");
        let named = vendor == Vendor::Level3 || message.contains(&vendor.url("/spoilt.html"));
        assert!(named && !message.contains("/other.html") && !message.is_empty(), "{message}");
    }

    async fn a_rate_limit_leaves_the_account_alone_and_loses_nothing(vendor: Vendor, world: World) {
        world.control.set_faults(vec![FaultRule { times: Some(1), ..vendor.rate_limit(vendor.submits()) }]).unwrap();
        let task = world.refresh(&vendor.url("/a.html")).await.remove(0);
        world.submit_once(TaskKind::Refresh).await;
        let asked = world.control.requests(0).requests.len();
        // Whatever else is asked for waits too, without a call.
        assert!(world.account().client.account().await.is_err());
        assert_eq!(world.control.requests(0).requests.len(), asked);
        let waiting = world.task("refresh", &task).await;
        assert!(text(&waiting, "message").contains("call rate"), "{waiting}");
        eventually("the task is handed over", 20, || async {
            world.clock.advance(2_000);
            world.submit_once(TaskKind::Refresh).await;
            taken(&world) == 1
        })
        .await;
    }

    async fn todays_quota_makes_the_task_wait_for_tomorrow_and_say_so(vendor: Vendor, world: World) {
        let Some(rule) = vendor.quota() else {
            // It counts nothing by the day, and says so.
            let urls: Vec<String> = (0..1000).map(|n| vendor.url(&format!("/{n}"))).collect();
            world.refresh(&urls.join("|")).await;
            world.submit(TaskKind::Refresh).await;
            assert_eq!(taken(&world), 20);
            assert_eq!(world.account().client.quotas().await, Ok(Vec::new()));
            return;
        };
        world.control.set_faults(vec![rule]).unwrap();
        let task = world.refresh(&vendor.url("/a.html")).await.remove(0);
        world.submit(TaskKind::Refresh).await;
        let waiting = world.task("refresh", &task).await;
        assert_eq!(text(&waiting, "state"), "queued");
        let message = text(&waiting, "message");
        assert!(message.starts_with("waiting: today's quota") && message.contains("00:00:00 (UTC+8)"), "{message}");
        // What is counted apart goes on, and nothing is tried again today.
        let other = world.preload(&vendor.url("/b.html")).await.remove(0);
        world.submit(TaskKind::Preload).await;
        assert_eq!(text(&world.task("preload", &other).await, "state"), "running");
        let tried = calls(&world, vendor.submits());
        world.clock.advance(60_000);
        world.submit(TaskKind::Refresh).await;
        assert_eq!(calls(&world, vendor.submits()), tried);
        world.control.clear_faults();
        world.clock.advance(24 * 3_600_000 + 20_000);
        world.submit(TaskKind::Refresh).await;
        assert_eq!(text(&world.task("refresh", &task).await, "state"), "running");
    }

    async fn refused_credentials_make_tasks_wait_and_are_not_hammered(vendor: Vendor, world: World) {
        let wrong = [vendor.wrong_key(vendor.submits()), vendor.wrong_key(vendor.lists())];
        world.control.set_faults(wrong.to_vec()).unwrap();
        let task = world.refresh(&vendor.url("/a.html")).await.remove(0);
        for _ in 0..10 {
            world.submit_once(TaskKind::Refresh).await;
            world.clock.advance(16_000);
        }
        assert!(calls(&world, vendor.submits()) <= 2, "{}", calls(&world, vendor.submits()));
        let waiting = world.task("refresh", &task).await;
        let message = text(&waiting, "message");
        assert!(message.contains("refuses the credentials"), "{message}");
        let secret = world.context.config.cdn[vendor.name()].secret.clone().unwrap();
        assert!(!message.contains(secrecy::ExposeSecret::expose_secret(&secret)));
        // The operator mends the key and starts the worker anew.
        world.control.clear_faults();
        let mended = world.another_worker().await;
        world.clock.advance(900_000);
        Submit::refresh(&mended, &mended.accounts[0]).round(&world.stop).await.unwrap();
        assert_eq!(text(&world.task("refresh", &task).await, "state"), "running");
    }

    async fn garbage_and_cuts_lose_nothing(vendor: Vendor, world: World) {
        for (number, kind) in [FaultKind::Garbage, FaultKind::Cut].into_iter().enumerate() {
            let once = |operation| FaultRule { times: Some(1), ..Vendor::fault(operation, kind) };
            world.control.set_faults(vec![once(vendor.submits()), once(vendor.lists())]).unwrap();
            let task = world.refresh(&vendor.url(&format!("/{number}.html"))).await.remove(0);
            world.submit_once(TaskKind::Refresh).await;
            let waiting = world.task("refresh", &task).await;
            assert!(text(&waiting, "message").starts_with("waiting: "), "{kind:?}: {waiting}");
            for _ in 0..4 {
                world.clock.advance(10_000);
                world.control.advance(10);
                world.submit(TaskKind::Refresh).await;
            }
            world.control.advance(60);
            world.poll().await;
            world.poll().await;
            let ended = world.task("refresh", &task).await;
            assert_eq!(text(&ended, "state"), "done", "{kind:?}: {ended}");
            assert_eq!(taken(&world), number + 1, "{kind:?}");
        }
    }

    async fn a_request_whose_answer_was_lost_is_not_made_again(vendor: Vendor, world: World) {
        for (number, kind) in [FaultKind::Garbage, FaultKind::Cut].into_iter().enumerate() {
            let rule = FaultRule { times: Some(1), after_effect: true, ..Vendor::fault(vendor.submits(), kind) };
            world.control.set_faults(vec![rule]).unwrap();
            let paths = format!("{}|{}", vendor.url(&format!("/{number}-a")), vendor.url(&format!("/{number}-b")));
            let task = world.refresh(&paths).await.remove(0);
            world.submit_once(TaskKind::Refresh).await;
            assert_eq!(text(&world.task("refresh", &task).await, "state"), "queued");
            // Both clocks go on, since the vendor's times are compared with ours.
            for _ in 0..3 {
                world.clock.advance(2_000);
                world.control.advance(2);
                world.submit(TaskKind::Refresh).await;
            }
            let sent = world.task("refresh", &task).await;
            assert_eq!((text(&sent, "state"), text(&sent, "message")), ("running", ""), "{sent}");
            let expected = if vendor.finds_lost_requests() { number + 1 } else { 2 * (number + 1) };
            assert_eq!(taken(&world), expected, "{kind:?}");
        }
        world.control.advance(60);
        world.poll().await;
        let tasks = world.get(&world.user_token, "/level3/refresh_list?state=done").await.ok();
        assert_eq!(tasks["results"].as_array().unwrap().len(), 2);
    }

    async fn a_state_that_nobody_knows_is_one_that_runs(vendor: Vendor, world: World) {
        let task = world.refresh(&vendor.url("/a.html")).await.remove(0);
        world.submit(TaskKind::Refresh).await;
        vendor.confuse(&world);
        world.control.advance(60);
        world.poll().await;
        let confused = world.task("refresh", &task).await;
        assert_eq!(text(&confused, "state"), "running", "{confused}");
        assert!(percent(&confused) < 100, "{confused}");
        world.control.clear_faults();
        world.control.task_state(None);
        world.poll().await;
        assert_eq!(text(&world.task("refresh", &task).await, "state"), "done");
    }

    async fn usage_is_the_vendors_to_the_byte_by_time_and_by_area(vendor: Vendor, world: World) {
        let day = vendor.busy_day(&world);
        // The days beside it too: a vendor's day may reach into them.
        collect(&world, day - 86_400, day + 2 * 86_400).await;
        let expected = vendor.bytes_of_day(day);
        assert!(expected > 0);
        assert_eq!(usage_sum(&world, "fluxs", vendor.domain(), day, day + 86_100).await, expected);
        let by_area = usage_sum(&world, "fluxs/area", vendor.domain(), day, day + 86_100).await;
        // Districts are told by the vendor's day and spread over its slots, which rounds.
        let allowed = if vendor == Vendor::Tencent { expected / 1000 } else { 0 };
        assert!(by_area.abs_diff(expected) <= allowed, "{by_area} of {expected}");
    }

    async fn a_domain_without_traffic_has_zeros_and_no_failure(vendor: Vendor, world: World) {
        let day = vendor.busy_day(&world) - 86_400;
        collect(&world, day, day + 86_400).await;
        if vendor != Vendor::Level3 {
            assert_eq!(usage_sum(&world, "fluxs", vendor.quiet_domain(), day, day + 86_100).await, 0);
        }
        let none = if vendor == Vendor::Level3 { 0 } else { day - 80 * 86_400 };
        let path = format!("/level3/fluxs/area?domain={}&startTime={none}&endTime={}", vendor.quiet_domain(), none + 600);
        assert_eq!(world.get(&world.user_token, &path).await.ok()["results"], serde_json::json!([]));
    }

    async fn statistics_that_come_late_are_there_with_a_later_round(vendor: Vendor, world: World) {
        vendor.delay(&world, 120);
        let now = world.clock.now_seconds();
        let (from, to) = (now - now.rem_euclid(300) - 3600, now - now.rem_euclid(300) - 300);
        recent(&world.context, world.account(), Recent::Hours4).await.unwrap();
        assert_eq!(usage_sum(&world, "fluxs", vendor.domain(), from, to - 300).await, 0);
        let path = format!("/level3/fluxs?domain={}&startTime={from}&endTime={to}&summary=true", vendor.domain());
        let answer = world.get(&world.user_token, &path).await.ok();
        let latest = answer["summary"]["latest"].as_i64().unwrap_or(0);
        assert!(latest < now - 20 * 60, "zeros that are not settled are not told as known: {answer}");
        vendor.delay(&world, 0);
        recent(&world.context, world.account(), Recent::Hours4).await.unwrap();
        assert!(usage_sum(&world, "fluxs", vendor.domain(), from, to - 300).await > 0);
    }

    async fn a_days_log_is_what_the_vendor_has_and_a_day_without_is_empty(vendor: Vendor, world: World) {
        let date = back(&world, 2);
        let expected = vendor.log(&world, date);
        world.log_hour().await;
        let row = log_row(&world, vendor.domain(), date).await;
        assert_eq!(text(&row, "state"), "ready", "{row}");
        let file = gunzip(&world.download(&row).await);
        let mut lines: Vec<&str> = file.lines().collect();
        assert!(lines.iter().map(|line| vendor.time_of(line)).is_sorted());
        lines.sort_unstable();
        let differs = lines.iter().zip(&expected).find(|(line, expected)| line != expected);
        assert_eq!((differs, lines.len()), (None, expected.len()));
        // Long ago there is nothing, and asking for it says so.
        let long_ago = back(&world, 80);
        log_row(&world, vendor.domain(), long_ago).await;
        world.log_fetch().await;
        assert_eq!(text(&log_row(&world, vendor.domain(), long_ago).await, "state"), "empty");
    }
}

async fn log_row(world: &World, domain: &str, date: NaiveDate) -> Value {
    let date = date.format("%Y%m%d");
    let path = format!("/level3/logdownload?domain={domain}&startDate={date}&endDate={date}");
    world.get(&world.user_token, &path).await.ok()["results"][0].clone()
}
