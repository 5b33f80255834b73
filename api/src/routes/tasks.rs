//! Tasks of everybody, for staff: `GET /level3/tasks`, `POST /level3/tasks/retry` and `/cancel`, and how the vendors
//! fare: `GET /level3/vendors`.
//!
//! What is retried or cancelled is named by ids or by a filter that narrows, all or nothing where ids are named;
//! both leave an audit row in the same transaction. A retry makes new tasks: an ended one stays as it ended.

use crate::auth::Staff;
use crate::error::{Answer, ApiError};
use crate::params::{OneOrMany, Params, text, whole};
use crate::routes::mappings::CdnIn;
use crate::routes::reading::page_limit;
use crate::routes::{Group, shown_time};
use crate::state::SharedState;
use overseas_shared::db::task_admin::{self, AdminTask, Changed, Filter, Retried};
use overseas_shared::db::{account, vendor};
use overseas_shared::domain::name::shorten;
use overseas_shared::domain::{DomainName, EmailAddress, Kind, State as TaskState};
use overseas_shared::queue::WakeKind;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Rows of a page unless `limit` says otherwise, and at most.
const PAGE: i64 = 200;
const MOST: i64 = 1000;
/// Ids that the audit trail and a message name.
const MOST_NAMED: usize = 50;

/// Which tasks; what is left out does not narrow.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct TasksIn {
    /// These tasks only.
    taskid: Option<OneOrMany>,
    /// Whose.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// `queued`, `running`, `done`, `failed` or `expired`.
    #[serde(deserialize_with = "text")]
    state: Option<String>,
    /// `refresh` or `preload`.
    #[serde(deserialize_with = "text")]
    kind: Option<String>,
    /// At which CDN.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
    /// Of which domain, as the CDN lists it: a name or a wildcard such as `*.example.com`.
    #[serde(deserialize_with = "text")]
    domain: Option<String>,
    /// At least so many seconds old.
    #[serde(deserialize_with = "whole")]
    min_age: Option<i64>,
    /// At most so many seconds old.
    #[serde(deserialize_with = "whole")]
    max_age: Option<i64>,
    /// Only tasks older than the one with this id: the `next` of the page before.
    #[serde(deserialize_with = "text")]
    before: Option<String>,
    /// At most so many tasks, 1 to 1000; 200 if left out.
    #[serde(deserialize_with = "whole")]
    limit: Option<i64>,
}

impl Example for TasksIn {
    fn example() -> Self {
        Self { state: Some("failed".to_owned()), limit: Some(20), ..Self::default() }
    }
}

/// A task as staff see it.
#[derive(Debug, Serialize, Object)]
pub struct StaffTaskOut {
    /// When it was made, in the configured time zone.
    time: String,
    /// Seconds since then.
    age: i64,
    /// The id.
    taskid: String,
    /// Whose it is.
    login_email: String,
    /// At which CDN.
    cdn: String,
    /// Of which domain.
    domain: String,
    /// `refresh` or `preload`.
    kind: String,
    /// `queued`, `running`, `done`, `failed` or `expired`.
    state: String,
    /// What is due: `submit`, `watch`, `fetch`, or nothing (`ended`).
    step: String,
    /// 0 to 100.
    #[serde(rename = "percentComplete")]
    #[oai(rename = "percentComplete")]
    percent_complete: String,
    /// The URLs, joined by `|`.
    url: String,
    /// How many there are.
    urls: i64,
    /// The vendor's ids, joined by `|`.
    vendor_taskid: String,
    /// Failed tries since the last success.
    attempts: i64,
    /// Seconds until it is looked at next; negative when it is overdue. 0 when it has ended.
    due_in: i64,
    /// Why it failed, or what it waits for.
    message: String,
    /// The request that made it.
    request_id: String,
    /// The task as which it was tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    retried_as: Option<String>,
    /// When it ended, in the configured time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    ended: Option<String>,
}

