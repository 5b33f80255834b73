//! Days of logs are made whole and once: workers killed at any moment, frozen, stopped, and two at a time.
//!
//! Real processes on MariaDB; the delivery is larger than what is merged in memory. What is seen under the final names
//! of the store is checked after each disaster: whole files, with the sums that their rows say.

use crate::support::logs::{
    DOMAIN, Form, LARGE, SMALL, ask, assert_same, check_store, day, days_ago, deliver, deliver_again, download,
    folder_of, gunzip, make, merging_worker, of_day, property_id, retain, settings, stored, until_made,
};
use crate::support::process::{Process, Settings};
use crate::support::{Kind, World, database, eventually};
use chrono::NaiveDate;
use overseas_shared::db::log::{self, Lease};
use overseas_shared::domain::log::{LogState, day_number};
use overseas_worker::jobs::logs::{Claim, Progress, work_on};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A world with a delivery of its own, and where its parts lie.
struct Place {
    world: World,
    delivery: tempfile::TempDir,
    store: PathBuf,
    settings: Settings,
}

impl Place {
    async fn new() -> Self {
        let delivery = tempfile::tempdir().unwrap();
        let logs = delivery.path().display().to_string();
        let config = |config: &mut overseas_shared::config::Config| {
            config.cdn.get_mut("level3").unwrap().logs = Some(logs);
        };
        let world = World::with(Kind::Mariadb, config, |_| {}).await;
        let (store, settings) = (world.folder.path().join("logs"), settings(&world));
        Self { world, delivery, store, settings }
    }

    fn folder(&self, date: NaiveDate) -> PathBuf {
        folder_of(self.delivery.path(), date, DOMAIN)
    }

    /// The same delivery on so many days; returns the days and the text of each.
    fn deliver(&self, days: i64, form: Form) -> (Vec<NaiveDate>, Vec<u8>) {
        let dates: Vec<NaiveDate> = (0..days).map(|n| days_ago(&self.world, 10 + n)).collect();
        let text = deliver(&self.folder(dates[0]), form);
        for date in &dates[1..] {
            deliver_again(&self.folder(dates[0]), &self.folder(*date));
        }
        (dates, text)
    }

    fn worker(&self) -> Process {
        Process::start(&self.settings, self.world.folder.path(), &["worker"])
    }

    async fn merging_worker(&self) -> Process {
        merging_worker(&self.world, &self.settings, &self.store).await
    }

    async fn ask(&self, date: NaiveDate) {
        assert_eq!(ask(&self.world, DOMAIN, date).await, "queued");
    }

    async fn until_made(&self, date: NaiveDate, seconds: u64) {
        until_made(&self.world, DOMAIN, date, seconds).await;
    }

