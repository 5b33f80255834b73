//! Tencent Cloud API 3.0, which Tencent Cloud CDN and EdgeOne have in common: who may call, and in which form.
//!
//! A request passes, in this order: the record of requests, the fault rules, version and service (`NoSuchVersion`), the
//! key (`AuthFailure.*`), the action (`InvalidAction`), its parameters, and the action itself in the service's folder.
//! All of this is answered with HTTP 200. The service follows from `X-TC-Version`; the credential scope has to agree.
//!
//! The simulator's server calls this for requests that `takes` says yes to, and for log files.

mod answer;
mod download;
mod packages;
mod params;
mod quota;
mod series;
mod shares;
mod signature;
mod switches;
mod tasks;
mod time;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use poem::http::{HeaderMap, Method, StatusCode};
use poem::{Request, Response};
use serde_json::{Map, Value};

pub(crate) use self::answer::{ApiError, Members, members};
pub(crate) use self::packages::{PREFIX as LOG_PREFIX, Package, Service};
pub(crate) use self::params::{Field, Kind, Params, optional, required};
pub(crate) use self::quota::QuotaBook;
pub(crate) use self::series::{Grid, Metric, span_of};
pub(crate) use self::shares::{COUNTRIES, ISPS, PROVINCES, SERVER_REGIONS, usage_between};
pub use self::shares::{CountryShare, DistrictShare, edgeone_country_split, tencent_district_split};
pub(crate) use self::switches::{SwitchBoard, Switches};
pub use self::switches::{TencentChange, TencentChangeError, TencentState};
pub(crate) use self::tasks::{Row, State, Task, TaskList};
pub(crate) use self::time::{DAY, HOUR, UTC_8, floor, iso, local, naive, parse_iso, parse_naive, parse_zone};
pub(crate) use self::traffic::{EDGEONE, SLOT, Source};
pub use self::traffic::{edgeone_usage, tencent_usage};

use self::answer::{emptied, reply, request_id};
use self::signature::Signed;
use crate::config::Config;
use crate::edgeone::EdgeOne;
use crate::faults::{FaultKind, FaultRule};
use crate::operation::Operation;
use crate::record::{InFlight, RequestEntry};
use crate::reply::{Reply, SPOILED_JSON, TEXT, spoiled};
use crate::stage::Stage;
use crate::tencent::Tencent;

/// The largest body of a request, as documented for this signature.
const MAX_BODY: usize = 10 << 20;
const CDN_VERSION: &str = "2018-06-06";
const TEO_VERSION: &str = "2022-09-01";

/// An action with what it takes.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) operation: Operation,
    pub(crate) fields: &'static [Field],
}

/// The two services.
pub(crate) struct TencentApi {
    stage: Arc<Stage>,
    cdn: Option<Tencent>,
    teo: Option<EdgeOne>,
    requests: AtomicU64,
}

/// A request as far as its head and its body say.
struct Call {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Result<Bytes, ApiError>,
    service: Result<Service, ApiError>,
    action: Option<&'static Action>,
}

/// What an action works with.
pub(crate) struct Visit<'v> {
    pub(crate) params: &'v Params,
    /// `http://` with the host that was asked.
    pub(crate) base: String,
    /// The simulated time in milliseconds.
    pub(crate) now_ms: i64,
    pub(crate) switches: Switches,
    /// Whether the action registered a task.
    pub(crate) registered: bool,
}

impl Visit<'_> {
    /// The simulated time in seconds.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }
}

impl TencentApi {
    pub(crate) fn new(config: &Config, stage: Arc<Stage>) -> Self {
        Self {
            stage,
            cdn: config.tencent.as_ref().map(Tencent::new),
            teo: config.edgeone.as_ref().map(EdgeOne::new),
            requests: AtomicU64::new(0),
        }
    }

    /// Whether a request is for this API and not for another vendor's: it names an action, or comes to the one path
    /// that this API has as only its clients come there.
    pub(crate) fn takes(request: &Request) -> bool {
        let signed = || signature::claim(request.headers()).is_some();
        let posted = || *request.method() == Method::POST || signed();
        request.headers().contains_key("x-tc-action") || (request.original_uri().path() == "/" && posted())
    }

