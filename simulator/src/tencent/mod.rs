//! Tencent Cloud CDN: service `cdn`, version 2018-06-06, as its documentation and its official SDK describe it.
//!
//! The account's domains, what was submitted for them, and statistics and logs that are made up. Where the
//! documentation is silent, the choice is written beside the code. All times are naive and in UTC+8. The transport,
//! which is the same for EdgeOne, is `crate::tencent_api`; it calls this with parameters that were checked against
//! [`ACTIONS`].

mod domains;
mod log_lines;
mod rows;
mod schema;
mod statistics;
mod submit;

use std::sync::Mutex;

use serde_json::json;

pub use self::log_lines::tencent_log_lines;
pub(crate) use self::schema::ACTIONS;
use crate::config::{TencentArea, TencentConfig, TencentDomain};
use crate::operation::Operation;
use crate::tencent_api::{
    ApiError, Members, Package, QuotaBook, Service, TaskList, Visit, members, naive, parse_naive,
};
use crate::tencent_api::{HOUR, UTC_8};

/// The service: its account, and what its clients did.
pub(crate) struct Tencent {
    config: TencentConfig,
    tasks: Mutex<TaskList>,
    quotas: Mutex<QuotaBook>,
}

impl Tencent {
    pub(crate) fn new(config: &TencentConfig) -> Self {
        Self { config: config.clone(), tasks: Mutex::default(), quotas: Mutex::default() }
    }

    /// The id of the key and the key.
    pub(crate) fn credentials(&self) -> (&str, &str) {
        (&self.config.secret_id, &self.config.secret_key)
    }

    /// Does an action whose parameters are as documented.
    pub(crate) fn act(&self, operation: Operation, visit: &mut Visit<'_>) -> Result<Members, ApiError> {
        match operation {
            Operation::TencentDescribeDomains => self.describe_domains(visit),
            Operation::TencentPurgeUrlsCache => self.purge_urls(visit),
            Operation::TencentPurgePathCache => self.purge_paths(visit),
            Operation::TencentPushUrlsCache => self.push_urls(visit),
            Operation::TencentDescribePurgeTasks => self.describe_purge_tasks(visit),
            Operation::TencentDescribePushTasks => self.describe_push_tasks(visit),
            Operation::TencentDescribePurgeQuota => Ok(self.describe_purge_quota(visit)),
            Operation::TencentDescribePushQuota => Ok(self.describe_push_quota(visit)),
            Operation::TencentDescribeCdnData => self.describe_cdn_data(visit),
            Operation::TencentListTopData => self.list_top_data(visit),
            Operation::TencentDescribeMapInfo => statistics::describe_map_info(visit),
            Operation::TencentDescribeCdnDomainLogs => self.describe_logs(visit),
            _ => Err(ApiError::new("InvalidAction", "The request action is not existing or not supported.")),
        }
    }

    /// Whether there can be a package like this.
    pub(crate) fn has_logs(&self, package: &Package) -> bool {
        self.config.domains.iter().any(|domain| domain.name == package.domain && logged(domain, package.area))
    }

    /// The domain that serves a host: of this name, or the nearest wildcard.
    fn domain(&self, host: &str) -> Result<&TencentDomain, ApiError> {
        let named = |name: &str| self.config.domains.iter().find(|domain| domain.name == name);
        let mut found = named(host);
        let mut rest = host;
        while let (None, Some((_, parent))) = (found, rest.split_once('.')) {
            found = named(&format!("*.{parent}"));
            rest = parent;
        }
        found.ok_or_else(|| {
            ApiError::new(
                "ResourceNotFound.CdnHostNotExists",
                format!("The domain {host} does not exist in the account"),
            )
        })
    }

    fn describe_logs(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let params = visit.params;
        let (offset, limit) = params.page(100, 1000)?;
        let domain = self.domain(&params.text("Domain").unwrap_or_default().to_ascii_lowercase())?;
        if !matches!(params.text("LogType"), None | Some("access")) {
            return Err(ApiError::invalid("LogType is access"));
        }
        let area = params.text("Area").unwrap_or("mainland");
        let area = TencentArea::named(area).ok_or_else(|| ApiError::invalid("Area is mainland, overseas or global"))?;
        let areas: Vec<&'static str> = area.parts().iter().copied().filter(|area| logged(domain, area)).collect();
        let range = time_range(visit)?;
        let packages = Package::between(Service::Cdn, &domain.name, &areas, range, visit.now());
        let shown = packages.iter().skip(offset).take(limit).map(|package| {
            json!({
                "StartTime": naive(package.hour, UTC_8),
                "EndTime": naive(package.hour + HOUR - 1, UTC_8),
                "LogPath": package.link(&visit.base, &self.config.secret_key, visit.now()),
                "LogName": crate::tencent_api::local(package.hour, UTC_8, "%Y%m%d%H"),
                "Area": package.area,
                // Documented as possibly null; every fourth hour shows it.
                "FileSize": (package.hour / HOUR % 4 != 3).then(|| package.gzip().len()),
            })
        });
        Ok(members(json!({ "DomainLogs": shown.collect::<Vec<_>>(), "TotalCount": packages.len() })))
    }
}

/// Whether there are logs of a domain in an area.
fn logged(domain: &TencentDomain, area: &str) -> bool {
    domain.logs && domain.traffic && domain.area.parts().contains(&area)
}

/// `StartTime` and `EndTime`, both needed.
fn time_range(visit: &Visit<'_>) -> Result<(i64, i64), ApiError> {
    let read = |name| {
        let text = visit.params.text(name).ok_or_else(|| ApiError::missing(name))?;
        parse_naive(text, UTC_8).ok_or_else(|| ApiError::invalid(format!("{name} is of the form 2018-09-04 10:40:00")))
    };
    let (start, end) = (read("StartTime")?, read("EndTime")?);
    if start > end { Err(ApiError::invalid("StartTime is after EndTime")) } else { Ok((start, end)) }
}
