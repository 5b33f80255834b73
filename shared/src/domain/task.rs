//! How a task moves: its states, its percentage, and the rules that end it.
//!
//! A task is queued, then running, then ended (`done`, `failed`, `expired`); it never goes back, and
//! its percentage never falls. It ends even if the vendor forgets it: [`settle`] decides from what was
//! seen and how long ago it was handed over. All of it is pure; times are UTC milliseconds.

use crate::domain::UrlFailure;
use std::fmt;
use std::str::FromStr;

/// What the customer asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Stale content is to go (purge).
    Refresh,
    /// Content is to be at the edge before it is asked for.
    Preload,
}

/// What the customer sees of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not handed to the vendor yet.
    Queued,
    /// The vendor has it.
    Running,
    /// Finished.
    Done,
    /// Ended without success; the task says why.
    Failed,
    /// Ended because nothing was heard of it in time.
    Expired,
}

/// What has to be done next for a task; the worker claims rows by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// URLs are to be handed to the vendor.
    Submit,
    /// The vendor is asked about it, property by property.
    Watch,
    /// The worker itself is to request the URLs through the CDN.
    Fetch,
    /// Nothing.
    Ended,
}

/// A stored word that is none of ours: the row was written by a newer version, or by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known {1}")]
pub struct UnknownWord(pub String, pub &'static str);

macro_rules! words {
    ($type:ident, $what:literal, $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            /// The word that is stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
        impl FromStr for $type {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word { $($word => Ok(Self::$variant),)+ other => Err(UnknownWord(other.to_owned(), $what)) }
            }
        }
    };
}
words!(Kind, "kind of task", Refresh => "refresh", Preload => "preload");
words!(State, "state of a task", Queued => "queued", Running => "running", Done => "done", Failed => "failed", Expired => "expired");
words!(Step, "step of a task", Submit => "submit", Watch => "watch", Fetch => "fetch", Ended => "ended");

impl State {
    /// Whether nothing changes any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Expired)
    }
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A request that the vendor does not list yet is expected to be missing for this long.
pub const UNLISTED_GRACE: i64 = 2 * MINUTE;
/// A request that the vendor never listed is given up after this long.
pub const NEVER_SEEN_LIMIT: i64 = 12 * HOUR;
/// A request that was listed once and is gone counts as done after this long: vendors drop a
/// request from their list 24 hours after it completed.
pub const GONE_LIMIT: i64 = 24 * HOUR;
/// Nothing stays open longer than this, whatever the vendor says.
pub const GIVE_UP_LIMIT: i64 = 72 * HOUR;

/// A request at the vendor as our rows know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// When the vendor accepted it.
    pub submitted_at: i64,
    /// Whether the vendor has ever listed it.
    pub seen: bool,
    /// The highest percentage so far.
    pub percent: u8,
}

/// What the vendor's list says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// It is listed, with this percentage and perhaps a failure.
    Listed {
        /// 0 to 100.
        percent: u8,
        /// Why the vendor failed it.
        failure: Option<String>,
        /// The URLs that failed alone.
        failed_urls: Vec<UrlFailure>,
    },
    /// It is not in the list.
    Missing,
    /// It has dropped out of a full list, and a request that was accepted after it has finished.
    Overtaken,
}

/// What follows for the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again later.
    Open {
        /// The new percentage, never less than the old.
        percent: u8,
        /// Whether it has been listed by now.
        seen: bool,
    },
    /// Finished.
    Done,
    /// Finished but for these URLs.
    DoneExcept(Vec<UrlFailure>),
    /// The vendor failed it, for this reason.
    Failed(String),
    /// Given up, for this reason.
    Expired(String),
}

/// Decides what a look at the vendor's list means for one request.
#[must_use]
pub fn settle(watched: &Watched, sighting: &Sighting, now: i64) -> Verdict {
    let age = now.saturating_sub(watched.submitted_at);
    match sighting {
        Sighting::Listed { failure: Some(reason), .. } => Verdict::Failed(reason.clone()),
        Sighting::Listed { percent, failed_urls, .. } if *percent >= 100 && !failed_urls.is_empty() => {
            Verdict::DoneExcept(failed_urls.clone())
        }
        Sighting::Listed { percent, .. } if *percent >= 100 => Verdict::Done,
        Sighting::Listed { percent, .. } if age >= GIVE_UP_LIMIT => Verdict::Expired(format!(
            "the CDN still reports {percent} % three days after it accepted the request"
        )),
        Sighting::Listed { percent, .. } => Verdict::Open {
            percent: watched.percent.max(*percent),
            seen: true,
        },
        // The vendor works in order: what was accepted before a finished request has finished too.
        Sighting::Overtaken if watched.seen => Verdict::Done,
        Sighting::Missing if watched.seen && age >= GONE_LIMIT => Verdict::Done,
        Sighting::Missing | Sighting::Overtaken if !watched.seen && age >= NEVER_SEEN_LIMIT => Verdict::Expired(
            "the CDN accepted the request but has not listed it for 12 hours; send it again if the content is still stale".to_owned(),
        ),
        Sighting::Missing | Sighting::Overtaken => Verdict::Open { percent: watched.percent, seen: watched.seen },
    }
}

