//! One call to the vendor, from the breaker's leave to the answer's last byte.
//!
//! Every call goes through [`Account::call`]: it asks the breaker, takes a permit, signs, sends,
//! reads in bounded memory, classes what went wrong and counts. Invariants: the path that is signed
//! is the path that is sent, byte for byte; neither the secret nor a signature enters a message, a
//! log line or `Debug` output. Called by `mod.rs`.

use super::breaker::{Attempt, Breaker};
use super::document::{self, Limits, Visitor};
use super::refusal::{self, Refusal};
use super::signature::{Signed, Signer};
use crate::cdn::http::{self, CappedBody};
use crate::cdn::{CallGate, CdnError};
use crate::clock::Clock;
use chrono::DateTime;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use url::Url;

/// Sent and signed with every call, also with those that have no body.
const MEDIA_TYPE: &str = "text/xml";

/// One account with what its calls share.
pub(super) struct Account {
    /// Its name in the configuration, for metrics and the gate.
    pub(super) name: String,
    pub(super) base: Url,
    pub(super) client: reqwest::Client,
    pub(super) signer: Signer,
    pub(super) gate: Arc<dyn CallGate>,
    pub(super) max_concurrency: u32,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
}

/// What is asked of the vendor.
pub(super) struct Call<'a> {
    /// The operation as a metric's label.
    pub(super) operation: &'static str,
    /// The endpoint with its version, such as `/invalidations/v1.0`.
    pub(super) endpoint: &'static str,
    /// The vendor's path of the group or property, as it is known; empty for none.
    pub(super) scope: &'a str,
    /// The query, ready to be sent.
    pub(super) query: Option<&'a str>,
    /// The body of a POST; without one it is a GET.
    pub(super) body: Option<String>,
}

impl Call<'_> {
    fn method(&self) -> Method {
        if self.body.is_some() { Method::POST } else { Method::GET }
    }

    fn subject(&self) -> Option<&str> {
        (!self.scope.is_empty()).then_some(self.scope)
    }
}

/// What was answered.
pub(super) struct Answer<V> {
    pub(super) visitor: V,
    /// Seconds that the vendor's clock is ahead.
    pub(super) clock_ahead_seconds: Option<i64>,
}

impl Account {
    /// Makes a call and lets the visitor read its answer.
    ///
    /// # Errors
    /// [`CdnError`] of every class.
    pub(super) async fn call<V: Visitor>(&self, call: Call<'_>, visitor: V) -> Result<Answer<V>, CdnError> {
        self.breaker().check(Instant::now())?;
        let _permit = self.gate.enter(&self.name, self.max_concurrency).await?;
        // A refusal may have come while this call waited for its permit.
        self.breaker().check(Instant::now())?;
        let started = Instant::now();
        let mut status = None;
        let outcome = self.exchange(&call, visitor, started, &mut status).await;
        self.record(&call, started, status, outcome.as_ref().err());
        outcome
    }

    async fn exchange<V: Visitor>(
        &self,
        call: &Call<'_>,
        mut visitor: V,
        started: Instant,
        status: &mut Option<StatusCode>,
    ) -> Result<Answer<V>, CdnError> {
        let url = self.url(call)?;
        let breaker_scope = format!("{} {}", call.method(), url.path());
        let attempt = Attempt { scope: &breaker_scope, started };
        let (request, signature) = self.signed(call, url)?;
        let response = request.send().await.map_err(|error| http::transport_error(&error))?;
        *status = Some(response.status());
        let clock_ahead_seconds = self.clock_ahead(response.headers());
        if !response.status().is_success() {
            let (status, headers) = (response.status(), response.headers().clone());
            let body = http::read_start(response, refusal::BODY_LIMIT).await;
            if can_be_an_answer(status) && visitor.takes_refusal(&body) {
                self.breaker().succeeded(attempt, Instant::now());
                return Ok(Answer { visitor, clock_ahead_seconds });
            }
            let redact = |text: &str| self.signer.redact(text, &signature);
            let refusal = Refusal::new(status, &headers, body, redact).await;
            return Err(self.refused(call, attempt, refusal));
        }
        self.breaker().succeeded(attempt, Instant::now());
        let body = CappedBody::new(response, self.limits.total, self.limits.piece);
        document::read(body, self.limits, &mut visitor).await?;
        Ok(Answer { visitor, clock_ahead_seconds })
    }

