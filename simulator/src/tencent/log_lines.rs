//! The lines of an access log of Tencent Cloud CDN.
//!
//! Fields in the documented order, separated by spaces: time (`YYYYMMDDHHMMSS` in UTC+8), client address, domain, path,
//! bytes, province, ISP, status, referrer, milliseconds, user agent, range, method, protocol, hit or miss, client port.
//! What is absent is `NULL`; text with spaces stands in quotes. All of a line follows from domain, area, hour and line,
//! in the order of time, with some equal times. Called for log packages, and by tests that compare with what they have
//! read.

use crate::hash::{mixed, seed};
use crate::tencent_api::{COUNTRIES, HOUR, ISPS, PROVINCES, UTC_8, floor, local};

const AGENTS: [&str; 4] = [
    "\"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\"",
    "\"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)\"",
    "\"curl/8.5.0\"",
    "\"(null)\"",
];

/// The lines of the log of a domain in an area (`mainland` or `overseas`) for the hour that the time lies in, without
/// line feeds. Whether there is such a log at all, stands in the configuration.
#[must_use]
pub fn tencent_log_lines(domain: &str, area: &str, hour_begin_unix: i64) -> Vec<String> {
    let hour = floor(hour_begin_unix, HOUR, 0);
    let number = mixed(mixed(seed(domain) ^ seed(area)) ^ hour.unsigned_abs());
    let count = 6 + number % 15;
    (0..count).map(|place| line(domain, area, hour, place, count, mixed(number ^ place))).collect()
}

fn line(domain: &str, area: &str, hour: i64, place: u64, count: u64, number: u64) -> String {
    let draw = |salt: u64, count: u64| mixed(number ^ (salt << 40)) % count;
    let pick = |salt: u64, count: usize| usize::try_from(draw(salt, count as u64)).unwrap_or(0);
    // Two lines at a time are of the same moment.
    let second = i64::try_from((place / 2 * 2) * 3600 / count).unwrap_or(0);
    let time = local(hour + second, UTC_8, "%Y%m%d%H%M%S");
    let site = domain.replace('*', "www");
    let object = 1 + draw(1, 300).min(draw(2, 300));
    let (path, body) = match object % 5 {
        0 => (format!("/video/{object}.mp4"), 500_000 + mixed(object) % 2_000_000),
        1 => (format!("/api/list?page={object}&size=20"), 900 + mixed(object) % 9000),
        _ => (format!("/img/{object}.jpg"), 4_000 + mixed(object) % 300_000),
    };
    let (status, bytes) = match draw(3, 100) {
        0..84 => (200, body),
        84..90 => (206, 1_000 + draw(4, 4_000)),
        90..95 => (304, 360),
        95..98 => (404, 520),
        _ => (502, 480),
    };
    let (province, isp) = if area == "mainland" {
        (PROVINCES[pick(5, PROVINCES.len())].0, ISPS[pick(6, 3)].0)
    } else {
        (COUNTRIES[pick(5, COUNTRIES.len())].0, -1)
    };
    let network = ["192.0.2", "198.51.100", "203.0.113"][pick(7, 3)];
    let referrer = if draw(8, 3) == 0 { format!("https://{site}/") } else { "NULL".to_owned() };
    let range = if status == 206 { "bytes=0-4095" } else { "NULL" };
    let method = if draw(9, 40) == 0 { "HEAD" } else { "GET" };
    let protocol = ["HTTP/1.1", "HTTPS", "HTTP/2.0"][pick(10, 3)];
    let cached = if status == 502 || draw(11, 8) == 0 { "miss" } else { "hit" };
    format!(
        "{time} {network}.{address} {site} {path} {bytes} {province} {isp} {status} {referrer} {duration} {agent} {range} \
         {method} {protocol} {cached} {port}",
        address = 1 + draw(12, 254),
        duration = 1 + draw(13, 900),
        agent = AGENTS[pick(14, AGENTS.len())],
        port = 1024 + draw(15, 60_000),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_the_order_of_time_and_of_the_documented_form() {
        let hour = 1_700_020_800; // 2023-11-15 12:00:00 in UTC+8
        let lines = tencent_log_lines("shop.example.com", "mainland", hour);
        assert!(lines.len() >= 6 && lines.is_sorted_by_key(|line| line[..14].to_owned()));
        assert_eq!(lines, tencent_log_lines("shop.example.com", "mainland", hour + 3599));
        assert_ne!(lines, tencent_log_lines("shop.example.com", "overseas", hour));
        for line in &lines {
            let quoted: Vec<&str> = line.split('"').collect();
            assert_eq!(quoted.len(), 3, "{line}");
            let (before, after) = (quoted[0].trim_end(), quoted[2].trim_start());
            let (before, after): (Vec<&str>, Vec<&str>) = (before.split(' ').collect(), after.split(' ').collect());
            assert_eq!((before.len(), after.len()), (10, 5), "{line}");
            assert!(before[0].starts_with("2023111512") && before[2] == "shop.example.com", "{line}");
            assert!(["hit", "miss"].contains(&after[3]), "{line}");
        }
    }
}
