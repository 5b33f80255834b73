//! Purges and prefetches as they are submitted, and the quotas that they spend.
//!
//! A call may be taken in part: targets that are no URLs, belong to no domain of the zone, are not online (prefetch) or
//! were refused by a test come back in `FailedList`, and are neither spent nor listed. How a call is divided into
//! refused whole and refused in part is documented only as far as the list goes; limits refuse whole here. A quota is a
//! zone's.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::EdgeOne;
use crate::config::{EdgeOneDomain, EdgeOneStatus, EdgeOneZone, TaskQuota};
use crate::hash::mixed;
use crate::lock::locked;
use crate::tencent_api::{ApiError, Members, Row, Task, Visit, host_of, members};

/// Targets with the zones that they are in, and the refused ones by reason.
#[derive(Default)]
struct Sorted {
    taken: Vec<(String, Row)>,
    failed: BTreeMap<&'static str, Vec<String>>,
}

impl EdgeOne {
    pub(super) fn create_purge_task(&self, visit: &mut Visit<'_>) -> Result<Members, ApiError> {
        let params = visit.params;
        let kind = params.text("Type").unwrap_or_default();
        let Some((kind, quota)) = self.quotas().into_iter().find(|(name, _)| *name == kind && kind != PREFETCH) else {
            return Err(ApiError::invalid(format!("The type {kind} is not simulated")));
        };
        let method = params.text("Method").filter(|method| !method.is_empty()).unwrap_or("invalidate");
        if !matches!(method, "invalidate" | "delete") {
            return Err(ApiError::invalid("Method is invalidate or delete"));
        }
        // A URL is always deleted: a method is for the other types only.
        let method = if kind == "purge_url" { "delete" } else { method };
        if params.texts("Targets").is_empty() && kind != "purge_all" {
            return Err(ApiError::missing("Targets"));
        }
        self.submit(visit, kind, method, quota)
    }

    pub(super) fn create_prefetch_task(&self, visit: &mut Visit<'_>) -> Result<Members, ApiError> {
        if visit.params.texts("Targets").is_empty() {
            return Err(ApiError::missing("Targets"));
        }
        if !matches!(visit.params.text("Mode"), None | Some("" | "default" | "edge")) {
            return Err(ApiError::invalid("Mode is default or edge"));
        }
        self.submit(visit, PREFETCH, "", self.config.quotas.prefetch_url)
    }

    fn submit(
        &self,
        visit: &mut Visit<'_>,
        kind: &'static str,
        method: &str,
        quota: TaskQuota,
    ) -> Result<Members, ApiError> {
        let id = visit.params.text("ZoneId").unwrap_or_default();
        let targets = visit.params.texts("Targets");
        if targets.len() as u64 > quota.batch {
            return Err(ApiError::new("LimitExceeded.BatchQuota", "Too many targets at once"));
        }
        let zones: Vec<&EdgeOneZone> = match id {
            "*" if kind == "purge_all" => return Err(ApiError::invalid("purge_all is for one zone")),
            "*" => self.config.zones.iter().collect(),
            id => vec![self.zone(id)?],
        };
        let sorted = if kind == "purge_all" { whole_zones(&zones) } else { sort(visit, &zones, kind, &targets) };
        let mut costs: HashMap<String, u64> = HashMap::new();
        for (zone, _) in &sorted.taken {
            *costs.entry(zone.clone()).or_default() += 1;
        }
        if !locked(&self.quotas).spend(visit.now(), &costs, kind, quota.daily) {
            return Err(ApiError::new("LimitExceeded.DailyQuota", "More than is left of today's quota"));
        }
        let mut tasks = locked(&self.tasks);
        let job = job_id(visit.now(), tasks.number());
        let mut by_zone: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for (zone, row) in sorted.taken {
            by_zone.entry(zone).or_default().push(row);
        }
        for (zone, rows) in by_zone {
            tasks.add(Task {
                id: job.as_str().into(),
                created_ms: visit.now_ms,
                kind: kind.to_owned(),
                method: method.to_owned(),
                place: zone,
                prefetch: kind == PREFETCH,
                rows,
            });
            visit.registered = true;
        }
        let failed = sorted.failed.into_iter().map(|(reason, targets)| json!({ "Reason": reason, "Targets": targets }));
        Ok(members(json!({ "JobId": job, "FailedList": failed.collect::<Vec<Value>>() })))
    }

