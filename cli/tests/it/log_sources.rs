//! Where logs come from: a folder, a bucket and an rsync daemon give the same file, and never a foreign line.
//!
//! On real servers: moto's S3 and rsync's own daemon. `*.img.example.com` is the property whose name is a pattern, so
//! beside its folder lie those of others that the pattern would match.

use crate::support::logs::{
    BUCKET_SECRET, Bucket, DOMAIN, Form, SMALL, ask, assert_same, day, days_ago, deliver, download, files, folder_of,
    gunzip, make, of_day, retry_now, settings, sha256, until_failed, until_made,
};
use crate::support::process::{Process, Settings, run};
use crate::support::servers::free_port;
use crate::support::{Kind, World, database};
use chrono::NaiveDate;
use overseas_shared::cdn::PropertyAddress;
use overseas_shared::config::Config;
use overseas_shared::domain::log::LogState;
use std::path::{Path, PathBuf};
use std::time::Duration;

const WILDCARD: &str = "*.img.example.com";
/// What the wildcard would match as a pattern, or could be mistaken for.
const FOREIGN: [&str; 9] = [
    "photo.img.example.com",
    "x.img.example.com",
    "[*].img.example.com",
    "\\*.img.example.com",
    "?.img.example.com",
    "**.img.example.com",
    "img.example.com",
    "*.img.example.com.example.net",
    "*.img.example.com2",
];
const FOREIGN_FORM: Form = Form { word: "foreign", files: 2, lines: 3, noise: 5 };

/// A world that reads its logs from here, with what else it needs.
async fn reading(place: &str, settings: impl FnOnce(&mut Config)) -> World {
    let place = place.to_owned();
    let with_place = |config: &mut Config| {
        config.cdn.get_mut("level3").unwrap().logs = Some(place);
        settings(config);
    };
    World::with(Kind::Mariadb, with_place, |_| {}).await
}

/// A folder of this test's own below the daemon's module, and its address.
fn module() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir_in(database::server("OVERSEAS_TEST_RSYNC_FOLDER")).unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    let address = format!("{}/{name}", database::server("OVERSEAS_TEST_RSYNC"));
    (folder, address)
}

fn password(config: &mut Config) {
    let level3 = config.cdn.get_mut("level3").unwrap();
    level3.logs_password = Some(database::server("OVERSEAS_TEST_RSYNC_PASSWORD").into());
}

/// A delivery in all three places.
struct Places {
    folder: tempfile::TempDir,
    bucket: Bucket,
    module: tempfile::TempDir,
    module_address: String,
}

impl Places {
    async fn new() -> Self {
        let (module, module_address) = module();
        Self { folder: tempfile::tempdir().unwrap(), bucket: Bucket::make().await, module, module_address }
    }

