//! Collecting usage: corrections, properties that fail, the past of new properties, and forgetting.
//!
//! Jobs are driven by hand against the simulator, whose golden rows a test replaces between two rounds.

use crate::support::{Kind, World, on_both};
use overseas_shared::db::usage;
use overseas_simulator::{FaultKind, FaultRule, FaultTarget, Operation, UsageChange};
use overseas_worker::jobs::housekeeping;
use overseas_worker::jobs::usage::{Recent, UsageRun, backfill, range, recent, steps};
use serde_json::Value;
use std::time::Duration;

/// 2016-08-04T00:00Z, the golden day.
const DAY: i64 = 1_470_268_800;
const GIB: i64 = 1 << 30;

async fn collect(world: &World, from: i64, to: i64) -> UsageRun {
    let account = world.account();
    let due = usage::listed(&world.db, account.id, false).await.unwrap();
    let properties: Vec<_> = due.into_iter().map(|due| due.property).collect();
    range(&world.db, &world.clock, account, &properties, &steps(from, to, 86_400), &world.stop, |_, _, _| {}).await
}

async fn results(world: &World, path: &str) -> Vec<Value> {
    let path = format!("/level3/{path}?domain=cdn.example.com&startTime={DAY}&endTime={}", DAY + 86_100);
    world.get(&world.staff_token, &path).await.ok()["results"].as_array().unwrap().clone()
}

fn sum(rows: &[Value]) -> i64 {
    rows.iter().map(|row| row["value"].as_i64().unwrap()).sum()
}

/// Sets the golden day of `cdn.example.com` to these rows: city, position of the slot, GiB.
fn set(world: &World, rows: &[(&str, i64, i64)]) {
    let pattern = overseas_simulator::Config::demo().usage_golden;
    let pattern = pattern.iter().find(|row| row.property == "cdn.example.com").unwrap();
    let row = |(city, slot, gib): &(&str, i64, i64)| {
        let mut row = pattern.clone();
        row.city = (*city).to_owned();
        row.time += Duration::from_secs(300 * slot.unsigned_abs());
        row.volume = gib.to_string();
        row
    };
    let golden = rows.iter().map(row).collect();
    world.control.change_usage(&UsageChange { golden, ..UsageChange::default() }).unwrap();
}

on_both! {
    async fn a_correction_downwards_corrects_totals_peaks_and_cities(world: World) {
        set(&world, &[("Miami", 0, 5), ("Seoul", 0, 3), ("Tokyo", 1, 2), ("Miami", 2, 1)]);
        assert_eq!(collect(&world, DAY, DAY + 86_400).await.failed, 0);
        assert_eq!(sum(&results(&world, "fluxs").await), 11 * GIB);
        assert_eq!(sum(&results(&world, "fluxs/area").await), 11 * GIB);
        set(&world, &[("Miami", 0, 4), ("Miami", 2, 1)]);
        collect(&world, DAY, DAY + 86_400).await;
        assert_eq!(sum(&results(&world, "fluxs").await), 5 * GIB);
        let area = results(&world, "fluxs/area").await;
        assert_eq!(area.len(), 1, "Seoul and Tokyo have nothing any more: {area:?}");
        assert_eq!((area[0]["city"].as_str(), area[0]["value"].as_i64()), (Some("Miami"), Some(5 * GIB)));
        let columns = "SELECT CAST(SUM(total_bytes) AS SIGNED) FROM usage_day WHERE total_bytes > 0";
        assert_eq!(world.number(columns).await, world.number("SELECT CAST(SUM(total_bytes) AS SIGNED) FROM usage_city_day").await);
        assert_eq!(world.number(&format!("SELECT peak_bytes FROM usage_day WHERE total_bytes = {}", 5 * GIB)).await, 4 * GIB);
    }

    async fn a_property_that_fails_does_not_hold_the_others_back(world: World) {
        let operation = FaultTarget::Only(Operation::Usage);
        let rule = FaultRule { operation, status: Some(500), times: Some(1), ..FaultRule::new(FaultKind::Status) };
        world.control.set_faults(vec![rule]).unwrap();
        let account = world.account();
        let run = recent(&world.context, account, Recent::Days3).await.unwrap();
        assert_eq!(run.failed, 1, "{run:?}");
        assert!(run.windows > 5, "{run:?}");
        // The next round reads what was missed.
        assert_eq!(recent(&world.context, account, Recent::Days3).await.unwrap().failed, 0);
    }

    async fn a_property_without_data_is_read_and_nothing_is_stored(world: World) {
        let run = collect(&world, 0, 86_400).await;
        assert_eq!((run.failed, world.number("SELECT COUNT(*) FROM usage_day").await), (0, 0), "{run:?}");
    }

    async fn a_new_property_is_read_31_days_back_and_only_once(world: World) {
        let account = world.account();
        let run = backfill(&world.context, account).await.unwrap();
        let properties = world.number("SELECT COUNT(*) FROM property WHERE listed AND caching AND active").await;
        assert_eq!((i64::try_from(run.windows).unwrap(), run.failed), (31 * properties, 0));
        assert!(world.number("SELECT COUNT(*) FROM usage_day").await >= 29 * properties);
        assert_eq!(backfill(&world.context, account).await.unwrap(), UsageRun::default());
        world.clock.advance(10 * 86_400_000);
        assert_eq!(backfill(&world.context, account).await.unwrap(), UsageRun::default());
    }

    async fn old_usage_is_forgotten_and_the_rest_is_not(world: World) {
        collect(&world, DAY, DAY + 86_400).await;
        recent(&world.context, world.account(), Recent::Days3).await.unwrap();
        let young = format!("SELECT COUNT(*) FROM usage_city_day WHERE day > {}", DAY / 86_400);
        let kept = world.number(&young).await;
        assert!(kept > 0 && sum(&results(&world, "fluxs").await) > 0);
        housekeeping::sweep(&world.context).await.unwrap();
        assert_eq!(sum(&results(&world, "fluxs").await), 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM usage_city_day").await, kept);
    }
}

#[tokio::test]
async fn late_data_arrive_with_the_later_rounds() {
    let world = World::new(Kind::Sqlite).await;
    recent(&world.context, world.account(), Recent::Hours4).await.unwrap();
    let latest = "SELECT COALESCE(MIN(latest), 0) FROM property_usage";
    let before = world.number(latest).await;
    assert!(before < world.clock.now_seconds() - 2 * 3600, "what is younger than the delay is not there yet");
    world.control.change_usage(&UsageChange { delay_minutes: Some(0), ..UsageChange::default() }).unwrap();
    recent(&world.context, world.account(), Recent::Hours4).await.unwrap();
    assert!(world.number(latest).await > world.clock.now_seconds() - 900);
}
