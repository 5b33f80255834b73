//! Full disks, a store that is away, a vendor that is away or silent: a failure that is said and tried again, and
//! never a day without logs, half a file or a full disk that stays full.
//!
//! Real workers on MariaDB. The full disk is the small one; servers are away behind a door that is shut.

use crate::support::door::Door;
use crate::support::logs::{
    BUCKET_SECRET, Bucket, DOMAIN, Form, LARGE, SMALL, SmallDisk, ask, assert_same, day, days_ago, deliver, download,
    files, folder_of, gunzip, make, of_day, retry_now, settings, sha256, stored, until_failed, until_made,
};
use crate::support::process::{Process, Settings};
use crate::support::{Kind, World, database, eventually};
use chrono::NaiveDate;
use overseas_shared::config::Config;
use overseas_shared::domain::log::LogState;
use std::path::Path;
use std::time::Duration;

/// Some 3 MB when it is compressed.
const MIDDLE: Form = Form { word: "own", files: 2, lines: 16_000, noise: 120 };

async fn world(delivery: &str, more: impl FnOnce(&mut Config)) -> World {
    let delivery = delivery.to_owned();
    let config = |config: &mut Config| {
        config.cdn.get_mut("level3").unwrap().logs = Some(delivery);
        more(config);
    };
    World::with(Kind::Mariadb, config, |_| {}).await
}

fn worker(world: &World, settings: &Settings) -> Process {
    Process::start(settings, world.folder.path(), &["worker"])
}

/// Starts a worker, and stops it when a try of the day has failed; returns what the row says, and what the worker said.
async fn failing(world: &World, settings: &Settings, date: NaiveDate) -> (String, String) {
    let running = worker(world, settings);
    let problem = until_failed(world, DOMAIN, date, 40).await;
    let row = day(world, DOMAIN, date).await;
    assert_eq!((row.state, row.object), (LogState::Queued, None));
    let due = of_day(world, "due_at", DOMAIN, date).await - world.clock.now();
    assert!((1..3_700_000).contains(&due), "the next try is in {due} ms");
    let log = running.log();
    assert!(log.contains("could not be made and will be tried again"), "{log}");
    assert_eq!(running.stop(Duration::from_secs(20)), 0);
    assert_eq!(world.number("SELECT COUNT(*) FROM log_day WHERE state = 'empty'").await, 0);
    (problem, log)
}