    fn signed(&self, call: &Call<'_>, url: Url) -> Result<(reqwest::RequestBuilder, String), CdnError> {
        let method = call.method();
        let date = http_date(&self.clock);
        let signature = self.signer.signature(Signed {
            date: &date,
            path: url.path(),
            content_type: MEDIA_TYPE,
            verb: method.as_str(),
            content_md5: "",
        });
        let unsendable = |_| CdnError::Rejected("the key id cannot stand in a header".to_owned());
        let mut authorization = HeaderValue::from_str(&self.signer.authorization(&signature)).map_err(unsendable)?;
        authorization.set_sensitive(true);
        let mut request = self
            .client
            .request(method, url)
            .header(DATE, date)
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .header(ACCEPT, MEDIA_TYPE)
            .header(AUTHORIZATION, authorization);
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        Ok((request, signature))
    }

    /// The URL, whose path is already in the form in which it is sent.
    fn url(&self, call: &Call<'_>) -> Result<Url, CdnError> {
        let prefix = self.base.path().trim_end_matches('/');
        let path = format!("{prefix}{}{}", call.endpoint, encoded(call.scope));
        let mut url = self.base.clone();
        url.set_path(&path);
        url.set_query(call.query);
        // A segment of dots would be resolved away, and something else be asked for.
        if url.path() != path {
            return Err(CdnError::Rejected(format!("`{}` cannot stand in a URL", http::clean(call.scope))));
        }
        Ok(url)
    }

    fn refused(&self, call: &Call<'_>, attempt: Attempt<'_>, refusal: Refusal) -> CdnError {
        let now = Instant::now();
        let credentials = || {
            let key_id = self.signer.key_id();
            format!("key id {key_id}, {}: {}", attempt.scope, refusal.message)
        };
        match refusal.status {
            StatusCode::FORBIDDEN => self.breaker().forbidden(attempt, now, credentials()),
            StatusCode::UNAUTHORIZED => self.breaker().unauthorized(attempt, now, credentials()),
            StatusCode::TOO_MANY_REQUESTS => self.breaker().throttled(now, refusal.retry_after),
            _ => refusal.class(call.subject()),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock_ahead(&self, headers: &HeaderMap) -> Option<i64> {
        let date = headers.get(DATE)?.to_str().ok()?;
        let theirs = DateTime::parse_from_rfc2822(date).ok()?.timestamp();
        Some(theirs - self.clock.now_seconds())
    }

    fn record(&self, call: &Call<'_>, started: Instant, status: Option<StatusCode>, error: Option<&CdnError>) {
        let elapsed = started.elapsed();
        let outcome = error.map_or("ok", CdnError::class);
        http::count_call(&self.name, call.operation, elapsed, outcome);
        tracing::debug!(
            cdn = self.name,
            operation = call.operation,
            property = call.scope,
            status = status.map(|status| status.as_u16()),
            elapsed_ms = elapsed.as_millis(),
            outcome,
            "called the vendor"
        );
    }
}

/// A 403 is about the credentials or the call rate, whatever its body says, and the breaker has to know of it.
fn can_be_an_answer(status: StatusCode) -> bool {
    (status.is_client_error() || status.is_server_error()) && status != StatusCode::FORBIDDEN
}

/// The time as RFC 1123 wants it, in GMT.
fn http_date(clock: &Clock) -> String {
    DateTime::from_timestamp_millis(clock.now()).unwrap_or_default().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The scope as it stands in a URL. Bytes that may stand there stay, the `*` of a wildcard property
/// too, so that the signed text is what the vendor's own documentation shows. So does a `%`: no name
/// has one, only a path that the vendor has encoded already.
fn encoded(scope: &str) -> String {
    let mut path = String::with_capacity(scope.len());
    for byte in scope.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~*:@!$&()+,;=%".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}
