//! The control of a running simulator: faults, the record, the clock, the usage data, the access logs.
//!
//! [`Control`] is the in-process handle for tests; [`answer`] gives the same over HTTP under `/_control/`, without a
//! signature and without an entry in the record:
//!
//! * `POST faults` replaces the fault rules by a JSON list, `GET faults` shows them, `DELETE faults` ends them
//! * `GET requests?since=N&limit=N` and `DELETE requests`; `GET summary`
//! * `POST advance` with `{"seconds": N}` moves the simulated time on
//! * `POST usage` with `{"golden": [..], "delay_minutes": N, "corrections": bool}`, each as wanted, changes the usage:
//!   rows `{"property", "time", "city", "volume", "requests"}` replace those of their property and UTC day; `GET`, `DELETE`
//! * `POST logs` with `{"day", "property", "files", "lines", "out_of_order", "late", "broken", "header"}`, all but the day
//!   as wanted, delivers a day's logs; `POST logs/complete` with `{"day", "property"}` brings what is late or broken
//! * `POST tencent` with `{"refuse_urls": [..], "fail_urls": [..], "task_state": "..", "tencent_delay_minutes": N,
//!   "edgeone_delay_minutes": N}`, each as wanted, changes what those two answer ([`TencentState`]); `GET`, `DELETE`
//! * `GET config` shows the configuration without its secrets; `DELETE` of others goes back to the configuration

use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;
use url::form_urlencoded;

use crate::config::Config;
use crate::faults::{FaultRule, FaultRuleError, FaultState};
use crate::logs::{LogCompletion, LogDelivery, LogDeliveryError};
use crate::record::{Requests, Summary};
use crate::reply::{JSON, Reply};
use crate::stage::Stage;
use crate::tencent_api::{TencentChange, TencentChangeError, TencentState};
use crate::usage::{UsageChange, UsageChangeError, UsageState};

/// Where the control endpoints begin.
pub(crate) const PREFIX: &str = "/_control/";
const MAX_BODY: usize = 1 << 20;

/// A handle to a running simulator. Clones control the same one.
#[derive(Clone)]
pub struct Control {
    stage: Arc<Stage>,
    config: Arc<Config>,
}

impl Control {
    pub(crate) fn new(stage: Arc<Stage>, config: Arc<Config>) -> Self {
        Self { stage, config }
    }

    /// Replaces the fault rules.
    ///
    /// # Errors
    /// A rule that cannot be applied; then the old rules stay.
    pub fn set_faults(&self, rules: Vec<FaultRule>) -> Result<(), FaultRuleError> {
        self.stage.faults.set(rules)
    }

    /// Ends all fault rules.
    pub fn clear_faults(&self) {
        // No rules, so none can be wrong.
        let _ = self.stage.faults.set(Vec::new());
    }