/// A worker makes the day when its pause is over.
async fn mended(world: &World, settings: &Settings, date: NaiveDate, text: &[u8]) {
    retry_now(world).await;
    let running = worker(world, settings);
    until_made(world, DOMAIN, date, 40).await;
    assert_eq!(running.stop(Duration::from_secs(20)), 0);
    let row = day(world, DOMAIN, date).await;
    assert_eq!((row.problem, of_day(world, "attempts", DOMAIN, date).await), (None, 0));
    let bytes = download(world, DOMAIN, date).await;
    assert_eq!(sha256(&bytes), row.sha256);
    assert_same(&gunzip(&bytes), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_for_staging_is_said_leaves_nothing_and_the_day_is_made_when_there_is_room() {
    let (disk, delivery) = (SmallDisk::take().await, tempfile::tempdir().unwrap());
    let world = world(&delivery.path().display().to_string(), |_| {}).await;
    let date = days_ago(&world, 10);
    let text = deliver(&folder_of(delivery.path(), date, DOMAIN), LARGE);
    let free = disk.fill("all", 8 << 20);
    std::fs::remove_file(disk.folder.path().join("all")).unwrap();
    ask(&world, DOMAIN, date).await;
    let mut settings = settings(&world);
    let roomy = settings["OVERSEAS__LOGS__STAGING"].clone();
    let full = disk.folder.path().join("staging").display().to_string();
    settings.insert("OVERSEAS__LOGS__STAGING".to_owned(), full.clone());
    let (problem, log) = failing(&world, &settings, date).await;
    assert!(problem.contains(&full) && problem.contains("No space left"), "{problem}");
    assert!(log.contains(&full), "{log}");
    assert_eq!(stored(&world.folder.path().join("logs")), Default::default(), "neither whole nor half");
    assert!(files(disk.folder.path()).is_empty());
    assert_eq!(disk.fill("all", 8 << 20), free, "the disk is as empty as before");
    settings.insert("OVERSEAS__LOGS__STAGING".to_owned(), roomy);
    mended(&world, &settings, date, &text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_for_the_store_is_said_leaves_nothing_and_the_day_is_made_when_there_is_room() {
    let (disk, delivery) = (SmallDisk::take().await, tempfile::tempdir().unwrap());
    let store = disk.folder.path().join("logs");
    let place = store.display().to_string();
    let set = |config: &mut Config| config.logs.store = place.clone();
    let world = world(&delivery.path().display().to_string(), set).await;
    let date = days_ago(&world, 10);
    let text = deliver(&folder_of(delivery.path(), date, DOMAIN), MIDDLE);
    let filled = disk.fill("filler", 7 << 20);
    assert!(filled > 6 << 20, "the small disk has {filled} bytes");
    ask(&world, DOMAIN, date).await;
    let (problem, log) = failing(&world, &settings(&world), date).await;
    assert!(problem.contains(&place) && problem.contains("No space left"), "{problem}");
    assert!(log.contains(&place), "{log}");
    assert_eq!(stored(&store), Default::default(), "neither whole nor half");
    // There is room now, as when old logs have been removed.
    std::fs::remove_file(disk.folder.path().join("filler")).unwrap();
    mended(&world, &settings(&world), date, &text).await;
    assert_eq!((stored(&store).0.len(), stored(&store).1.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_tried_again_until_it_is_back() {
    let (bucket, delivery) = (Bucket::make().await, tempfile::tempdir().unwrap());
    let mut door = Door::to(bucket.server.trim_start_matches("http://"));
    let store = bucket.place("logs", &format!("http://{}", door.address()));
    let world = world(&delivery.path().display().to_string(), |config| config.logs.store = store).await;
    let date = days_ago(&world, 10);
    let text = deliver(&folder_of(delivery.path(), date, DOMAIN), MIDDLE);
    ask(&world, DOMAIN, date).await;
    let (problem, log) = failing(&world, &settings(&world), date).await;
    assert!(problem.contains(&bucket.name) && problem.contains("refused"), "{problem}");
    assert!(!problem.contains(BUCKET_SECRET) && !log.contains(BUCKET_SECRET), "{log}");
    assert!(bucket.keys().await.is_empty());
    door.open().await;
    mended(&world, &settings(&world), date, &text).await;
    assert_eq!(bucket.keys().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_folder_that_is_away_is_a_failure_and_no_empty_day() {
    let parent = tempfile::tempdir().unwrap();
    let (here, away) = (parent.path().join("delivery"), parent.path().join("away"));
    let world = world(&here.display().to_string(), |_| {}).await;
    // So old that a day without files would be settled for good.
    let date = days_ago(&world, 10);
    let text = deliver(&folder_of(&here, date, DOMAIN), SMALL);
    std::fs::rename(&here, &away).unwrap();
    ask(&world, DOMAIN, date).await;
    let (problem, _) = failing(&world, &settings(&world), date).await;
    assert!(problem.contains(&here.display().to_string()), "{problem}");
    std::fs::rename(&away, &here).unwrap();
    mended(&world, &settings(&world), date, &text).await;

    // A log that is made stays, also when the delivery is away again.
    std::fs::rename(&here, &away).unwrap();
    let before = day(&world, DOMAIN, date).await;
    database::execute(&world.url, "UPDATE log_day SET due_at = 0").await;
    make(&world).await;
    let after = day(&world, DOMAIN, date).await;
    assert_eq!((after.state, &after.object), (LogState::Ready, &before.object));
    assert_same(&gunzip(&download(&world, DOMAIN, date).await), &text);
}

/// Places that can be reached in which the delivery is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_and_a_folder_of_a_daemon_that_are_missing_are_failures_and_no_empty_days() {
    let bucket = Bucket::make().await;
    let missing = bucket.place("x", &bucket.server).replace(&bucket.name, "there-is-no-such-bucket");
    let module = tempfile::tempdir_in(database::server("OVERSEAS_TEST_RSYNC_FOLDER")).unwrap();
    let name = module.path().file_name().unwrap().to_str().unwrap();
    let moved = format!("{}/{name}/moved", database::server("OVERSEAS_TEST_RSYNC"));
    for place in [missing, moved] {
        let password = database::server("OVERSEAS_TEST_RSYNC_PASSWORD");
        let set = |config: &mut Config| config.cdn.get_mut("level3").unwrap().logs_password = Some(password.into());
        let world = world(&place, set).await;
        let date = days_ago(&world, 10);
        ask(&world, DOMAIN, date).await;
        make(&world).await;
        let row = day(&world, DOMAIN, date).await;
        assert_eq!((row.state, row.problem.is_some()), (LogState::Queued, true), "{place}: {row:?}");
    }
}

/// A delivery behind a door, from a bucket and from a daemon, and the folder that holds it.
async fn behind_a_door() -> [(String, Door, Option<Bucket>, tempfile::TempDir); 2] {
    let bucket = Bucket::make().await;
    let to_bucket = Door::to(bucket.server.trim_start_matches("http://"));
    let address = database::server("OVERSEAS_TEST_RSYNC");
    let module = tempfile::tempdir_in(database::server("OVERSEAS_TEST_RSYNC_FOLDER")).unwrap();
    let server = address.split(['@', '/']).nth(3).unwrap();
    let to_daemon = Door::to(server);
    let name = module.path().file_name().unwrap().to_str().unwrap();
    let daemon = format!("{}/{name}", address.replace(server, &to_daemon.address()));
    let place = bucket.place("logs", &format!("http://{}", to_bucket.address()));
    [(place, to_bucket, Some(bucket), tempfile::tempdir().unwrap()), (daemon, to_daemon, None, module)]
}

fn rsync_password(settings: &mut Settings) {
    let password = database::server("OVERSEAS_TEST_RSYNC_PASSWORD");
    settings.insert("OVERSEAS__CDN__LEVEL3__LOGS_PASSWORD".to_owned(), password);
}

async fn world_behind_a_door(place: &str) -> World {
    let password = database::server("OVERSEAS_TEST_RSYNC_PASSWORD");
    let set = |config: &mut Config| config.cdn.get_mut("level3").unwrap().logs_password = Some(password.into());
    world(place, set).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_cannot_be_reached_is_tried_again_until_it_is_back() {
    for (place, mut door, bucket, folder) in behind_a_door().await {
        let world = world_behind_a_door(&place).await;
        let date = days_ago(&world, 10);
        let text = deliver(&folder_of(folder.path(), date, DOMAIN), SMALL);
        if let Some(bucket) = bucket {
            bucket.put_all(folder.path(), "logs").await;
        }
        ask(&world, DOMAIN, date).await;
        let mut settings = settings(&world);
        rsync_password(&mut settings);
        let (problem, _) = failing(&world, &settings, date).await;
        assert!(problem.contains("refused"), "{problem}");
        door.open().await;
        mended(&world, &settings, date, &text).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_falls_silent_does_not_hold_up_the_end_of_a_worker() {
    for (place, mut door, bucket, folder) in behind_a_door().await {
        let world = world_behind_a_door(&place).await;
        let date = days_ago(&world, 10);
        let text = deliver(&folder_of(folder.path(), date, DOMAIN), MIDDLE);
        if let Some(bucket) = bucket {
            bucket.put_all(folder.path(), "logs").await;
        }
        // Room for the listing, and not for a file.
        door.open_for(100_000).await;
        ask(&world, DOMAIN, date).await;
        let mut settings = settings(&world);
        rsync_password(&mut settings);
        settings.insert("OVERSEAS__WORKER__GRACE_SECONDS".to_owned(), "8".to_owned());
        let mut running = worker(&world, &settings);
        eventually("the vendor has fallen silent", 30, || std::future::ready(door.is_silent())).await;
        running.signal("TERM");
        eventually("the worker ends within its grace", 7, || std::future::ready(running.has_ended())).await;
        let log = running.log();
        assert!(!log.contains("grace period is over"), "{place}: {log}");
        assert_eq!(world.number("SELECT COUNT(*) FROM log_day WHERE lease_owner IS NOT NULL").await, 0, "{place}");
        assert_eq!(stored(Path::new(&world.context.config.logs.store)), Default::default(), "{place}");
        door.open().await;
        mended(&world, &settings, date, &text).await;
    }
}
