//! Tencent Cloud CDN: statistics, districts and logs, held against the functions that the simulator exports.
//!
//! It is noon in UTC+8 on 2023-11-15. Traffic is made up from names and times, so each value can be computed here; what
//! a test computes is the sum that the documentation describes, over the five minutes that it says are in a point.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use overseas_simulator::{DistrictForm, tencent_district_split, tencent_log_lines, tencent_usage};
use serde_json::{Value, json};

use crate::client::read;
use crate::tencent_client::{Cloud, DAY, HOUR, NOON_SECONDS, column, naive, naive_range};

const MIDNIGHT: i64 = NOON_SECONDS - 12 * HOUR;
const YESTERDAY: i64 = MIDNIGHT - DAY;

/// Bytes and requests of a domain in the slots that begin in a range.
fn sum(domain: &str, area: &str, from: i64, until: i64) -> (u64, u64) {
    let slots = (from..until).step_by(300).map(|slot| tencent_usage(domain, area, slot));
    slots.fold((0, 0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1))
}

async fn points(cloud: &Cloud, body: Value) -> Vec<(String, u64)> {
    let answer = cloud.ok("DescribeCdnData", body).await;
    assert_eq!(answer["Data"].as_array().unwrap().len(), 1);
    values(&answer["Data"][0])
}

