//! What our clients ask of Tencent Cloud CDN and EdgeOne, judged by the vendor's own description and signature code.
//!
//! Our clients and our simulator could agree on the same mistake, so here the other side is a stand-in that shares nothing
//! with either. What it looks at stands in `simulator/tests/sdk/judge.py`, what it answers in `samples.py` beside it, and
//! `mistakes.py` shows that it notices. The lists of error codes are held against the official SDKs too.

use crate::support::database::server;
use flate2::read::GzDecoder;
use overseas_shared::cdn::{
    Action, CatalogueProperty, Cdn, LocalGate, OpenRequest, PropertyAddress, QuotaKind, registry,
};
use overseas_shared::clock::Clock;
use overseas_shared::config::CdnConfig;
use overseas_shared::domain::PurgeUrl;
use overseas_shared::domain::usage::{Cell, DAY_SECONDS, UsageReport, UsageWindow};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const KEY_ID: &str = "AKIDEXAMPLEjudged0001";
const SECRET: &str = "EXAMPLEjudgedSecret01";
/// What the stand-in has in each five minutes of an area, and the parts of the two places in it.
const SLOT: Cell = Cell { bytes: 10, requests: 5 };
const PARTS: [Cell; 2] = [Cell { bytes: 6, requests: 3 }, Cell { bytes: 4, requests: 2 }];

/// The Python that has the vendor's packages; it leaves no compiled files beside the sources.
fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new(server("OVERSEAS_TEST_PYTHON"));
    command.arg("-B").args(arguments);
    command
}

fn script(name: &str) -> String {
    format!("{ROOT}/simulator/tests/sdk/{name}")
}

/// The stand-in, which ends with its value.
struct Judge {
    child: Child,
    url: String,
}

