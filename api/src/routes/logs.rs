//! Daily access logs: `GET /level3/logdownload` lists the days, `GET /level3/log/<date>-<domain>.log.gz` gives a file.
//!
//! Asking for a day that is missing puts it on the worker's queue and answers at once. A link is signed, so it works
//! without a credential in a browser, curl or wget until it expires; with a credential no signature is needed. Where a
//! file lies comes from its row, never from what the client sent. The file itself is served by `log_file`.

use crate::auth::{Caller, LogReader};
use crate::error::{Answer, ApiError};
use crate::log_file::{self, LogBody};
use crate::params::{OneOrMany, Params, loose_text, text};
use crate::routes::Group;
use crate::routes::reading::{read_domains, refuse_unknown};
use crate::state::SharedState;
use chrono::NaiveDate;
use overseas_shared::db::log::{self, Asked, LogDay};
use overseas_shared::db::place::{DomainPlace, places};
use overseas_shared::domain::log::{LogName, LogState, date_of, day_at, day_number, first_kept_day, parse_date};
use overseas_shared::domain::{DomainName, Scope};
use overseas_shared::queue::WakeKind;
use poem::Request;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most days of one answer.
const MOST_DAYS: i64 = 92;
/// Most rows of one answer.
const MOST_ROWS: i64 = 10_000;
/// Seconds that a link works.
const LINK_SECONDS: i64 = 24 * 3600;

/// Of which domains, and when.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct LogDownloadIn {
    /// Domains.
    domain: Option<OneOrMany>,
    /// The first UTC day, such as 20160928 or 2016-09-28.
    #[serde(rename = "startDate", deserialize_with = "loose_text")]
    #[oai(rename = "startDate")]
    start_date: Option<String>,
    /// The last UTC day, included; at most 92 days in all.
    #[serde(rename = "endDate", deserialize_with = "loose_text")]
    #[oai(rename = "endDate")]
    end_date: Option<String>,
    /// Only this CDN.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
}

impl Example for LogDownloadIn {
    fn example() -> Self {
        Self {
            domain: Some(OneOrMany(vec!["cdn.example.com".to_owned()])),
            start_date: Some("20160928".to_owned()),
            end_date: Some("20160930".to_owned()),
            cdn: None,
        }
    }
}

/// What makes a link work without a credential.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct LogLinkIn {
    /// When the link ends, in Unix seconds; part of a link.
    #[serde(deserialize_with = "loose_text")]
    expires: Option<String>,
    /// The signature; part of a link.
    #[serde(deserialize_with = "text")]
    signature: Option<String>,
    /// The CDN, where the domain is at several.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
}

/// A day of a domain.
#[derive(Debug, Serialize, Object)]
pub struct LogRowOut {
    /// The domain.
    domain: String,
    /// The UTC day.
    date: String,
    /// Bytes of the file; 0 without one.
    size: u64,
    /// Where to download it; empty without a file.
    url: String,
    /// `ready`; `queued`: it is being fetched, or will be when the day is over; `empty`: the vendor had none;
    /// `expired`: it is older than logs are kept.
    state: String,
    /// The CDN.
    cdn: String,
    /// The SHA-256 of the file; empty without one.
    sha256: String,
    /// Whether the file holds all that the vendor delivered; false as long as a part of it cannot be read.
    complete: bool,
}

/// The days of the domains.
#[derive(Debug, Serialize, Object)]
pub struct LogDownloadOut {
    /// 0.
    err: u16,
    /// By domain and day; a domain that is at several CDNs has a row for each.
    results: Vec<LogRowOut>,
}

/// Handlers.
pub struct Logs;