/// A page of tasks, newest first.
#[derive(Debug, Serialize, Object)]
pub struct TasksOut {
    /// 0.
    err: u16,
    /// The tasks.
    results: Vec<StaffTaskOut>,
    /// What to send as `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    next: Option<String>,
}

/// A task that was tried again.
#[derive(Debug, Serialize, Object)]
pub struct RetriedOut {
    /// The one that had ended.
    taskid: String,
    /// The new one.
    retried_as: String,
}

/// What was tried again.
#[derive(Debug, Serialize, Object)]
pub struct RetryOut {
    /// 0.
    err: u16,
    /// Those that were, oldest first.
    results: Vec<RetriedOut>,
    /// Whether there may be more that pass the filter: call again.
    more: bool,
}

/// What was cancelled.
#[derive(Debug, Serialize, Object)]
pub struct CancelOut {
    /// 0.
    err: u16,
    /// The tasks, oldest first.
    results: Vec<String>,
    /// Whether there may be more that pass the filter: call again.
    more: bool,
}

/// How an account's vendor fares.
#[derive(Debug, Serialize, Object)]
pub struct VendorOut {
    /// The CDN's name.
    cdn: String,
    /// The vendor; empty where the CDN is not configured here.
    vendor: String,
    /// The last call that succeeded, in Unix seconds; null when there was none.
    last_success: Option<i64>,
    /// The last call that failed, in Unix seconds.
    last_failure: Option<i64>,
    /// What that call was for.
    failed_operation: String,
    /// Why it failed.
    failure: String,
    /// When the catalogue was last read, in Unix seconds.
    last_sync: Option<i64>,
    /// Remaining credits, where the vendor has such a thing.
    credits: Option<i64>,
    /// Until when the account is left alone, in Unix seconds; null when it is not.
    paused_until: Option<i64>,
    /// Tasks that wait to be handed over.
    queued: i64,
    /// Tasks that the vendor has.
    running: i64,
}

/// All CDNs.
#[derive(Debug, Serialize, Object)]
pub struct VendorsOut {
    /// 0.
    err: u16,
    /// By name.
    results: Vec<VendorOut>,
}

/// Handlers.
pub struct StaffTasks;

#[OpenApi(tag = "Group::Operations")]
impl StaffTasks {
    /// Tasks of everybody (staff)
    #[oai(path = "/level3/tasks", method = "get", operation_id = "tasks")]
    async fn tasks(
        &self,
        state: Data<&SharedState>,
        _staff: Staff,
        params: Params<TasksIn>,
    ) -> Result<Answer<TasksOut>, ApiError> {
        let mut filter = read_filter(state.0, params.0).await?;
        let page = filter.limit;
        filter.limit += 1;
        let mut found = task_admin::list(&state.db, &filter).await?;
        let is_last = found.len() as u64 <= page;
        found.truncate(usize::try_from(page).unwrap_or(usize::MAX));
        let next = found.last().filter(|_| !is_last).map(|task| task.id.clone());
        let results = found.into_iter().map(|task| shown(&state, task)).collect();
        Answer::new(&TasksOut { err: 0, results, next })
    }

    /// Try failed and expired tasks again (staff)
    ///
    /// Each becomes a new task, once. By `taskid`, or by a filter that narrows.
    #[oai(path = "/level3/tasks/retry", method = "post", operation_id = "retry_tasks")]
    async fn retry_tasks(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<TasksIn>,
    ) -> Result<Answer<RetryOut>, ApiError> {
        let filter = read_narrowing_filter(state.0, params.0).await?;
        let (caller, now) = (&staff.0, state.clock.now());
        let entry = |retried: &[Retried]| {
            let pairs: Vec<String> = retried.iter().map(|one| format!("{} as {}", one.before, one.task.id)).collect();
            caller.entry(now, "retry_tasks", &target(&filter), &detail(&pairs))
        };
        let new_id = || state.task_ids.next(now);
        let retried = task_admin::retry(&state.db, &filter, &caller.request_id, now, new_id, entry).await?;
        let reason = "has not failed or expired, does not pass the rest of the filter, or was tried again already";
        let retried = changed(state.0, retried, reason).await?;
        for one in &retried {
            let kind = match one.task.kind {
                Kind::Refresh => WakeKind::Refresh,
                Kind::Preload => WakeKind::Preload,
            };
            state.queue.wake(kind, &one.cdn);
        }
        let more = retried.len() as u64 == filter.limit;
        let results = retried.into_iter().map(|one| RetriedOut { taskid: one.before, retried_as: one.task.id });
        Answer::new(&RetryOut { err: 0, results: results.collect(), more })
    }

