//! Bandwidth and traffic: `GET /level3/bandwidths`, `GET /level3/fluxs`, and both by city (`/area`).
//!
//! Answered from packed days. Requests that ask for the same at the same time share one read; the answer is
//! serialised straight from the grid. Unknown is shown as 0; `summary` tells how far the vendor has delivered.

use crate::auth::Caller;
use crate::error::{Answer, ApiError};
use crate::params::{OneOrMany, Params, flag, text, whole};
use crate::routes::Group;
use crate::routes::reading::{read_domains, refuse_unknown};
use crate::state::SharedState;
use bytes::Bytes;
use overseas_shared::db::Database;
use overseas_shared::db::place::places;
use overseas_shared::db::usage;
use overseas_shared::domain::usage::{Grid, Interval, Metric, Span, Summary};
use overseas_shared::domain::{DomainName, Scope, city};
use poem::web::Data;
use poem::{IntoResponse, Request, Response};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;

/// Of which domains, when, and how.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct SeriesIn {
    /// Domains, which are summed; all that the caller may see if left out.
    domain: Option<OneOrMany>,
    /// The begin, in Unix seconds; floored to five minutes.
    #[serde(rename = "startTime", deserialize_with = "whole")]
    #[oai(rename = "startTime")]
    start_time: Option<i64>,
    /// The end, in Unix seconds; floored to five minutes and included. At most 92 days after the begin.
    #[serde(rename = "endTime", deserialize_with = "whole")]
    #[oai(rename = "endTime")]
    end_time: Option<i64>,
    /// Seconds between the points: 300 (if left out), 3600 or 86400. Flux is summed; of bandwidth it is the highest
    /// five-minute value.
    #[serde(deserialize_with = "whole")]
    interval: Option<i64>,
    /// Whether to add a summary.
    #[serde(deserialize_with = "flag")]
    summary: Option<bool>,
    /// Only this CDN.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
}

impl Example for SeriesIn {
    fn example() -> Self {
        Self {
            domain: Some(OneOrMany(vec!["cdn.example.com".to_owned()])),
            start_time: Some(1_470_297_000),
            end_time: Some(1_470_299_100),
            ..Self::default()
        }
    }
}

/// Of which domains, and when.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct AreaIn {
    /// Domains, which are summed; all that the caller may see if left out.
    domain: Option<OneOrMany>,
    /// The begin, in Unix seconds; floored to five minutes.
    #[serde(rename = "startTime", deserialize_with = "whole")]
    #[oai(rename = "startTime")]
    start_time: Option<i64>,
    /// The end, in Unix seconds; floored to five minutes and included. At most 92 days after the begin.
    #[serde(rename = "endTime", deserialize_with = "whole")]
    #[oai(rename = "endTime")]
    end_time: Option<i64>,
    /// Only this CDN.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
}

impl Example for AreaIn {
    fn example() -> Self {
        Self {
            domain: Some(OneOrMany(vec!["www.example.com".to_owned()])),
            start_time: Some(1_470_297_000),
            end_time: Some(1_470_299_100),
            cdn: None,
        }
    }
}

/// A point of a series.
#[derive(Debug, Clone, Copy, Serialize, Object)]
pub struct PointOut {
    /// The begin of its time, in Unix seconds.
    #[serde(rename = "timeStamp")]
    #[oai(rename = "timeStamp")]
    timestamp: i64,
    /// Bytes, or bit/s.
    value: i64,
}

/// What there is to say of the whole series, of its five-minute values.
#[derive(Debug, Clone, Copy, Serialize, Object)]
pub struct SummaryOut {
    /// The highest value.
    peak: i64,
    /// When it was, in Unix seconds.
    peak_time: i64,
    /// The 95th percentile as billing uses it: the highest after the top 5 % are dropped.
    p95: i64,
    /// The mean.
    average: i64,
    /// All bytes.
    total_bytes: i64,
    /// The last time that the vendor has delivered, in Unix seconds; null when it has delivered nothing.
    latest: Option<i64>,
}

impl From<Summary> for SummaryOut {
    fn from(summary: Summary) -> Self {
        Self {
            peak: summary.peak,
            peak_time: summary.peak_time,
            p95: summary.p95,
            average: summary.average,
            total_bytes: summary.total_bytes,
            latest: summary.latest,
        }
    }
}

/// A series.
#[derive(Debug, Serialize, Object)]
pub struct SeriesOut {
    /// 0.
    err: u16,
    /// The points, without gaps.
    results: Vec<PointOut>,
    /// With `summary=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    summary: Option<SummaryOut>,
}