    /// Answers one action and records it.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let uri = request.original_uri().clone();
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or("").to_owned());
        let service = service_of(&headers);
        let action = self.action(&service, &headers);
        let operation = action.map_or(Operation::Unknown, |action| action.operation);
        let mut entry = RequestEntry::new(operation, self.stage.clock.now_ms(), method.as_str(), &path, &query);
        entry.key_id = signature::claim(&headers).map(|claim| claim.secret_id.to_owned());
        let mut flight = self.stage.record.begin(entry);
        let body = request.into_body().into_bytes_limit(MAX_BODY).await;
        let body = body.map_err(|error| ApiError::new("RequestSizeLimitExceeded", error.to_string()));
        let call = Call { method, path, query, headers, body, service, action };
        let given = call.given();
        let domains = given.as_ref().map(named_domains).unwrap_or_default();
        let properties: Vec<&str> = domains.iter().map(String::as_str).collect();
        let fault = self.stage.faults.take_for(operation, &properties);
        flight.note(|entry| {
            entry.body_bytes = call.body.as_ref().map_or(0, Bytes::len);
            entry.fault = fault.as_ref().map(|fault| fault.kind.as_str());
            entry.property = domains.first().cloned();
            if let Ok(given) = &given {
                entry.paths = targets(given).map(str::to_owned).collect();
                entry.body = Some(Arc::new(Value::Object(given.clone())));
            }
        });
        match self.outcome(&call, &given, fault.as_ref(), &mut flight).await {
            Ok(reply) => reply.into_recorded_response(flight),
            Err(response) => {
                flight.finish(response.status().as_u16());
                response
            }
        }
    }

    fn action(&self, service: &Result<Service, ApiError>, headers: &HeaderMap) -> Option<&'static Action> {
        let name = headers.get("x-tc-action")?.to_str().ok()?;
        let actions = match service.as_ref().ok()? {
            Service::Cdn => crate::tencent::ACTIONS,
            Service::Teo => crate::edgeone::ACTIONS,
        };
        actions.iter().find(|action| action.name == name)
    }

    /// The answer, or what a fault made of it.
    async fn outcome(
        &self,
        call: &Call,
        given: &Result<Map<String, Value>, ApiError>,
        fault: Option<&FaultRule>,
        flight: &mut InFlight,
    ) -> Result<Reply, Response> {
        let Some(fault) = fault else {
            return Ok(self.reply(call, given, None, flight));
        };
        let gateway_error = |status: StatusCode, message: &str| Reply::new(status, TEXT, format!("{message}\n"));
        // Only reading may be done for an answer that is spoiled anyway: the real half of it makes the better cut.
        let harmless = !call.action.is_some_and(|action| action.operation.is_tencent_submit());
        if !fault.after_effect {
            tokio::time::sleep(fault.delay()).await;
        }
        let done = fault.after_effect || (fault.kind == FaultKind::Cut && harmless);
        let mut reply = done.then(|| self.reply(call, given, Some(fault), flight));
        if fault.after_effect {
            tokio::time::sleep(fault.delay()).await;
        }
        if fault.kind == FaultKind::Error {
            let code = fault.code.clone().unwrap_or_default();
            return Ok(self.enveloped(Err(ApiError::new(code, "A fault rule answers this error.")), flight));
        }
        if let Some(response) = spoiled(fault, &SPOILED_JSON, reply.as_mut(), gateway_error) {
            return Err(response);
        }
        Ok(reply.unwrap_or_else(|| self.reply(call, given, Some(fault), flight)))
    }

    fn reply(
        &self,
        call: &Call,
        given: &Result<Map<String, Value>, ApiError>,
        fault: Option<&FaultRule>,
        flight: &mut InFlight,
    ) -> Reply {
        let empty = fault.is_some_and(|fault| matches!(fault.kind, FaultKind::Empty | FaultKind::Forget));
        let result = self.act(call, given, flight);
        self.enveloped(if empty { result.map(emptied) } else { result }, flight)
    }

    fn enveloped(&self, result: Result<Members, ApiError>, flight: &mut InFlight) -> Reply {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        flight.note(|entry| entry.error_code = result.as_ref().err().map(|error| error.code.clone()));
        reply(result, &request_id(number ^ self.stage.clock.now_ms().unsigned_abs().rotate_left(24)))
    }

    /// Checks who calls and with what, and does it.
    fn act(
        &self,
        call: &Call,
        given: &Result<Map<String, Value>, ApiError>,
        flight: &mut InFlight,
    ) -> Result<Members, ApiError> {
        let service = call.service.clone()?;
        let keys = match service {
            Service::Cdn => self.cdn.as_ref().map(Tencent::credentials),
            Service::Teo => self.teo.as_ref().map(EdgeOne::credentials),
        };
        let keys = keys.ok_or_else(|| ApiError::new("NoSuchProduct", "The service is not played by this simulator"))?;
        self.authenticate(call, service, keys)?;
        let unknown = || ApiError::new("InvalidAction", "The request action is not existing or not supported.");
        let action = call.action.ok_or_else(unknown)?;
        let given = given.as_ref().map_err(Clone::clone)?;
        let params = Params::check(given, action.fields, call.method == Method::GET)?;
        let host = call.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let mut visit = Visit {
            params: &params,
            base: format!("http://{host}"),
            now_ms: self.stage.clock.now_ms(),
            switches: self.stage.switches.state(),
            registered: false,
        };
        let result = match (service, &self.cdn, &self.teo) {
            (Service::Cdn, Some(cdn), _) => cdn.act(action.operation, &mut visit),
            (Service::Teo, _, Some(teo)) => teo.act(action.operation, &mut visit),
            _ => Err(unknown()),
        };
        flight.note(|entry| entry.registered |= visit.registered);
        result
    }

    fn authenticate(&self, call: &Call, service: Service, (id, key): (&str, &str)) -> Result<(), ApiError> {
        if call.method != Method::GET && call.method != Method::POST {
            return Err(ApiError::new("UnsupportedProtocol", "Only GET and POST requests are supported."));
        }
        if !call.headers.contains_key("authorization") {
            return Err(ApiError::missing("Authorization"));
        }
        let claim = signature::claim(&call.headers).ok_or_else(|| {
            ApiError::new("AuthFailure.InvalidAuthorization", "Authorization is not of the form of TC3-HMAC-SHA256")
        })?;
        if claim.secret_id != id {
            return Err(ApiError::new("AuthFailure.SecretIdNotFound", "The SecretId is not found"));
        }
        let body = call.body.as_ref().map_err(Clone::clone)?;
        let signed =
            Signed { method: call.method.as_str(), path: &call.path, query: &call.query, headers: &call.headers, body };
        signature::check(key, service.as_str(), &claim, &signed, self.stage.clock.wall())
    }
}

