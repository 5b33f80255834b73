//! Deliveries of access logs, and what came of them: in the rows, in a store's folder and in a bucket.
//!
//! Compressing, decompressing and SHA-256 are left to `gzip` and `sha256sum`, which share no mistake with the product.
//! A delivery is written by hand and not by the simulator where it has to be large, foreign or changed; its lines are
//! out of order and some have equal times, and the text that has to come of it is returned.
//! Called by the tests of logs.

use crate::support::process::{Process, Settings};
use crate::support::{World, database, eventually};
use chrono::NaiveDate;
use overseas_shared::db::log::{self, LogDay};
use overseas_shared::domain::log::{date_of, day_at, day_number};
use overseas_worker::jobs::logs::{LogFetch, remove_old};
use overseas_worker::reconcile::{Next, Reconciler};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A property of the demo data.
pub const DOMAIN: &str = "cdn.example.com";
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How a delivery looks.
#[derive(Clone, Copy)]
pub struct Form {
    /// A word in each line.
    pub word: &'static str,
    pub files: usize,
    /// Lines of a file.
    pub lines: usize,
    /// Random letters in each line, which hardly compress.
    pub noise: usize,
}

pub const SMALL: Form = Form { word: "own", files: 3, lines: 40, noise: 20 };

/// Some 40 MB: more than is merged in memory.
pub const LARGE: Form = Form { word: "own", files: 4, lines: 50_000, noise: 150 };

/// The UTC day so many days ago by this world's clock.
pub fn days_ago(world: &World, days: i64) -> NaiveDate {
    date_of(day_at(world.clock.now()) - days)
}

/// Where a day's files of a property lie in a delivery.
pub fn folder_of(delivery: &Path, date: NaiveDate, property: &str) -> PathBuf {
    delivery.join(date.format("%Y/%m/%d").to_string()).join(property)
}

/// Writes a delivery into a folder, which is made; returns the text of its log.
pub fn deliver(folder: &Path, form: Form) -> Vec<u8> {
    std::fs::create_dir_all(folder).unwrap();
    let mut random = SmallRng::seed_from_u64(form.lines as u64);
    let mut lines: Vec<(usize, String)> = Vec::with_capacity(form.files * form.lines);
    for file in 0..form.files {
        let mut text = String::from("#Version: 1.0\n#Fields: date time word file line noise\n");
        for number in 0..form.lines {
            // Fours in reverse, two of each time, and all files over the same hours.
            let time = (number ^ 3) / 2;
            let mut noise = vec![0; form.noise];
            random.fill_bytes(&mut noise);
            noise.iter_mut().for_each(|byte| *byte = LETTERS[usize::from(*byte % 64)]);
            let (hour, minute, second) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60);
            let mut line = format!("2016-09-29 {hour:02}:{minute:02}:{second:02}.{:03} ", time % 1000);
            writeln!(line, "{} {file} {number} {}", form.word, String::from_utf8(noise).unwrap()).unwrap();
            text.push_str(&line);
            lines.push((time, line));
        }
        let plain = folder.join(format!("access.{file:04}"));
        std::fs::write(&plain, text).unwrap();
        // Takes the place of the file, under its name with `.gz`.
        assert!(Command::new("gzip").args(["-1", "-n", "-f"]).arg(&plain).status().unwrap().success());
    }
    lines.sort_by_key(|(time, _)| *time);
    lines.into_iter().flat_map(|(_, line)| line.into_bytes()).collect()
}

/// Delivers the same files for another day or property too.
pub fn deliver_again(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (name, path) in files(from) {
        std::fs::hard_link(path, to.join(name)).unwrap();
    }
}

/// All files below a folder, by their names there; none where it is missing.
pub fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), path);
            }
        }
    }
    found
}

/// The finished files of a store, and those that are being written or were left.
pub fn stored(store: &Path) -> (BTreeMap<String, PathBuf>, BTreeMap<String, PathBuf>) {
    files(store).into_iter().partition(|(name, _)| !name.starts_with(".partial/"))
}

fn filtered(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} refuses {} bytes", input.len());
    output.stdout
}

/// Decompresses; fails the test when it is not one whole gzip file.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    filtered("gzip", &["-dc"], bytes)
}

pub fn sha256(bytes: &[u8]) -> String {
    String::from_utf8(filtered("sha256sum", &[], bytes)).unwrap()[..64].to_owned()
}

/// Fails with few words where texts of megabytes differ.
#[track_caller]
pub fn assert_same(made: &[u8], expected: &[u8]) {
    if made != expected {
        let differ = made.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let shown = |text: &[u8]| String::from_utf8_lossy(&text[differ..text.len().min(differ + 100)]).into_owned();
        let (made_there, expected_there) = (shown(made), shown(expected));
        panic!(
            "{} bytes, expected {}; from byte {differ}: {made_there:?}, expected {expected_there:?}",
            made.len(),
            expected.len()
        );
    }
}

