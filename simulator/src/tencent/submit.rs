//! Purges and prefetches as they are submitted, and the quotas that they spend.
//!
//! A call is taken as a whole or refused as a whole: each URL has a scheme, no `*`, a domain of the account. An
//! accepted one spends for each area that it goes to: those of its domain, or those that `Area` names. Nothing is spent
//! by a refusal. The order of the checks is chosen: the number of URLs, the URLs, their domains, the day's quota.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Tencent;
use crate::config::{TaskQuota, TencentArea, TencentStatus};
use crate::hash::mixed;
use crate::lock::locked;
use crate::tencent_api::{ApiError, Members, Row, Task, Visit, host_of, members};

/// The longest URL. The documentation names the error and not the limit; this is chosen.
const MAX_URL: usize = 4096;

/// What is submitted, in the vendor's words.
struct Submission<'s> {
    /// `Urls` or `Paths`.
    parameter: &'static str,
    /// Its kind in the book of quotas, and in the list of purges.
    kind: &'static str,
    method: &'s str,
    quota: TaskQuota,
    batch_error: &'static str,
    day_error: &'static str,
    wildcard_error: &'static str,
    prefetch: bool,
}

impl Tencent {
    pub(super) fn purge_urls(&self, visit: &mut Visit<'_>) -> Result<Members, ApiError> {
        self.submit(
            visit,
            &Submission {
                parameter: "Urls",
                kind: "url",
                method: "delete",
                quota: self.config.quotas.url,
                batch_error: "LimitExceeded.CdnPurgeUrlExceedBatchLimit",
                day_error: "LimitExceeded.CdnPurgeUrlExceedDayLimit",
                wildcard_error: "InvalidParameter.CdnPurgeWildcardNotAllowed",
                prefetch: false,
            },
        )
    }

    pub(super) fn purge_paths(&self, visit: &mut Visit<'_>) -> Result<Members, ApiError> {
        let method = visit.params.text("FlushType").unwrap_or_default();
        if !matches!(method, "flush" | "delete") {
            return Err(ApiError::invalid("FlushType is flush or delete"));
        }
        self.submit(
            visit,
            &Submission {
                parameter: "Paths",
                kind: "path",
                method,
                quota: self.config.quotas.path,
                batch_error: "LimitExceeded.CdnPurgePathExceedBatchLimit",
                day_error: "LimitExceeded.CdnPurgePathExceedDayLimit",
                wildcard_error: "InvalidParameter.CdnPurgeWildcardNotAllowed",
                prefetch: false,
            },
        )
    }

    pub(super) fn push_urls(&self, visit: &mut Visit<'_>) -> Result<Members, ApiError> {
        let headers = visit.params.objects("Headers");
        let too_long = |name, most| headers.iter().any(|header| header.text(name).unwrap_or_default().len() > most);
        if headers.len() > 20 || too_long("Name", 128) || too_long("Value", 1024) {
            return Err(ApiError::invalid("At most 20 Headers, names up to 128 and values up to 1024 bytes"));
        }
        if !matches!(visit.params.text("Layer"), None | Some("" | "middle")) {
            return Err(ApiError::invalid("Layer is middle"));
        }
        self.submit(
            visit,
            &Submission {
                parameter: "Urls",
                kind: "push",
                method: "",
                quota: self.config.quotas.push,
                batch_error: "LimitExceeded.CdnPushExceedBatchLimit",
                day_error: "LimitExceeded.CdnPushExceedDayLimit",
                wildcard_error: "InvalidParameter.CdnPushWildcardNotAllowed",
                prefetch: true,
            },
        )
    }

