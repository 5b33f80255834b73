//! The client against a vendor made by hand: what is sent, what the official samples say, and what goes wrong.
//!
//! What all Tencent Cloud services have in common is tested with the CDN. Whole journeys are tested against the simulator.

use super::wire::TaskRow;
use super::*;
use crate::cdn::LocalGate;
use crate::cdn::stand_in::{Reply, Vendor, header, ok};
use crate::cdn::tencent::cloud::{Class, class_of};
use crate::domain::usage::Cell;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn client(vendor: &Vendor) -> EdgeOne {
    let table = serde_json::json!({
        "vendor": "edgeone", "base_url": vendor.url(), "key_id": "AKIDEXAMPLE", "secret": "EXAMPLEteoSecret0001",
        "timeout_seconds": 5, "rate_limit_pause_seconds": 1
    });
    let config: CdnConfig = serde_json::from_value(table).unwrap();
    EdgeOne::new("main", &config, Arc::new(LocalGate::default())).unwrap()
}

fn property() -> PropertyAddress {
    PropertyAddress { vendor_ref: "zone-1/www.example.org".to_owned(), name: "www.example.org".to_owned() }
}

fn urls(paths: &[&str]) -> Vec<PurgeUrl> {
    paths.iter().map(|path| PurgeUrl::parse(&format!("http://www.example.org{path}")).unwrap()).collect()
}

