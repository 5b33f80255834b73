//! A log store in a bucket: whole files, links that need no credential, and nothing left behind.
//!
//! On moto's S3, which believes every signature. The file is larger than two parts of an upload.

use crate::support::logs::{
    Bucket, DOMAIN, Form, SMALL, ask, assert_same, day, days_ago, deliver, folder_of, gunzip, make, of_day, retain,
    sha256,
};
use crate::support::{Kind, World, database, eventually};
use overseas_shared::domain::log::LogState;
use overseas_worker::jobs::logs::LogFetch;
use overseas_worker::reconcile::Reconciler;
use std::path::Path;
use tokio_util::sync::CancellationToken;

const DAY: i64 = 86_400_000;
/// More than 20 MB when it is compressed.
const HEAVY: Form = Form { word: "heavy", files: 3, lines: 40_000, noise: 240 };

async fn world(bucket: &Bucket, delivery: &Path) -> World {
    let (store, delivery) = (bucket.place("finished/logs", &bucket.server), delivery.display().to_string());
    let settings = |config: &mut overseas_shared::config::Config| {
        config.logs.store = store;
        config.cdn.get_mut("level3").unwrap().logs = Some(delivery);
    };
    World::with(Kind::Mariadb, settings, |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_many_parts_is_whole_and_its_link_works_without_a_credential() {
    let (bucket, delivery) = (Bucket::make().await, tempfile::tempdir().unwrap());
    let world = world(&bucket, delivery.path()).await;
    let date = days_ago(&world, 10);
    let expected = deliver(&folder_of(delivery.path(), date, DOMAIN), HEAVY);
    ask(&world, DOMAIN, date).await;
    make(&world).await;
    let row = day(&world, DOMAIN, date).await;
    let object = row.object.unwrap();
    assert_eq!(bucket.keys().await, [format!("finished/logs/{object}")]);
    let (bytes, tag) = bucket.get(&format!("finished/logs/{object}")).await;
    assert!(bytes.len() > 20 << 20, "only {} bytes", bytes.len());
    assert!(tag.ends_with("-3"), "in parts of 8 MiB: {tag}");
    assert_eq!((row.sha256.as_str(), row.size), (sha256(&bytes).as_str(), bytes.len() as u64));
    assert_same(&gunzip(&bytes), &expected);
    assert_eq!(bucket.open_uploads().await, 0);

    let path = format!("/level3/log/{date}-{DOMAIN}.log.gz");
    let answer = world.request("GET", &path).bearer_auth(&world.user_token).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["cache-control"], "no-store", "the link ends, so nobody may keep it");
    let link = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(link.contains("X-Amz-Signature=") && link.contains("X-Amz-Expires=900"), "{link}");
    assert!(!link.contains("bucket-secret"), "{link}");
    let answer = world.client.get(&link).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-disposition"], format!("attachment; filename=\"{date}-{DOMAIN}.log.gz\""));
    assert_eq!(answer.headers()["content-type"], "application/gzip");
    assert!(answer.bytes().await.unwrap() == bytes, "the link gives other bytes");
    let answer = world.client.get(&link).header("range", "bytes=9000000-9000999").send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-range"], format!("bytes 9000000-9000999/{}", bytes.len()));
    assert_eq!(answer.bytes().await.unwrap(), &bytes[9_000_000..9_001_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_file_is_removed_a_day_later_and_an_old_one_by_the_retention() {
    let (bucket, delivery) = (Bucket::make().await, tempfile::tempdir().unwrap());
    let world = world(&bucket, delivery.path()).await;
    let date = days_ago(&world, 2);
    let folder = folder_of(delivery.path(), date, DOMAIN);
    deliver(&folder, SMALL);
    ask(&world, DOMAIN, date).await;
    make(&world).await;
    let first = day(&world, DOMAIN, date).await.object.unwrap();
    // One more file has come.
    let expected = deliver(&folder, Form { files: 4, ..SMALL });
    database::execute(&world.url, "UPDATE log_day SET due_at = 0").await;
    make(&world).await;
    let second = day(&world, DOMAIN, date).await.object.unwrap();
    assert_ne!(first, second);
    let key = |object: &str| format!("finished/logs/{object}");
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(sorted(bucket.keys().await), sorted(vec![key(&first), key(&second)]), "it may be being read");
    world.clock.advance(DAY - 600_000);
    assert_eq!(retain(&world).await, (0, 0));
    assert_eq!(bucket.keys().await.len(), 2);
    world.clock.advance(1_200_000);
    assert_eq!(retain(&world).await, (0, 1));
    assert_eq!(bucket.keys().await, [key(&second)]);
    assert_eq!(world.number("SELECT COUNT(*) FROM log_object").await, 0);
    assert_same(&gunzip(&bucket.get(&key(&second)).await.0), &expected);

    let keep = i64::from(world.context.config.logs.keep_days);
    world.clock.advance((keep - 5) * DAY);
    assert_eq!(retain(&world).await, (0, 0));
    assert_eq!(bucket.keys().await, [key(&second)]);
    world.clock.advance(5 * DAY);
    assert_eq!(retain(&world).await, (1, 0));
    assert_eq!(bucket.keys().await, Vec::<String>::new());
    assert_eq!(world.number("SELECT COUNT(*) FROM log_day").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_is_called_off_leaves_neither_an_object_nor_an_upload_in_the_bucket() {
    let (bucket, delivery) = (Bucket::make().await, tempfile::tempdir().unwrap());
    let world = world(&bucket, delivery.path()).await;
    let date = days_ago(&world, 10);
    deliver(&folder_of(delivery.path(), date, DOMAIN), HEAVY);
    ask(&world, DOMAIN, date).await;
    let stop = CancellationToken::new();
    let job = LogFetch::new(&world.context, world.account());
    let calling_off = async {
        eventually("an upload has begun", 60, || async { bucket.open_uploads().await > 0 }).await;
        stop.cancel();
    };
    let (round, ()) = tokio::join!(job.round(&stop), calling_off);
    round.unwrap();
    let row = day(&world, DOMAIN, date).await;
    assert_eq!((row.state, row.object, row.problem), (LogState::Queued, None, None));
    assert_eq!((bucket.keys().await.len(), bucket.open_uploads().await), (0, 0));
    assert!(of_day(&world, "due_at", DOMAIN, date).await <= world.clock.now(), "the next worker need not wait");
    // What was noted for the time after a crash names nothing that is there, which is no error.
    world.clock.advance(3 * DAY);
    assert_eq!(retain(&world).await, (0, 1));
    make(&world).await;
    assert_eq!(day(&world, DOMAIN, date).await.state, LogState::Ready);
}
