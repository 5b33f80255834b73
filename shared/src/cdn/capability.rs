//! What a vendor can do and within which limits: what is fixed, and the quotas that are read at run time.
//!
//! The API checks a request against it before it makes a task, and the worker plans its calls with it. A quota is
//! counted by the vendor, by kind and often by area or zone; what stands here is what it said last. Pure.

use crate::cdn::Action;
use crate::domain::{PurgeTarget, PurgeUrl};
use serde::{Deserialize, Serialize};

/// What a vendor can do, and within which limits.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// How the vendor is called in the configuration (`vendor = "level3"`).
    pub vendor: &'static str,
    /// Most URLs of one [`Cdn::submit`] where that is fixed; `None` where it is read at run time with
    /// [`Cdn::batch_size`].
    pub urls_per_request: Option<usize>,
    /// Whether a refresh may hold `*` anywhere. A `/*` at the end is a directory, see [`QuotaKind::of`].
    pub wildcards: bool,
    /// Whether a refresh may end in `/` or `/*`.
    pub directories: bool,
    /// Whether URLs may begin with `ftp://`.
    pub ftp: bool,
    /// Whether directories go in requests of their own, since the vendor has another call for them.
    pub directories_apart: bool,
    /// How preloading is done.
    pub preload: PreloadSupport,
    /// How usage is read; `None` for a vendor that does not tell it.
    pub usage: Option<UsageSupport>,
    /// How access logs are had.
    pub logs: LogSupport,
    /// Whether [`Cdn::find_submitted`] can find a request whose answer was lost.
    pub finds_submitted: bool,
}

/// How access logs are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSupport {
    /// There are none.
    None,
    /// The vendor delivers files to where the account's setting `logs` says, if it says so.
    Delivery,
    /// The vendor has a call for them.
    Native,
}

/// What a collector needs to know of how a vendor tells usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageSupport {
    /// Seconds by which data may be late: what is younger may be missing still.
    pub delay_seconds: i64,
    /// Seconds for which data may still be corrected, counted from the time they are about.
    pub corrections_seconds: i64,
    /// Most seconds that one [`Cdn::usage`] may ask for.
    pub longest_window_seconds: i64,
    /// Whether the vendor tells cities, or totals only.
    pub cities: bool,
}

/// How a vendor preloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreloadSupport {
    /// Not at all: the API refuses the request.
    None,
    /// The vendor has a call for it and reports its progress.
    Native,
    /// The vendor only invalidates; afterwards the worker requests each URL through the CDN itself.
    InvalidateThenFetch,
}

/// What vendors count apart in their quotas, and some take in calls of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaKind {
    /// Single objects to refresh, and wildcards where the vendor takes them.
    RefreshUrl,
    /// Directories to refresh.
    RefreshDirectory,
    /// Objects to preload.
    Preload,
}

impl QuotaKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RefreshUrl, Self::RefreshDirectory, Self::Preload];

    /// What a URL counts as.
    #[must_use]
    pub fn of(action: Action, url: &PurgeUrl) -> Self {
        match action {
            Action::Preload => Self::Preload,
            Action::Refresh if directory(url).is_some() => Self::RefreshDirectory,
            Action::Refresh => Self::RefreshUrl,
        }
    }

    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshUrl => "refresh_url",
            Self::RefreshDirectory => "refresh_directory",
            Self::Preload => "preload",
        }
    }

    /// What is to be done with the URLs.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::RefreshUrl | Self::RefreshDirectory => Action::Refresh,
            Self::Preload => Action::Preload,
        }
    }
}

/// The directory that a URL means, with its trailing `/`; `None` for an object and for a `*` anywhere but after the
/// last `/`.
#[must_use]
pub fn directory(url: &PurgeUrl) -> Option<&str> {
    let text = url.as_str();
    match url.target() {
        PurgeTarget::Object => None,
        PurgeTarget::Directory => Some(text),
        PurgeTarget::Wildcard => text.strip_suffix('*').filter(|rest| rest.ends_with('/') && !rest.contains('*')),
    }
}

/// How much the vendor takes today, as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// What is counted.
    pub kind: QuotaKind,
    /// The zone that it is counted in, by its name; empty where it is counted for the whole account.
    pub zone: String,
    /// The vendor's word for the part of the world that it is counted in, such as `mainland`; empty for all of it.
    pub area: String,
    /// Most URLs of one request.
    pub batch: u64,
    /// Most URLs of a day.
    pub daily: u64,
    /// What is left of it today.
    pub available: u64,
}

impl Quota {
    /// Whether what is done for a domain may be counted here: the zone is the domain itself or one above it, or all of the
    /// account.
    #[must_use]
    pub fn covers(&self, domain: &str) -> bool {
        let below = domain.strip_suffix(&self.zone);
        below.is_some_and(|rest| self.zone.is_empty() || rest.is_empty() || rest.ends_with('.'))
    }

    /// Whether what is done for a property that serves in these areas (joined by commas, empty for one that is counted
    /// everywhere) is counted here.
    #[must_use]
    pub fn counts_in(&self, areas: &str) -> bool {
        self.area.is_empty() || areas.is_empty() || areas.split(',').any(|area| area == self.area)
    }
}

impl Capabilities {
    /// Why a URL cannot be taken: what the vendor cannot do, as the end of a sentence.
    #[must_use]
    pub fn cannot(&self, action: Action, url: &PurgeUrl) -> Option<&'static str> {
        match (action, url.target()) {
            _ if !self.ftp && url.as_str().starts_with("ftp:") => Some("take ftp URLs"),
            (Action::Preload, _) if self.preload == PreloadSupport::None => Some("preload"),
            (Action::Refresh, PurgeTarget::Directory) if !self.directories => Some("refresh directories"),
            (Action::Refresh, PurgeTarget::Wildcard) if !self.wildcards => {
                let is_directory = self.directories && directory(url).is_some();
                (!is_directory).then_some("refresh wildcards other than /* at the end")
            }
            _ => None,
        }
    }

    /// What a URL goes with: those of one kind share a request.
    #[must_use]
    pub fn kind(&self, action: Action, url: &PurgeUrl) -> QuotaKind {
        match QuotaKind::of(action, url) {
            QuotaKind::RefreshDirectory if !self.directories_apart => QuotaKind::RefreshUrl,
            kind => kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_covers_itself_and_what_is_below_it() {
        let covers = |zone: &str, domain: &str| {
            let (zone, area) = (zone.to_owned(), String::new());
            Quota { kind: QuotaKind::Preload, zone, area, batch: 1, daily: 1, available: 1 }.covers(domain)
        };
        for domain in ["example.org", "www.example.org", "a.b.example.org", "*.example.org"] {
            assert!(covers("example.org", domain) && covers("", domain), "{domain}");
        }
        for domain in ["myexample.org", "org", "example.org.net", "www.example.com"] {
            assert!(!covers("example.org", domain), "{domain}");
        }
    }

    #[test]
    fn a_star_after_the_last_slash_is_the_directory_and_no_other_one_is() {
        let of = |text: &str| directory(&PurgeUrl::parse(text).unwrap()).map(str::to_owned);
        assert_eq!(of("http://a.example.com/img/").as_deref(), Some("http://a.example.com/img/"));
        assert_eq!(of("http://a.example.com/img/*").as_deref(), Some("http://a.example.com/img/"));
        for text in ["/img/*.jpg", "/*/img/*", "/img*", "/a?x=*", "/a", ""] {
            assert_eq!(of(&format!("http://a.example.com{text}")), None, "{text}");
        }
    }
}
