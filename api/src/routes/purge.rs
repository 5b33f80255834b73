//! Refresh and preload: `POST /level3/refresh` and `/level3/preload`.
//!
//! A POST is all or nothing: every URL is checked before anything is written, one bad one and no task
//! is made. What it answers is committed; the vendor is called later, by the worker. There is one task
//! for each property at a vendor that the URLs belong to.

use crate::auth::{Caller, Purger, Target};
use crate::error::{Answer, ApiError};
use crate::idempotency::IdempotencyKey;
use crate::params::{OneOrMany, Params, flag, text};
use crate::quotas;
use crate::routes::purge_plan::{Part, Places, PlanOut, plan, split};
use crate::routes::{Group, shown_time};
use crate::state::SharedState;
use chrono_tz::Tz;
use futures::future::try_join_all;
use overseas_shared::db::audit::NewEntry;
use overseas_shared::db::mapping::PurgePlace;
use overseas_shared::db::task::{NewTask, TaskOrder};
use overseas_shared::db::{DbError, catalogue};
use overseas_shared::domain::{DomainName, Kind, PurgeUrl, Scope, State as TaskState};
use overseas_shared::queue::WakeKind;
use poem::Request;
use poem::http::StatusCode;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Most URLs of one request.
const MOST_URLS: usize = 1000;
/// Most bad items that a message names.
const MOST_NAMED: usize = 20;

/// What is to be refreshed or preloaded, for whom.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct PurgeIn {
    /// Whose task it is; users may leave it out.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// One or more absolute URLs joined by `|`, or a list of them; at most 1000, each at most 2048 bytes.
    /// In a refresh `*` is a wildcard and a trailing `/` means the directory; a preload takes neither.
    path: OneOrMany,
    /// Whether to check the request and tell what it would cost only. Everything is refused as without it; nothing is made and
    /// nothing is kept, and an `Idempotency-Key` is ignored.
    #[serde(deserialize_with = "flag")]
    dry_run: Option<bool>,
}

impl Example for PurgeIn {
    fn example() -> Self {
        Self {
            login_email: Some("user@example.com".to_owned()),
            path: OneOrMany(vec!["http://cdn.example.com/test.html|http://cdn.example.com/test1.html".to_owned()]),
            dry_run: None,
        }
    }
}

/// A task.
#[derive(Debug, Serialize, Object)]
pub struct TaskOut {
    /// When it was made, in the configured time zone.
    pub(super) time: String,
    /// Its URLs, joined by `|`.
    pub(super) url: String,
    /// Our id, stable from the first answer on.
    pub(super) taskid: String,
    /// "0" to "100".
    #[serde(rename = "percentComplete")]
    #[oai(rename = "percentComplete")]
    pub(super) percent_complete: String,
    /// `queued`, `running`, `done`, `failed` or `expired`.
    pub(super) state: String,
    /// The CDN that the URLs are refreshed or preloaded at.
    pub(super) cdn: String,
    /// The vendor's id once it is known; several are joined by `|`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub(super) vendor_taskid: Option<String>,
    /// Why it failed, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub(super) message: Option<String>,
}

/// The tasks that were made.
#[derive(Debug, Serialize, Object)]
pub struct PurgeOut {
    /// 0.
    err: u16,
    /// One task for each property that the URLs belong to; none with `dry_run`.
    results: Vec<TaskOut>,
    /// `success`, or `dry_run`.
    status: String,
    /// With `dry_run`: the tasks that would be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    plan: Option<Vec<PlanOut>>,
}

/// Handlers.
pub struct Purge;

#[OpenApi(tag = "Group::Tasks")]
impl Purge {
    /// Refresh (purge) URLs
    ///
    /// The vendor is called afterwards; follow the task with `GET /level3/refresh_list`. The header
    /// `Idempotency-Key` makes a repetition within 24 hours harmless. With `dry_run` nothing is made: the answer tells which
    /// tasks there would be, how many calls to the vendor they take, and what is left of its quotas.
    #[oai(path = "/level3/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        caller: Purger,
        params: Params<PurgeIn>,
    ) -> Result<Answer<PurgeOut>, ApiError> {
        order(state.0, request, &caller.0, Kind::Refresh, params.0).await
    }

    /// Preload URLs
    ///
    /// Brings content to the edge before it is asked for. Follow the task with `GET /level3/preload_list`. `dry_run` is that
    /// of a refresh; URLs that are fetched through the CDN are no calls to its vendor.
    #[oai(path = "/level3/preload", method = "post", operation_id = "preload")]
    async fn preload(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        caller: Purger,
        params: Params<PurgeIn>,
    ) -> Result<Answer<PurgeOut>, ApiError> {
        order(state.0, request, &caller.0, Kind::Preload, params.0).await
    }
}

