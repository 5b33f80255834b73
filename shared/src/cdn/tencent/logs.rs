//! Access logs: hourly packages for mainland China and overseas, behind signed links that are listed on demand.
//!
//! Our day is a UTC day, so its packages are those that begin between 08:00 and the next 08:00 of the vendor's time. The
//! times within the lines stay as the vendor wrote them, in UTC+8. Source: the documentation of `DescribeCdnDomainLogs`.

use super::Tencent;
use super::cloud::{Package, Packages};
use super::time;
use super::wire::{LogRow, LogsIn};
use crate::cdn::{CdnError, DeliveredLogs, LineLayout};
use crate::domain::usage::DAY_SECONDS;
use chrono::NaiveDate;

/// Packages that are asked for at a time, the vendor's most.
const PAGE: usize = 1000;
/// Most packages of a day that are read.
const MOST: usize = 20_000;
/// A line begins with its time, `20261123043243`; fields are separated by blanks and there is no header.
const LAYOUT: LineLayout = LineLayout::TimeFirst;
/// Days that the vendor keeps them.
const KEPT_DAYS: i64 = 30;

impl Tencent {
    /// The packages of a domain's UTC day; none once the vendor has removed them.
    pub(super) async fn packages(&self, domain: &str, date: NaiveDate) -> Result<Box<dyn DeliveredLogs>, CdnError> {
        let day = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        let end = day + DAY_SECONDS;
        let mut packages: Vec<Package> = Vec::new();
        if end + KEPT_DAYS * DAY_SECONDS > self.account.clock().now_seconds() {
            let (start_time, end_time) = (time::written(day), time::written(end - 1));
            let request = LogsIn {
                domain,
                start_time: &start_time,
                end_time: &end_time,
                offset: 0,
                limit: PAGE,
                area: "global",
                log_type: "access",
            };
            let (rows, _) = self.account.call_pages("logs", "DescribeCdnDomainLogs", domain, request, MOST).await?;
            packages = rows.into_iter().map(package).collect::<Result<_, _>>()?;
        }
        Ok(Box::new(Packages::new(&self.downloads, LAYOUT, packages, (day, end))))
    }
}

fn package(row: LogRow) -> Result<Package, CdnError> {
    let begins_at =
        time::read(&row.start_time).ok_or_else(|| CdnError::Unreadable(format!("`{}` is no time", row.start_time)))?;
    let name = format!("{}-{}.gz", row.log_name, row.area.as_deref().unwrap_or("mainland"));
    Ok(Package { name, begins_at, size: row.file_size, link: row.log_path })
}