    fn submit(&self, visit: &mut Visit<'_>, submission: &Submission<'_>) -> Result<Members, ApiError> {
        let urls = visit.params.texts(submission.parameter);
        if urls.is_empty() {
            return Err(ApiError::invalid(format!("{} is empty", submission.parameter)));
        }
        if urls.len() as u64 > submission.quota.batch {
            return Err(ApiError::new(submission.batch_error, "Too many at once"));
        }
        let wanted = wanted_area(visit, submission.prefetch)?;
        let mut costs: HashMap<String, u64> = HashMap::new();
        let mut rows = Vec::new();
        let mut place = wanted;
        for url in urls {
            check_url(url, submission)?;
            let host = host_of(url);
            let domain = self.domain(&host)?;
            if submission.prefetch && domain.status != TencentStatus::Online {
                return Err(not_online(&host, "is not online"));
            }
            for area in wanted.unwrap_or(domain.area).parts() {
                if !domain.area.parts().contains(area) {
                    return Err(outside(&host, area, submission.prefetch));
                }
                *costs.entry((*area).to_owned()).or_default() += 1;
            }
            // A task over several domains is listed under the area of the first.
            place = place.or(Some(domain.area));
            rows.push(Row { target: url.to_owned(), host });
        }
        if !locked(&self.quotas).spend(visit.now(), &costs, submission.kind, submission.quota.daily) {
            return Err(ApiError::new(submission.day_error, "More than is left of today's quota"));
        }
        let mut tasks = locked(&self.tasks);
        let id = task_id(visit.now(), tasks.number(), submission.prefetch);
        tasks.add(Task {
            id: id.as_str().into(),
            created_ms: visit.now_ms,
            kind: submission.kind.to_owned(),
            method: submission.method.to_owned(),
            place: place.unwrap_or_default().as_str().to_owned(),
            prefetch: submission.prefetch,
            rows,
        });
        visit.registered = true;
        Ok(members(json!({ "TaskId": id })))
    }

    pub(super) fn describe_purge_quota(&self, visit: &Visit<'_>) -> Members {
        let quotas = self.config.quotas;
        members(json!({
            "UrlPurge": self.quota(visit, "url", quotas.url),
            "PathPurge": self.quota(visit, "path", quotas.path),
        }))
    }

    pub(super) fn describe_push_quota(&self, visit: &Visit<'_>) -> Members {
        members(json!({ "UrlPush": self.quota(visit, "push", self.config.quotas.push) }))
    }

    fn quota(&self, visit: &Visit<'_>, kind: &'static str, quota: TaskQuota) -> Vec<Value> {
        let mut book = locked(&self.quotas);
        let areas = TencentArea::Global.parts().iter();
        let shown = areas.map(|area| {
            let left = book.left(visit.now(), area, kind, quota.daily);
            json!({ "Area": area, "Batch": quota.batch, "Total": quota.daily, "Available": left })
        });
        shown.collect()
    }
}

/// The area that is asked for. A purge may name one of the two, a prefetch global as well, and means mainland when it
/// names none.
fn wanted_area(visit: &Visit<'_>, prefetch: bool) -> Result<Option<TencentArea>, ApiError> {
    let Some(name) = visit.params.text("Area").filter(|name| !name.is_empty()) else {
        return Ok(prefetch.then_some(TencentArea::Mainland));
    };
    let area = TencentArea::named(name).filter(|area| prefetch || *area != TencentArea::Global);
    area.map(Some).ok_or_else(|| ApiError::invalid(format!("Area cannot be {name}")))
}

fn check_url(url: &str, submission: &Submission<'_>) -> Result<(), ApiError> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(ApiError::invalid(format!("{url} does not begin with http:// or https:// and a domain")));
    }
    if url.contains('*') {
        return Err(ApiError::new(submission.wildcard_error, format!("{url} has a wildcard in it")));
    }
    if url.len() > MAX_URL {
        return Err(ApiError::new("InvalidParameter.CdnUrlExceedLength", "A URL is too long"));
    }
    Ok(())
}

fn not_online(host: &str, problem: &str) -> ApiError {
    ApiError::new("ResourceUnavailable.CdnHostIsNotOnline", format!("The domain {host} {problem}"))
}

/// A domain that is not accelerated where it is wanted. Which error a purge gets is not documented.
fn outside(host: &str, area: &str, prefetch: bool) -> ApiError {
    let problem = format!("is not accelerated in the area {area}");
    if prefetch { not_online(host, &problem) } else { ApiError::invalid(format!("The domain {host} {problem}")) }
}

/// Ids in the two forms of the vendor's samples: `1533045796-i60rfmzm`, and digits only for prefetches.
fn task_id(now: i64, number: u64, prefetch: bool) -> String {
    if prefetch {
        return format!("{now}{:012}", number * 7919 % 1_000_000_000_000);
    }
    let mut rest = mixed(now.unsigned_abs() ^ number.rotate_left(40));
    let mut letter = || {
        let letter = char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize]);
        rest /= 36;
        letter
    };
    format!("{now}-{}", (0..8).map(|_| letter()).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn task_ids_have_the_documented_forms_and_differ() {
        let purges: HashSet<String> = (0..10_000).map(|number| task_id(1_533_045_796, number, false)).collect();
        assert_eq!(purges.len(), 10_000);
        assert!(purges.iter().all(|id| id.starts_with("1533045796-") && id.len() == 19));
        assert_eq!(task_id(1_547_544_453, 1, true).len(), 22);
    }
}