    /// A world for each place.
    async fn worlds(&self) -> [(&'static str, World); 3] {
        let bucket = self.bucket.place("some/prefix", &self.bucket.server);
        [
            ("folder", reading(&self.folder.path().display().to_string(), |_| {}).await),
            ("bucket", reading(&bucket, |_| {}).await),
            ("rsync", reading(&self.module_address, password).await),
        ]
    }

    /// Puts what lies in the folder into the two others.
    async fn spread(&self) {
        for (name, path) in files(self.folder.path()) {
            let target = self.module.path().join(&name);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(&path, target).unwrap();
            self.bucket.put(&format!("some/prefix/{name}"), std::fs::read(path).unwrap()).await;
        }
    }
}

/// A date that is the same for worlds that are made one after the other, even at midnight.
fn date_for(worlds: &[(&'static str, World); 3]) -> NaiveDate {
    days_ago(&worlds[0].1, 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_a_bucket_and_an_rsync_daemon_give_the_same_file() {
    let places = Places::new().await;
    let worlds = places.worlds().await;
    let date = date_for(&worlds);
    let own = folder_of(places.folder.path(), date, DOMAIN);
    let expected = deliver(&own, SMALL);
    // Not logs of this property and day, however near they lie.
    for (path, word) in [
        (own.join("deeper"), "deeper"),
        (folder_of(places.folder.path(), date, "cdn.example.com.example.net"), "longer"),
        (folder_of(places.folder.path(), date, "xcdn.example.com"), "before"),
        (folder_of(places.folder.path(), date, "cdn-example.com"), "dot"),
        (folder_of(places.folder.path(), date.pred_opt().unwrap(), DOMAIN), "yesterday"),
    ] {
        deliver(&path, Form { word, ..FOREIGN_FORM });
    }
    for name in ["access.0001.gz.tmp", ".access.0009.gz", "README", "-access.gz"] {
        std::fs::copy(own.join("access.0000.gz"), own.join(name)).unwrap();
    }
    places.spread().await;
    let mut made = Vec::new();
    for (place, world) in &worlds {
        assert_eq!(ask(world, DOMAIN, date).await, "queued", "{place}");
        make(world).await;
        let (row, bytes) = (day(world, DOMAIN, date).await, download(world, DOMAIN, date).await);
        assert_eq!((row.state, row.problem), (LogState::Ready, None), "{place}");
        assert_eq!(row.sha256, sha256(&bytes), "{place}");
        assert_eq!(of_day(world, "file_count", DOMAIN, date).await, 3, "{place}");
        assert_same(&gunzip(&bytes), &expected);
        made.push(bytes);
        let staging = Path::new(&world.context.config.logs.staging);
        assert!(files(staging).is_empty(), "{place}: copies are left in the staging folder: {:?}", files(staging));
    }
    assert!(made.iter().all(|bytes| *bytes == made[0]), "the same lines are the same bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_property_gets_its_own_files_from_every_place_and_never_a_foreign_one() {
    let places = Places::new().await;
    let worlds = places.worlds().await;
    let date = date_for(&worlds);
    let expected = deliver(&folder_of(places.folder.path(), date, WILDCARD), SMALL);
    for name in FOREIGN {
        deliver(&folder_of(places.folder.path(), date, name), FOREIGN_FORM);
    }
    places.spread().await;
    for (place, world) in &worlds {
        ask(world, WILDCARD, date).await;
        make(world).await;
        let row = day(world, WILDCARD, date).await;
        assert_eq!((row.state, row.problem), (LogState::Ready, None), "{place}");
        assert_eq!(of_day(world, "file_count", WILDCARD, date).await, 3, "{place}");
        assert_same(&gunzip(&download(world, WILDCARD, date).await), &expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_property_without_files_gets_none_though_its_name_matches_others() {
    let places = Places::new().await;
    let worlds = places.worlds().await;
    let date = date_for(&worlds);
    for name in FOREIGN {
        deliver(&folder_of(places.folder.path(), date, name), FOREIGN_FORM);
    }
    places.spread().await;
    for (place, world) in &worlds {
        ask(world, WILDCARD, date).await;
        make(world).await;
        let row = day(world, WILDCARD, date).await;
        assert_eq!((row.state, row.object, row.problem), (LogState::Empty, None, None), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_wildcard_property_nothing_foreign_is_copied_from_the_daemon() {
    let (module, address) = module();
    let world = reading(&address, password).await;
    let date = days_ago(&world, 10);
    deliver(&folder_of(module.path(), date, WILDCARD), SMALL);
    for name in FOREIGN {
        deliver(&folder_of(module.path(), date, name), FOREIGN_FORM);
    }
    let staging = world.folder.path().join("copies");
    let property = PropertyAddress { vendor_ref: "BBEN56789/*.img.example.com".to_owned(), name: WILDCARD.to_owned() };
    let logs = world.account().client.logs(&property, date, &staging).await.unwrap();
    logs.fetch().await.unwrap();
    let folder = folder_of(Path::new(""), date, WILDCARD).display().to_string();
    let copied: Vec<String> = files(&staging).into_keys().collect();
    let expected: Vec<String> = (0..3).map(|file| format!("{folder}/access.{file:04}.gz")).collect();
    assert_eq!(copied, expected);
    logs.clean_up().await;
    assert!(files(&staging).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_without_a_folder_is_a_day_without_files_in_every_place() {
    let places = Places::new().await;
    let worlds = places.worlds().await;
    let (old, recent) = (date_for(&worlds), days_ago(&worlds[0].1, 2));
    // Something is there, so that the place itself is not missing.
    deliver(&folder_of(places.folder.path(), old.pred_opt().unwrap(), DOMAIN), SMALL);
    places.spread().await;
    for (place, world) in &worlds {
        for date in [old, recent] {
            ask(world, DOMAIN, date).await;
        }
        make(world).await;
        let row = day(world, DOMAIN, old).await;
        assert_eq!((row.state, row.problem), (LogState::Empty, None), "{place}");
        let row = day(world, DOMAIN, recent).await;
        assert_eq!((row.state, row.problem), (LogState::Queued, None), "{place}: files may still come");
        assert_eq!(of_day(world, "attempts", DOMAIN, recent).await, 0, "{place}");
    }
}

/// What a worker is told of a daemon's password, and all that it has written.
fn with_password(world: &World, name: &str, value: &str) -> Settings {
    let mut settings = settings(world);
    settings.insert(format!("OVERSEAS__CDN__LEVEL3__{name}"), value.to_owned());
    settings.insert("OVERSEAS__LOG__LEVEL".to_owned(), "trace".to_owned());
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_rsync_password_is_noted_and_retried_and_is_no_empty_day() {
    let (module, address) = module();
    let world = reading(&address, password).await;
    let date = days_ago(&world, 10);
    let expected = deliver(&folder_of(module.path(), date, DOMAIN), SMALL);
    let folder = world.folder.path();
    ask(&world, DOMAIN, date).await;
    let worker = Process::start(&with_password(&world, "LOGS_PASSWORD", "hunter2-hunter2"), folder, &["worker"]);
    let problem = until_failed(&world, DOMAIN, date, 30).await;
    assert!(problem.contains("credentials") && problem.contains("auth failed"), "{problem}");
    let log = worker.log();
    assert!(log.contains("could not be made and will be tried again"), "{log}");
    assert!(!log.contains("hunter2") && !problem.contains("hunter2"), "the password is shown:\n{log}");
    let due = of_day(&world, "due_at", DOMAIN, date).await - world.clock.now();
    assert!((1000..3_700_000).contains(&due), "the next try is in {due} ms");
    assert_eq!(worker.stop(Duration::from_secs(20)), 0);

    // The right one, from a file.
    let file = folder.join("password");
    std::fs::write(&file, format!("{}\n", database::server("OVERSEAS_TEST_RSYNC_PASSWORD"))).unwrap();
    let settings = with_password(&world, "LOGS_PASSWORD_FILE", &file.display().to_string());
    retry_now(&world).await;
    let worker = Process::start(&settings, folder, &["worker"]);
    until_made(&world, DOMAIN, date, 30).await;
    assert_eq!(worker.stop(Duration::from_secs(20)), 0);
    assert_same(&gunzip(&download(&world, DOMAIN, date).await), &expected);
    assert_eq!((day(&world, DOMAIN, date).await.problem, of_day(&world, "attempts", DOMAIN, date).await), (None, 0));
}

/// A daemon of the test's own, whose password is like no other word.
struct Daemon {
    child: std::process::Child,
    port: u16,
}

impl Daemon {
    fn start(folder: &Path, password: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let (logs, secrets, port) = (folder.join("module"), folder.join("secrets"), free_port());
        std::fs::create_dir_all(&logs).unwrap();
        std::fs::write(&secrets, format!("reader:{password}\n")).unwrap();
        std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (logs, secrets) = (logs.display(), secrets.display());
        let root = if running_as_root() { "uid = root\ngid = root\n" } else { "" };
        let text = format!(
            "{root}use chroot = no\n[logs]\npath = {logs}\nread only = yes\nauth users = reader\nsecrets file = {secrets}\n"
        );
        let config = folder.join("rsyncd.conf");
        std::fs::write(&config, text).unwrap();
        let child = std::process::Command::new("rsync")
            .args(["--daemon", "--no-detach", "--address=127.0.0.1", "--log-file=/dev/null"])
            .args([format!("--config={}", config.display()), format!("--port={port}")])
            .spawn()
            .unwrap();
        Self { child, port }
    }
}

fn running_as_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_and_no_key_of_a_delivery_is_written_anywhere() {
    const WORD: &str = "correct-horse-battery";
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), WORD);
    let bucket = Bucket::make().await;
    let store = bucket.place("logs", &bucket.server);
    let address = format!("rsync://reader@127.0.0.1:{}/logs", daemon.port);
    let settings = |config: &mut Config| {
        config.logs.store = store;
        config.cdn.get_mut("level3").unwrap().logs_password = Some(WORD.into());
    };
    let world = reading(&address, settings).await;
    let date = days_ago(&world, 10);
    deliver(&folder_of(&folder.path().join("module"), date, DOMAIN), SMALL);
    ask(&world, DOMAIN, date).await;
    let mut settings = with_password(&world, "LOGS_PASSWORD", WORD);
    let worker = Process::start(&settings, world.folder.path(), &["worker"]);
    until_made(&world, DOMAIN, date, 30).await;
    let log = worker.log();
    assert_eq!(worker.stop(Duration::from_secs(20)), 0);
    assert!(log.contains("a day's log is made"), "{log}");
    let doctor = run(&settings, world.folder.path(), &["doctor"], "");
    // And when the daemon is away, so that there is a failure to be told.
    drop(daemon);
    let away = run(&settings, world.folder.path(), &["doctor"], "");
    settings.insert("OVERSEAS__LOGS__STORE".to_owned(), bucket.place("logs", "http://127.0.0.1:9"));
    let nowhere = run(&settings, world.folder.path(), &["doctor"], "");
    let mut written = log;
    for output in [doctor, away, nowhere] {
        written.push_str(&String::from_utf8_lossy(&output.stdout));
        written.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    for word in [WORD, BUCKET_SECRET] {
        let shown: Vec<&str> = written.lines().filter(|line| line.contains(word)).collect();
        assert!(shown.is_empty(), "{shown:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_a_delivery_that_is_missing_and_a_store_that_cannot_be_written() {
    let delivery = tempfile::tempdir().unwrap();
    let world = reading(&delivery.path().display().to_string(), |_| {}).await;
    let doctor = |pairs: &[(&str, String)]| {
        let mut settings = settings(&world);
        settings.extend(pairs.iter().map(|(name, value)| (format!("OVERSEAS__{name}"), value.clone())));
        let output = run(&settings, world.folder.path(), &["doctor"], "");
        let text = String::from_utf8(output.stdout).unwrap();
        let failed: Vec<String> = text.lines().filter(|line| line.starts_with("FAIL")).map(str::to_owned).collect();
        (failed, output.status.code())
    };
    assert_eq!(doctor(&[]), (vec![], Some(0)));
    let file = world.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("logs").display().to_string();
    let gone: PathBuf = delivery.path().join("gone");
    let bucket = Bucket::make().await;
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let names = |place: &str| place.split('?').next().unwrap().to_owned();
    for (setting, place, check) in [
        ("CDN__LEVEL3__LOGS", gone.display().to_string(), "cdn.level3"),
        ("CDN__LEVEL3__LOGS", bucket.place("logs", &nowhere), "cdn.level3"),
        ("LOGS__STORE", below_a_file.clone(), "log store"),
        ("LOGS__STORE", bucket.place("logs", &nowhere), "log store"),
        ("LOGS__STAGING", below_a_file, "log staging"),
    ] {
        let (failed, code) = doctor(&[(setting, place.clone())]);
        assert_eq!((failed.len(), code), (1, Some(1)), "{setting} {place}: {failed:?}");
        assert!(failed[0].contains(check), "{failed:?}");
        // A delivery in a bucket is named by what cannot be reached.
        let named = failed[0].contains(&names(&place)) || failed[0].contains(&nowhere);
        assert!(named && !failed[0].contains(BUCKET_SECRET), "{setting} {place}: {failed:?}");
    }
}
