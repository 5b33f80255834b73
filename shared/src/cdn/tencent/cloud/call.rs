//! One call to a service of Tencent Cloud, from the hold's leave to the answer's last byte.
//!
//! Every call goes through [`Account::call`]: it asks the hold, takes a permit, signs, sends, reads in bounded memory,
//! classes what went wrong and counts. Invariants: what is signed is what is sent, byte for byte; neither the secret nor
//! a signature enters a message, a log line or `Debug` output. Called by the clients of the services.

use super::Service;
use super::hold::Hold;
use super::refusal::{Class, class_of};
use super::signature::{Signed, Signer};
use crate::cdn::http::{self, read_capped};
use crate::cdn::setting::{self, SettingError};
use crate::cdn::tencent::time;
use crate::cdn::{CallGate, CdnError};
use crate::clock::Clock;
use crate::config::CdnConfig;
use chrono::DateTime;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use url::Url;

const MEDIA_TYPE: &str = "application/json";
/// Most bytes of an answer: a thousand domains with all of their settings, several times over.
const ANSWER_LIMIT: u64 = 32 * 1024 * 1024;
/// Longest time of a call and longest pause that a setting may ask for.
const LONGEST: Duration = Duration::from_secs(86_400);
/// The clock's distance is not known yet.
const UNKNOWN: i64 = i64::MIN;

/// An account at one service.
pub(in crate::cdn) struct Account {
    name: String,
    service: Service,
    base: Url,
    host: String,
    client: reqwest::Client,
    signer: Signer,
    gate: Arc<dyn CallGate>,
    max_concurrency: u32,
    hold: Mutex<Hold>,
    clock: Clock,
    clock_ahead_seconds: AtomicI64,
}

/// A request for a list that comes in pages.
pub(in crate::cdn) trait Page: Serialize + Send + Sync {
    /// What answers it.
    type Answer: DeserializeOwned + Send;
    /// One of the list.
    type Item: Send;

    /// Asks for the page that begins after so many items.
    fn begin_at(&mut self, offset: usize);

    /// The page's items, and how many the whole list has by the vendor's count.
    fn items(answer: Self::Answer) -> (Vec<Self::Item>, Option<usize>);
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(rename = "Response")]
    response: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head {
    error: Option<Refusal>,
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
    #[serde(default)]
    message: String,
}

/// One attempt of a call.
struct Attempt<'a> {
    action: &'a str,
    /// The domain or zone that it is about.
    subject: &'a str,
    started: Instant,
}

