//! The lines of an offline log of EdgeOne: one JSON object each.
//!
//! Members are those that the vendor's page on offline logs (product 1552, document 73660) describes for site
//! acceleration, times in UTC; what is absent is `-`, or -1 for numbers. All of a line follows from domain, area, hour
//! and line, in the order of time. Called for log packages, and by tests that compare with what they have read.

use serde_json::json;

use crate::hash::{mixed, seed};
use crate::tencent_api::{HOUR, floor, iso};

const AGENTS: [&str; 3] = ["Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0", "curl/8.5.0", "-"];
const PROTOCOLS: [&str; 3] = ["HTTP/1.1", "HTTP/2.0", "HTTP/3"];
const COUNTRIES: [&str; 6] = ["JP", "SG", "US", "DE", "KR", "ID"];

/// The lines of the log of a domain in an area (`mainland` or `overseas`) for the hour that the time lies in, without
/// line feeds. Whether there is such a log at all, stands in the configuration.
#[must_use]
pub fn edgeone_log_lines(domain: &str, area: &str, hour_begin_unix: i64) -> Vec<String> {
    let hour = floor(hour_begin_unix, HOUR, 0);
    let number = mixed(mixed(seed(domain) ^ seed(area).rotate_left(9)) ^ hour.unsigned_abs());
    let count = 5 + number % 12;
    (0..count).map(|place| line(domain, area, hour, place, count, mixed(number ^ place))).collect()
}

fn line(domain: &str, area: &str, hour: i64, place: u64, count: u64, number: u64) -> String {
    let draw = |salt: u64, count: u64| mixed(number ^ (salt << 40)) % count;
    let pick = |salt: u64, count: usize| usize::try_from(draw(salt, count as u64)).unwrap_or(0);
    let second = i64::try_from(place * 3600 / count).unwrap_or(0);
    let object = 1 + draw(1, 300).min(draw(2, 300));
    let (status, bytes) = match draw(3, 100) {
        0..85 => (200, 4_000 + mixed(object) % 900_000),
        85..92 => (206, 1_000 + draw(4, 4_000)),
        92..97 => (304, 380),
        _ => (404, 540),
    };
    // A wildcard's site is asked for under some name.
    let site = domain.replace('*', "www");
    let mainland = area == "mainland";
    let network = ["192.0.2", "198.51.100", "203.0.113"][pick(5, 3)];
    json!({
        "RequestID": format!("{:016x}{:04}", number, object),
        "ClientIP": format!("{network}.{}", 1 + draw(6, 254)),
        "ClientRegion": if mainland { "CN" } else { COUNTRIES[pick(7, COUNTRIES.len())] },
        "ClientState": if mainland { "CN-GD" } else { "-" },
        "ClientISP": if mainland { "中国电信" } else { "-" },
        "RequestTime": iso(hour + second),
        "RequestStatus": "1",
        "RequestHost": site,
        "RequestBytes": 300 + draw(8, 400),
        "RequestMethod": if draw(9, 40) == 0 { "HEAD" } else { "GET" },
        "RequestUrl": format!("/img/{object}.jpg"),
        "RequestUrlQueryString": if object % 4 == 0 { "size=large" } else { "-" },
        "RequestUA": AGENTS[pick(10, AGENTS.len())],
        "RequestRange": if status == 206 { "0-4095" } else { "-" },
        "RequestReferer": if draw(11, 3) == 0 { format!("https://{site}/") } else { "-".to_owned() },
        "RequestProtocol": PROTOCOLS[pick(12, 3)],
        "RemotePort": 1024 + draw(13, 60_000),
        "EdgeCacheStatus": if draw(14, 8) == 0 { "miss" } else { "hit" },
        "EdgeResponseStatusCode": status,
        "EdgeResponseBytes": bytes,
        "EdgeResponseTime": 1 + draw(15, 900),
        "EdgeInternalTime": 1 + draw(16, 90),
        "EdgeServerID": format!("{:032x}", mixed(draw(17, 40))),
        "EdgeServerIP": format!("192.0.2.{}", 1 + draw(18, 254)),
        "SecurityAction": "-",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn lines_are_json_in_the_order_of_time() {
        let hour = 1_700_020_800; // 2023-11-15T04:00:00Z
        let lines = edgeone_log_lines("www.example.org", "overseas", hour);
        assert_eq!(lines, edgeone_log_lines("www.example.org", "overseas", hour + 1));
        assert_ne!(lines, edgeone_log_lines("www.example.org", "mainland", hour));
        let read: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let times: Vec<&str> = read.iter().map(|line| line["RequestTime"].as_str().unwrap()).collect();
        assert!(times.is_sorted() && times.iter().all(|time| time.starts_with("2023-11-15T04:")));
        assert!(read.iter().all(|line| line["RequestHost"] == "www.example.org"));
    }
}