impl Judge {
    fn start(service: &str) -> Self {
        let mut command = python(&[&script("judge.py"), service, KEY_ID, SECRET]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    fn client(&self, vendor: &str) -> Arc<dyn Cdn> {
        let table = json!({"vendor": vendor, "base_url": self.url, "key_id": KEY_ID, "secret": SECRET});
        let config: CdnConfig = serde_json::from_value(table).unwrap();
        registry::build("judged", &config, Arc::new(LocalGate::default())).unwrap()
    }

    /// That nothing was wrong, and that each action that the client's sources name was called.
    async fn is_content_with(&self, client: &str) {
        let answer = reqwest::get(format!("{}/_judge/report", self.url)).await.unwrap();
        let report: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(report["violations"], json!([]));
        let called: BTreeSet<&str> = report["calls"].as_object().unwrap().keys().map(String::as_str).collect();
        let sources = sources(client);
        let actions = report["actions"].as_array().unwrap().iter().map(|action| action.as_str().unwrap());
        let named: BTreeSet<&str> = actions.filter(|action| sources.contains(&format!("\"{action}\""))).collect();
        assert!(named.len() >= 10, "{named:?}");
        assert_eq!(called, named);
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sources of a vendor's client, without its tests.
fn sources(client: &str) -> String {
    let files =
        std::fs::read_dir(format!("{ROOT}/shared/src/cdn/{client}")).unwrap().map(|entry| entry.unwrap().path());
    let code = files.filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs"));
    code.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn urls(property: &PropertyAddress, paths: &[&str]) -> Vec<PurgeUrl> {
    paths.iter().map(|path| PurgeUrl::parse(&format!("https://{}{path}", property.name)).unwrap()).collect()
}

/// The properties of the whole catalogue.
async fn catalogue(cdn: &dyn Cdn) -> Vec<PropertyAddress> {
    let mut found = Vec::new();
    for group in cdn.groups().await.unwrap() {
        for service in cdn.services(&group).await.unwrap() {
            for property in &service.properties {
                // The sample has this one, and it is switched off there.
                assert_eq!(
                    (property.active, property.caching),
                    (property.name != "www.test.com", true),
                    "{property:?}"
                );
            }
            let address = |CatalogueProperty { vendor_ref, name, .. }| PropertyAddress { vendor_ref, name };
            found.extend(service.properties.into_iter().map(address));
        }
    }
    found
}

/// What is asked of an account.
async fn ask_of_the_account(cdn: &dyn Cdn) {
    let status = cdn.account().await.unwrap();
    assert!(status.summary.contains(KEY_ID), "{}", status.summary);
    assert!(status.clock_ahead_seconds.unwrap().abs() < 5);
    let kinds: BTreeSet<QuotaKind> = cdn.quotas().await.unwrap().iter().map(|quota| quota.kind).collect();
    assert_eq!(kinds, BTreeSet::from(QuotaKind::ALL));
}

/// Hands URLs of each kind over, in ASCII and not, follows them to their end and finds them again.
async fn ask_for_work(cdn: &dyn Cdn, property: &PropertyAddress) {
    let mut open = Vec::new();
    for (action, paths) in [
        (Action::Refresh, ["/a.jpg", "/b?x=1&y=%20"].as_slice()),
        (Action::Refresh, &["/a.jpg", "/图/片.jpg?größe=1"]),
        (Action::Refresh, &["/", "/*", "/a/", "/b/*"]),
        (Action::Refresh, &["/图/", "/größe/*"]),
        (Action::Preload, &["/a.jpg", "/b?x=1&y=%20"]),
        (Action::Preload, &["/图.jpg"]),
    ] {
        let accepted = cdn.submit(property, action, &urls(property, paths)).await.unwrap();
        assert!(accepted.refused.is_empty() && !accepted.vendor_id.is_empty());
        open.push(OpenRequest { vendor_id: accepted.vendor_id, action });
    }
    let report = cdn.progress(property, &open).await.unwrap();
    let ends: Vec<(&str, u8)> = report.listed.iter().map(|one| (one.vendor_id.as_str(), one.percent)).collect();
    assert_eq!(ends, open.iter().map(|request| (request.vendor_id.as_str(), 100)).collect::<Vec<_>>());
    let hour_ago = Clock::system().now() - 3_600_000;
    for kind in QuotaKind::ALL {
        let found = cdn.find_submitted(property, kind, hour_ago).await.unwrap();
        assert!(!found.is_empty(), "{kind:?}");
        for request in found {
            let is_of_property = request.urls.iter().all(|url| url.starts_with(&format!("http://{}/", property.name)));
            assert!(is_of_property && !request.urls.is_empty() && request.accepted_at > 1_500_000_000, "{request:?}");
        }
    }
}

async fn usage(cdn: &dyn Cdn, property: &PropertyAddress, from: i64, to: i64) -> UsageReport {
    cdn.usage(property, UsageWindow::new(from, to).unwrap()).await.unwrap()
}

/// Asks what was delivered in a day, in some hours of it and in the last ones. `places` are those that the stand-in has for
/// the property, two for each area.
async fn ask_for_usage(cdn: &dyn Cdn, property: &PropertyAddress, places: &[&str]) {
    let now = Clock::system().now_seconds();
    let day = now - now.rem_euclid(DAY_SECONDS) - 3 * DAY_SECONDS;
    let areas = places.len() as u64 / 2;
    let total = Cell { bytes: SLOT.bytes * areas, requests: SLOT.requests * areas };
    for (from, to) in [(day, day + DAY_SECONDS), (day + 3 * 3600, day + 8 * 3600)] {
        let report = usage(cdn, property, from, to).await;
        assert_eq!(report.totals(), vec![total; report.totals().len()]);
        let of_places: BTreeMap<&str, &[Cell]> = report.cities().map(|(name, city)| (name, &city.cells[..])).collect();
        let expected: BTreeMap<&str, Vec<Cell>> = places
            .iter()
            .zip(PARTS.iter().cycle())
            .map(|(name, part)| (*name, vec![*part; report.totals().len()]))
            .collect();
        assert_eq!(of_places, expected.iter().map(|(name, cells)| (*name, &cells[..])).collect());
    }
    let end = now - now.rem_euclid(300);
    assert_eq!(usage(cdn, property, end - 3 * 3600, end).await.totals(), [total; 36]);
}

/// Lists a day's files and reads them.
async fn ask_for_logs(cdn: &dyn Cdn, property: &PropertyAddress) {
    let date =
        chrono::DateTime::from_timestamp(Clock::system().now_seconds() - 2 * DAY_SECONDS, 0).unwrap().date_naive();
    let staging = tempfile::tempdir().unwrap();
    let logs = cdn.logs(property, date, staging.path()).await.unwrap();
    logs.fetch().await.unwrap();
    assert_eq!(logs.files().len(), 2);
    for file in logs.files() {
        let mut packed = Vec::new();
        logs.open(file).await.unwrap().read_to_end(&mut packed).await.unwrap();
        assert_eq!(packed.len() as u64, file.size);
        let mut text = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert!(text.starts_with("a line of "), "{text}");
    }
    logs.clean_up().await;
}

/// Everything that there is to ask, of every property. Gives the sizes of batches that were told for each.
async fn ask_everything(cdn: &dyn Cdn, places: fn(&str) -> &'static [&'static str]) -> BTreeMap<String, Vec<usize>> {
    ask_of_the_account(cdn).await;
    let mut batches: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for property in catalogue(cdn).await {
        for kind in QuotaKind::ALL {
            let size = cdn.batch_size(&property, kind).await.unwrap();
            batches.entry(property.vendor_ref.clone()).or_default().push(size);
        }
        ask_for_work(cdn, &property).await;
        ask_for_usage(cdn, &property, places(&property.name)).await;
        ask_for_logs(cdn, &property).await;
    }
    batches
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_to_tencent_keeps_the_published_schema_and_signature() {
    let judge = Judge::start("cdn");
    let client = judge.client("tencent");
    let batches = ask_everything(&*client, |domain| match domain {
        "www.test.com" => &["北京", "广东"],
        "www.test.org" => &["Japan", "Brazil"],
        _ => &["北京", "广东", "Japan", "Brazil"],
    })
    .await;
    let expected = [("www.test.com", 39), ("www.test.net", 20), ("www.test.org", 20)];
    let expected = expected.map(|(domain, directories)| (domain.to_owned(), vec![1000, directories, 1000]));
    assert_eq!(batches, BTreeMap::from(expected));
    judge.is_content_with("tencent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_to_edgeone_keeps_the_published_schema_and_signature() {
    let judge = Judge::start("teo");
    let client = judge.client("edgeone");
    let batches = ask_everything(&*client, |_| &["CN", "US"]).await;
    assert_eq!(batches.len(), 4, "{batches:?}");
    assert!(batches.contains_key("zone-2noz3g48ev6k/www.qq.com"), "{batches:?}");
    assert_eq!(batches["zone-2noz3g48ev6m/img.qq.com"], [2000; 3]);
    judge.is_content_with("edgeone").await;
}

#[test]
fn the_judge_notices_each_mistake_and_finds_none_in_what_is_right() {
    for service in ["cdn", "teo"] {
        let judge = Judge::start(service);
        let output = python(&[&script("mistakes.py"), &judge.url, service, KEY_ID, SECRET]).output().unwrap();
        assert!(output.status.success(), "{service}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_lists_of_error_codes_are_those_of_the_official_sdks() {
    for (sdk, list) in [
        ("cdn.v20180606", include_str!("../../../shared/src/cdn/tencent/tests/error_codes.txt")),
        ("teo.v20220901", include_str!("../../../shared/src/cdn/edgeone/tests/error_codes.txt")),
    ] {
        let program = format!(
            "from tencentcloud.{sdk} import errorcodes\n\
             print(*(code for name, code in vars(errorcodes).items() if name.isupper()), sep='\\n')"
        );
        let output = python(&["-c", &program]).output().unwrap();
        assert!(output.status.success(), "{sdk}: {}", String::from_utf8_lossy(&output.stderr));
        let official = String::from_utf8(output.stdout).unwrap();
        let official: BTreeSet<&str> = official.lines().collect();
        let lines = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let ours: BTreeSet<&str> = lines.map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(ours, official, "{sdk}");
    }
}
