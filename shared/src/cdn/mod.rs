//! The border to the vendors: one trait, what a vendor can do, and how its failures are classed.
//!
//! The rest of the system speaks only these words. A vendor is one folder beside this file that
//! implements [`Cdn`]; its own terms do not leave it. A client holds no state that another process
//! would need and never touches the database: what must be remembered is handed back to the caller.
//! Called by the worker's jobs, `overseas doctor` and the `sync-*` commands; never by a handler.

use crate::domain::usage::{UsageReport, UsageWindow};
use crate::domain::{Kind, PurgeUrl, UrlFailure};
use async_trait::async_trait;
use chrono::NaiveDate;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::io::AsyncRead;

mod capability;
pub mod delivery;
pub mod edgeone;
mod error;
pub mod gate;
pub mod http;
pub mod level3;
pub mod registry;
pub mod setting;
#[cfg(test)]
mod stand_in;
pub mod tencent;

pub use capability::{Capabilities, LogSupport, PreloadSupport, Quota, QuotaKind, UsageSupport, directory};
pub use error::CdnError;
pub use gate::{CallGate, LocalGate, Permit};

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

impl From<Kind> for Action {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Refresh => Self::Refresh,
            Kind::Preload => Self::Preload,
        }
    }
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

/// How the lines of log files are laid out: whether files begin with headers, and where a line's time is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LineLayout {
    /// Date and time are the first two fields; files may begin with headers.
    #[default]
    DateAndTime,
    /// The time is the first field; every line is a request.
    TimeFirst,
    /// Every line is a JSON object with the time in this member, as text.
    Json {
        /// The member's name.
        time: &'static str,
    },
}

/// The content of a log file.
pub type LogReader = Box<dyn AsyncRead + Send + Unpin>;

/// What a vendor has of one day of one property.
#[async_trait]
pub trait DeliveredLogs: Send + Sync {
    /// The files, by name.
    fn files(&self) -> &[LogFile];

    /// How their lines are laid out.
    fn layout(&self) -> LineLayout {
        LineLayout::DateAndTime
    }

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
    /// The URLs that it did not take, while it took the others.
    pub refused: Vec<UrlFailure>,
}

/// A request whose progress is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// The id that [`Accepted`] gave.
    pub vendor_id: String,
    /// What was asked for.
    pub action: Action,
}

/// A request that the vendor has, found by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRequest {
    /// The vendor's id.
    pub vendor_id: String,
    /// When the vendor accepted it, by our clock; Unix seconds.
    pub accepted_at: i64,
    /// The URLs in it, as they were submitted.
    pub urls: BTreeSet<String>,
}

/// Where one request stands, as the vendor tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The id that [`Accepted`] gave.
    pub vendor_id: String,
    /// 0 to 100.
    pub percent: u8,
    /// Why the vendor failed all of it; `None` while it runs and when it is done.
    pub failure: Option<String>,
    /// The URLs that failed, while others went well; told when all have ended.
    pub failed_urls: Vec<UrlFailure>,
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
    /// The vendor's words for the areas in which it serves and its quotas are counted; empty where there is no such thing.
    pub areas: Vec<&'static str>,
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

    /// What the vendor takes today of everything that it counts, for people. A vendor that counts nothing has none.
    async fn quotas(&self) -> Result<Vec<Quota>, CdnError> {
        Ok(Vec::new())
    }

    /// Most URLs of one [`Cdn::submit`], at least 1. May make a call, whose answer is remembered for a while.
    async fn batch_size(&self, _property: &PropertyAddress, _kind: QuotaKind) -> Result<usize, CdnError> {
        Ok(self.capabilities().urls_per_request.unwrap_or(1))
    }

    /// Hands at most [`Cdn::batch_size`] URLs of one property to the vendor, all of one kind
    /// ([`Capabilities::kind`]).
    async fn submit(&self, property: &PropertyAddress, action: Action, urls: &[PurgeUrl])
    -> Result<Accepted, CdnError>;

    /// The requests of this kind for a property that the vendor accepted at `since` (UTC milliseconds) or later, so that
    /// one whose answer was lost is not made again. Called only for [`Capabilities::finds_submitted`].
    async fn find_submitted(
        &self,
        _property: &PropertyAddress,
        _kind: QuotaKind,
        _since: i64,
    ) -> Result<Vec<FoundRequest>, CdnError> {
        Ok(Vec::new())
    }

    /// Where these requests stand, with as few calls as the vendor allows. An error is one for all of them, so that a
    /// request that is missing in the answer is one that the vendor does not list.
    async fn progress(&self, property: &PropertyAddress, requests: &[OpenRequest]) -> Result<ProgressReport, CdnError>;

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
