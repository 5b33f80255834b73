//! Access logs as files in a folder: the tree at the start, the day that ends, deliveries on request, bad input.
//!
//! The clock stands still and is moved on by `advance`. Every test has a folder of its own, and reads its files with a
//! gzip reader that takes several members, as the product's does. The form of a line has unit tests beside its code.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use flate2::read::MultiGzDecoder;
use overseas_simulator::{Config, LogDelivery, LogDeliveryError, LogHeader, SimulatorError};
use serde_json::json;
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

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The delivery of a day of one property as the configuration says.
fn delivery(date: &str) -> LogDelivery {
    LogDelivery { day: day(date), property: Some(CDN.to_owned()), ..LogDelivery::default() }
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

/// The times of a file's requests.
fn times(path: &Path) -> Vec<String> {
    let text = read(path).unwrap();
    text.lines().filter(|line| line.starts_with("2016-")).map(|line| line[..23].to_owned()).collect()
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
async fn two_simulators_deliver_the_same_bytes() {
    let (_first, first) = evening().await;
    let (second, folder) = evening().await;
    let before = tree(folder.path());
    assert_eq!(tree(first.path()), before);
    second.control().deliver_logs(&LogDelivery { property: None, ..delivery("2016-10-04") }).unwrap();
    assert_eq!(tree(folder.path()), before);
}

#[tokio::test]
async fn nothing_is_delivered_without_a_folder() {
    for folder in [None, Some(PathBuf::new())] {
        let wire = Wire::at(Config { log_folder: folder, ..config() }, EVENING).await;
        let error = wire.control().deliver_logs(&delivery("2016-10-04")).unwrap_err();
        assert!(matches!(error, LogDeliveryError::NoFolder));
        assert!(error.to_string().contains("log_folder"));
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

#[tokio::test]
async fn a_delivery_has_the_form_that_was_asked_for() {
    let (wire, folder) = evening().await;
    let control = wire.control();
    let asked = LogDelivery { files: Some(6), lines: Some(40), ..delivery("2016-10-04") };
    let written = control.deliver_logs(&asked).unwrap();
    let place = folder.path().join("2016/10/04/cdn.example.com");
    let expected: Vec<PathBuf> = (1..=6).map(|file| place.join(format!("access.20161004.{file:04}.gz"))).collect();
    assert_eq!(written, expected);
    let (first, second) = (times(&written[0]), times(&written[1]));
    assert!(first.len() == 40 && !first.is_sorted());
    assert!(first.iter().enumerate().any(|(line, time)| first[..line].contains(time)));
    assert!(first.iter().max() > second.iter().min());
    for (header, first_line) in
        [(LogHeader::W3c, "#Version: 1.0"), (LogHeader::Plain, "Version 1.0"), (LogHeader::None, "2016-10-04 ")]
    {
        let asked = LogDelivery { header: Some(header), ..asked.clone() };
        let text = read(&control.deliver_logs(&asked).unwrap()[5]).unwrap();
        assert!(text.starts_with(first_line), "{text}");
    }
    // A delivery takes the place of the one before, and another property's files stay.
    let fewer = LogDelivery { files: Some(2), lines: Some(0), out_of_order: Some(false), ..asked };
    assert_eq!(control.deliver_logs(&fewer).unwrap(), expected[..2]);
    assert_eq!(names(folder.path(), "2016-10-04", CDN).len(), 2);
    assert_eq!(names(folder.path(), "2016-10-04", "www.example.com").len(), 4);
    assert_eq!(read(&expected[0]).unwrap().lines().count(), 2);
    let ordered = LogDelivery { files: None, lines: None, ..fewer };
    let all: Vec<String> = control.deliver_logs(&ordered).unwrap().iter().flat_map(|path| times(path)).collect();
    assert!(all.len() == 48 && all.is_sorted_by(|a, b| a < b));
}

#[tokio::test]
async fn late_and_broken_files_become_whole_when_they_are_completed() {
    let (wire, folder) = evening().await;
    let control = wire.control();
    let whole = tree(folder.path());
    let spoil = LogDelivery { late: Some(true), broken: Some(true), ..delivery("2016-10-04") };
    let written = control.deliver_logs(&spoil).unwrap();
    assert_eq!(written.len(), 3);
    assert_eq!(names(folder.path(), "2016-10-04", CDN).len(), 3);
    assert_eq!(read(&written[1]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(read(&written[0]).is_ok() && read(&written[2]).is_ok());
    // Another property and another day have nothing to complete.
    assert_eq!(control.complete_logs(day("2016-10-04"), Some("www.example.com")).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(control.complete_logs(day("2016-10-03"), None).unwrap(), Vec::<PathBuf>::new());
    let completed = control.complete_logs(day("2016-10-04"), None).unwrap();
    assert_eq!(completed, [written[1].clone(), written[2].with_file_name("access.20161004.0004.gz")]);
    assert_eq!(tree(folder.path()), whole);
    assert_eq!(control.complete_logs(day("2016-10-04"), Some(CDN)).unwrap(), Vec::<PathBuf>::new());
    // One file alone is the one that is cut, and the one that is late; a late one is whole when it comes.
    let one = LogDelivery { files: Some(1), broken: Some(true), ..delivery("2016-10-04") };
    assert!(read(&control.deliver_logs(&one).unwrap()[0]).is_err());
    assert_eq!(control.deliver_logs(&LogDelivery { late: Some(true), ..one }).unwrap(), Vec::<PathBuf>::new());
    let completed = control.complete_logs(day("2016-10-04"), Some(CDN)).unwrap();
    assert!(completed.len() == 1 && read(&completed[0]).is_ok());
}

#[tokio::test]
async fn the_configuration_can_make_every_day_late_and_broken() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { log_late: true, log_broken: true, log_header: LogHeader::None, ..logging(folder.path()) };
    let wire = Wire::at(config, EVENING).await;
    for property in ACTIVE {
        assert_eq!(names(folder.path(), "2016-10-03", property).len(), 3);
        let second = folder.path().join("2016/10/03").join(property).join("access.20161003.0002.gz");
        assert!(read(&second).is_err());
    }
    let completed = wire.control().complete_logs(day("2016-10-03"), None).unwrap();
    assert_eq!(completed.len(), 2 * ACTIVE.len());
    assert!(completed.iter().all(|path| read(path).unwrap().lines().count() == 12));
    let asked = LogDelivery { late: Some(false), broken: Some(false), ..delivery("2016-10-02") };
    assert!(wire.control().deliver_logs(&asked).unwrap().iter().all(|path| read(path).is_ok()));
    assert_eq!(names(folder.path(), "2016-10-02", CDN).len(), 4);
}

#[tokio::test]
async fn logs_are_delivered_and_completed_over_http() {
    let (wire, folder) = evening().await;
    let asked = json!({
        "day": "2016-10-01", "property": CDN, "files": 3, "lines": 5, "out_of_order": false, "late": true,
        "broken": true, "header": "plain",
    });
    let path = |file| folder.path().join(format!("2016/10/01/cdn.example.com/access.20161001.000{file}.gz"));
    let (status, answer) = wire.call("POST", "logs", &asked.to_string()).await;
    assert_eq!((status, answer), (200, json!({ "files": [path(1), path(2)] })));
    assert!(read(&path(1)).unwrap().starts_with("Version 1.0\ndate time "));
    assert!(read(&path(2)).is_err());
    let asked = json!({ "day": "2016-10-01", "property": CDN }).to_string();
    let (status, answer) = wire.call("POST", "logs/complete", &asked).await;
    assert_eq!((status, answer), (200, json!({ "files": [path(2), path(3)] })));
    assert_eq!(times(&path(2)).len(), 5);
    let (_, answer) = wire.call("POST", "logs", r#"{"day":"2016-10-01"}"#).await;
    assert_eq!(answer["files"].as_array().unwrap().len(), 4 * ACTIVE.len());
    let (_, answer) = wire.call("POST", "logs/complete", r#"{"day":"2016-10-01"}"#).await;
    assert_eq!(answer, json!({ "files": [] }));
    assert_eq!(wire.call("GET", "logs", "").await.0, 405);
    assert_eq!(wire.call("GET", "logs/complete", "").await.0, 405);
    assert_eq!(wire.control().summary().requests, 0);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_named() {
    let (wire, folder) = evening().await;
    let before = tree(folder.path());
    for (body, named) in [
        (r#"{}"#, "day"),
        (r#"{"day":"2016-02-30"}"#, "day \"2016-02-30\" is no date"),
        (r#"{"day":"yesterday"}"#, "day \"yesterday\" is no date"),
        (r#"{"day":"2009-12-31"}"#, "day 2009-12-31"),
        (r#"{"day":"2016-10-01","property":"nobody.example.com"}"#, "no property nobody.example.com"),
        (r#"{"day":"2016-10-01","property":"../../up"}"#, "no property ../../up"),
        (r#"{"day":"2016-10-01","property":"old.example.com"}"#, "property old.example.com has no logs"),
        (r#"{"day":"2016-10-01","property":"sample-live"}"#, "property sample-live has no logs"),
        (r#"{"day":"2016-10-01","files":0}"#, "files"),
        (r#"{"day":"2016-10-01","files":101}"#, "files"),
        (r#"{"day":"2016-10-01","lines":500001}"#, "lines"),
        (r#"{"day":"2016-10-01","header":"csv"}"#, "csv"),
        (r#"{"day":"2016-10-01","domain":"cdn.example.com"}"#, "domain"),
    ] {
        let (status, answer) = wire.call("POST", "logs", body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(named), "{body}: {status} {message}");
    }
    for (body, named) in [
        (r#"{"property":"cdn.example.com"}"#, "day"),
        (r#"{"day":"2016-10-04","property":"nobody.example.com"}"#, "no property nobody.example.com"),
        (r#"{"day":"2016-10-04","late":true}"#, "late"),
    ] {
        let (status, answer) = wire.call("POST", "logs/complete", body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(named), "{body}: {status} {message}");
    }
    assert_eq!(tree(folder.path()), before);
    // The folder was lost while the simulator ran, and a file stands in its place.
    fs::remove_dir_all(folder.path()).unwrap();
    fs::write(folder.path(), "").unwrap();
    let (status, answer) = wire.call("POST", "logs", r#"{"day":"2016-10-01"}"#).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(status == 500 && message.contains("cannot write"), "{status} {message}");
    fs::remove_file(folder.path()).unwrap();
}
