//! Tencent EdgeOne: service `teo`, version 2022-09-01, as its documentation and its official SDK describe it.
//!
//! The account's zones and their domains, what was submitted for them, and statistics and logs that are made up. Times
//! are ISO 8601 with an offset. Where the documentation is silent, the choice is written beside the code. The
//! transport, which is the same for Tencent Cloud CDN, is `crate::tencent_api`; it calls this with parameters that were
//! checked against [`ACTIONS`].

mod log_lines;
mod rows;
mod schema;
mod statistics;
mod submit;
mod zones;

use std::sync::Mutex;

use serde_json::json;

pub use self::log_lines::edgeone_log_lines;
pub(crate) use self::schema::ACTIONS;
use crate::config::{EdgeOneConfig, EdgeOneDomain, EdgeOneZone};
use crate::operation::Operation;
use crate::tencent_api::{
    ApiError, HOUR, Members, Package, Params, QuotaBook, Service, TaskList, UTC_8, Visit, local, members, parse_iso,
};

/// The areas that logs are packed for.
const AREAS: [&str; 2] = ["mainland", "overseas"];

/// The service: its account, and what its clients did.
pub(crate) struct EdgeOne {
    config: EdgeOneConfig,
    tasks: Mutex<TaskList>,
    quotas: Mutex<QuotaBook>,
}

impl EdgeOne {
    pub(crate) fn new(config: &EdgeOneConfig) -> Self {
        Self { config: config.clone(), tasks: Mutex::default(), quotas: Mutex::default() }
    }

    /// The id of the key and the key.
    pub(crate) fn credentials(&self) -> (&str, &str) {
        (&self.config.secret_id, &self.config.secret_key)
    }

    /// Does an action whose parameters are as documented.
    pub(crate) fn act(&self, operation: Operation, visit: &mut Visit<'_>) -> Result<Members, ApiError> {
        match operation {
            Operation::EdgeOneDescribeZones => self.describe_zones(visit),
            Operation::EdgeOneDescribeAccelerationDomains => self.describe_acceleration_domains(visit),
            Operation::EdgeOneCreatePurgeTask => self.create_purge_task(visit),
            Operation::EdgeOneCreatePrefetchTask => self.create_prefetch_task(visit),
            Operation::EdgeOneDescribePurgeTasks => self.describe_tasks(visit, false),
            Operation::EdgeOneDescribePrefetchTasks => self.describe_tasks(visit, true),
            Operation::EdgeOneDescribeContentQuota => self.describe_content_quota(visit),
            Operation::EdgeOneDescribeTimingL7AnalysisData => self.describe_timing(visit),
            Operation::EdgeOneDescribeTopL7AnalysisData => self.describe_top(visit),
            Operation::EdgeOneDownloadL7Logs => self.download_l7_logs(visit),
            _ => Err(ApiError::new("InvalidAction", "The request action is not existing or not supported.")),
        }
    }

    /// Whether there can be a package like this.
    pub(crate) fn has_logs(&self, package: &Package) -> bool {
        let mut domains = self.config.zones.iter().flat_map(|zone| &zone.domains);
        domains.any(|domain| domain.name == package.domain && logged(domain))
    }

    fn zone(&self, id: &str) -> Result<&EdgeOneZone, ApiError> {
        let found = self.config.zones.iter().find(|zone| zone.id == id);
        found.ok_or_else(|| ApiError::new("InvalidParameter.ZoneNotFound", format!("There is no zone {id}")))
    }

    /// The zones of `ZoneIds`: `*` means all of the account. Needed since 30 May 2024, whatever the description says.
    fn zones(&self, params: &Params) -> Result<Vec<&EdgeOneZone>, ApiError> {
        let ids = params.texts("ZoneIds");
        match ids.as_slice() {
            [] => Err(ApiError::missing("ZoneIds")),
            ["*"] => Ok(self.config.zones.iter().collect()),
            ids if ids.len() > 100 => Err(ApiError::invalid("At most 100 ZoneIds")),
            ids => ids.iter().map(|id| self.zone(id)).collect(),
        }
    }

    fn download_l7_logs(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let params = visit.params;
        let (offset, limit) = params.page(20, 300)?;
        let zones = self.zones(params)?;
        let wanted = params.texts("Domains");
        let (start, end, _) = time_range(params)?;
        let mut packages = Vec::new();
        for domain in zones.iter().flat_map(|zone| &zone.domains) {
            if logged(domain) && (wanted.is_empty() || wanted.contains(&domain.name.as_str())) {
                packages.extend(Package::between(Service::Teo, &domain.name, &AREAS, (start, end), visit.now()));
            }
        }
        packages.sort_by_key(|package| package.hour);
        let shown = packages.iter().skip(offset).take(limit).map(|package| {
            let at = |seconds| local(seconds, UTC_8, "%Y-%m-%dT%H:%M:%S+08:00");
            json!({
                "Domain": package.domain,
                "Area": package.area,
                "LogPacketName": format!("{}-{}-{}", local(package.hour, 0, "%Y%m%d-%H"), package.area, package.domain),
                "Url": package.link(&visit.base, &self.config.secret_key, visit.now()),
                "LogTime": package.hour + HOUR,
                "LogStartTime": at(package.hour),
                "LogEndTime": at(package.hour + HOUR),
                "Size": package.text().len(),
            })
        });
        Ok(members(json!({ "TotalCount": packages.len(), "Data": shown.collect::<Vec<_>>() })))
    }
}

fn logged(domain: &EdgeOneDomain) -> bool {
    domain.logs && domain.traffic
}

/// `StartTime` and `EndTime`, both needed, with the offset of the start.
fn time_range(params: &Params) -> Result<(i64, i64, i64), ApiError> {
    let read = |name| {
        let text = params.text(name).ok_or_else(|| ApiError::missing(name))?;
        parse_iso(text).ok_or_else(|| ApiError::invalid(format!("{name} is ISO 8601 with an offset")))
    };
    let ((start, zone), (end, _)) = (read("StartTime")?, read("EndTime")?);
    if start > end {
        return Err(ApiError::invalid("StartTime is after EndTime"));
    }
    Ok((start, end, zone))
}
