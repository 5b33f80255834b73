//! The border to the vendors: one trait, what a vendor can do, and how its failures are classed.
//!
//! The rest of the system speaks only these words. A vendor is one folder beside this file that
//! implements [`Cdn`]; its own terms do not leave it. A client holds no state that another process
//! would need and never touches the database: what must be remembered is handed back to the caller.
//! Called by the worker's jobs, `overseas doctor` and the `sync-*` commands; never by a handler.

use crate::domain::PurgeUrl;
use crate::domain::usage::{UsageReport, UsageWindow};
use async_trait::async_trait;
use chrono::NaiveDate;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncRead;

pub mod delivery;
pub mod gate;
pub mod http;
pub mod level3;
pub mod registry;
pub mod setting;

pub use gate::{CallGate, LocalGate, Permit};

/// What a vendor can do, and within which limits.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// How the vendor is called in the configuration (`vendor = "level3"`).
    pub vendor: &'static str,
    /// Most URLs of one [`Cdn::submit`].
    pub urls_per_request: usize,
    /// Whether a refresh may hold `*`.
    pub wildcards: bool,
    /// Whether a refresh may end in `/`.
    pub directories: bool,
    /// How preloading is done.
    pub preload: PreloadSupport,
    /// How usage is read; `None` for a vendor that does not tell it.
    pub usage: Option<UsageSupport>,
    /// How access logs are had.
    pub logs: LogSupport,
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

/// A property as the vendor addresses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyAddress {
    /// The vendor's own path or id, opaque outside the vendor's folder.
    pub vendor_ref: String,
    /// The name of the property: a host name, a wildcard, or a streaming id.
    pub name: String,
}

/// What is asked of the vendor for some URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The next request for the object is revalidated at the origin.
    Refresh,
    /// The content is to be at the edge afterwards.
    Preload,
}

/// A log file of the vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its name; files are merged in the order of their names.
    pub name: String,
    /// Bytes as they are delivered; gzip.
    pub size: u64,
    /// Differs when the file was changed: a time, a tag, or what else the vendor tells.
    pub version: String,
}

/// The content of a log file.
pub type LogReader = Box<dyn AsyncRead + Send + Unpin>;

/// What a vendor has of one day of one property.
#[async_trait]
pub trait DeliveredLogs: Send + Sync {
    /// The files, by name.
    fn files(&self) -> &[LogFile];

    /// Brings the files here, where they cannot be streamed from where they are.
    async fn fetch(&self) -> Result<(), CdnError> {
        Ok(())
    }

    /// Opens a file, after [`DeliveredLogs::fetch`].
    async fn open(&self, file: &LogFile) -> Result<LogReader, CdnError>;

    /// Removes copies, when the day's file is made.
    async fn clean_up(&self) {}
}

/// The vendor has accepted a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The vendor's id of the request, by which its progress is found.
    pub vendor_id: String,
}

/// Where one request stands, as the vendor tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The id that [`Accepted`] gave.
    pub vendor_id: String,
    /// 0 to 100.
    pub percent: u8,
    /// Why the vendor failed it; `None` while it runs and when it is done.
    pub failure: Option<String>,
}

/// The answer to a question about progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgressReport {
    /// The requests that the vendor knows; those that were asked for and are missing here, it does not list (any more).
    pub listed: Vec<Progress>,
    /// Whether the list is as long as the vendor keeps it, so that older requests have dropped out of it.
    pub is_full: bool,
}

/// A group of services, and perhaps of other groups, in the vendor's catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueGroup {
    /// The vendor's id, unique within the account.
    pub id: String,
    /// The name that the vendor shows.
    pub name: String,
    /// The id of the group that holds this one.
    pub parent: Option<String>,
}

/// A billing and reporting container with its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueService {
    /// The vendor's id; empty for properties that stand directly under the group.
    pub id: String,
    /// The vendor's name of the product, such as `CACHING`.
    pub product: String,
    /// The properties in it.
    pub properties: Vec<CatalogueProperty>,
}

/// A property as the vendor lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueProperty {
    /// How the vendor addresses it, see [`PropertyAddress`].
    pub vendor_ref: String,
    /// Its name, as the vendor writes it.
    pub name: String,
    /// The vendor's name of the product.
    pub product: String,
    /// Whether it serves.
    pub active: bool,
    /// Whether it is a caching property, whose name is a host name that can be refreshed.
    pub caching: bool,
}