    /// Cancel tasks that have not ended (staff)
    ///
    /// They end as `failed`. What the vendor has accepted already it may still do. By `taskid`, or by a filter that narrows.
    #[oai(path = "/level3/tasks/cancel", method = "post", operation_id = "cancel_tasks")]
    async fn cancel_tasks(
        &self,
        state: Data<&SharedState>,
        staff: Staff,
        params: Params<TasksIn>,
    ) -> Result<Answer<CancelOut>, ApiError> {
        let filter = read_narrowing_filter(state.0, params.0).await?;
        let (caller, now) = (&staff.0, state.clock.now());
        let entry = |ids: &[String]| caller.entry(now, "cancel_tasks", &target(&filter), &detail(ids));
        let message = "cancelled by the operator; what the vendor has accepted already it may still do";
        let cancelled = task_admin::cancel(&state.db, &filter, message, now, entry).await?;
        let reason = "has ended already, or does not pass the rest of the filter";
        let results = changed(state.0, cancelled, reason).await?;
        let more = results.len() as u64 == filter.limit;
        Answer::new(&CancelOut { err: 0, results, more })
    }

    /// How the vendors fare (staff)
    #[oai(path = "/level3/vendors", method = "get", operation_id = "vendors")]
    async fn vendors(
        &self,
        state: Data<&SharedState>,
        _staff: Staff,
        params: Params<CdnIn>,
    ) -> Result<Answer<VendorsOut>, ApiError> {
        let now = state.clock.now();
        let seconds = |at: Option<i64>| at.map(|at| at.div_euclid(1000));
        let mut found = vendor::list(&state.db).await?;
        found.retain(|row| params.0.cdn.as_ref().is_none_or(|cdn| *cdn == row.cdn));
        let results = found.into_iter().map(|row| VendorOut {
            vendor: state.config.cdn.get(&row.cdn).map(|cdn| cdn.vendor.clone()).unwrap_or_default(),
            cdn: row.cdn,
            last_success: seconds(row.succeeded_at),
            last_failure: seconds(row.failed_at),
            failed_operation: row.failed_operation.unwrap_or_default(),
            failure: row.failure.unwrap_or_default(),
            last_sync: seconds(row.synced_at),
            credits: row.credits,
            paused_until: seconds(row.paused_until.filter(|until| *until > now)),
            queued: row.queued,
            running: row.running,
        });
        Answer::new(&VendorsOut { err: 0, results: results.collect() })
    }
}

async fn read_filter(state: &SharedState, params: TasksIn) -> Result<Filter, ApiError> {
    let limit = page_limit(params.limit, PAGE, MOST)?;
    let user_id = match &params.login_email {
        None => None,
        Some(email) => {
            let email = EmailAddress::parse(email).map_err(|error| ApiError::wrong("login_email", error))?;
            let user = account::find_user(&state.db, &email).await?;
            Some(user.ok_or_else(|| ApiError::NotFound(format!("login_email: there is no user {email}")))?.id)
        }
    };
    let ids = params.taskid.map(|ids| ids.0).unwrap_or_default();
    let ids: Vec<String> = ids.into_iter().map(|id| id.trim().to_uppercase()).filter(|id| !id.is_empty()).collect();
    if ids.len() > usize::try_from(MOST).unwrap_or(usize::MAX) {
        return Err(ApiError::wrong("taskid", format!("at most {MOST} at a time")));
    }
    let domain = params.domain.as_deref().map(DomainName::parse).transpose();
    let now = state.clock.now();
    let at = |parameter: &str, age: Option<i64>| match age {
        Some(age) if age < 0 => Err(ApiError::wrong(parameter, "must not be negative")),
        age => Ok(age.map(|age| now.saturating_sub(age.saturating_mul(1000)).max(0))),
    };
    Ok(Filter {
        ids: Some(ids).filter(|ids| !ids.is_empty()),
        user_id,
        kind: params.kind.map(|kind| kind.parse()).transpose().map_err(|error| ApiError::wrong("kind", error))?,
        state: params.state.map(|state| state.parse()).transpose().map_err(|error| ApiError::wrong("state", error))?,
        cdn: params.cdn,
        domain: domain.map_err(|error| ApiError::wrong("domain", error))?.map(|domain| domain.to_string()),
        created_before: at("min_age", params.min_age)?,
        created_since: at("max_age", params.max_age)?,
        before: params.before.map(|id| id.to_uppercase()),
        limit,
    })
}