async fn order(
    state: &SharedState,
    request: &Request,
    caller: &Caller,
    kind: Kind,
    params: PurgeIn,
) -> Result<Answer<PurgeOut>, ApiError> {
    let target = caller.target(state, params.login_email.as_deref()).await?;
    if !target.operate_right {
        return Err(ApiError::Forbidden(format!("{} may not {kind}: the user has no operate right", target.email)));
    }
    let (urls, mut refusals) = read_urls(kind, &params.path)?;
    let is_dry = params.dry_run.unwrap_or(false);
    let asked: Vec<&str> =
        [kind.as_str(), target.email.as_str()].into_iter().chain(urls.iter().map(PurgeUrl::as_str)).collect();
    let key = if is_dry { None } else { IdempotencyKey::of(request, caller.principal.label(), &asked)? };
    if let Some(key) = key.as_ref().filter(|_| refusals.is_empty())
        && let Some(answer) = key.answered(state).await?
    {
        return Ok(Answer::from_bytes(answer));
    }
    let places = find_places(state, caller.epoch, &target, &urls).await?;
    for (status, reasons) in check_places(state, kind, &target, &urls, &places) {
        refusals.entry(status).or_default().extend(reasons);
    }
    if !refusals.is_empty() {
        return Err(refused(refusals));
    }
    let parts = split(kind, &urls, &places, &state.capabilities);
    if is_dry {
        let stored = quotas::stored(&state.db, Scope::User(target.id), None).await?;
        let ids: Vec<i64> = parts.iter().map(|part| part.property_id).collect();
        let areas = catalogue::areas(&state.db, &ids).await?;
        let plan = Some(plan(kind, &parts, &stored, &areas));
        return Answer::new(&PurgeOut { err: 0, results: Vec::new(), status: "dry_run".to_owned(), plan });
    }
    make(state, caller, &target, kind, urls.len(), &parts, key).await
}

/// Writes the tasks; what it answers is committed.
async fn make(
    state: &SharedState,
    caller: &Caller,
    target: &Target,
    kind: Kind,
    urls: usize,
    parts: &[Part<'_>],
    key: Option<IdempotencyKey>,
) -> Result<Answer<PurgeOut>, ApiError> {
    let now = state.clock.now();
    let new = |part: &Part<'_>| NewTask {
        id: state.task_ids.next(now),
        user_id: target.id,
        cdn_id: part.cdn_id,
        property_id: part.property_id,
        kind,
        urls: part.urls.iter().map(|url| url.as_str().to_owned()).collect(),
        request_id: caller.request_id.clone(),
        created_at: now,
    };
    let tasks: Vec<NewTask> = parts.iter().map(new).collect();
    let zone = state.config.time_zone;
    let answer = Answer::new(&PurgeOut {
        err: 0,
        results: parts.iter().zip(&tasks).map(|(part, task)| made(part.cdn, task, zone)).collect(),
        status: "success".to_owned(),
        plan: None,
    })?;
    let order = TaskOrder {
        audit: audit_entry(caller, target, kind, urls, &tasks, now),
        idempotency: key.as_ref().map(|key| key.keep(&answer.bytes(), now)),
        tasks,
    };
    match (state.create_tasks(order).await, key) {
        (Ok(()), _) => {}
        // The same key came in twice at once and the other was faster: its answer counts.
        (Err(DbError::Conflict(_)), Some(key)) => {
            let answer = key.answered(state).await?;
            return answer.map(Answer::from_bytes).ok_or_else(|| {
                ApiError::Conflict("Idempotency-Key: another request with it is under way; try again".to_owned())
            });
        }
        (Err(error), _) => return Err(error.into()),
    }
    wake(state, kind, parts);
    Ok(answer)
}

/// Why items are refused, by the status that such a refusal has.
type Refusals = BTreeMap<StatusCode, BTreeSet<String>>;

/// Splits, checks and removes duplicates, in the order in which they were sent.
fn read_urls(kind: Kind, path: &OneOrMany) -> Result<(Vec<PurgeUrl>, Refusals), ApiError> {
    let written: Vec<&str> =
        path.0.iter().flat_map(|text| text.split('|')).map(str::trim).filter(|text| !text.is_empty()).collect();
    if written.is_empty() {
        return Err(ApiError::missing("path"));
    }
    if written.len() > MOST_URLS {
        return Err(ApiError::TooLarge(format!(
            "path: {} URLs, at most {MOST_URLS} are taken at a time",
            written.len()
        )));
    }
    let (mut urls, mut refusals, mut known) = (Vec::with_capacity(written.len()), Refusals::new(), HashSet::new());
    for text in written {
        let parsed = match kind {
            Kind::Refresh => PurgeUrl::parse(text),
            Kind::Preload => PurgeUrl::parse_object(text),
        };
        match parsed {
            Ok(url) if known.insert(url.as_str().to_owned()) => urls.push(url),
            Ok(_) => {}
            Err(error) => {
                let reason = error.to_string();
                refusals.entry(ApiError::from(error).status()).or_default().insert(reason);
            }
        }
    }
    Ok((urls, refusals))
}