    /// The fault rules and what they have done.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultState> {
        self.stage.faults.list()
    }

    /// The recorded requests from number `since` on.
    #[must_use]
    pub fn requests(&self, since: u64) -> Requests {
        self.stage.record.since(since, usize::MAX)
    }

    /// Forgets the recorded requests and their counts.
    pub fn clear_requests(&self) {
        self.stage.record.clear();
    }

    /// Counts over all requests.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.stage.record.summary()
    }

    /// Moves the simulated time on and answers the whole offset in seconds. The window of signatures does not move.
    pub fn advance(&self, seconds: u32) -> i64 {
        self.stage.clock.advance(seconds)
    }

    /// Changes golden rows, delay and corrections of the usage data.
    ///
    /// # Errors
    /// A row or a delay that cannot be, or an unknown property; then nothing is changed.
    pub fn change_usage(&self, change: &UsageChange) -> Result<(), UsageChangeError> {
        self.stage.usage.change(change)
    }

    /// Brings the usage data back to what the configuration says.
    pub fn reset_usage(&self) {
        self.stage.usage.reset();
    }

    /// The usage data that are set.
    #[must_use]
    pub fn usage(&self) -> UsageState {
        self.stage.usage.state()
    }

    /// Delivers a day's access logs and answers the files that were written. Blocks while it writes.
    ///
    /// # Errors
    /// Something that cannot be delivered, then nothing is written; or a folder that cannot be written.
    pub fn deliver_logs(&self, delivery: &LogDelivery) -> Result<Vec<PathBuf>, LogDeliveryError> {
        self.stage.logs.deliver(delivery)
    }

    /// Delivers the late files of a day, of one property or of all, writes the broken ones anew, and answers all these.
    /// Only what was delivered since the start is known to be late or broken. Blocks while it writes.
    ///
    /// # Errors
    /// An unknown property or one without logs; or a folder that cannot be written.
    pub fn complete_logs(&self, day: NaiveDate, property: Option<&str>) -> Result<Vec<PathBuf>, LogDeliveryError> {
        self.stage.logs.complete(day, property)
    }

    /// Texts of URLs that Tencent Cloud CDN lists as `fail` or `invalid` and EdgeOne does not take; none ends it.
    ///
    /// # Errors
    /// An empty text, which is in every URL; then nothing is changed.
    pub fn refuse_urls(&self, texts: Vec<String>) -> Result<(), TencentChangeError> {
        self.change_tencent(TencentChange { refuse_urls: Some(texts), ..TencentChange::default() })
    }

    /// Texts of URLs that end as failed at both; none ends it.
    ///
    /// # Errors
    /// As [`Control::refuse_urls`].
    pub fn fail_urls(&self, texts: Vec<String>) -> Result<(), TencentChangeError> {
        self.change_tencent(TencentChange { fail_urls: Some(texts), ..TencentChange::default() })
    }

    /// The status that all tasks of Tencent Cloud CDN and EdgeOne are listed with, whatever their age; none ends it.
    pub fn task_state(&self, word: Option<String>) {
        let task_state = Some(word.unwrap_or_default());
        // A word cannot be wrong.
        let _ = self.change_tencent(TencentChange { task_state, ..TencentChange::default() });
    }

    /// How late the statistics of Tencent Cloud CDN are.
    ///
    /// # Errors
    /// More than 31 days; then nothing is changed.
    pub fn tencent_delay_minutes(&self, minutes: u32) -> Result<(), TencentChangeError> {
        self.change_tencent(TencentChange { tencent_delay_minutes: Some(minutes), ..TencentChange::default() })
    }

    /// How late the statistics of EdgeOne are.
    ///
    /// # Errors
    /// As [`Control::tencent_delay_minutes`].
    pub fn edgeone_delay_minutes(&self, minutes: u32) -> Result<(), TencentChangeError> {
        self.change_tencent(TencentChange { edgeone_delay_minutes: Some(minutes), ..TencentChange::default() })
    }

    /// Changes several of these at once.
    ///
    /// # Errors
    /// As for each of them; then nothing is changed.
    pub fn change_tencent(&self, change: TencentChange) -> Result<(), TencentChangeError> {
        self.stage.switches.change(change)
    }

    /// Brings these back to what the configuration says.
    pub fn reset_tencent(&self) {
        self.stage.switches.reset();
    }

    /// What is set of these.
    #[must_use]
    pub fn tencent(&self) -> TencentState {
        self.stage.switches.state()
    }

    /// The configuration, secrets included.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: u32,
}

/// Answers a request under [`PREFIX`].
pub(crate) async fn answer(control: &Control, request: Request) -> Response {
    let reply = match route(control, request).await {
        Ok(body) => Reply::new(StatusCode::OK, JSON, body),
        Err((status, message)) => {
            let body = json!({ "error": { "message": message } });
            Reply::new(status, JSON, body.to_string())
        }
    };
    reply.into_response()
}

type Failure = (StatusCode, String);

