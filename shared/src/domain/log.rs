//! Daily access logs: how a file is called, which days are worked on, and the signature of a download link.
//!
//! Days are UTC days, counted from 1970. A name from a client becomes a [`LogName`] or nothing, and where a file lies
//! is never made of it. A link is bound to its file and its end (HMAC-SHA-256), so that it works without a
//! credential until then, and for nothing else. Called by the log handlers, the log job and the commands.

use super::name::DomainName;
use chrono::{Days, NaiveDate};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

const DAY_MILLISECONDS: i64 = 86_400_000;
/// Days after a day's end during which files for it may still come.
pub const LATE_DAYS: i64 = 3;
/// How the names of files end.
const ENDING: &str = ".log.gz";

/// The number of a UTC day since 1970.
#[must_use]
pub fn day_number(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}

/// The UTC day of this number; the last day that there is for one that is too large.
#[must_use]
pub fn date_of(day: i64) -> NaiveDate {
    let days = Days::new(u64::try_from(day).unwrap_or(0));
    NaiveDate::default().checked_add_days(days).unwrap_or(NaiveDate::MAX)
}

/// The UTC day at this time (milliseconds).
#[must_use]
pub fn day_at(now: i64) -> i64 {
    now.div_euclid(DAY_MILLISECONDS)
}

/// The days whose files may still come at this time (milliseconds): those that ended within [`LATE_DAYS`].
#[must_use]
pub fn recent_days(now: i64) -> std::ops::RangeInclusive<i64> {
    let today = day_at(now);
    today - LATE_DAYS..=today - 1
}

/// The first day that is kept at this time (milliseconds), when logs are kept for so many days.
#[must_use]
pub fn first_kept_day(now: i64, keep_days: u32) -> i64 {
    day_at(now) - i64::from(keep_days)
}

/// What there is of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// A file that can be downloaded.
    Ready,
    /// It is being fetched, or will be when the day is over.
    Queued,
    /// The vendor had none.
    Empty,
    /// It is older than logs are kept.
    Expired,
}

impl LogState {
    /// The word in answers and rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Queued => "queued",
            Self::Empty => "empty",
            Self::Expired => "expired",
        }
    }
}

/// The name of a day's file: `2016-09-29-cdn.example.com.log.gz`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogName {
    /// The UTC day.
    pub date: NaiveDate,
    /// The domain.
    pub domain: DomainName,
}

impl LogName {
    /// Reads a name as a client sends it; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(ENDING)?;
        let (date, domain) = stem.split_at_checked(10)?;
        let date = parse_date(date, "%Y-%m-%d")?;
        Some(Self { date, domain: DomainName::parse(domain.strip_prefix('-')?).ok()? })
    }

    /// The name for a file system that does not take `*`.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.to_string().replace('*', "_")
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}{ENDING}", self.date.format("%Y-%m-%d"), self.domain)
    }
}

/// A date that has exactly this form; the library alone would take `2016-9-1` and a sign as well.
#[must_use]
pub fn parse_date(text: &str, form: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, form).ok()?;
    (date.format(form).to_string() == text && day_number(date) >= 0).then_some(date)
}

/// Why a link is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The signature is not that of this file and this end.
    #[error("the link's signature is wrong: ask /level3/logdownload for a new one")]
    Wrong,
    /// The end is over.
    #[error("the link has expired: ask /level3/logdownload for a new one")]
    Expired,
}

/// Signs links and checks them.
#[derive(Clone)]
pub struct LinkSigner {
    mac: Option<Hmac<Sha256>>,
}

impl LinkSigner {
    /// A signer with this secret.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        // HMAC takes a key of any length, so there always is one.
        Self { mac: Hmac::new_from_slice(secret).ok() }
    }

    fn mac(&self, cdn: &str, name: &LogName, expires: i64) -> Option<Hmac<Sha256>> {
        let text = format!("overseas log\n{cdn}\n{name}\n{expires}");
        Some(self.mac.clone()?.chain_update(text))
    }

    /// The signature of a link to this file (of this CDN, if it is named) that works until `expires` (Unix seconds);
    /// 64 hexadecimal digits.
    #[must_use]
    pub fn sign(&self, cdn: &str, name: &LogName, expires: i64) -> String {
        self.mac(cdn, name, expires).map_or_else(String::new, |mac| hex::encode(mac.finalize().into_bytes()))
    }

    /// Checks a link in a time that does not depend on how much of the signature is right.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn check(
        &self,
        cdn: &str,
        name: &LogName,
        expires: &str,
        signature: &str,
        now_seconds: i64,
    ) -> Result<(), LinkError> {
        let end: i64 = expires.parse().map_err(|_| LinkError::Wrong)?;
        let given = hex::decode(signature).map_err(|_| LinkError::Wrong)?;
        // `+1` and `01` are not how it was written.
        if end.to_string() != expires {
            return Err(LinkError::Wrong);
        }
        let mac = self.mac(cdn, name, end).ok_or(LinkError::Wrong)?;
        mac.verify_slice(&given).map_err(|_| LinkError::Wrong)?;
        if now_seconds < end { Ok(()) } else { Err(LinkError::Expired) }
    }
}