/// One failure that names all bad items. Its status is that of the first kind there is: too long, malformed,
/// not the user's.
fn refused(mut refusals: Refusals) -> ApiError {
    let too_large = refusals.remove(&StatusCode::PAYLOAD_TOO_LARGE);
    let malformed = refusals.remove(&StatusCode::BAD_REQUEST);
    let foreign = refusals.remove(&StatusCode::NOT_FOUND);
    let kind: fn(String) -> ApiError = match (&too_large, &malformed) {
        (Some(_), _) => ApiError::TooLarge,
        (None, Some(_)) => ApiError::BadRequest,
        (None, None) => ApiError::NotFound,
    };
    let items: Vec<String> = [too_large, malformed, foreign].into_iter().flatten().flatten().collect();
    kind(format!("path: {}", named(&items)))
}

/// All bad items, or the first of many.
fn named(items: &[String]) -> String {
    let more = items.len().saturating_sub(MOST_NAMED);
    let listed = items[..items.len() - more].join("; ");
    if more > 0 { format!("{listed}; and {more} more") } else { listed }
}

/// Where each host leads for this user; nowhere, if it is not the user's.
async fn find_places(state: &SharedState, epoch: i64, target: &Target, urls: &[PurgeUrl]) -> Result<Places, ApiError> {
    let hosts: BTreeSet<&DomainName> = urls.iter().map(PurgeUrl::host).collect();
    let look_ups = hosts.into_iter().map(|host| async move {
        let places = state.purge_places(epoch, (target.id, host.clone())).await?;
        Ok::<_, ApiError>((host.clone(), places))
    });
    Ok(try_join_all(look_ups).await?.into_iter().collect())
}

/// Whether all hosts are the user's, and their CDNs can do what is asked.
fn check_places(state: &SharedState, kind: Kind, target: &Target, urls: &[PurgeUrl], places: &Places) -> Refusals {
    let mut refusals = Refusals::new();
    for (host, _) in places.iter().filter(|(_, places)| places.is_empty()) {
        let reason = format!("{} has no domain {host}", target.email);
        refusals.entry(StatusCode::NOT_FOUND).or_default().insert(reason);
    }
    for url in urls {
        for place in places.get(url.host()).into_iter().flatten() {
            if let Some(reason) = unable(state, kind, url, place) {
                refusals.entry(StatusCode::BAD_REQUEST).or_default().insert(reason);
            }
        }
    }
    refusals
}

/// Why a place cannot do what is asked.
fn unable(state: &SharedState, kind: Kind, url: &PurgeUrl, place: &PurgePlace) -> Option<String> {
    let (host, cdn) = (url.host(), &place.cdn);
    let Some(can) = state.capabilities.get(cdn) else {
        return Some(format!("{host}: its CDN {cdn} is not configured here; ask the operator"));
    };
    if place.property_id.is_none() {
        return Some(format!("{host}: the CDN {cdn} does not list it (yet); its state is Pending in user_domains"));
    }
    let what = can.cannot(kind.into(), url)?;
    Some(format!("{}: the CDN {cdn} cannot {what}", url.as_str()))
}

fn made(cdn: &str, task: &NewTask, zone: Tz) -> TaskOut {
    TaskOut {
        time: shown_time(task.created_at, zone),
        url: task.urls.join("|"),
        taskid: task.id.clone(),
        percent_complete: "0".to_owned(),
        state: TaskState::Queued.as_str().to_owned(),
        cdn: cdn.to_owned(),
        vendor_taskid: None,
        message: None,
    }
}

fn audit_entry(caller: &Caller, target: &Target, kind: Kind, urls: usize, tasks: &[NewTask], now: i64) -> NewEntry {
    let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    let detail = format!("{urls} URLs, tasks {}", ids.join(" "));
    caller.entry(now, kind.as_str(), target.email.as_str(), &detail)
}

fn wake(state: &SharedState, kind: Kind, parts: &[Part<'_>]) {
    let cdns: BTreeSet<&str> = parts.iter().map(|part| part.cdn).collect();
    let kind = match kind {
        Kind::Refresh => WakeKind::Refresh,
        Kind::Preload => WakeKind::Preload,
    };
    for cdn in cdns {
        state.queue.wake(kind, cdn);
    }
}
