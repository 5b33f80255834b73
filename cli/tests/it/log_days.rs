//! How a day's log comes about: files that are late, broken, in disorder or not there, asking for a day, replacing
//! one, and forgetting.
//!
//! The simulator delivers as a test says, the job is driven by hand, and what counts is what a customer downloads.

use crate::support::delivery::{DOMAIN, back, files_below, gunzip, reference};
use crate::support::{World, on_both};
use chrono::NaiveDate;
use overseas_shared::domain::log::day_number;
use overseas_simulator::{LogDelivery, LogHeader};
use overseas_worker::jobs::logs::remove_old;
use std::path::PathBuf;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Has the vendor deliver a day of the domain; returns the files that are there.
fn deliver(world: &World, day: NaiveDate, change: impl FnOnce(&mut LogDelivery)) -> Vec<PathBuf> {
    let mut delivery = LogDelivery { day, property: Some(DOMAIN.to_owned()), ..LogDelivery::default() };
    change(&mut delivery);
    world.control.deliver_logs(&delivery).unwrap();
    delivered(world, day)
}

fn delivered(world: &World, day: NaiveDate) -> Vec<PathBuf> {
    files_below(&world.delivery().join(day.format("%Y/%m/%d").to_string()).join(DOMAIN))
}

/// Files in the store, without those that are being written.
fn stored(world: &World) -> Vec<PathBuf> {
    files_below(&world.folder.path().join("logs"))
}

async fn remove(world: &World) -> (usize, usize) {
    let context = &world.context;
    remove_old(&context.db, &context.store, context.config.logs.keep_days, world.clock.now()).await.unwrap()
}

