//! Access logs as files in a folder: the tree at the start, the day that ends, deliveries on request, bad input.
//!
//! The clock stands still and is moved on by `advance`. Every test has a folder of its own, and reads its files with a
//! gzip reader that takes several members, as the product's does. The form of a line has unit tests beside its code.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use overseas_simulator::{Config, SimulatorError};
use tempfile::TempDir;

use crate::client::{Wire, config};

const EVENING: &str = "2016-10-05T23:59:00Z";
const CDN: &str = "cdn.example.com";
const ACTIVE: [&str; 6] =
    ["*.img.example.com", "a.example.com", "b.example.com", CDN, "cdn.example.net", "www.example.com"];

/// A configuration with logs in a folder, of few and small files.
fn logging(folder: &Path) -> Config {
    Config { log_folder: Some(folder.to_owned()), log_lines: 12, ..config() }
}

/// A simulator in the evening, with its folder, which lives as long as it.
async fn evening() -> (Wire, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Wire::at(logging(folder.path()), EVENING).await, folder)
}

/// All files below a folder by their path in it.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

/// The names of a property's files of a day.
fn names(folder: &Path, date: &str, property: &str) -> Vec<String> {
    let place = format!("{}/{property}/", date.replace('-', "/"));
    tree(folder).into_keys().filter_map(|name| Some(name.strip_prefix(&place)?.to_owned())).collect()
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    MultiGzDecoder::new(fs::File::open(path)?).read_to_string(&mut text)?;
    Ok(text)
}

/// Waits until a file is there.
async fn appears(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} is not delivered", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_last_days_and_the_golden_one_are_delivered_at_the_start() {
    let (_wire, folder) = evening().await;
    let mut expected = Vec::new();
    for date in ["2016/09/29", "2016/10/02", "2016/10/03", "2016/10/04"] {
        for property in ACTIVE {
            let compact = date.replace('/', "");
            expected.extend((1..=4).map(|file| format!("{date}/{property}/access.{compact}.{file:04}.gz")));
        }
    }
    let found = tree(folder.path());
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    for name in found.keys() {
        assert_eq!(read(&folder.path().join(name)).unwrap().lines().count(), 14, "{name}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_stops_the_start() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a-file");
    fs::write(&file, "").unwrap();
    for log_days in [0, 3] {
        let config = Config { log_days, log_golden_days: Vec::new(), ..logging(&file) };
        let error = overseas_simulator::start(config).await.err().unwrap();
        assert!(matches!(error, SimulatorError::Logs(_)));
        assert!(error.to_string().starts_with(&format!("log_folder: cannot write {}: ", file.display())), "{error}");
    }
}

#[tokio::test]
async fn a_day_is_delivered_when_it_ends() {
    let (wire, folder) = evening().await;
    assert_eq!(names(folder.path(), "2016-10-05", CDN), Vec::<String>::new());
    wire.control().advance(60);
    appears(&folder.path().join("2016/10/05/cdn.example.net/access.20161005.0004.gz")).await;
    assert_eq!(names(folder.path(), "2016-10-05", CDN).len(), 4);
    assert_eq!(names(folder.path(), "2016-10-06", CDN), Vec::<String>::new());
    // Several days in one step.
    wire.control().advance(3 * 86_400);
    appears(&folder.path().join("2016/10/08/cdn.example.net/access.20161008.0004.gz")).await;
    for date in ["2016-10-06", "2016-10-07"] {
        assert_eq!(names(folder.path(), date, CDN).len(), 4, "{date}");
    }
    wire.simulator.stop().await;
}

#[tokio::test]
async fn the_day_without_a_log_is_never_delivered_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let wire = Wire::at(logging(folder.path()), "2016-09-28T23:00:00Z").await;
    wire.control().advance(3600 + 2 * 86_400);
    appears(&folder.path().join("2016/09/30/cdn.example.net/access.20160930.0004.gz")).await;
    assert_eq!(names(folder.path(), "2016-09-28", CDN), Vec::<String>::new());
    assert_eq!(names(folder.path(), "2016-09-29", CDN).len(), 4);
    let later = tempfile::tempdir().unwrap();
    let _wire = Wire::at(logging(later.path()), "2016-09-30T12:00:00Z").await;
    assert!(!later.path().join("2016/09/28").exists());
    assert!(later.path().join("2016/09/27").exists());
}