async fn route(control: &Control, mut request: Request) -> Result<String, Failure> {
    let uri = request.original_uri().clone();
    let resource = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    match (request.method(), resource) {
        (&Method::GET, "faults") => to_json(&control.faults()),
        (&Method::POST, "faults") => {
            let rules = read_json(&mut request).await?;
            control.set_faults(rules).map_err(|error| bad(&error))?;
            to_json(&control.faults())
        }
        (&Method::DELETE, "faults") => {
            control.clear_faults();
            to_json(&control.faults())
        }
        (&Method::GET, "requests") => {
            let (since, limit) = page(uri.query().unwrap_or(""))?;
            to_json(&control.stage.record.since(since, limit))
        }
        (&Method::DELETE, "requests") => {
            control.clear_requests();
            to_json(&json!({}))
        }
        (&Method::GET, "summary") => to_json(&control.summary()),
        (&Method::POST, "advance") => {
            let advance: Advance = read_json(&mut request).await?;
            let offset = control.advance(advance.seconds);
            to_json(&json!({ "offset_seconds": offset, "now_ms": control.stage.clock.now_ms() }))
        }
        (&Method::GET, "usage") => to_json(&control.usage()),
        (&Method::POST, "usage") => {
            let change = read_json(&mut request).await?;
            control.change_usage(&change).map_err(|error| bad(&error))?;
            to_json(&control.usage())
        }
        (&Method::DELETE, "usage") => {
            control.reset_usage();
            to_json(&control.usage())
        }
        (&Method::POST, "logs") => {
            let delivery: LogDelivery = read_json(&mut request).await?;
            write_logs(control, move |control| control.deliver_logs(&delivery)).await
        }
        (&Method::POST, "logs/complete") => {
            let LogCompletion { day, property } = read_json(&mut request).await?;
            write_logs(control, move |control| control.complete_logs(day, property.as_deref())).await
        }
        (&Method::GET, "tencent") => to_json(&control.tencent()),
        (&Method::POST, "tencent") => {
            let change = read_json(&mut request).await?;
            control.change_tencent(change).map_err(|error| bad(&error))?;
            to_json(&control.tencent())
        }
        (&Method::DELETE, "tencent") => {
            control.reset_tencent();
            to_json(&control.tencent())
        }
        (&Method::GET, "config") => to_json(&control.config().clone().without_secrets()),
        (
            _,
            "faults" | "requests" | "summary" | "advance" | "usage" | "logs" | "logs/complete" | "tencent" | "config",
        ) => Err((StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed".to_owned())),
        _ => Err((StatusCode::NOT_FOUND, "there is no such control endpoint".to_owned())),
    }
}

/// Does blocking work on the logs and answers the files that it wrote.
async fn write_logs(
    control: &Control,
    work: impl FnOnce(&Control) -> Result<Vec<PathBuf>, LogDeliveryError> + Send + 'static,
) -> Result<String, Failure> {
    let control = control.clone();
    let written = spawn_blocking(move || work(&control)).await;
    let written = written.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let written = written.map_err(|error| match error {
        LogDeliveryError::Write { .. } => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        _ => bad(&error),
    })?;
    let files: Vec<_> = written.iter().map(|path| path.to_string_lossy()).collect();
    to_json(&json!({ "files": files }))
}

/// Reads `since` and `limit`.
fn page(query: &str) -> Result<(u64, usize), Failure> {
    let (mut since, mut limit) = (0, usize::MAX);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = || (StatusCode::BAD_REQUEST, format!("{name}={value} is not understood"));
        match name.as_ref() {
            "since" => since = value.parse().map_err(|_| wrong())?,
            "limit" => limit = value.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    Ok((since, limit))
}

async fn read_json<T: for<'de> Deserialize<'de>>(request: &mut Request) -> Result<T, Failure> {
    let body = request.take_body().into_bytes_limit(MAX_BODY).await;
    let body = body.map_err(|error| bad(&error))?;
    serde_json::from_slice(&body).map_err(|error| bad(&error))
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn bad(error: &dyn std::fmt::Display) -> Failure {
    (StatusCode::BAD_REQUEST, error.to_string())
}