/// What the vendor says of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountStatus {
    /// One line for people, such as `access group 12345 (My Access Group), key Active`.
    pub summary: String,
    /// Remaining request credits, where the vendor has such a thing.
    pub credits: Option<i64>,
    /// Seconds that the vendor's clock is ahead of ours; from the `Date` header, so exact to a second.
    pub clock_ahead_seconds: Option<i64>,
}

/// One account at one vendor.
#[async_trait]
pub trait Cdn: Send + Sync {
    /// What this vendor can do.
    fn capabilities(&self) -> &Capabilities;

    /// Proves the credentials with one call.
    async fn account(&self) -> Result<AccountStatus, CdnError>;

    /// All groups of the account, parents before children.
    async fn groups(&self) -> Result<Vec<CatalogueGroup>, CdnError>;

    /// The services that stand directly in a group, with their properties.
    async fn services(&self, group: &CatalogueGroup) -> Result<Vec<CatalogueService>, CdnError>;

    /// Hands at most [`Capabilities::urls_per_request`] URLs of one property to the vendor.
    async fn submit(&self, property: &PropertyAddress, action: Action, urls: &[PurgeUrl])
    -> Result<Accepted, CdnError>;

    /// Where the requests with these ids stand. One call to the vendor, however many ids.
    async fn progress(&self, property: &PropertyAddress, vendor_ids: &[String]) -> Result<ProgressReport, CdnError>;

    /// What a property has delivered in a window of at most [`UsageSupport::longest_window_seconds`]: bytes and
    /// requests in slots of five minutes, totals and by city. One call to the vendor. A vendor that has no data for
    /// the window gives an empty report, in which no slot is delivered; that is not an error.
    async fn usage(&self, property: &PropertyAddress, window: UsageWindow) -> Result<UsageReport, CdnError>;

    /// The log files of a property for a UTC day; without any it is an empty list and no error. `staging` is a folder
    /// for copies, where copies are needed.
    async fn logs(
        &self,
        property: &PropertyAddress,
        date: NaiveDate,
        staging: &Path,
    ) -> Result<Box<dyn DeliveredLogs>, CdnError>;
}

/// How a call to a vendor failed, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CdnError {
    /// The vendor refuses the key, the signature or the scope: only an operator can mend it.
    /// No call is made for `retry_after`, so as not to hammer.
    #[error("the vendor refuses the credentials: {message}")]
    Credentials {
        /// What the vendor said, without secrets.
        message: String,
        /// When the next call is worth making.
        retry_after: Duration,
    },
    /// The vendor's call rate is exceeded; the whole account waits.
    #[error("the vendor's call rate is exceeded; next call in {} s", retry_after.as_secs())]
    RateLimited {
        /// When the next call is worth making.
        retry_after: Duration,
    },
    /// The vendor refuses these very URLs or this property, and will refuse them again.
    #[error("the vendor refuses the request: {0}")]
    Rejected(String),
    /// The property is not known to the vendor.
    #[error("the vendor does not know the property: {0}")]
    UnknownProperty(String),
    /// The account cannot do this.
    #[error("the vendor cannot do this: {0}")]
    Unsupported(String),
    /// A failure that may pass: 5xx, a cut connection, a time-out. The vendor may have acted all the same.
    #[error("the vendor did not answer properly: {0}")]
    Transient(String),
    /// An answer that cannot be read, or is larger than any true one.
    #[error("the vendor's answer cannot be read: {0}")]
    Unreadable(String),
}

impl CdnError {
    /// How long the whole account should be left alone, if at all.
    #[must_use]
    pub fn account_pause(&self) -> Option<Duration> {
        match self {
            Self::Credentials { retry_after, .. } | Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether trying the same again is pointless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::UnknownProperty(_) | Self::Unsupported(_))
    }

    /// The class as a metric's label.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Credentials { .. } => "credentials",
            Self::RateLimited { .. } => "rate_limited",
            Self::Rejected(_) => "rejected",
            Self::UnknownProperty(_) => "unknown_property",
            Self::Unsupported(_) => "unsupported",
            Self::Transient(_) => "transient",
            Self::Unreadable(_) => "unreadable",
        }
    }
}