impl Account {
    /// The account of these settings. Makes no call.
    pub(in crate::cdn) fn new(
        name: &str,
        config: &CdnConfig,
        gate: Arc<dyn CallGate>,
        service: Service,
    ) -> Result<Self, SettingError> {
        let id = setting::required("key_id", config.key_id.as_deref())?;
        let secret = setting::required_secret("secret", config.secret.as_ref())?;
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            let problem = "is not usable: a SecretId is made of letters and digits";
            return Err(SettingError::new("key_id", problem));
        }
        let base = setting::base_url(config, service.address)?;
        let timeout = Duration::from_secs(config.timeout_seconds.max(1)).min(LONGEST);
        let client = http::client(&base, timeout)
            .map_err(|error| SettingError::new("base_url", format!("cannot be called: {error}")))?;
        let pause = Duration::from_secs(config.rate_limit_pause_seconds.max(1)).min(LONGEST);
        Ok(Self {
            name: name.to_owned(),
            service,
            host: host(&base),
            base,
            client,
            signer: Signer::new(id, secret),
            gate,
            max_concurrency: config.max_concurrency.max(1),
            hold: Mutex::new(Hold::new(pause)),
            clock: Clock::system(),
            clock_ahead_seconds: AtomicI64::new(UNKNOWN),
        })
    }

    /// The time.
    pub(in crate::cdn) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where the service is.
    pub(in crate::cdn) fn base(&self) -> &Url {
        &self.base
    }

    /// The id of the key.
    pub(in crate::cdn) fn key_id(&self) -> &str {
        self.signer.id()
    }

    /// Seconds that the vendor's clock is ahead of ours, as its last answer told.
    pub(in crate::cdn) fn clock_ahead_seconds(&self) -> Option<i64> {
        Some(self.clock_ahead_seconds.load(Ordering::Relaxed)).filter(|ahead| *ahead != UNKNOWN)
    }

    /// Does `action` and gives what it answers. `operation` is our word for it in metrics, `subject` the domain or zone
    /// that it is about.
    pub(in crate::cdn) async fn call<A: DeserializeOwned>(
        &self,
        operation: &'static str,
        action: &str,
        subject: &str,
        request: &impl Serialize,
    ) -> Result<A, CdnError> {
        let body = serde_json::to_vec(request)
            .map_err(|error| CdnError::Rejected(format!("the request cannot be written: {error}")))?;
        self.hold().check(Instant::now())?;
        let _permit = self.gate.enter(&self.name, self.max_concurrency).await?;
        // A refusal may have come while this call waited for its permit.
        self.hold().check(Instant::now())?;
        let attempt = Attempt { action, subject, started: Instant::now() };
        let outcome = self.exchange(&attempt, body).await;
        let (elapsed, class) = (attempt.started.elapsed(), outcome.as_ref().map_or_else(CdnError::class, |_| "ok"));
        http::count_call(&self.name, operation, elapsed, class);
        tracing::debug!(
            cdn = self.name,
            operation,
            action,
            property = subject,
            elapsed_ms = elapsed.as_millis(),
            outcome = class,
            "called the vendor"
        );
        outcome
    }

    /// Does `action` until all pages have come; gives all items, and how many there are by the vendor's count. What has come
    /// says where the next page begins, since a page may be smaller than was asked for.
    ///
    /// # Errors
    /// Those of [`Account::call`], and [`CdnError::Unreadable`] for more than `most` items.
    pub(in crate::cdn) async fn call_pages<R: Page>(
        &self,
        operation: &'static str,
        action: &str,
        subject: &str,
        mut request: R,
        most: usize,
    ) -> Result<(Vec<R::Item>, usize), CdnError> {
        let mut items = Vec::new();
        loop {
            request.begin_at(items.len());
            let answer: R::Answer = self.call(operation, action, subject, &request).await?;
            let (page, total) = R::items(answer);
            let (is_last, total) = (page.is_empty(), total.unwrap_or(0));
            items.extend(page);
            if is_last || items.len() >= total {
                let total = total.max(items.len());
                return Ok((items, total));
            }
            if items.len() >= most {
                return Err(CdnError::Unreadable(format!("{action}: more than {most} items")));
            }
        }
    }

    /// The span, in Unix seconds of the vendor's clock, that holds whatever was accepted at `since` (UTC milliseconds of
    /// ours) or later; and how far its clock is ahead.
    pub(in crate::cdn) fn span_since(&self, since: i64) -> (i64, i64, i64) {
        let ahead = self.clock_ahead_seconds().unwrap_or(0);
        let since = since.div_euclid(1000);
        // Another worker's clock may be ahead of ours.
        let until = self.clock.now_seconds().max(since) + ahead + 60;
        (since + ahead - 1, until, ahead)
    }

    async fn exchange<A: DeserializeOwned>(&self, attempt: &Attempt<'_>, body: Vec<u8>) -> Result<A, CdnError> {
        let (response, signature) = self.send(attempt.action, body).await?;
        self.note_clock(response.headers());
        match response.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => return Err(self.hold().throttled(attempt.started, Instant::now())),
            // What went wrong with a request stands in an answer with status 200; any other one is a gateway's.
            status => return Err(CdnError::Transient(format!("{}: HTTP status {status}", attempt.action))),
        }
        let answer = read_capped(response, ANSWER_LIMIT).await?;
        let unreadable = |error: serde_json::Error| CdnError::Unreadable(format!("{}: {error}", attempt.action));
        let head: Envelope<Head> = serde_json::from_slice(&answer).map_err(unreadable)?;
        let head = head.response;
        if let Some(refusal) = head.error {
            let id = head.request_id.unwrap_or_default();
            let said = format!("{}: {}: {} (RequestId {id})", attempt.action, refusal.code, refusal.message);
            let message = http::clean(&self.signer.redact(&said, &signature));
            return Err(self.refused(attempt, &refusal.code, message));
        }
        let answer: Envelope<A> = serde_json::from_slice(&answer).map_err(unreadable)?;
        self.hold().succeeded(attempt.started);
        Ok(answer.response)
    }

    async fn send(&self, action: &str, body: Vec<u8>) -> Result<(Response, String), CdnError> {
        let signed = Signed {
            service: self.service.name,
            host: &self.host,
            content_type: MEDIA_TYPE,
            timestamp: self.clock.now_seconds(),
            body: &body,
        };
        let signature = self.signer.signature(signed);
        let unsendable = |_| CdnError::Rejected("the key id cannot stand in a header".to_owned());
        let mut authorization =
            HeaderValue::from_str(&self.signer.authorization(signed, &signature)).map_err(unsendable)?;
        authorization.set_sensitive(true);
        let request = self
            .client
            .post(self.base.clone())
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .header("X-TC-Action", action)
            .header("X-TC-Version", self.service.version)
            .header("X-TC-Timestamp", signed.timestamp)
            .header("X-TC-Language", "en-US")
            .header(AUTHORIZATION, authorization)
            .body(body);
        let response = request.send().await.map_err(|error| http::transport_error(&error))?;
        Ok((response, signature))
    }

    fn refused(&self, attempt: &Attempt<'_>, code: &str, message: String) -> CdnError {
        let now = Instant::now();
        match class_of(self.service.codes, code) {
            Class::Credentials => {
                let skew = self.clock_ahead_seconds().filter(|ahead| ahead.abs() > 60);
                let skew = skew.map(|ahead| format!("; the vendor's clock is {ahead} s ahead of ours"));
                let message = format!("key id {}, {message}{}", self.key_id(), skew.unwrap_or_default());
                self.hold().refused(attempt.started, now, message)
            }
            Class::RateLimited => self.hold().throttled(attempt.started, now),
            Class::Quota => self.exhausted(&message),
            Class::Batch => CdnError::BatchTooLarge(message),
            Class::Rejected => CdnError::Rejected(message),
            Class::UnknownProperty if attempt.subject.is_empty() => CdnError::Rejected(message),
            Class::UnknownProperty => CdnError::UnknownProperty(message),
            Class::Unsupported(why) => CdnError::Unsupported(format!("{why} ({message})")),
            Class::Denied => CdnError::Transient(format!("access is denied, which the operator can mend: {message}")),
            Class::Transient => CdnError::Transient(message),
            Class::Waiting(why) => CdnError::Transient(format!("{why} ({message})")),
        }
    }

    /// What a day allows is used up: until the next day in the vendor's time zone.
    pub(in crate::cdn) fn exhausted(&self, message: &str) -> CdnError {
        let (retry_after, renewed) = time::next_day(self.clock.now());
        CdnError::QuotaExhausted { message: format!("{message}; it goes on after {renewed} (UTC+8)"), retry_after }
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A `Date` header is exact to a second.
    fn note_clock(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            self.clock_ahead_seconds.store(theirs.timestamp() - self.clock.now_seconds(), Ordering::Relaxed);
        }
    }
}

/// The `Host` header that is sent for an address.
fn host(base: &Url) -> String {
    let name = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// A list that may be `null`.
pub(in crate::cdn) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
