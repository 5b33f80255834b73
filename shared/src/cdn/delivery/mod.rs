//! Vendors that deliver access logs as files: a tree `YYYY/MM/DD/<property>/*.gz` somewhere.
//!
//! The setting `cdn.<name>.logs` says where: a folder, a bucket, or an rsync daemon. What is listed are the `.gz` files
//! of one folder, in the order of their names; a folder that is missing has none, but a tree that is missing is an
//! error, since a disk that is not mounted must not look like days without logs. A file's name is input: it is shown
//! and compared, and becomes a path only if it is a plain name. Used by vendors' clients that have no call for logs.

mod rsync;
mod tree;

use crate::cdn::setting::SettingError;
use crate::cdn::{CdnError, DeliveredLogs, LogFile};
use crate::config::{CdnConfig, without_secrets};
use crate::object_store::{self, Place};
use chrono::NaiveDate;
use rsync::Rsync;
use std::path::Path;
use tree::Tree;

/// Most files of one day and property; more are not logs.
const MOST_FILES: usize = 100_000;

/// Where a vendor delivers.
#[derive(Debug)]
pub enum Delivery {
    /// A folder or a bucket.
    Tree(Tree),
    /// An rsync daemon.
    Rsync(Rsync),
}

impl Delivery {
    /// Reads `logs` and its password from the settings of an account; `None` where there is no delivery. Makes no call.
    ///
    /// # Errors
    /// [`SettingError`] for an address that cannot be read, or a password that is missing.
    pub fn open(config: &CdnConfig) -> Result<Option<Self>, SettingError> {
        let Some(place) = config.logs.as_deref().map(str::trim).filter(|place| !place.is_empty()) else {
            return Ok(None);
        };
        if place.starts_with("rsync://") {
            return Ok(Some(Self::Rsync(Rsync::open(place, config)?)));
        }
        let refused = |error: object_store::PlaceError| {
            let known = "(known: a folder, file:///folder, s3://bucket/prefix, rsync://user@host/module)";
            SettingError::new("logs", format!("is not usable: {error} {known}"))
        };
        Ok(Some(Self::Tree(match object_store::open(place).map_err(refused)? {
            Place::Folder(root) => Tree::folder(root).map_err(|error| SettingError::new("logs", error))?,
            Place::Bucket(operator) => Tree::bucket(operator, without_secrets(place)),
        })))
    }

    /// What was delivered for a day of a property. `staging` is a folder for copies, where copies are needed.
    ///
    /// # Errors
    /// [`CdnError`] when the place cannot be read.
    pub async fn logs(
        &self,
        property: &str,
        date: NaiveDate,
        staging: &Path,
    ) -> Result<Box<dyn DeliveredLogs>, CdnError> {
        if !is_plain_name(property) {
            return Err(CdnError::Unsupported(format!("{property:?} cannot be the name of a folder")));
        }
        let day = date.format("%Y/%m/%d").to_string();
        match self {
            Self::Tree(tree) => Ok(Box::new(tree.logs(format!("{day}/{property}/")).await?)),
            Self::Rsync(rsync) => Ok(Box::new(rsync.logs(&day, property, staging).await?)),
        }
    }
}

/// A name of one folder or file, and not a path or an option.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['.', '-'])
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

/// Whether a listed file is one of the day's.
fn is_log(name: &str) -> bool {
    is_plain_name(name) && name.ends_with(".gz")
}

/// In the order of the names, in which equal times are kept.
fn in_order(mut files: Vec<LogFile>) -> Result<Vec<LogFile>, CdnError> {
    if files.len() > MOST_FILES {
        return Err(CdnError::Unreadable(format!("{} files for one day; at most {MOST_FILES} are read", files.len())));
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