fn values(resource: &Value) -> Vec<(String, u64)> {
    let points = resource["CdnData"][0]["DetailData"].as_array().unwrap();
    points.iter().map(|point| (point["Time"].as_str().unwrap().to_owned(), point["Value"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn points_are_floored_inclusive_and_say_what_the_traffic_is() {
    let cloud = Cloud::cdn().await;
    let from = MIDNIGHT + HOUR;
    let body = |metric: &str, interval: &str| {
        let more = json!({ "Metric": metric, "Interval": interval, "Domains": ["shop.example.com"] });
        naive_range(from + 299, from + HOUR + 10, more)
    };
    let flux = points(&cloud, body("flux", "5min")).await;
    let slots: Vec<i64> = (from..=from + HOUR).step_by(300).collect();
    let usage = |slot: i64| tencent_usage("shop.example.com", "mainland", slot);
    let expected: Vec<(String, u64)> = slots.iter().map(|slot| (naive(*slot), usage(*slot).0)).collect();
    assert_eq!(flux, expected);
    let requests = points(&cloud, body("request", "5min")).await;
    assert!(requests.iter().zip(&slots).all(|((_, value), slot)| *value == usage(*slot).1));
    let bandwidth = points(&cloud, body("bandwidth", "5min")).await;
    assert!(bandwidth.iter().zip(&slots).all(|((_, value), slot)| *value == usage(*slot).0 * 8 / 300));
    let hours = points(&cloud, body("flux", "hour")).await;
    let hour = |begin: i64| (naive(begin), sum("shop.example.com", "mainland", begin, begin + HOUR).0);
    assert_eq!(hours, [hour(from), hour(from + HOUR)]);
    let minutes = points(&cloud, body("flux", "min")).await;
    assert_eq!(minutes.len(), 57);
    assert_eq!(minutes[1..6].iter().map(|(_, value)| value).sum::<u64>(), flux[1].1);
    let day = naive_range(
        YESTERDAY + 5,
        YESTERDAY + 6,
        json!({ "Metric": "bandwidth", "Interval": "day", "Domains": ["shop.example.com"] }),
    );
    let peak = (YESTERDAY..MIDNIGHT).step_by(300).map(|slot| usage(slot).0 * 8 / 300).max().unwrap();
    assert_eq!(points(&cloud, day).await, [(naive(YESTERDAY), peak)]);
}

#[tokio::test]
async fn areas_are_apart_and_mainland_is_the_default() {
    let cloud = Cloud::cdn().await;
    let total = async |more: Value| {
        let mut body = naive_range(YESTERDAY, MIDNIGHT - 1, json!({ "Metric": "flux", "Interval": "hour" }));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        cloud.ok("DescribeCdnData", body).await["Data"][0]["CdnData"][0]["SummarizedData"]["Value"].as_u64().unwrap()
    };
    let of = |domain: &str, area: &str| sum(domain, area, YESTERDAY, MIDNIGHT).0;
    for (domain, area, expected) in [
        ("shop.example.com", None, of("shop.example.com", "mainland")),
        ("shop.example.com", Some("overseas"), of("shop.example.com", "overseas")),
        ("cn.example.com", Some("mainland"), of("cn.example.com", "mainland")),
        ("cn.example.com", Some("overseas"), 0),
        ("sea.example.com", None, 0),
        ("sea.example.com", Some("overseas"), of("sea.example.com", "overseas")),
        ("old.shop.example.com", None, 0),
    ] {
        let more = area.map_or(json!({ "Domains": [domain] }), |area| json!({ "Domains": [domain], "Area": area }));
        assert_eq!(total(more).await, expected, "{domain} {area:?}");
    }
    let all = of("shop.example.com", "mainland") + of("cn.example.com", "mainland") + of("cdn.example.com", "mainland");
    assert_eq!(total(json!({})).await, all);
    assert_eq!(total(json!({ "Domains": ["shop.example.com"], "Product": "ecdn" })).await, 0);
}

#[tokio::test]
async fn several_domains_are_summed_or_told_apart() {
    let cloud = Cloud::cdn().await;
    let domains = ["shop.example.com", "cn.example.com"];
    let body = |detail: bool| {
        naive_range(
            MIDNIGHT,
            MIDNIGHT,
            json!({ "Metric": "flux", "Interval": "5min", "Domains": domains, "Detail": detail }),
        )
    };
    let apart = cloud.ok("DescribeCdnData", body(true)).await;
    assert_eq!(column(&apart, "Data", "Resource"), domains);
    let each: Vec<u64> = apart["Data"].as_array().unwrap().iter().map(|resource| values(resource)[0].1).collect();
    assert_eq!(each, domains.map(|domain| tencent_usage(domain, "mainland", MIDNIGHT).0));
    let together = cloud.ok("DescribeCdnData", body(false)).await;
    assert_eq!(column(&together, "Data", "Resource"), ["multiDomains"]);
    assert_eq!(values(&together["Data"][0])[0].1, each.iter().sum::<u64>());
    let utc = naive_range(
        MIDNIGHT,
        MIDNIGHT,
        json!({ "Metric": "flux", "Domains": ["cn.example.com"], "TimeZone": "UTC+00:00" }),
    );
    let shifted = points(&cloud, utc).await;
    assert_eq!(shifted, [(naive(MIDNIGHT), tencent_usage("cn.example.com", "mainland", MIDNIGHT + 8 * HOUR).0)]);
}

#[tokio::test]
async fn late_statistics_are_0_until_they_are_there() {
    let cloud = Cloud::cdn().await;
    let recent = async || {
        let more = json!({ "Metric": "flux", "Interval": "5min", "Domains": ["cn.example.com"] });
        let points = points(&cloud, naive_range(NOON_SECONDS - 1800, NOON_SECONDS, more)).await;
        points.iter().map(|(_, value)| *value > 0).collect::<Vec<_>>()
    };
    assert_eq!(recent().await, [true, true, true, false, false, false, false]);
    cloud.wire.control().tencent_delay_minutes(0).unwrap();
    assert_eq!(recent().await, [true, true, true, true, true, true, false]);
    cloud.advance(300);
    assert_eq!(recent().await, [true; 7]);
    assert!(cloud.wire.control().tencent_delay_minutes(50_000).is_err());
}

#[tokio::test]
async fn ranges_and_intervals_have_limits() {
    let cloud = Cloud::cdn().await;
    let date = "InvalidParameter.CdnStatInvalidDate";
    let interval = "InvalidParameter.CdnInvalidParamInterval";
    for (days, more, expected) in [
        (-1, json!({}), date),
        (91, json!({ "Interval": "day" }), date),
        (90, json!({ "Interval": "day" }), ""),
        (90, json!({}), ""),
        (32, json!({ "Interval": "hour" }), interval),
        (31, json!({ "Interval": "5min" }), ""),
        (2, json!({ "Interval": "min" }), interval),
        (1, json!({ "Interval": "min" }), ""),
        (1, json!({ "Interval": "min", "Area": "overseas" }), interval),
        (1, json!({ "Interval": "10min" }), interval),
        (1, json!({ "Domains": vec!["cn.example.com"; 31] }), "InvalidParameter.CdnStatTooManyDomains"),
        (1, json!({ "Domains": ["foreign.example.net"] }), "ResourceNotFound.CdnHostNotExists"),
        (1, json!({ "Area": "global" }), "InvalidParameter"),
        (1, json!({ "District": 22 }), "InvalidParameter"),
    ] {
        let mut body = naive_range(NOON_SECONDS - days * DAY, NOON_SECONDS, json!({ "Metric": "flux" }));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(cloud.code("DescribeCdnData", body).await, expected, "{days} {more}");
    }
    let body = json!({ "Metric": "flux", "StartTime": "2023-11-15T00:00:00+08:00", "EndTime": "2023-11-15 00:00:00" });
    assert_eq!(cloud.code("DescribeCdnData", body).await, date);
}

#[tokio::test]
async fn districts_sum_up_to_the_day_and_are_those_of_the_map() {
    for form in [DistrictForm::Name, DistrictForm::Id] {
        let cloud = Cloud::cdn_with(|config| config.tencent.as_mut().unwrap().district_form = form).await;
        let map = cloud.ok("DescribeMapInfo", json!({ "Name": "district" })).await;
        let known = column(&map, "MapInfoList", if form == DistrictForm::Name { "Name" } else { "Id" });
        for (area, area_type, split) in [
            ("mainland", "server", "mainland"),
            ("overseas", "client", "overseas"),
            ("overseas", "server", "overseas-server"),
        ] {
            for filter in ["flux", "request"] {
                let more = json!({
                    "Metric": "district", "Filter": filter, "Area": area, "AreaType": area_type, "Domains": ["shop.example.com"],
                });
                let answer = cloud.ok("ListTopData", naive_range(YESTERDAY + 5, YESTERDAY + 10, more)).await;
                // The start has its seconds cut off, so all of yesterday is in it.
                let (bytes, requests) = sum("shop.example.com", area, YESTERDAY, MIDNIGHT);
                let mut expected: Vec<(Value, u64)> =
                    tencent_district_split("shop.example.com", split, YESTERDAY, bytes, requests)
                        .into_iter()
                        .map(|share| {
                            let name =
                                if form == DistrictForm::Name { share.name.to_owned() } else { share.id.to_string() };
                            (name.into(), if filter == "flux" { share.bytes } else { share.requests })
                        })
                        .collect();
                expected.sort_by_key(|(_, value)| std::cmp::Reverse(*value));
                let rows = answer["Data"][0]["DetailData"].as_array().unwrap();
                let found: Vec<(Value, u64)> =
                    rows.iter().map(|row| (row["Name"].clone(), row["Value"].as_u64().unwrap())).collect();
                assert_eq!(found, expected, "{area} {filter}");
                assert_eq!(
                    found.iter().map(|(_, value)| value).sum::<u64>(),
                    if filter == "flux" { bytes } else { requests }
                );
                let is_known = |name: &Value| {
                    known.iter().any(|known| known.to_string().trim_matches('"') == name.as_str().unwrap())
                };
                assert!(found.iter().all(|(name, _)| is_known(name)));
            }
        }
    }
}

#[tokio::test]
async fn districts_of_today_end_where_the_series_ends() {
    let cloud = Cloud::cdn().await;
    let top = naive_range(
        MIDNIGHT,
        MIDNIGHT,
        json!({ "Metric": "district", "Filter": "flux", "Domains": ["cn.example.com"] }),
    );
    let rows = cloud.ok("ListTopData", top).await["Data"][0]["DetailData"].clone();
    let total: u64 = rows.as_array().unwrap().iter().map(|row| row["Value"].as_u64().unwrap()).sum();
    assert_eq!(total, sum("cn.example.com", "mainland", MIDNIGHT, NOON_SECONDS - 900).0);
    for (more, expected) in [
        (json!({ "Metric": "url", "Filter": "flux" }), "InvalidParameter.CdnStatInvalidMetric"),
        (json!({ "Metric": "district", "Filter": "bandwidth" }), "InvalidParameter.CdnStatInvalidFilter"),
        (json!({ "Metric": "district", "Filter": "flux", "Limit": 101 }), "InvalidParameter"),
    ] {
        assert_eq!(cloud.code("ListTopData", naive_range(MIDNIGHT, MIDNIGHT, more)).await, expected);
    }
    let isps = cloud.ok("DescribeMapInfo", json!({ "Name": "isp" })).await;
    assert_eq!(isps["ServerRegionRelation"], Value::Null);
    assert_eq!(cloud.code("DescribeMapInfo", json!({ "Name": "moon" })).await, "InvalidParameter");
}

async fn file(cloud: &Cloud, url: &str) -> Result<String, u16> {
    let answer = cloud.wire.http.get(url).send().await.unwrap();
    if answer.status() != 200 {
        return Err(answer.status().as_u16());
    }
    let mut text = String::new();
    MultiGzDecoder::new(&answer.bytes().await.unwrap()[..]).read_to_string(&mut text).unwrap();
    Ok(text)
}

#[tokio::test]
async fn logs_are_hourly_packages_behind_links_that_end() {
    let cloud = Cloud::cdn().await;
    let list = async |area: Option<&str>, more: Value| {
        let mut body =
            naive_range(NOON_SECONDS - 3 * HOUR, NOON_SECONDS, json!({ "Domain": "shop.example.com", "Area": area }));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        cloud.ok("DescribeCdnDomainLogs", body).await
    };
    let logs = list(None, json!({})).await;
    assert_eq!((&logs["TotalCount"], column(&logs, "DomainLogs", "Area")), (&json!(3), vec![json!("mainland"); 3]));
    assert_eq!(column(&logs, "DomainLogs", "LogName"), ["2023111509", "2023111510", "2023111511"]);
    assert_eq!(logs["DomainLogs"][0]["EndTime"], "2023-11-15 09:59:59");
    let both = list(Some("global"), json!({ "Limit": 3, "Offset": 2 })).await;
    assert_eq!((&both["TotalCount"], column(&both, "DomainLogs", "Area").len()), (&json!(6), 3));
    let mut nulls = 0;
    for (log, hour) in logs["DomainLogs"].as_array().unwrap().iter().zip([3, 2, 1]) {
        let url = log["LogPath"].as_str().unwrap();
        let text = file(&cloud, url).await.unwrap();
        let expected = tencent_log_lines("shop.example.com", "mainland", NOON_SECONDS - hour * HOUR);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        match &log["FileSize"] {
            Value::Null => nulls += 1,
            size => {
                let length = cloud.wire.http.get(url).send().await.unwrap().content_length();
                assert_eq!(size.as_u64(), length);
            }
        }
    }
    assert_eq!(nulls, 1);
    let url = logs["DomainLogs"][0]["LogPath"].as_str().unwrap().to_owned();
    for wrong in [
        url.split('?').next().unwrap().to_owned(),
        url.replace("st=", "st=0"),
        url.replace("&e=1", "&e=2"),
        url.replace("/mainland/", "/overseas/"),
    ] {
        assert_eq!(file(&cloud, &wrong).await, Err(403), "{wrong}");
    }
    assert_eq!(file(&cloud, &url.replace("shop", "foreign")).await, Err(403));
    assert_eq!(file(&cloud, &url.replace(".gz", ".zip")).await, Err(404));
    cloud.advance(86_400);
    assert!(file(&cloud, &url).await.is_ok());
    cloud.advance(1);
    assert_eq!(file(&cloud, &url).await, Err(403));
    let entry = cloud.wire.control().requests(0).requests.last().unwrap().clone();
    assert_eq!(
        (entry.operation, entry.property.as_deref()),
        (overseas_simulator::Operation::TencentLog, Some("shop.example.com"))
    );
}

#[tokio::test]
async fn domains_without_logs_or_traffic_in_an_area_have_no_packages() {
    let cloud = Cloud::cdn_with(|config| config.tencent.as_mut().unwrap().domains[4].logs = false).await;
    for (domain, area, expected) in [
        ("cn.example.com", "global", 24),
        ("cn.example.com", "overseas", 0),
        ("sea.example.com", "mainland", 0),
        ("shop.example.com", "global", 48),
        ("old.shop.example.com", "global", 0),
        ("cdn.example.com", "global", 0),
    ] {
        let body = naive_range(YESTERDAY, MIDNIGHT - 1, json!({ "Domain": domain, "Area": area }));
        assert_eq!(cloud.ok("DescribeCdnDomainLogs", body).await["TotalCount"], expected, "{domain} {area}");
    }
    let foreign = naive_range(YESTERDAY, MIDNIGHT, json!({ "Domain": "foreign.example.net" }));
    assert_eq!(cloud.code("DescribeCdnDomainLogs", foreign).await, "ResourceNotFound.CdnHostNotExists");
    let bare =
        read(cloud.wire.http.get(format!("{}/_tencent_logs/", cloud.wire.simulator.vendor_url()))).await.unwrap();
    assert_eq!(bare.status, 404);
}