/// A city's part.
#[derive(Debug, Clone, Serialize, Object)]
pub struct AreaRowOut {
    /// In English; a province of China or a country where the vendor tells those in place of cities.
    city: String,
    /// In Chinese, or in English where the Chinese name is not known.
    city_cn: String,
    /// In English; empty where it is not known.
    country: String,
    /// In Chinese; empty where it is not known.
    country_cn: String,
    /// Bytes; for bandwidth the sum of the five-minute values in bit/s.
    value: i64,
    /// Requests.
    requests: i64,
}

/// The cities, largest first.
#[derive(Debug, Serialize, Object)]
pub struct AreaOut {
    /// 0.
    err: u16,
    /// One row for each city that has anything.
    results: Vec<AreaRowOut>,
}

/// What is read together when it is asked together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    scope: Scope,
    domains: Option<Vec<DomainName>>,
    cdn: Option<String>,
    start: i64,
    end: i64,
    shape: Shape,
}

/// Which answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    Series { metric: Metric, interval: Interval, summary: bool, csv: bool },
    Area { metric: Metric, csv: bool },
}

/// Handlers.
pub struct Statistics;

#[OpenApi(tag = "Group::Statistics")]
impl Statistics {
    /// Bandwidth by time, in bit/s
    ///
    /// `Accept: text/csv` gives CSV.
    #[oai(path = "/level3/bandwidths", method = "get", operation_id = "bandwidths")]
    async fn bandwidths(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        caller: Caller,
        params: Params<SeriesIn>,
    ) -> Result<Table<SeriesOut>, ApiError> {
        series(state.0, request, &caller, Metric::Bandwidth, params.0).await
    }

    /// Traffic by time, in bytes
    ///
    /// `Accept: text/csv` gives CSV.
    #[oai(path = "/level3/fluxs", method = "get", operation_id = "fluxs")]
    async fn fluxs(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        caller: Caller,
        params: Params<SeriesIn>,
    ) -> Result<Table<SeriesOut>, ApiError> {
        series(state.0, request, &caller, Metric::Flux, params.0).await
    }

    /// Bandwidth by city
    #[oai(path = "/level3/bandwidths/area", method = "get", operation_id = "bandwidths_area")]
    async fn bandwidths_area(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        caller: Caller,
        params: Params<AreaIn>,
    ) -> Result<Table<AreaOut>, ApiError> {
        area(state.0, request, &caller, Metric::Bandwidth, params.0).await
    }

    /// Traffic by city
    #[oai(path = "/level3/fluxs/area", method = "get", operation_id = "fluxs_area")]
    async fn fluxs_area(
        &self,
        state: Data<&SharedState>,
        request: &Request,
        caller: Caller,
        params: Params<AreaIn>,
    ) -> Result<Table<AreaOut>, ApiError> {
        area(state.0, request, &caller, Metric::Flux, params.0).await
    }
}

async fn series(
    state: &SharedState,
    request: &Request,
    caller: &Caller,
    metric: Metric,
    params: SeriesIn,
) -> Result<Table<SeriesOut>, ApiError> {
    let interval = Interval::from_seconds(params.interval.unwrap_or(300))
        .ok_or_else(|| ApiError::wrong("interval", "expected 300, 3600 or 86400"))?;
    let csv = wants_csv(request);
    let shape = Shape::Series { metric, interval, summary: params.summary.unwrap_or(false), csv };
    let question = question(caller, params.domain, params.cdn, params.start_time, params.end_time, shape)?;
    Ok(Table::new(state.statistics(question).await?, csv))
}

async fn area(
    state: &SharedState,
    request: &Request,
    caller: &Caller,
    metric: Metric,
    params: AreaIn,
) -> Result<Table<AreaOut>, ApiError> {
    let csv = wants_csv(request);
    let shape = Shape::Area { metric, csv };
    let question = question(caller, params.domain, params.cdn, params.start_time, params.end_time, shape)?;
    Ok(Table::new(state.statistics(question).await?, csv))
}

fn wants_csv(request: &Request) -> bool {
    request.header("accept").is_some_and(|accept| accept.to_ascii_lowercase().contains("text/csv"))
}

fn question(
    caller: &Caller,
    domain: Option<OneOrMany>,
    cdn: Option<String>,
    start: Option<i64>,
    end: Option<i64>,
    shape: Shape,
) -> Result<Question, ApiError> {
    let start = start.ok_or_else(|| ApiError::missing("startTime"))?;
    let end = end.ok_or_else(|| ApiError::missing("endTime"))?;
    let span = Span::new(start, end).map_err(|error| ApiError::wrong("startTime and endTime", error))?;
    let domains = Some(read_domains(domain)?).filter(|domains| !domains.is_empty());
    Ok(Question { scope: caller.scope(), domains, cdn, start: span.from(), end: span.to(), shape })
}