    /// Runs the retention when what was left of killed work is due, and checks that exactly the rows' files are there.
    async fn only_the_days_files_stay(&self) {
        database::execute(&self.world.url, "UPDATE log_object SET remove_at = 0").await;
        retain(&self.world).await;
        check_store(&self.world, &self.store).await;
        let rows = self.world.number("SELECT COUNT(*) FROM log_day WHERE object IS NOT NULL").await;
        assert_eq!(i64::try_from(stored(&self.store).0.len()).unwrap(), rows);
        assert_eq!(self.world.number("SELECT COUNT(*) FROM log_object").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_moment_of_a_merge_shows_no_half_file_and_loses_no_day() {
    let place = Place::new().await;
    let (dates, text) = place.deliver(6, LARGE);
    let seed: u64 = rand::random();
    eprintln!("the moments of the kills follow from the seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    place.ask(dates[0]).await;
    let running = place.merging_worker().await;
    let begun = Instant::now();
    place.until_made(dates[0], 60).await;
    let merge = begun.elapsed();
    eprintln!("an undisturbed merge takes {merge:?}");
    running.kill();
    for date in &dates[1..] {
        place.ask(*date).await;
        let running = place.merging_worker().await;
        tokio::time::sleep(merge.mul_f64(random.random_range(0.0..1.1))).await;
        running.kill();
        check_store(&place.world, &place.store).await;
    }
    let killed = stored(&place.store).1.len();
    let left = place.world.number("SELECT COUNT(*) FROM log_day WHERE lease_owner IS NOT NULL").await;
    eprintln!("{killed} files were left half written, {left} days are still leased to the dead");
    let running = place.worker();
    for date in &dates {
        place.until_made(*date, 60).await;
    }
    assert_eq!(running.stop(Duration::from_secs(20)), 0);
    place.only_the_days_files_stay().await;
    for date in dates {
        assert_same(&gunzip(&download(&place.world, DOMAIN, date).await), &text);
        assert_eq!(day(&place.world, DOMAIN, date).await.problem, None);
    }
    assert!(stored(&place.store).1.len() == killed, "only what was killed is left half written, until it is old");
    let staging = place.world.folder.path().join("staging");
    assert!(crate::support::logs::files(&staging).is_empty(), "a spill has no name that outlives its worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_that_wakes_does_not_write_over_the_new_owners_file() {
    let place = Place::new().await;
    let (dates, text) = place.deliver(1, LARGE);
    let date = dates[0];
    place.ask(date).await;
    let frozen = place.merging_worker().await;
    frozen.signal("STOP");
    let other = place.worker();
    place.until_made(date, 60).await;
    let made = day(&place.world, DOMAIN, date).await;
    assert_eq!(place.world.number("SELECT COUNT(*) FROM log_object").await, 1, "the frozen worker's file is noted");
    frozen.signal("CONT");
    eventually("the frozen worker notices", 40, || async { frozen.log().contains("taken over by another worker") })
        .await;
    assert_eq!(day(&place.world, DOMAIN, date).await, made, "nothing was written over");
    check_store(&place.world, &place.store).await;
    assert_eq!(frozen.stop(Duration::from_secs(20)), 0);
    assert_eq!(other.stop(Duration::from_secs(20)), 0);
    assert!(stored(&place.store).1.is_empty(), "its half file is gone");
    place.only_the_days_files_stay().await;
    assert_same(&gunzip(&download(&place.world, DOMAIN, date).await), &text);
}

/// The worst moment: all is written, and the row is another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_finished_after_its_lease_was_lost_is_never_shown_and_is_removed_in_time() {
    let place = Place::new().await;
    let world = &place.world;
    let (dates, text) = place.deliver(1, SMALL);
    place.ask(dates[0]).await;
    let (id, number, now) = (property_id(world, DOMAIN).await, day_number(dates[0]), world.clock.now());
    let claim = async |owner: &str, now: i64| {
        let lease = Lease { owner, now, until: now + 15_000 };
        log::claim_day(&world.db, id, number, lease).await.unwrap().unwrap()
    };
    let (work, progress) = (world.context.log_work(), Progress::default());
    let slow = claim("slow", now).await;
    let quick = claim("quick", now + 20_000).await;
    let mut seen = Vec::new();
    for (owner, claimed) in [("slow", &slow), ("quick", &quick), ("slow", &slow)] {
        let claim = Claim { account: world.account(), day: claimed, owner, forced: true };
        work_on(&work, claim, &progress, &world.stop).await.unwrap();
        check_store(world, &place.store).await;
        seen.push(day(world, DOMAIN, dates[0]).await);
    }
    assert_eq!((seen[0].state, &seen[0].object), (LogState::Queued, &None));
    assert_eq!(seen[1], seen[2], "the slow one wrote into the row");
    let shown = seen[2].object.clone().unwrap();
    assert_eq!(stored(&place.store).0.len(), 3, "two that nobody may see");
    assert_eq!(world.number("SELECT COUNT(*) FROM log_object").await, 2);
    assert_eq!(world.number(&format!("SELECT COUNT(*) FROM log_object WHERE object = '{shown}'")).await, 0);
    assert_eq!(retain(world).await, (0, 0));
    world.clock.advance(3 * 86_400_000);
    assert_eq!(retain(world).await, (0, 2));
    assert_eq!(stored(&place.store).0.into_keys().collect::<Vec<_>>(), [shown]);
    assert_same(&gunzip(&download(world, DOMAIN, dates[0]).await), &text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_at_once_make_each_day_once_even_if_a_merge_takes_longer_than_a_lease() {
    let place = Place::new().await;
    let (small, text) = place.deliver(12, SMALL);
    let long = days_ago(&place.world, 30);
    // Longer than the lease of three seconds, in a debug build.
    let long_text = deliver(&place.folder(long), Form { files: 6, lines: 100_000, ..LARGE });
    place.ask(long).await;
    for date in &small {
        place.ask(*date).await;
    }
    let begun = Instant::now();
    let workers = [place.worker(), place.worker()];
    for date in &small {
        place.until_made(*date, 60).await;
    }
    place.until_made(long, 80).await;
    eprintln!("the long day took {:?}", begun.elapsed());
    let logs = workers.each_ref().map(Process::log).concat();
    for worker in workers {
        assert_eq!(worker.stop(Duration::from_secs(20)), 0);
    }
    assert_eq!(logs.matches("a day's log is made").count(), 13, "{logs}");
    assert!(!logs.contains("taken over") && !logs.contains("tried again"), "{logs}");
    assert_eq!(place.world.number("SELECT COUNT(*) FROM log_object").await, 0, "no file was made twice");
    place.only_the_days_files_stay().await;
    for date in small {
        assert_same(&gunzip(&download(&place.world, DOMAIN, date).await), &text);
    }
    assert_same(&gunzip(&download(&place.world, DOMAIN, long).await), &long_text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_is_made_anew_while_the_retention_removes_it_keeps_its_row_and_its_new_file() {
    let place = Place::new().await;
    let world = &place.world;
    let (dates, text) = place.deliver(1, SMALL);
    place.ask(dates[0]).await;
    make(world).await;
    let number = day_number(dates[0]);
    let old = log::old_days(&world.db, number + 1, i64::MAX, 10).await.unwrap();
    assert_eq!(old.len(), 1);
    // By hand, as `sync-logs` does, between the retention's look and its removal.
    let lease = Lease { owner: "hand", now: world.clock.now(), until: world.clock.now() + 15_000 };
    let id = property_id(world, DOMAIN).await;
    let claimed = log::claim_day(&world.db, id, number, lease).await.unwrap().unwrap();
    let claim = Claim { account: world.account(), day: &claimed, owner: "hand", forced: true };
    work_on(&world.context.log_work(), claim, &Progress::default(), &world.stop).await.unwrap();
    world.context.store.delete(old[0].object.as_deref().unwrap()).await.unwrap();
    log::delete_day(&world.db, &old[0]).await.unwrap();
    place.only_the_days_files_stay().await;
    assert_same(&gunzip(&download(world, DOMAIN, dates[0]).await), &text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_a_merge_ends_the_worker_in_time_and_the_day_is_free_at_once() {
    let mut place = Place::new().await;
    let (dates, text) = place.deliver(4, LARGE);
    // Nobody waits for the end of this lease.
    place.settings.insert("OVERSEAS__WORKER__LEASE_SECONDS".to_owned(), "600".to_owned());
    place.settings.insert("OVERSEAS__WORKER__GRACE_SECONDS".to_owned(), "8".to_owned());
    let mut log = String::new();
    for (date, pause) in dates.iter().zip([0, 300, 900]) {
        place.ask(*date).await;
        let mut running = place.merging_worker().await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        running.signal("TERM");
        let begun = Instant::now();
        eventually("it ends within its grace", 8, || std::future::ready(running.has_ended())).await;
        log.push_str(&running.log());
        eprintln!("it took {:?} to stop", begun.elapsed());
        let leased = "SELECT COUNT(*) FROM log_day WHERE lease_owner IS NOT NULL OR attempts > 0";
        assert_eq!(place.world.number(leased).await, 0, "{log}");
        if day(&place.world, DOMAIN, *date).await.state == LogState::Queued {
            assert!(of_day(&place.world, "due_at", DOMAIN, *date).await <= place.world.clock.now());
        }
        assert!(stored(&place.store).1.is_empty(), "a half file is left");
        check_store(&place.world, &place.store).await;
    }
    assert!(!log.contains("grace period is over") && !log.contains("tried again"), "{log}");
    let half_done = place.world.number("SELECT COUNT(*) FROM log_object").await;
    assert!(half_done > 0, "no merge was stopped in the middle");
    place.ask(dates[3]).await;
    let running = place.worker();
    for date in &dates {
        place.until_made(*date, 60).await;
    }
    assert_eq!(running.stop(Duration::from_secs(8)), 0);
    place.only_the_days_files_stay().await;
    for date in dates {
        assert_same(&gunzip(&download(&place.world, DOMAIN, date).await), &text);
    }
}