/// Asks for a day as a client does; returns its state.
pub async fn ask(world: &World, property: &str, date: NaiveDate) -> String {
    let path = format!("/level3/logdownload?domain={property}&startDate={date}&endDate={date}");
    let answer = world.get(&world.staff_token, &path).await.ok();
    assert_eq!(answer["results"].as_array().unwrap().len(), 1, "{answer}");
    answer["results"][0]["state"].as_str().unwrap().to_owned()
}

/// Downloads a day's file, following a redirection.
pub async fn download(world: &World, property: &str, date: NaiveDate) -> Vec<u8> {
    let path = format!("{}/level3/log/{date}-{property}.log.gz", world.base);
    let mut answer = world.client.get(path).bearer_auth(&world.staff_token).send().await.unwrap();
    if answer.status() == 302 {
        let link = answer.headers()["location"].to_str().unwrap().to_owned();
        answer = world.client.get(link).send().await.unwrap();
    }
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap().to_vec()
}

/// Rounds of the log job until nothing is due.
pub async fn make(world: &World) {
    let job = LogFetch::new(&world.context, world.account());
    while job.round(&world.stop).await.unwrap() == Next::Now {}
}

/// One run of the retention.
pub async fn retain(world: &World) -> (usize, usize) {
    let context = &world.context;
    remove_old(&context.db, &context.store, context.config.logs.keep_days, context.clock.now()).await.unwrap()
}

pub async fn property_id(world: &World, property: &str) -> i64 {
    world.number(&format!("SELECT id FROM property WHERE name = '{property}'")).await
}

/// What is known of a day that was asked for.
pub async fn day(world: &World, property: &str, date: NaiveDate) -> LogDay {
    let (id, day) = (property_id(world, property).await, day_number(date));
    log::days(&world.db, &[id], day, day).await.unwrap().remove(&(id, day)).unwrap()
}

/// A number of the row of a day.
pub async fn of_day(world: &World, column: &str, property: &str, date: NaiveDate) -> i64 {
    let (id, day) = (property_id(world, property).await, day_number(date));
    world
        .number(&format!("SELECT CAST({column} AS SIGNED) FROM log_day WHERE property_id = {id} AND day = {day}"))
        .await
}

/// Ends the pause before the next try of all days.
pub async fn retry_now(world: &World) {
    let sql = "UPDATE log_day SET due_at = 0 WHERE due_at IS NOT NULL AND lease_owner IS NULL";
    database::execute(&world.url, sql).await;
}

/// Waits until a day is made.
pub async fn until_made(world: &World, property: &str, date: NaiveDate, seconds: u64) {
    let (id, day) = (property_id(world, property).await, day_number(date));
    let sql = format!("SELECT COUNT(*) FROM log_day WHERE property_id = {id} AND day = {day} AND state = 'ready'");
    eventually(&format!("{date} of {property} is made"), seconds, || async { world.number(&sql).await == 1 }).await;
}

/// Waits until a try has failed; returns what the row says.
pub async fn until_failed(world: &World, property: &str, date: NaiveDate, seconds: u64) -> String {
    let (id, day) = (property_id(world, property).await, day_number(date));
    let sql = format!(
        "SELECT COUNT(*) FROM log_day WHERE property_id = {id} AND day = {day} AND attempts > 0 AND problem IS NOT NULL \
         AND state = 'queued' AND lease_owner IS NULL"
    );
    eventually(&format!("a try of {date} has failed"), seconds, || async { world.number(&sql).await == 1 }).await;
    self::day(world, property, date).await.problem.unwrap()
}