/// A change of everything is never meant.
async fn read_narrowing_filter(state: &SharedState, params: TasksIn) -> Result<Filter, ApiError> {
    let mut filter = read_filter(state, params).await?;
    if let Some(ids) = &filter.ids {
        filter.limit = filter.limit.max(ids.len() as u64);
    }
    let all = Filter { limit: filter.limit, ..Filter::default() };
    if filter == all {
        return Err(ApiError::BadRequest(
            "taskid: missing; name tasks, or narrow them by login_email, state, kind, cdn, domain or age".to_owned(),
        ));
    }
    Ok(filter)
}

/// All that was changed, or why a task that was named cannot be.
async fn changed<T>(state: &SharedState, outcome: Changed<T>, reason: &str) -> Result<Vec<T>, ApiError> {
    let id = match outcome {
        Changed::All(changed) => return Ok(changed),
        Changed::Refused(id) => id,
    };
    let named = Filter { ids: Some(vec![id.clone()]), limit: 1, ..Filter::default() };
    if task_admin::list(&state.db, &named).await?.is_empty() {
        return Err(ApiError::NotFound(format!("taskid: there is no task {}; nothing was changed", shorten(&id))));
    }
    Err(ApiError::Conflict(format!("taskid: {id} {reason}; nothing was changed")))
}

/// What an audit row says of a filter.
fn target(filter: &Filter) -> String {
    let words = [
        filter.ids.as_ref().map(|ids| format!("{} named tasks", ids.len())),
        filter.user_id.map(|id| format!("user {id}")),
        filter.kind.map(|kind| kind.to_string()),
        filter.state.map(|state: TaskState| state.to_string()),
        filter.cdn.clone(),
        filter.domain.clone(),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "tasks by age".to_owned() } else { words.join(", ") }
}

fn detail(items: &[String]) -> String {
    let more = items.len().saturating_sub(MOST_NAMED);
    let named = items[..items.len() - more].join(" ");
    if more > 0 { format!("{} tasks: {named} and {more} more", items.len()) } else { named }
}

fn shown(state: &SharedState, task: AdminTask) -> StaffTaskOut {
    let (now, zone) = (state.clock.now(), state.config.time_zone);
    let has_ended = task.ended_at.is_some();
    StaffTaskOut {
        time: shown_time(task.created_at, zone),
        age: (now - task.created_at).div_euclid(1000),
        taskid: task.id,
        login_email: task.email.unwrap_or_default(),
        cdn: task.cdn,
        domain: task.domain.unwrap_or_default(),
        kind: task.kind,
        state: task.state,
        step: task.step,
        percent_complete: task.percent.to_string(),
        url: task.urls,
        urls: i64::from(task.url_count),
        vendor_taskid: task.vendor_ids,
        attempts: i64::from(task.attempts),
        due_in: if has_ended { 0 } else { (task.due_at - now).div_euclid(1000) },
        message: task.message.unwrap_or_default(),
        request_id: task.request_id,
        retried_as: task.retried_as,
        ended: task.ended_at.map(|at| shown_time(at, zone)),
    }
}