    pub(super) fn describe_content_quota(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let zone = self.zone(visit.params.text("ZoneId").unwrap_or_default())?;
        let mut book = locked(&self.quotas);
        let (mut purges, mut prefetches) = (Vec::new(), Vec::new());
        for (kind, quota) in self.quotas() {
            let left = book.left(visit.now(), &zone.id, kind, quota.daily);
            let shown = json!({ "Batch": quota.batch, "Daily": quota.daily, "DailyAvailable": left, "Type": kind });
            if kind == PREFETCH { &mut prefetches } else { &mut purges }.push(shown);
        }
        Ok(members(json!({ "PurgeQuota": purges, "PrefetchQuota": prefetches })))
    }

    fn quotas(&self) -> [(&'static str, TaskQuota); 5] {
        let quotas = self.config.quotas;
        [
            ("purge_url", quotas.purge_url),
            ("purge_prefix", quotas.purge_prefix),
            ("purge_host", quotas.purge_host),
            ("purge_all", quotas.purge_all),
            (PREFETCH, quotas.prefetch_url),
        ]
    }
}

/// The vendor's word for a prefetch of URLs.
const PREFETCH: &str = "prefetch_url";

/// What a purge of everything is listed with: the zone's name, which is chosen.
fn whole_zones(zones: &[&EdgeOneZone]) -> Sorted {
    let row = |zone: &&EdgeOneZone| (zone.id.clone(), Row { target: zone.name.clone(), host: zone.name.clone() });
    Sorted { taken: zones.iter().map(row).collect(), ..Sorted::default() }
}

fn sort(visit: &Visit<'_>, zones: &[&EdgeOneZone], kind: &str, targets: &[&str]) -> Sorted {
    let mut sorted = Sorted::default();
    for target in targets {
        match place(visit, zones, kind, target) {
            Ok(zone) => {
                let row = Row { target: (*target).to_owned(), host: host_of(target) };
                sorted.taken.push((zone.to_owned(), row));
            }
            Err(reason) => sorted.failed.entry(reason).or_default().push((*target).to_owned()),
        }
    }
    sorted
}

/// The zone that a target belongs to, or why it is not taken.
fn place<'z>(visit: &Visit<'_>, zones: &[&'z EdgeOneZone], kind: &str, target: &str) -> Result<&'z str, &'static str> {
    let has_scheme = target.starts_with("http://") || target.starts_with("https://");
    if has_scheme == (kind == "purge_host") {
        return Err("the target is not of the form that the type needs");
    }
    let host = host_of(target);
    let found = zones.iter().find_map(|zone| Some((*zone, domain_of(zone, &host)?)));
    let Some((zone, domain)) = found else {
        return Err("the domain does not belong to the site");
    };
    if kind == PREFETCH && domain.status != EdgeOneStatus::Online {
        return Err("the domain is not online");
    }
    if visit.switches.refuses(target) {
        return Err("the target was refused");
    }
    Ok(&zone.id)
}

/// The domain that serves a host: of this name, or a wildcard.
fn domain_of<'z>(zone: &'z EdgeOneZone, host: &str) -> Option<&'z EdgeOneDomain> {
    let named = |name: &str| zone.domains.iter().find(|domain| domain.name == name);
    named(host).or_else(|| named(&format!("*.{}", host.split_once('.')?.1)))
}

/// Ids in the form of the vendor's samples: `20ga521cpwch`.
fn job_id(now: i64, number: u64) -> String {
    let mut rest = mixed(now.unsigned_abs() ^ number.rotate_left(40));
    let mut letter = || {
        let letter = char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize]);
        rest /= 36;
        letter
    };
    format!("2{}", (0..11).map(|_| letter()).collect::<String>())
}