#[OpenApi(tag = "Group::Logs")]
impl Logs {
    /// Daily access logs: what there is, with links
    ///
    /// Asking for a day that is missing has it fetched.
    #[oai(path = "/level3/logdownload", method = "get", operation_id = "logdownload")]
    async fn logdownload(
        &self,
        state: Data<&SharedState>,
        caller: Caller,
        params: Params<LogDownloadIn>,
    ) -> Result<Answer<LogDownloadOut>, ApiError> {
        let question = Question::read(params.0)?;
        let places = places(&state.db, caller.scope(), Some(&question.domains), question.cdn.as_deref()).await?;
        refuse_unknown(&question.domains, &places)?;
        let days = question.last - question.first + 1;
        if i64::try_from(places.len()).unwrap_or(i64::MAX).saturating_mul(days) > MOST_ROWS {
            return Err(ApiError::wrong("domain", format!("more than {MOST_ROWS} days in all; ask for fewer")));
        }
        let ids: Vec<i64> = places.iter().filter_map(|place| place.property_id).collect();
        let known = log::days(&state.db, &ids, question.first, question.last).await?;
        let missing = missing(&state, &places, &question, &known);
        if !missing.is_empty() {
            log::ask(&state.db, &missing, state.clock.now()).await?;
            let cdns: BTreeSet<i64> = missing.iter().map(|asked| asked.cdn_id).collect();
            for place in places.iter().filter(|place| cdns.contains(&place.cdn_id)) {
                state.queue.wake(WakeKind::LogFetch, &place.cdn);
            }
        }
        let results = rows(&state, &places, &question, &known).await?;
        Answer::new(&LogDownloadOut { err: 0, results })
    }

    /// The access log of a day
    ///
    /// The name is `<date>-<domain>.log.gz`. Range requests, `If-None-Match` and `If-Range` are understood. Where the
    /// files are in a bucket, the answer is a redirection to it.
    #[oai(path = "/level3/log/:name", method = "get", operation_id = "log")]
    async fn log(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        reader: LogReader,
        name: Path<String>,
        params: Params<LogLinkIn>,
    ) -> Result<LogBody, ApiError> {
        let LogLinkIn { expires, signature, cdn } = params.0;
        let read = LogName::parse(&name.0);
        let scope = match &reader {
            LogReader::Caller(caller) => caller.scope(),
            LogReader::Link(_) => {
                let wrong = || ApiError::Forbidden("the link is not one that was made here".to_owned());
                let named = read.as_ref().ok_or_else(wrong)?;
                let (expires, signature) = (expires.unwrap_or_default(), signature.unwrap_or_default());
                let signer = state.link_signer().await?;
                signer
                    .check(cdn.as_deref().unwrap_or_default(), named, &expires, &signature, state.clock.now_seconds())
                    .map_err(|error| ApiError::Forbidden(error.to_string()))?;
                Scope::All
            }
        };
        let nothing = || ApiError::NotFound(format!("there is no log {}", shown(&name.0)));
        let named = read.ok_or_else(nothing)?;
        let mut tries = 0;
        loop {
            let day = find(&state, scope, &named, cdn.as_deref()).await?.ok_or_else(nothing)?;
            match log_file::answer(&state.store, request, &named, &day).await {
                // Replaced between the two looks: the row names the new file by now.
                Err(error) if error.is_missing() && tries == 0 => tries += 1,
                Err(error) => return Err(error.into()),
                Ok(body) => return Ok(body),
            }
        }
    }
}

/// The name as it is shown in a message.
fn shown(name: &str) -> String {
    overseas_shared::domain::name::shorten(name)
}

struct Question {
    domains: Vec<DomainName>,
    cdn: Option<String>,
    first: i64,
    last: i64,
}

impl Question {
    fn read(params: LogDownloadIn) -> Result<Self, ApiError> {
        let domains = read_domains(params.domain)?;
        if domains.is_empty() {
            return Err(ApiError::missing("domain"));
        }
        let first = read_date("startDate", params.start_date.as_deref())?;
        let last = read_date("endDate", params.end_date.as_deref())?;
        let (first, last) = (day_number(first), day_number(last));
        if last < first {
            return Err(ApiError::wrong("endDate", "is before startDate"));
        }
        if last - first >= MOST_DAYS {
            return Err(ApiError::wrong("startDate and endDate", format!("more than {MOST_DAYS} days; ask for fewer")));
        }
        Ok(Self { domains, cdn: params.cdn, first, last })
    }
}

fn read_date(parameter: &str, text: Option<&str>) -> Result<NaiveDate, ApiError> {
    let text = text.ok_or_else(|| ApiError::missing(parameter))?;
    let date = ["%Y%m%d", "%Y-%m-%d"].iter().find_map(|form| parse_date(text, form));
    date.ok_or_else(|| ApiError::wrong(parameter, format!("`{}` is not a day like 20160928", shown(text))))
}