fn response(content: &str) -> Reply {
    ok(&format!(r#"{{"Response":{{{content},"RequestId":"3c140219-cfe9-470e-b241-907877d6fb03"}}}}"#))
}

fn open(action: Action) -> [OpenRequest; 1] {
    [OpenRequest { vendor_id: "20g9wz8m9mgx".to_owned(), action }]
}

/// The official list, with what each code means to us.
#[test]
fn every_code_of_the_official_list_has_the_class_that_it_should() {
    let mut known = BTreeSet::new();
    for line in include_str!("tests/error_codes.txt").lines().filter(|line| !line.starts_with('#')) {
        let (code, expected) = line.split_once(' ').unwrap();
        let class = match class_of(codes::CODES, code) {
            Class::Unsupported(_) => "Unsupported".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(class, expected, "{code}");
        known.insert(code);
    }
    assert_eq!(known.len(), 529);
    for (code, _) in codes::CODES {
        assert!(known.contains(code), "{code} is none of the vendor's");
    }
}

#[tokio::test]
async fn calls_name_the_zone_and_the_kind() {
    let vendor = Vendor::start(vec![response(r#""JobId":"20ga521cpwch","FailedList":[]"#)]).await;
    let client = client(&vendor);
    for (action, paths, name, body) in [
        (
            Action::Refresh,
            ["/a.txt"].as_slice(),
            "CreatePurgeTask",
            r#"{"ZoneId":"zone-1","Type":"purge_url","Targets":["http://www.example.org/a.txt"]}"#,
        ),
        (
            Action::Refresh,
            &["/test/*", "/b/"],
            "CreatePurgeTask",
            r#"{"ZoneId":"zone-1","Type":"purge_prefix","Method":"delete","Targets":["http://www.example.org/test/","http://www.example.org/b/"]}"#,
        ),
        (
            Action::Preload,
            &["/a.txt"],
            "CreatePrefetchTask",
            r#"{"ZoneId":"zone-1","Targets":["http://www.example.org/a.txt"]}"#,
        ),
    ] {
        let accepted = client.submit(&property(), action, &urls(paths)).await.unwrap();
        assert_eq!(accepted, Accepted { vendor_id: "20ga521cpwch".to_owned(), refused: Vec::new() });
        let request = vendor.requests().pop().unwrap();
        assert_eq!(
            (header(&request, "x-tc-action"), header(&request, "x-tc-version")),
            (Some(name), Some("2022-09-01"))
        );
        assert!(request.ends_with(body), "{request}");
    }
}

#[tokio::test]
async fn a_partial_refusal_names_its_targets_and_a_whole_one_is_a_refusal() {
    let one = r#""JobId":"j","FailedList":[{"Reason":"host not in zone","Targets":["http://www.example.org/b"]}]"#;
    let vendor = Vendor::start(vec![response(one)]).await;
    let accepted = client(&vendor).submit(&property(), Action::Refresh, &urls(&["/a", "/b"])).await.unwrap();
    assert_eq!((accepted.refused[0].url.as_str(), accepted.refused.len()), ("http://www.example.org/b", 1));
    let error = client(&vendor).submit(&property(), Action::Refresh, &urls(&["/b"])).await.unwrap_err();
    assert_eq!(error, CdnError::Rejected("host not in zone".to_owned()));
    let vendor = Vendor::start(vec![response(r#""JobId":"j","FailedList":null"#)]).await;
    assert!(client(&vendor).submit(&property(), Action::Refresh, &urls(&["/b"])).await.is_ok());
}

#[tokio::test]
async fn the_official_samples_are_read() {
    let sample = r#""Tasks":[{"JobId":"20g9wz8m9mgx","Status":"success","Target":"http://www.example.org/a.txt","Type":"prefetch_url",
        "CreateTime":"2022-02-09T02:28:43Z","UpdateTime":"2022-02-09T02:28:52Z"},{"JobId":"20g9wz8m9mgx","Status":"failed",
        "Target":"http://www.example.org/b.txt","Type":"prefetch_url","FailType":"originPullFailed","FailMessage":"no origin",
        "CreateTime":"2022-02-09T02:28:43Z","UpdateTime":"2022-02-09T02:28:52Z"}],"TotalCount":2"#;
    let vendor = Vendor::start(vec![response(sample)]).await;
    let report = client(&vendor).progress(&property(), &open(Action::Preload)).await.unwrap();
    let progress = &report.listed[0];
    assert_eq!(
        (progress.percent, progress.failed_urls[0].reason.as_str()),
        (100, "failed: originPullFailed: no origin")
    );
    let found = client(&vendor).find_submitted(&property(), QuotaKind::Preload, 1_644_373_000_000).await.unwrap();
    assert_eq!((found[0].vendor_id.as_str(), found[0].accepted_at), ("20g9wz8m9mgx", 1_644_373_723));
    let quota = r#""PrefetchQuota":[{"Batch":2000,"Daily":10000,"DailyAvailable":10000,"Type":"prefetch_url"}],"PurgeQuota":[
        {"Batch":2000,"Daily":10000,"DailyAvailable":10000,"Type":"purge_url"},
        {"Batch":20,"Daily":10000,"DailyAvailable":10000,"Type":"purge_prefix"},
        {"Batch":2000,"Daily":10000,"DailyAvailable":10000,"Type":"purge_all"}]"#;
    let vendor = Vendor::start(vec![response(quota)]).await;
    let client = client(&vendor);
    assert_eq!(client.batch_size(&property(), QuotaKind::RefreshDirectory).await, Ok(20));
    assert_eq!(client.batch_size(&property(), QuotaKind::Preload).await, Ok(2000));
    assert_eq!(vendor.requests().len(), 1);
}

#[tokio::test]
async fn usage_sums_both_series_and_spreads_the_countries() {
    let from = 1_661_731_200;
    let series = |metric: &str, values: [i64; 2]| {
        let [one, two] = values;
        format!(
            r#"{{"MetricName":"{metric}","Sum":0,"Max":0,"Avg":0,"Detail":[{{"Timestamp":{from},"Value":{one}}},{{"Timestamp":{},"Value":{two}}}]}}"#,
            from + 300
        )
    };
    let timing = format!(
        r#""TotalCount":1,"Data":[{{"TypeKey":"1","TypeValue":[{},{}]}}]"#,
        series("l7Flow_outFlux", [900, 300]),
        series("l7Flow_request", [3, 1])
    );
    let top = |cn: u64, us: u64| {
        let rows = format!(r#"{{"Key":"CN","Value":{cn}}},{{"Key":"US","Value":{us}}}"#);
        response(&format!(r#""TotalCount":1,"Data":[{{"TypeKey":"1","DetailData":[{rows}]}}]"#))
    };
    let vendor = Vendor::start(vec![response(&timing), top(800, 400), top(4, 0)]).await;
    let window = UsageWindow::new(from, from + 600).unwrap();
    let report = client(&vendor).usage(&property(), window).await.unwrap();
    assert_eq!(report.totals(), [Cell { bytes: 900, requests: 3 }, Cell { bytes: 300, requests: 1 }]);
    let cities: Vec<(&str, Vec<u64>)> =
        report.cities().map(|(name, city)| (name, city.cells.iter().map(|cell| cell.bytes).collect())).collect();
    assert_eq!(cities, [("CN", vec![600, 200]), ("US", vec![300, 100])]);
    let request = vendor.requests().remove(0);
    let body = r#"{"StartTime":"2022-08-29T00:00:00Z","EndTime":"2022-08-29T00:09:59Z","MetricNames":["l7Flow_outFlux","l7Flow_request"],"ZoneIds":["zone-1"],"Interval":"5min","Filters":[{"Key":"domain","Operator":"equals","Value":["www.example.org"]}]}"#;
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn what_is_older_than_the_plan_keeps_is_empty_and_no_failure() {
    let error = response(r#""Error":{"Code":"LimitExceeded.QueryTimeLimitExceeded","Message":"too old"}"#);
    let vendor = Vendor::start(vec![error]).await;
    let window = UsageWindow::new(0, 600).unwrap();
    assert_eq!(client(&vendor).usage(&property(), window).await, Ok(UsageReport::new(window)));
}

#[test]
fn an_address_that_is_none_is_an_unknown_property() {
    let property = PropertyAddress { vendor_ref: "zone-1".to_owned(), name: String::new() };
    assert!(matches!(place(&property), Err(CdnError::UnknownProperty(_))));
}

proptest! {
    #[test]
    fn only_the_words_for_an_end_end_a_job(status in "\\PC{0,12}") {
        let row = TaskRow {
            job_id: "j".to_owned(),
            target: "t".to_owned(),
            status: Some(status.clone()),
            fail_type: None,
            fail_message: None,
            create_time: None,
        };
        let ends = ["success", "failed", "timeout", "canceled", "invalid"].contains(&status.to_ascii_lowercase().as_str());
        prop_assert_eq!(tasks::progress_of("j", &[row], 1).unwrap().percent == 100, ends);
    }
}