impl Call {
    /// The parameters as they were sent.
    fn given(&self) -> Result<Map<String, Value>, ApiError> {
        if self.method == Method::GET {
            return Params::from_query(&self.query);
        }
        let content_type = self.headers.get("content-type").map_or(&b""[..], |value| value.as_bytes());
        if !content_type.starts_with(b"application/json") {
            return Err(ApiError::invalid("The Content-Type of a POST is application/json"));
        }
        Params::from_body(self.body.as_ref().map_err(Clone::clone)?)
    }
}

fn service_of(headers: &HeaderMap) -> Result<Service, ApiError> {
    if !headers.contains_key("x-tc-action") {
        return Err(ApiError::missing("X-TC-Action"));
    }
    match headers.get("x-tc-version").map(|version| version.as_bytes()) {
        Some(version) if version == CDN_VERSION.as_bytes() => Ok(Service::Cdn),
        Some(version) if version == TEO_VERSION.as_bytes() => Ok(Service::Teo),
        Some(_) => Err(ApiError::new("NoSuchVersion", "The version of the API does not exist.")),
        None => Err(ApiError::missing("X-TC-Version")),
    }
}

/// The URLs, paths or targets in the parameters, as they were sent.
fn targets(given: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let lists = ["Urls", "Paths", "Targets"].into_iter().filter_map(|name| given.get(name));
    lists.flat_map(listed)
}

/// The texts of a list, which in a query is an object.
fn listed(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::Object(object) => object.values().filter_map(Value::as_str).collect(),
        Value::String(text) => vec![text],
        _ => Vec::new(),
    }
}

/// The domains that the parameters name, in their order and each once: hosts of URLs, lists of domains, filters.
fn named_domains(given: &Map<String, Value>) -> Vec<String> {
    let mut domains: Vec<String> = targets(given).map(host_of).collect();
    for name in ["Domains", "Domain", "Keyword"] {
        domains.extend(given.get(name).into_iter().flat_map(listed).map(host_of));
    }
    let filters = match given.get("Filters") {
        Some(Value::Array(filters)) => filters.iter().collect(),
        Some(Value::Object(filters)) => filters.values().collect(),
        _ => Vec::new(),
    };
    for filter in filters {
        let name = filter.get("Name").or_else(|| filter.get("Key")).and_then(Value::as_str);
        if matches!(name, Some("domain" | "domains" | "domain-name" | "target")) {
            let values = filter.get("Value").or_else(|| filter.get("Values"));
            domains.extend(values.into_iter().flat_map(listed).map(host_of));
        }
    }
    let mut seen = std::collections::HashSet::new();
    domains.retain(|domain| !domain.is_empty() && seen.insert(domain.clone()));
    domains
}

/// The host of a URL, or the text itself where it is none; in lower case.
pub(crate) fn host_of(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.split(':').next().unwrap_or_default().to_ascii_lowercase()
}