fn first_kept(state: &SharedState) -> i64 {
    first_kept_day(state.clock.now(), state.config.logs.keep_days)
}

/// The days that nobody has asked for yet and that are over.
fn missing(
    state: &SharedState,
    places: &[DomainPlace],
    question: &Question,
    known: &HashMap<(i64, i64), LogDay>,
) -> Vec<Asked> {
    let first = question.first.max(first_kept(state));
    let last = question.last.min(day_at(state.clock.now()) - 1);
    let fetched = places.iter().filter(|place| state.has_logs(&place.cdn));
    fetched
        .filter_map(|place| Some((place.property_id?, place.cdn_id)))
        .flat_map(|(property_id, cdn_id)| (first..=last).map(move |day| Asked { property_id, cdn_id, day }))
        .filter(|asked| !known.contains_key(&(asked.property_id, asked.day)))
        .collect()
}

async fn rows(
    state: &SharedState,
    places: &[DomainPlace],
    question: &Question,
    known: &HashMap<(i64, i64), LogDay>,
) -> Result<Vec<LogRowOut>, ApiError> {
    let mut cdns: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for place in places {
        cdns.entry(&place.domain).or_default().insert(&place.cdn);
    }
    let (signer, kept) = (state.link_signer().await?, first_kept(state));
    let expires = state.clock.now_seconds() + LINK_SECONDS;
    let base = state.config.public_url();
    let mut results = Vec::new();
    for domain in &question.domains {
        let here: Vec<&DomainPlace> = places.iter().filter(|place| place.domain == domain.as_str()).collect();
        for day in question.first..=question.last {
            for place in &here {
                let found = place.property_id.and_then(|id| known.get(&(id, day)));
                let shown = state_of(state, place, found, day < kept);
                let name = LogName { date: date_of(day), domain: domain.clone() };
                let file = found.filter(|_| shown == LogState::Ready);
                let url = file.map(|_| {
                    // Said only where it is needed, so that a link is as the contract shows it.
                    let several = cdns.get(place.domain.as_str()).is_some_and(|cdns| cdns.len() > 1);
                    let cdn = if several { place.cdn.as_str() } else { "" };
                    let narrowed = if several { format!("cdn={cdn}&") } else { String::new() };
                    let signature = signer.sign(cdn, &name, expires);
                    format!("{base}/level3/log/{name}?{narrowed}expires={expires}&signature={signature}")
                });
                results.push(LogRowOut {
                    domain: place.domain.clone(),
                    date: name.date.format("%Y-%m-%d").to_string(),
                    size: file.map_or(0, |day| day.size),
                    url: url.unwrap_or_default(),
                    state: shown.as_str().to_owned(),
                    cdn: place.cdn.clone(),
                    sha256: file.map(|day| day.sha256.clone()).unwrap_or_default(),
                    complete: file.is_some_and(|day| day.problem.is_none()),
                });
            }
        }
    }
    Ok(results)
}

/// What is shown of a day; one without a row has been asked for just now, or will be fetched when it is over.
fn state_of(state: &SharedState, place: &DomainPlace, found: Option<&LogDay>, is_old: bool) -> LogState {
    match found {
        Some(day) => day.state,
        None if is_old => LogState::Expired,
        None if place.property_id.is_none() || !state.has_logs(&place.cdn) => LogState::Empty,
        None => LogState::Queued,
    }
}

/// The file of a name, within the scope.
async fn find(
    state: &SharedState,
    scope: Scope,
    name: &LogName,
    cdn: Option<&str>,
) -> Result<Option<LogDay>, ApiError> {
    let day = day_number(name.date);
    let places = places(&state.db, scope, Some(std::slice::from_ref(&name.domain)), cdn).await?;
    let ids: Vec<i64> = places.iter().filter_map(|place| place.property_id).collect();
    let mut known = log::days(&state.db, &ids, day, day).await?;
    let found = ids.iter().filter_map(|id| known.remove(&(*id, day)));
    Ok(found.into_iter().find(|day| day.state == LogState::Ready && day.object.is_some()))
}