on_both! {
    async fn a_day_is_all_lines_of_all_files_in_the_order_of_time(world: World) {
        for (day, header) in [(back(&world, 1), LogHeader::W3c), (back(&world, 2), LogHeader::Plain)] {
            let files = deliver(&world, day, |delivery| {
                (delivery.files, delivery.lines, delivery.out_of_order) = (Some(7), Some(200), Some(true));
                delivery.header = Some(header);
            });
            assert_eq!(files.len(), 7);
        }
        world.log_hour().await;
        for days in 1..=2 {
            let day = back(&world, days);
            let row = world.log_row(day).await;
            assert_eq!((row["state"].as_str(), row["complete"].as_bool()), (Some("ready"), Some(true)), "{row}");
            let text = gunzip(&world.download(&row).await);
            assert_eq!(text.lines().count(), 1400);
            assert!(text == reference(&delivered(&world, day)));
        }
        let of_day = format!("SELECT line_count FROM log_day WHERE line_count > 0 AND day = {}", day_number(back(&world, 1)));
        assert_eq!(world.number(&of_day).await, 1400);
        assert_eq!(files_below(&world.folder.path().join("staging")), Vec::<PathBuf>::new());
    }

    async fn a_file_that_comes_late_makes_the_day_anew(world: World) {
        let day = back(&world, 1);
        deliver(&world, day, |delivery| (delivery.files, delivery.late) = (Some(3), Some(true)));
        world.log_hour().await;
        let early = world.log_row(day).await;
        let lines = gunzip(&world.download(&early).await).lines().count();
        // Nothing new: the same file stays.
        world.clock.advance(HOUR);
        world.log_hour().await;
        assert_eq!(world.log_row(day).await["sha256"], early["sha256"]);
        assert_eq!(stored(&world).len(), 1);
        world.control.complete_logs(day, None).unwrap();
        world.clock.advance(HOUR);
        world.log_hour().await;
        let whole = gunzip(&world.download(&world.log_row(day).await).await);
        assert_eq!(whole.lines().count() * 2, lines * 3);
        assert!(whole == reference(&delivered(&world, day)));
    }

    async fn of_a_broken_file_the_readable_part_is_there_until_it_is_mended(world: World) {
        let day = back(&world, 1);
        let files = deliver(&world, day, |delivery| (delivery.lines, delivery.broken) = (Some(500), Some(true)));
        world.log_hour().await;
        let row = world.log_row(day).await;
        assert_eq!((row["state"].as_str(), row["complete"].as_bool()), (Some("ready"), Some(false)), "{row}");
        let part = gunzip(&world.download(&row).await);
        let (least, most) = (500 * (files.len() - 1), 500 * files.len());
        assert!(part.lines().count() > least && part.lines().count() < most, "{}", part.lines().count());
        let problem = world.number("SELECT COUNT(*) FROM log_day WHERE problem LIKE '%is broken: it ends early%'").await;
        assert_eq!(problem, 1);
        // Mended without a change in its size or time: it is tried again every hour all the same.
        let broken = world.number("SELECT made_at FROM log_day WHERE problem IS NOT NULL").await;
        world.clock.advance(HOUR);
        world.log_hour().await;
        assert!(world.number("SELECT made_at FROM log_day WHERE problem IS NOT NULL").await > broken);
        world.control.complete_logs(day, None).unwrap();
        world.clock.advance(HOUR);
        world.log_hour().await;
        let row = world.log_row(day).await;
        assert_eq!(row["complete"].as_bool(), Some(true), "{row}");
        assert!(gunzip(&world.download(&row).await) == reference(&delivered(&world, day)));
    }

    async fn a_day_without_files_is_empty_after_three_days_and_not_before(world: World) {
        let day = back(&world, 1);
        for _ in 0..3 {
            world.log_hour().await;
            assert_eq!(world.log_row(day).await["state"], "queued");
            world.clock.advance(DAY);
        }
        world.log_hour().await;
        let row = world.log_row(day).await;
        assert_eq!((row["state"].as_str(), row["size"].as_u64(), row["url"].as_str()), (Some("empty"), Some(0), Some("")));
        // Long ago nothing will come any more.
        let old = back(&world, 60);
        assert_eq!(world.log_row(old).await["state"], "queued");
        world.log_fetch().await;
        assert_eq!(world.log_row(old).await["state"], "empty");
    }

    async fn asking_for_a_missing_day_has_it_fetched_once(world: World) {
        let day = back(&world, 40);
        let files = deliver(&world, day, |_| {});
        for _ in 0..3 {
            let row = world.log_row(day).await;
            assert_eq!((row["state"].as_str(), row["url"].as_str()), (Some("queued"), Some("")), "{row}");
        }
        let rows = format!("SELECT COUNT(*) FROM log_day WHERE day = {}", day_number(day));
        assert_eq!(world.number(&rows).await, 1);
        world.log_fetch().await;
        let row = world.log_row(day).await;
        assert!(gunzip(&world.download(&row).await) == reference(&files));
        let made = world.number("SELECT made_at FROM log_day WHERE state = 'ready'").await;
        world.clock.advance(HOUR);
        assert_eq!(world.log_row(day).await["sha256"], row["sha256"]);
        world.log_hour().await;
        assert_eq!(world.number(&rows).await, 1);
        assert_eq!(world.number("SELECT made_at FROM log_day WHERE state = 'ready'").await, made);
    }

    async fn days_that_are_not_over_are_not_fetched(world: World) {
        let rows = world.log_rows(back(&world, 0), back(&world, -3)).await;
        assert!(rows.iter().all(|row| row["state"] == "queued"), "{rows:?}");
        assert_eq!(world.number("SELECT COUNT(*) FROM log_day").await, 0);
    }

    async fn a_replaced_file_can_be_read_for_another_day(world: World) {
        let day = back(&world, 1);
        deliver(&world, day, |delivery| delivery.late = Some(true));
        world.log_hour().await;
        let first = stored(&world);
        world.control.complete_logs(day, None).unwrap();
        world.log_hour().await;
        assert_eq!(stored(&world).len(), 2);
        world.clock.advance(DAY - HOUR);
        remove(&world).await;
        assert_eq!(stored(&world).len(), 2);
        world.clock.advance(2 * HOUR);
        assert_eq!(remove(&world).await.1, 1);
        let left = stored(&world);
        assert_eq!(left.len(), 1);
        assert_ne!(left, first);
        world.download(&world.log_row(day).await).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM log_object").await, 0);
    }

    async fn what_the_vendor_takes_away_stays_with_the_customer(world: World) {
        let day = back(&world, 1);
        deliver(&world, day, |_| {});
        world.log_hour().await;
        let row = world.log_row(day).await;
        std::fs::remove_dir_all(world.delivery().join(day.format("%Y").to_string())).unwrap();
        world.clock.advance(HOUR);
        world.log_hour().await;
        assert_eq!(world.log_row(day).await["sha256"], row["sha256"]);
        world.download(&world.log_row(day).await).await;
    }

    async fn old_logs_go_the_file_first(world: World) {
        let day = back(&world, 1);
        deliver(&world, day, |_| {});
        world.log_hour().await;
        let keep = i64::from(world.context.config.logs.keep_days);
        world.clock.advance((keep - 1) * DAY);
        assert_eq!(remove(&world).await.0, 0);
        world.clock.advance(2 * DAY);
        // A store that cannot be changed keeps the row, and with it the knowledge of the file.
        let (store, away) = (world.folder.path().join("logs"), world.folder.path().join("away"));
        std::fs::rename(&store, &away).unwrap();
        std::fs::write(&store, "not a folder").unwrap();
        let context = &world.context;
        let failed = remove_old(&context.db, &context.store, context.config.logs.keep_days, world.clock.now()).await;
        assert!(failed.unwrap_err().to_string().contains("the log store"));
        assert_eq!(world.log_row(day).await["state"], "ready");
        std::fs::remove_file(&store).unwrap();
        std::fs::rename(&away, &store).unwrap();
        assert!(remove(&world).await.0 > 0);
        assert_eq!(stored(&world), Vec::<PathBuf>::new());
        let row = world.log_row(day).await;
        assert_eq!((row["state"].as_str(), row["url"].as_str()), (Some("expired"), Some("")), "{row}");
        // It is not fetched again either.
        assert_eq!(world.number("SELECT COUNT(*) FROM log_day").await, 0);
    }

    async fn only_active_properties_are_fetched_and_none_keeps_another_back(world: World) {
        let day = back(&world, 1);
        deliver(&world, day, |delivery| delivery.property = None);
        // A folder in place of the first property's files cannot be read as one.
        let odd = world.delivery().join(day.format("%Y/%m/%d").to_string()).join("a.example.com/zz.gz");
        std::fs::write(odd, "not gzip").unwrap();
        world.log_hour().await;
        let active = world.number("SELECT COUNT(*) FROM property WHERE caching AND active AND listed").await;
        let ready = format!("SELECT COUNT(*) FROM log_day WHERE state = 'ready' AND day = {}", day_number(day));
        assert_eq!(world.number(&ready).await, active);
        assert_eq!(world.number("SELECT COUNT(*) FROM log_day WHERE problem IS NOT NULL").await, 1);
    }
}