/// Reads and serialises; called once for all that ask the same at the same time.
///
/// # Errors
/// 404 for a domain that the caller may not see, 503 when the database is away.
pub async fn answer(db: &Database, question: &Question) -> Result<Bytes, ApiError> {
    let found = places(db, question.scope, question.domains.as_deref(), question.cdn.as_deref()).await?;
    refuse_unknown(question.domains.as_deref().unwrap_or_default(), &found)?;
    let ids: BTreeSet<i64> = found.iter().filter_map(|row| row.property_id).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    // A span that was made of slots is the same again, but for one of a single slot.
    let span = Span::new(question.start, question.end.max(question.start + 1))
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    match question.shape {
        Shape::Series { metric, interval, summary, csv } => {
            write_series(&usage::series(db, &ids, span).await?, metric, interval, summary, csv)
        }
        Shape::Area { metric, csv } => write_area(usage::area(db, &ids, span).await?, metric, csv),
    }
}

/// Writes the points while they are made.
struct Points<'a>(&'a Grid, Metric, Interval);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut points = serializer.serialize_seq(None)?;
        for point in self.0.points(self.1, self.2) {
            points.serialize_element(&PointOut { timestamp: point.timestamp, value: point.value })?;
        }
        points.end()
    }
}

#[derive(Serialize)]
struct SeriesBody<'a> {
    err: u16,
    results: Points<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryOut>,
}

fn write_series(grid: &Grid, metric: Metric, interval: Interval, summary: bool, csv: bool) -> Result<Bytes, ApiError> {
    use std::io::Write;
    if csv {
        let mut text = b"timeStamp,value\r\n".to_vec();
        for point in grid.points(metric, interval) {
            let _ = write!(text, "{},{}\r\n", point.timestamp, point.value);
        }
        return Ok(text.into());
    }
    let summary = summary.then(|| grid.summary(metric).into());
    to_json(&SeriesBody { err: 0, results: Points(grid, metric, interval), summary }, 45 * grid.span().slots())
}

fn to_json(body: &impl Serialize, capacity: usize) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::with_capacity(capacity + 256);
    serde_json::to_writer(&mut bytes, body).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(bytes.into())
}

fn write_area(rows: Vec<usage::AreaRow>, metric: Metric, csv: bool) -> Result<Bytes, ApiError> {
    let shown = |row: usage::AreaRow| {
        let known = city::find(&row.city);
        AreaRowOut {
            city_cn: city::chinese(&row.city).into_owned(),
            country: known.map_or("", |city| city.country).to_owned(),
            country_cn: known.map_or("", |city| city.country_cn).to_owned(),
            value: metric.value(row.bytes),
            requests: i64::try_from(row.requests).unwrap_or(i64::MAX),
            city: row.city,
        }
    };
    let mut results: Vec<AreaRowOut> = rows.into_iter().map(shown).collect();
    results.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.city.cmp(&b.city)));
    if csv {
        let mut text = "city,city_cn,country,country_cn,value,requests\r\n".to_owned();
        for row in &results {
            let texts = [&row.city, &row.city_cn, &row.country, &row.country_cn].map(|text| quoted(text));
            text.push_str(&format!("{},{},{}\r\n", texts.join(","), row.value, row.requests));
        }
        return Ok(text.into());
    }
    to_json(&AreaOut { err: 0, results }, 0)
}

/// A field of CSV (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe.
fn quoted(text: &str) -> String {
    let harmless = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if harmless.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", harmless.replace('"', "\"\""));
    }
    harmless
}

/// An answer as JSON or as CSV, serialised already.
pub struct Table<T> {
    answer: Answer<T>,
    csv: bool,
}

impl<T: Serialize> Table<T> {
    fn new(body: Bytes, csv: bool) -> Self {
        Self { answer: Answer::from_bytes(body), csv }
    }
}

impl<T: Send> IntoResponse for Table<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if self.csv {
            response
                .headers_mut()
                .insert("content-type", poem::http::HeaderValue::from_static("text/csv; charset=utf-8"));
        }
        response
    }
}

impl<T: poem_openapi::types::Type> poem_openapi::ApiResponse for Table<T> {
    fn meta() -> poem_openapi::registry::MetaResponses {
        let mut meta = Answer::<T>::meta();
        let text = poem_openapi::registry::MetaSchema::new("string");
        let schema = poem_openapi::registry::MetaSchemaRef::Inline(Box::new(text));
        let csv = poem_openapi::registry::MetaMediaType { content_type: "text/csv", schema };
        meta.responses.iter_mut().for_each(|response| {
            response.content.push(poem_openapi::registry::MetaMediaType {
                content_type: csv.content_type,
                schema: csv.schema.clone(),
            });
        });
        meta
    }

    fn register(registry: &mut poem_openapi::registry::Registry) {
        <Answer<T> as poem_openapi::ApiResponse>::register(registry);
    }
}