/// What a real process of this world needs; leases of three seconds.
pub fn settings(world: &World) -> Settings {
    let (config, key) = (&world.context.config, &world.control.config().keys[0]);
    let pairs = [
        ("DATABASE__URL", world.url.clone()),
        ("QUEUE__URL", "memory".to_owned()),
        ("CDN__LEVEL3__VENDOR", "level3".to_owned()),
        ("CDN__LEVEL3__BASE_URL", world.simulator.vendor_url()),
        ("CDN__LEVEL3__KEY_ID", key.id.clone()),
        ("CDN__LEVEL3__SECRET", key.secret.clone()),
        ("CDN__LEVEL3__LOGS", config.cdn["level3"].logs.clone().unwrap_or_default()),
        ("LOGS__STORE", config.logs.store.clone()),
        ("LOGS__STAGING", config.logs.staging.clone()),
        ("WORKER__LEASE_SECONDS", "3".to_owned()),
        ("WORKER__SWEEP_SECONDS", "1".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (format!("OVERSEAS__{name}"), value)).collect()
}

/// Starts a worker; returns it when it writes a file into this store's folder.
pub async fn merging_worker(world: &World, settings: &Settings, store: &Path) -> Process {
    let before = stored(store).1;
    let process = Process::start(settings, world.folder.path(), &["worker"]);
    eventually("the worker merges", 40, || async { stored(store).1.keys().any(|name| !before.contains_key(name)) })
        .await;
    process
}

/// Checks that each finished file of a store's folder is whole, has the sum that its row says, and that a row knows it.
pub async fn check_store(world: &World, store: &Path) {
    let list = async |sql: &str| database::text(&world.url, sql).await;
    let made = "SELECT CAST(GROUP_CONCAT(object, ' ', sha256, ' ', size SEPARATOR '\n') AS CHAR) FROM log_day WHERE object IS NOT NULL";
    let noted = list("SELECT CAST(GROUP_CONCAT(object SEPARATOR '\n') AS CHAR) FROM log_object").await;
    let mut finished = stored(store).0;
    for line in list(made).await.lines() {
        let [name, sum, size] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let bytes = std::fs::read(finished.remove(name).unwrap_or_else(|| panic!("{name} is missing"))).unwrap();
        assert_eq!((sha256(&bytes), bytes.len().to_string()), (sum.to_owned(), size.to_owned()), "{name}");
        gunzip(&bytes);
    }
    for (name, path) in finished {
        assert!(noted.lines().any(|known| known == name), "no row knows {name}");
        gunzip(&std::fs::read(path).unwrap());
    }
}

/// A bucket of its own on the S3 server, which takes every signature but wants one for what there is already.
pub struct Bucket {
    pub server: String,
    pub name: String,
    client: reqwest::Client,
}

/// A key that nobody may see in a message.
pub const BUCKET_SECRET: &str = "bucket-secret-nobody-sees";

impl Bucket {
    pub async fn make() -> Self {
        let server = database::server("OVERSEAS_TEST_S3");
        let name = format!("t{}", ulid::Ulid::generate().to_string().to_lowercase());
        let client = overseas_shared::cdn::http::builder(false).build().unwrap();
        let bucket = Self { server, name, client };
        assert_eq!(bucket.client.put(bucket.url("")).send().await.unwrap().status(), 200);
        bucket
    }

    /// As it is written in a setting, with this server's address.
    pub fn place(&self, prefix: &str, endpoint: &str) -> String {
        let keys = format!("access_key_id=a&secret_access_key={BUCKET_SECRET}");
        format!("s3://{}/{prefix}?endpoint={endpoint}&{keys}", self.name)
    }

    fn url(&self, key: &str) -> String {
        let mut url = format!("{}/{}/", self.server, self.name);
        for byte in key.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._/".contains(&byte) {
                url.push(char::from(byte));
            } else {
                write!(url, "%{byte:02X}").unwrap();
            }
        }
        url
    }

    pub async fn put(&self, key: &str, bytes: Vec<u8>) {
        let request = self.client.put(self.url(key)).header("content-type", "application/octet-stream").body(bytes);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{key}");
    }

    /// Uploads all files of a folder.
    pub async fn put_all(&self, folder: &Path, prefix: &str) {
        for (name, path) in files(folder) {
            self.put(&format!("{prefix}/{name}"), std::fs::read(path).unwrap()).await;
        }
    }

    async fn signed(&self, url: String) -> reqwest::Response {
        let credential =
            "AWS4-HMAC-SHA256 Credential=a/20160929/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        self.client.get(url).header("authorization", credential).send().await.unwrap()
    }

    /// The keys of all objects.
    pub async fn keys(&self) -> Vec<String> {
        let answer = self.signed(format!("{}/{}?list-type=2", self.server, self.name)).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        text.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
    }

    /// Uploads that have begun and neither ended nor been taken back.
    pub async fn open_uploads(&self) -> usize {
        let answer = self.signed(format!("{}/{}?uploads", self.server, self.name)).await;
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap().matches("<UploadId>").count()
    }

    /// An object and its tag, which tells of how many parts it was made.
    pub async fn get(&self, key: &str) -> (Vec<u8>, String) {
        let answer = self.signed(self.url(key)).await;
        assert_eq!(answer.status(), 200, "{key}");
        let tag = answer.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
        (answer.bytes().await.unwrap().to_vec(), tag)
    }
}

static SMALL_DISK: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The small disk, for one test at a time; what it wrote there is removed.
pub struct SmallDisk {
    pub folder: tempfile::TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl SmallDisk {
    pub async fn take() -> Self {
        let turn = SMALL_DISK.lock().await;
        let folder = tempfile::tempdir_in(database::server("OVERSEAS_TEST_SMALL_DISK")).unwrap();
        Self { folder, _turn: turn }
    }

    /// Takes up to so many bytes, less if there are no more; returns how many were free.
    pub fn fill(&self, name: &str, bytes: usize) -> usize {
        let mut file = std::fs::File::create(self.folder.path().join(name)).unwrap();
        let piece = vec![7; 64 * 1024];
        (0..bytes / piece.len()).take_while(|_| file.write_all(&piece).is_ok()).count() * piece.len()
    }
}