impl fmt::Debug for LinkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSigner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> LogName {
        LogName::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_read_or_refused() {
        let read = name("2016-09-29-cdn.example.com.log.gz");
        assert_eq!((read.date.to_string().as_str(), read.domain.as_str()), ("2016-09-29", "cdn.example.com"));
        assert_eq!(read.to_string(), "2016-09-29-cdn.example.com.log.gz");
        assert_eq!(name("2016-09-29-*.Example.com.log.gz").file_name(), "2016-09-29-_.example.com.log.gz");
        for refused in [
            "",
            ".log.gz",
            "2016-09-29-.log.gz",
            "2016-09-29cdn.example.com.log.gz",
            "2016-13-29-cdn.example.com.log.gz",
            "2016-9-29-cdn.example.com.log.gz",
            "+2016-09-2-cdn.example.com.log.gz",
            "1969-12-31-cdn.example.com.log.gz",
            "2016-09-29-../../etc/passwd.log.gz",
            "2016-09-29-..%2f..log.gz",
            "2016-09-29-cdn.example.com.log",
            "2016-09-29-cdn.example.com/x.log.gz",
            "äöü6-09-29-cdn.example.com.log.gz",
        ] {
            assert_eq!(LogName::parse(refused), None, "{refused}");
        }
    }

    #[test]
    fn days_are_those_of_utc() {
        let date = NaiveDate::from_ymd_opt(2016, 9, 29).unwrap();
        assert_eq!(day_number(date), 17_073);
        assert_eq!(date_of(17_073), date);
        assert_eq!(day_at(17_073 * DAY_MILLISECONDS), 17_073);
        assert_eq!(day_at(17_074 * DAY_MILLISECONDS - 1), 17_073);
        assert_eq!(recent_days(17_073 * DAY_MILLISECONDS), 17_070..=17_072);
    }

    /// The digest was computed with Python's `hmac` over the text that `mac` writes.
    #[test]
    fn the_signature_is_hmac_sha_256() {
        let signer = LinkSigner::new(&[7; 32]);
        let signature = signer.sign("", &name("2016-09-29-cdn.example.com.log.gz"), 1_475_200_000);
        assert_eq!(signature, "e50fda5472e9b67eacf09ce397f04b463fe847851f8db894e5a8d8e668809b09");
    }

    #[test]
    fn a_link_is_bound_to_its_file_its_cdn_and_its_end() {
        let (signer, other) = (LinkSigner::new(&[7; 32]), LinkSigner::new(&[8; 32]));
        let (mine, foreign) = (name("2016-09-29-a.example.com.log.gz"), name("2016-09-29-b.example.com.log.gz"));
        let signature = signer.sign("", &mine, 1000);
        assert_eq!(signer.check("", &mine, "1000", &signature, 999), Ok(()));
        assert_eq!(signer.check("", &mine, "1000", &signature, 1000), Err(LinkError::Expired));
        let wrong = Err(LinkError::Wrong);
        assert_eq!(other.check("", &mine, "1000", &signature, 999), wrong);
        assert_eq!(signer.check("", &foreign, "1000", &signature, 999), wrong);
        assert_eq!(signer.check("level3", &mine, "1000", &signature, 999), wrong);
        for expires in ["2000", "", "01000", "+1000", "x", "99999999999999999999"] {
            assert_eq!(signer.check("", &mine, expires, &signature, 999), wrong, "{expires}");
        }
        for signature in ["", "00", "zz", &signature[..62], &format!("{signature}00")] {
            assert_eq!(signer.check("", &mine, "1000", signature, 999), wrong, "{signature}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(text in "\\PC{0,40}", day in 0_i64..40_000, host in "[a-z]{1,9}\\.[a-z]{2,5}") {
            let written = LogName { date: date_of(day), domain: DomainName::parse(&host).unwrap() };
            prop_assert_eq!(LogName::parse(&written.to_string()), Some(written));
            if let Some(read) = LogName::parse(&text) {
                prop_assert!(LogName::parse(&read.to_string()) == Some(read));
            }
        }
    }
}