/// How far a task is, 0 to 100; 100 only when all of it is done.
///
/// `handed_over` holds `(URLs, percent)` for each request at the vendor; URLs that were not handed
/// over yet count as 0. With `fetched` (a preload that the worker fetches itself) half of the
/// percentage is the vendor's part and half the share of URLs fetched.
#[must_use]
pub fn percent(url_count: u32, handed_over: &[(u32, u8)], fetched: Option<u32>) -> u8 {
    let total = u64::from(url_count.max(1));
    let vendor: u64 = handed_over.iter().map(|(urls, percent)| u64::from(*urls) * u64::from((*percent).min(100))).sum();
    let value = match fetched {
        None => vendor / total,
        Some(fetched) => (vendor + u64::from(fetched) * 100) / (2 * total),
    };
    u8::try_from(value.min(100)).unwrap_or(100)
}

/// Milliseconds until the next try after `attempts` failures: 1 s, 2 s, 4 s .. 5 min, and up to a
/// quarter more by `jitter` (0 to 1), so that what failed together does not come back together.
#[must_use]
pub fn back_off(attempts: u32, jitter: f64) -> i64 {
    let base = 1_000_i64 << attempts.saturating_sub(1).min(9);
    let base = base.min(5 * MINUTE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "at most 300,000, and a share of it"
    )]
    let extra = (base as f64 / 4.0 * jitter.clamp(0.0, 1.0)) as i64;
    base + extra
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn watched(seen: bool, percent: u8) -> Watched {
        Watched { submitted_at: 0, seen, percent }
    }

    #[test]
    fn an_unlisted_request_waits_and_expires_after_twelve_hours() {
        let at = |now| settle(&watched(false, 0), &Sighting::Missing, now);
        assert_eq!(at(UNLISTED_GRACE), Verdict::Open { percent: 0, seen: false });
        assert_eq!(at(NEVER_SEEN_LIMIT - 1), Verdict::Open { percent: 0, seen: false });
        assert!(matches!(at(NEVER_SEEN_LIMIT), Verdict::Expired(_)));
    }

    #[test]
    fn a_request_that_was_listed_and_is_gone_counts_as_done_after_a_day() {
        let at = |now| settle(&watched(true, 40), &Sighting::Missing, now);
        assert_eq!(at(GONE_LIMIT - 1), Verdict::Open { percent: 40, seen: true });
        assert_eq!(at(GONE_LIMIT), Verdict::Done);
    }

    #[test]
    fn a_request_that_newer_finished_ones_have_pushed_out_is_done_if_it_was_ever_listed() {
        assert_eq!(settle(&watched(true, 40), &Sighting::Overtaken, 1), Verdict::Done);
        assert!(matches!(settle(&watched(false, 0), &Sighting::Overtaken, 1), Verdict::Open { .. }));
    }

    #[test]
    fn a_request_that_the_vendor_never_finishes_expires() {
        let listed = Sighting::Listed { percent: 99, failure: None, failed_urls: Vec::new() };
        assert!(matches!(settle(&watched(true, 99), &listed, GIVE_UP_LIMIT), Verdict::Expired(_)));
    }

    #[test]
    fn a_preload_is_half_the_vendors_and_half_ours() {
        assert_eq!(percent(4, &[(4, 100)], Some(0)), 50);
        assert_eq!(percent(4, &[(4, 100)], Some(2)), 75);
        assert_eq!(percent(4, &[(4, 100)], Some(4)), 100);
        assert_eq!(percent(4, &[(2, 100)], None), 50);
    }

    proptest! {
        #[test]
        fn the_percentage_never_falls(seen: bool, old in 0u8..=100, new in 0u8..=100, missing: bool, now in 0i64..100 * HOUR) {
            let sighting = if missing { Sighting::Missing } else { Sighting::Listed { percent: new, failure: None, failed_urls: Vec::new() } };
            if let Verdict::Open { percent, seen: seen_now } = settle(&watched(seen, old), &sighting, now) {
                prop_assert!(percent >= old);
                prop_assert!(seen_now >= seen);
            }
        }

        #[test]
        fn every_request_ends(seen: bool, old in 0u8..100, new in 0u8..=100, missing: bool) {
            let sighting = if missing { Sighting::Missing } else { Sighting::Listed { percent: new, failure: None, failed_urls: Vec::new() } };
            let verdict = settle(&watched(seen, old), &sighting, GIVE_UP_LIMIT);
            let open = matches!(verdict, Verdict::Open { .. });
            prop_assert!(!open);
        }

        #[test]
        fn a_hundred_percent_means_all_of_it(parts in proptest::collection::vec((1u32..60, 0u8..=100), 1..10), missing in 0u32..60, fetched in proptest::option::of(0u32..100)) {
            let handed: u32 = parts.iter().map(|p| p.0).sum();
            let total = handed + missing;
            let fetched = fetched.map(|f| f.min(total));
            let complete = missing == 0 && parts.iter().all(|p| p.1 == 100) && fetched.is_none_or(|f| f == total);
            prop_assert_eq!(percent(total, &parts, fetched) == 100, complete);
        }

        #[test]
        fn back_off_grows_to_a_bound(attempts in 0u32..1000, jitter in 0.0f64..1.0) {
            let wait = back_off(attempts, jitter);
            prop_assert!((1_000..=375_000).contains(&wait));
            prop_assert!(back_off(attempts + 1, 0.0) >= back_off(attempts, 0.0));
        }

        #[test]
        fn words_are_read_back(word in "\\PC{0,10}") {
            if let Ok(state) = word.parse::<State>() { prop_assert_eq!(state.as_str(), word.as_str()); }
            for state in [State::Queued, State::Running, State::Done, State::Failed, State::Expired] {
                prop_assert_eq!(state.as_str().parse::<State>(), Ok(state));
            }
        }
    }
}
