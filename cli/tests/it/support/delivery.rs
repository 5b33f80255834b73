//! Daily logs in tests: what the vendor has delivered, the job driven by hand, and what a reader finds.
//!
//! Every world has a delivery folder, in which the simulator writes when it is told to, and a test itself.
//! Called by the tests of the logs.

use crate::support::World;
use chrono::NaiveDate;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use overseas_shared::domain::log::{date_of, day_at};
use overseas_worker::jobs::logs::{LogFetch, schedule_recent};
use overseas_worker::reconcile::{Next, Reconciler};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The domain that most tests use.
pub const DOMAIN: &str = "cdn.example.com";
/// The header lines of a file.
const HEADER: &str = "#Version: 1.0\n#Fields: date time cached request\n";

pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `zcat | sort -s -k1,2` makes of the files, without their two header lines.
pub fn reference(files: &[PathBuf]) -> String {
    let mut lines = Vec::new();
    for file in files {
        let text = gunzip(&std::fs::read(file).unwrap());
        lines.extend(text.lines().skip(2).map(str::to_owned));
    }
    lines.sort_by_key(|line| line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" "));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The day that ended this many days ago.
pub fn back(world: &World, days: i64) -> NaiveDate {
    date_of(day_at(world.clock.now()) - days)
}

impl World {
    /// The folder into which the vendor delivers.
    pub fn delivery(&self) -> PathBuf {
        self.folder.path().join("delivery")
    }

    /// Writes a file of a property as the vendor would: header and lines, compressed.
    pub fn deliver(&self, property: &str, date: NaiveDate, name: &str, lines: &str) -> PathBuf {
        let folder = self.delivery().join(date.format("%Y/%m/%d").to_string()).join(property);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), gzip(format!("{HEADER}{lines}").as_bytes())).unwrap();
        folder.join(name)
    }

    /// Rounds of the log job until nothing is due.
    pub async fn log_fetch(&self) {
        let job = LogFetch::new(&self.context, self.account());
        while job.round(&self.stop).await.unwrap() == Next::Now {}
    }

    /// What the hour brings: the recent days are looked at again.
    pub async fn log_hour(&self) {
        schedule_recent(&self.context).await.unwrap();
        self.log_fetch().await;
    }

    /// The rows of `logdownload` for [`DOMAIN`].
    pub async fn log_rows(&self, first: NaiveDate, last: NaiveDate) -> Vec<Value> {
        let (first, last) = (first.format("%Y%m%d"), last.format("%Y%m%d"));
        let path = format!("/level3/logdownload?domain={DOMAIN}&startDate={first}&endDate={last}");
        self.get(&self.user_token, &path).await.ok()["results"].as_array().unwrap().clone()
    }

    pub async fn log_row(&self, date: NaiveDate) -> Value {
        self.log_rows(date, date).await.remove(0)
    }

    /// What a link gives to somebody without a credential.
    pub async fn download(&self, row: &Value) -> Vec<u8> {
        let link = row["url"].as_str().unwrap();
        let path = &link[link.find("/level3/").unwrap()..];
        let response = self.request("GET", path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{link}");
        let bytes = response.bytes().await.unwrap().to_vec();
        assert_eq!(row["size"].as_u64(), Some(bytes.len() as u64));
        assert_eq!(row["sha256"].as_str(), Some(sha256(&bytes).as_str()));
        bytes
    }
}

/// All files below a folder, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
