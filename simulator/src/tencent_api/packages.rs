//! Log packages: gzip files, one for each hour of a domain in an area, behind links that are signed and end after a
//! day.
//!
//! A link is `/_tencent_logs/<service>/<area>/<YYYYMMDD>/<HH>/<YYYYMMDDHH>00-<domain>.gz?st=..&e=..` on the address
//! that the API was asked at; hours are those of UTC+8 for Tencent Cloud CDN and of UTC for EdgeOne. All of a file
//! follows from its path. Listed by the actions of both services, served by `TencentApi::download`.

use std::io::Write;

use chrono::NaiveDateTime;
use flate2::{Compression, GzBuilder};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::signature::sign_link;
use super::time::{DAY, HOUR, UTC_8, local};
use crate::edgeone::edgeone_log_lines;
use crate::tencent::tencent_log_lines;

/// Where the paths of log files begin.
pub(crate) const PREFIX: &str = "/_tencent_logs/";

/// Which service a package is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Cdn,
    Teo,
}

impl Service {
    /// The name in credential scopes.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cdn => "cdn",
            Self::Teo => "teo",
        }
    }

    /// The zone of the hours in names and paths.
    fn zone(self) -> i64 {
        match self {
            Self::Cdn => UTC_8,
            Self::Teo => 0,
        }
    }
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) service: Service,
    pub(crate) area: &'static str,
    pub(crate) domain: String,
    /// When its hour begins.
    pub(crate) hour: i64,
}

impl Package {
    /// The packages of the hours that begin in a range, ended by now and are at most 30 days old; by hour and area.
    pub(crate) fn between(
        service: Service,
        domain: &str,
        areas: &[&'static str],
        range: (i64, i64),
        now: i64,
    ) -> Vec<Self> {
        let first = -(-range.0.max(now - 30 * DAY)).div_euclid(HOUR) * HOUR;
        let last = range.1.min(now - HOUR);
        let package = |hour, area| Self { service, area, domain: domain.to_owned(), hour };
        let hours = (first..=last).step_by(3600);
        hours.flat_map(|hour| areas.iter().map(move |area| package(hour, *area))).collect()
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> String {
        let at = |form| local(self.hour, self.service.zone(), form);
        let (service, area, domain) = (self.service.as_str(), self.area, &self.domain);
        format!("{PREFIX}{service}/{area}/{}/{}00-{domain}.gz", at("%Y%m%d/%H"), at("%Y%m%d%H"))
    }

    /// The path of a file, read back.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(PREFIX)?.split('/');
        let service = match parts.next()? {
            "cdn" => Service::Cdn,
            "teo" => Service::Teo,
            _ => return None,
        };
        let area = ["mainland", "overseas"].into_iter().find(|area| Some(*area) == parts.clone().next())?;
        let (time, domain) = path.rsplit('/').next()?.strip_suffix(".gz")?.split_once('-')?;
        let hour = NaiveDateTime::parse_from_str(time, "%Y%m%d%H%M").ok()?.and_utc().timestamp() - service.zone();
        let package = Self { service, area, domain: domain.to_owned(), hour };
        (package.path() == path).then_some(package)
    }

    /// A link that is good for a day.
    pub(crate) fn link(&self, base: &str, secret_key: &str, now: i64) -> String {
        let (path, end) = (self.path(), now + DAY);
        format!("{base}{path}?st={}&e={end}", signature(secret_key, &path, end))
    }

    /// What stands in the file.
    pub(crate) fn text(&self) -> String {
        let lines = match self.service {
            Service::Cdn => tencent_log_lines(&self.domain, self.area, self.hour),
            Service::Teo => edgeone_log_lines(&self.domain, self.area, self.hour),
        };
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// The file. Empty only if the compressor fails, which it does not in memory.
    pub(crate) fn gzip(&self) -> Vec<u8> {
        // No time goes into the head of the gzip data, so that it is always the same.
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        let written = gzip.write_all(self.text().as_bytes());
        written.and_then(|()| gzip.finish()).unwrap_or_default()
    }
}

/// Whether the query of a link is what was signed, and has not ended.
pub(crate) fn is_good_link(secret_key: &str, path: &str, query: &str, now: i64) -> bool {
    let value = |wanted: &str| {
        let pairs = form_urlencoded::parse(query.as_bytes());
        pairs.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let (Some(claimed), Some(end)) = (value("st"), value("e").and_then(|end| end.parse::<i64>().ok())) else {
        return false;
    };
    end >= now && bool::from(claimed.as_bytes().ct_eq(signature(secret_key, path, end).as_bytes()))
}

fn signature(secret_key: &str, path: &str, end: i64) -> String {
    let mut signature = sign_link(secret_key, &format!("{path}\n{end}"));
    signature.truncate(22);
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_700_020_800; // 2023-11-15 12:00:00 in UTC+8

    fn package(service: Service) -> Package {
        Package { service, area: "overseas", domain: "www.a-b.com".to_owned(), hour: NOON }
    }

    #[test]
    fn a_path_says_all_of_a_package() {
        let of_cdn = package(Service::Cdn);
        assert_eq!(of_cdn.path(), "/_tencent_logs/cdn/overseas/20231115/12/202311151200-www.a-b.com.gz");
        assert_eq!(Package::parse(&of_cdn.path()), Some(of_cdn));
        let of_teo = package(Service::Teo);
        assert_eq!(of_teo.path(), "/_tencent_logs/teo/overseas/20231115/04/202311150400-www.a-b.com.gz");
        assert_eq!(Package::parse(&of_teo.path()), Some(of_teo));
        for path in [
            "/_tencent_logs/cdn/overseas/20231115/13/202311151200-www.a-b.com.gz",
            "/_tencent_logs/cdn/moon/20231115/12/202311151200-www.a-b.com.gz",
            "/_tencent_logs/cdn/overseas/20231115/12/202311151230-www.a-b.com.gz",
            "/_tencent_logs/cdn/overseas/",
        ] {
            assert_eq!(Package::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_link_is_good_for_a_day_and_for_its_path() {
        let link = package(Service::Cdn).link("http://host", "key", NOON);
        let (path, query) = link.strip_prefix("http://host").unwrap().split_once('?').unwrap();
        assert!(is_good_link("key", path, query, NOON + DAY));
        assert!(!is_good_link("key", path, query, NOON + DAY + 1));
        assert!(!is_good_link("other", path, query, NOON));
        assert!(!is_good_link("key", &path.replace("www", "wwx"), query, NOON));
        assert!(!is_good_link("key", path, &query.replace("&e=1", "&e=2"), NOON));
        assert!(!is_good_link("key", path, "", NOON));
    }

    #[test]
    fn only_whole_hours_of_the_last_30_days_have_packages() {
        let hours = |from, until, now| {
            let packages = Package::between(Service::Cdn, "a", &["mainland"], (from, until), now);
            packages.into_iter().map(|package| package.hour).collect::<Vec<_>>()
        };
        assert_eq!(hours(NOON, NOON + HOUR, NOON + 5 * HOUR), [NOON, NOON + HOUR]);
        assert_eq!(hours(NOON + 1, NOON + HOUR, NOON + 5 * HOUR), [NOON + HOUR]);
        assert_eq!(hours(NOON, NOON + 9 * HOUR, NOON + 2 * HOUR - 1), [NOON]);
        assert_eq!(hours(0, NOON, NOON).len(), 30 * 24);
        assert_eq!(Package::between(Service::Cdn, "a", &["mainland", "overseas"], (NOON, NOON), NOON + HOUR).len(), 2);
    }
}
