//! Usage over a connection: what is asked, which refusals are answers, and the largest answers.
//!
//! The vendor is the one made by hand; what an answer may look like inside is tested beside the reader.

use super::{KEY, client, expected_authorization, property};
use crate::cdn::stand_in::{Reply, Vendor, answer, header, ok};
use crate::cdn::{Cdn, CdnError, http};
use crate::domain::usage::{Cell, SLOTS_PER_DAY, UsageReport, UsageWindow};
use chrono::DateTime;
use std::fmt::Write as _;
use std::time::Duration;

/// 2016-08-04 00:00 UTC.
const DAY: i64 = 1_470_268_800;
const NO_DATA: &str = "<error><message>No usage data was found for specified criteria.</message></error>";

fn window(slots: i64) -> UsageWindow {
    UsageWindow::new(DAY, DAY + 300 * slots).unwrap()
}

/// A day of which every point has so many metros, each with a thousandth of a gigabyte and two requests.
fn day(metros: usize) -> String {
    let mut text = String::from("<accessGroup id=\"12345\"><data>");
    for slot in 0..SLOTS_PER_DAY {
        let at = DateTime::from_timestamp(DAY + 300 * i64::try_from(slot).unwrap(), 0).unwrap();
        let id = at.format("%m/%d/%Y %H:%M:%S");
        let _ = write!(text, "<point id=\"{id}\">\n <item><regions><region id=\"North America\"><metros>\n");
        for metro in 0..metros {
            let _ = writeln!(
                text,
                "  <metro id=\"City number {metro}\"><requests>2</requests><volume>0.001</volume>\
                 <averageThroughput>0.02666</averageThroughput></metro>"
            );
        }
        text.push_str(" </metros></region></regions></item></point>\n");
    }
    text.push_str("</data></accessGroup>");
    text
}

#[tokio::test]
async fn usage_is_one_get_whose_query_is_not_signed() {
    let vendor = Vendor::start(vec![ok("<data><point id='08/04/2016 00:05:00' volume='1'/></data>")]).await;
    let report = client(&vendor).usage(&property(), window(2)).await.unwrap();
    assert_eq!(report.totals(), [Cell::default(), Cell { bytes: 1 << 30, requests: 0 }]);
    let [request] = vendor.requests().try_into().unwrap();
    let path = "/usage/cdn/v1.0/12345/BBBN56789/cdn.example.com";
    let query = "serviceType=caching&dataInterval=5min&geo=metro&dateFrom=201608040000&dateTo=201608040010";
    assert!(request.starts_with(&format!("GET {path}?{query} HTTP/1.1\r\n")), "{request}");
    assert_eq!(header(&request, "authorization"), Some(expected_authorization(&request, "GET", path).as_str()));
    assert_eq!(header(&request, "content-type"), Some("text/xml"));
    assert_eq!(header(&request, "accept"), Some("text/xml"));
}

#[tokio::test]
async fn more_than_a_day_does_not_reach_the_vendor() {
    let vendor = Vendor::start(vec![ok("<data/>")]).await;
    let level3 = client(&vendor);
    let longest = level3.capabilities().usage.unwrap().longest_window_seconds;
    assert!(matches!(level3.usage(&property(), window(longest / 300 + 1)).await, Err(CdnError::Rejected(_))));
    assert_eq!(vendor.requests().len(), 0);
    assert!(level3.usage(&property(), window(longest / 300)).await.is_ok());
}

#[tokio::test]
async fn no_usage_data_is_an_empty_report_whatever_the_error() {
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found", "500 Internal Server Error"] {
        for body in [NO_DATA, "no usage data was found for specified criteria", &NO_DATA.to_uppercase()] {
            let vendor = Vendor::start(vec![answer(status, "", body)]).await;
            let report = client(&vendor).usage(&property(), window(1)).await;
            assert_eq!(report, Ok(UsageReport::new(window(1))), "{status} {body}");
        }
    }
    let vendor = Vendor::start(vec![ok("<data/>")]).await;
    assert_eq!(client(&vendor).usage(&property(), window(1)).await, Ok(UsageReport::new(window(1))));
}

#[tokio::test]
async fn other_errors_stay_what_they_are_and_so_do_these_words_elsewhere() {
    for (status, body, class) in [
        ("400 Bad Request", "bad date", "rejected"),
        ("404 Not Found", "no such property", "unknown_property"),
        ("500 Internal Server Error", "", "transient"),
        ("302 Found", NO_DATA, "unreadable"),
        ("403 Forbidden", NO_DATA, "credentials"),
        ("200 OK", "", "unreadable"),
        ("200 OK", "<html/>", "unreadable"),
        ("200 OK", "<data><point id='08/04/2016 00:00:00'>", "transient"),
        ("200 OK", "<data><point id='08/04/2016 00:00:00' volume='-1'/></data>", "unreadable"),
    ] {
        let vendor = Vendor::start(vec![answer(status, "", body)]).await;
        let error = client(&vendor).usage(&property(), window(1)).await.unwrap_err();
        assert_eq!(error.class(), class, "{status} {body}: {error}");
    }
    let vendor = Vendor::start(vec![answer("400 Bad Request", "", NO_DATA)]).await;
    let error = client(&vendor).progress(&property(), &[]).await.unwrap_err();
    assert_eq!(error.class(), "rejected");
}

#[tokio::test]
async fn no_usage_data_proves_the_key_and_a_403_after_it_is_the_call_rate() {
    let replies = vec![answer("400 Bad Request", "", NO_DATA), answer("403 Forbidden", "", NO_DATA), ok(KEY)];
    let vendor = Vendor::start(replies).await;
    let level3 = client(&vendor);
    assert!(level3.usage(&property(), window(1)).await.is_ok());
    assert_eq!(level3.usage(&property(), window(1)).await.unwrap_err().class(), "rate_limited");
    // The account waits, so the vendor is not asked again.
    assert_eq!(level3.usage(&property(), window(1)).await.unwrap_err().class(), "rate_limited");
    assert_eq!(vendor.requests().len(), 2);
}

#[tokio::test]
async fn a_day_of_five_hundred_cities_is_read() {
    let text = day(500);
    let vendor = Vendor::start(vec![ok(&text)]).await;
    let mut level3 = client(&vendor);
    // Unoptimised and beside other tests it takes seconds.
    level3.account.client = http::client(&level3.account.base, Duration::from_secs(120)).unwrap();
    let report = level3.usage(&property(), window(288)).await.unwrap();
    assert_eq!(report.cities().count(), 500);
    // 0.001 GB are 1,073,741.824 bytes.
    let city = Cell { bytes: 1_073_742, requests: 2 };
    assert!(report.cities().all(|(_, usage)| usage.cells.iter().all(|cell| *cell == city)));
    let total = Cell { bytes: 500 * city.bytes, requests: 1_000 };
    assert!(report.totals().iter().all(|cell| *cell == total));
}

#[tokio::test]
async fn a_flood_of_usage_is_stopped_at_its_limit() {
    let point = ("<data>", "<point id='08/04/2016 00:00:00'><metro id='a'><volume>1</volume></metro></point>");
    let metro = ("<data><point id='08/04/2016 00:00:00'>", "<metro id='a'><volume>1</volume></metro>");
    for (first, again) in [point, metro] {
        let vendor = Vendor::start(vec![Reply::Endless(first, again)]).await;
        let mut level3 = client(&vendor);
        level3.account.limits.total = 2 << 20;
        assert_eq!(level3.usage(&property(), window(1)).await.unwrap_err().class(), "unreadable");
    }
}
