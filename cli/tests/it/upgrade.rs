//! Backup and upgrade, as OPERATIONS describes them: a dump that is restored goes on where it was, and the newest
//! migrations can be undone and done again on a database with data.
//!
//! That an old program refuses a newer schema is in `queue`. The dump is made with MariaDB's own programs.

use crate::faults;
use crate::support::delivery::{back, gunzip};
use crate::support::process::Process;
use crate::support::servers::Redis;
use crate::support::{World, database, eventually, on_both};
use overseas_shared::db::schema::{self, SchemaState};
use overseas_shared::domain::Kind as TaskKind;
use overseas_worker::jobs::usage::{Recent, recent};
use std::path::Path;
use std::process::{Command, Stdio};

/// The steps that came after tasks, accounts and statistics.
const NEWEST: usize = 3;

/// What older steps hold, as numbers.
async fn stock(world: &World) -> Vec<i64> {
    let mut numbers = Vec::new();
    for table in ["task", "submission", "user_domain", "session", "property", "audit", "usage_day", "usage_city_day"] {
        numbers.push(world.number(&format!("SELECT COUNT(*) FROM {table}")).await);
    }
    numbers
}

on_both! {
    async fn the_newest_migrations_go_down_and_up_on_a_filled_database(world: World) {
        let done = world.refresh("http://cdn.example.com/a").await.remove(0);
        world.submit(TaskKind::Refresh).await;
        world.control.advance(60);
        world.poll().await;
        let open = world.refresh("http://cdn.example.com/b").await.remove(0);
        recent(&world.context, world.account(), Recent::Hours12).await.unwrap();
        world.deliver("cdn.example.com", back(&world, 1), "a.gz", "2016-09-29 10:13:24.250 y\n");
        world.log_hour().await;
        let before = stock(&world).await;
        assert!(before.iter().all(|number| *number > 0), "{before:?}");
        for undone in 1..=NEWEST {
            schema::down(&world.db, 1).await.unwrap();
            assert!(matches!(schema::state(&world.db).await.unwrap(), SchemaState::Older(missing) if missing.len() == undone));
        }
        assert_eq!(stock(&world).await, before);
        schema::up(&world.db).await.unwrap();
        assert_eq!(stock(&world).await, before);
        // It works on, with what was there and what is new.
        assert_eq!(world.task("refresh", &done).await["state"], "done");
        world.submit(TaskKind::Refresh).await;
        world.control.advance(60);
        world.poll().await;
        assert_eq!(world.task("refresh", &open).await["state"], "done");
        world.log_hour().await;
        assert!(!world.download(&world.log_row(back(&world, 1)).await).await.is_empty());
    }
}

/// The options for MariaDB's programs that an address stands for, and the database's name.
fn options(url: &str) -> (Vec<String>, String) {
    let rest = url.strip_prefix("mysql://").unwrap();
    let (user, rest) = rest.split_once('@').unwrap();
    let (user, password) = user.split_once(':').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let (host, port) = host.split_once(':').unwrap();
    let options = [("host", host), ("port", port), ("user", user), ("password", password)];
    let mut options: Vec<String> = options.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    options.insert(0, "--no-defaults".to_owned());
    (options, name.to_owned())
}

/// A copy of a database, made as OPERATIONS says; returns its address.
async fn restored(url: &str, folder: &Path) -> String {
    let (login, name) = options(url);
    let dump = folder.join("dump.sql");
    let made = Command::new("mariadb-dump")
        .args(&login)
        .args(["--single-transaction", "--quick", &name])
        .stdout(std::fs::File::create(&dump).unwrap())
        .status()
        .unwrap();
    assert!(made.success());
    let copy = database::on_server(url.rsplit_once('/').unwrap().0).await;
    let (login, name) = options(&copy);
    let restored = Command::new("mariadb")
        .args(&login)
        .arg(&name)
        .stdin(Stdio::from(std::fs::File::open(&dump).unwrap()))
        .status()
        .unwrap();
    assert!(restored.success());
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_restored_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let mut world = faults::world(&redis).await;
    let open = world.refresh("http://cdn.example.com/a").await.remove(0);
    world.deliver("cdn.example.com", back(&world, 1), "a.gz", "2016-09-29 10:13:24.250 y\n");
    world.log_hour().await;
    let link = world.log_row(back(&world, 1)).await;
    let copy = restored(&world.url, folder.path()).await;
    // The old installation is gone, with its Redis.
    database::execute(&world.url, "DROP TABLE task").await;
    redis.command(&["FLUSHALL"]).await;
    let mut config = world.context.config.clone();
    config.database.url = copy.clone();
    world.base = world.another_api_with(config).await;
    let mut settings = faults::settings(&world, &redis);
    settings.insert("OVERSEAS__DATABASE__URL".to_owned(), copy);
    let _worker = Process::start(&settings, folder.path(), &["worker"]);
    eventually("the task that waited is done", 40, || async { world.task("refresh", &open).await["state"] == "done" })
        .await;
    // Sessions hold, and so do links that were given out before.
    assert!(gunzip(&world.download(&link).await).contains("10:13:24.250"));
    world.refresh("http://cdn.example.com/after").await;
}
