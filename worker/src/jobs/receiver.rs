//! Requests to the receivers of webhooks, made safely with URLs that customers wrote.
//!
//! The worker stands inside the operator's network: names are resolved here, private addresses refused, and the
//! connection goes to the address that was checked. Redirects are not followed, since they would lead past the check
//! and the signature is for this receiver. What is read is bounded in size and time. Called by the webhook job.

use overseas_shared::cdn::http;
use overseas_shared::db::webhook::message::Claimed;
use overseas_shared::domain::address::{is_public, literal_address};
use overseas_shared::public_hosts::{NotPublic, PublicOnly, innermost, is_refusal};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A receiver that has not answered by then is tried again.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read; nobody looks at them, but a connection is used again only when it was read.
const ANSWER_BYTES: usize = 16 * 1024;

/// Why a receiver does not have a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The receiver wants no more messages.
    #[error("status 410: the receiver is gone")]
    Gone,
    /// The receiver is somewhere else.
    #[error("status {0}: redirects are not followed")]
    Redirect(u16),
    /// The receiver has not taken it.
    #[error("status {0}")]
    Status(u16),
    /// The URL leads where the worker must not go.
    #[error("{0}")]
    Refused(String),
    /// No answer.
    #[error("{0}")]
    Unreachable(String),
}

/// Sends messages.
pub struct Sender {
    client: reqwest::Client,
    allow_private: bool,
}

impl Sender {
    /// With `allow_private` messages may go anywhere, and by plain http.
    ///
    /// # Errors
    /// Those of reqwest, when no client can be built.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        let build = |certificates| {
            let builder = http::builder(certificates).timeout(TIME_LIMIT);
            let builder = if allow_private { builder } else { builder.dns_resolver(Arc::new(PublicOnly)) };
            builder.build()
        };
        let client = build(true).or_else(|_| build(false))?;
        Ok(Self { client, allow_private })
    }

    /// Sends a message at this time (Unix seconds), signed as in Standard Webhooks. Any 2xx means that the receiver has it.
    ///
    /// # Errors
    /// [`Failure`], worded for the owner of the webhook.
    pub async fn send(&self, message: &Claimed, seconds: i64) -> Result<(), Failure> {
        let url = self.permitted(&message.url)?;
        let (id, body) = (message.id(), message.task.body());
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-signature", message.secret.sign(&id, seconds, &body))
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-id", id)
            .body(body);
        let answer = request.send().await.map_err(|error| failure(&error))?;
        let status = answer.status();
        http::read_start(answer, ANSWER_BYTES).await;
        match status.as_u16() {
            200..=299 => Ok(()),
            410 => Err(Failure::Gone),
            300..=399 => Err(Failure::Redirect(status.as_u16())),
            other => Err(Failure::Status(other)),
        }
    }

    /// The URL, if it may be called. It was looked at when it was registered, perhaps under other settings.
    fn permitted(&self, text: &str) -> Result<Url, Failure> {
        let url = Url::parse(text).map_err(|_| Failure::Refused("not a URL".to_owned()))?;
        if !self.allow_private {
            if url.scheme() != "https" {
                return Err(Failure::Refused("the URL does not begin with https://".to_owned()));
            }
            if literal_address(&url).is_some_and(|address| !is_public(address)) {
                return Err(Failure::Refused(NotPublic.to_string()));
            }
        }
        Ok(url)
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if is_refusal(error) {
        return Failure::Refused(NotPublic.to_string());
    }
    if error.is_timeout() {
        return Failure::Unreachable(format!("no answer within {} s", TIME_LIMIT.as_secs()));
    }
    Failure::Unreachable(format!("no answer: {}", innermost(error)))
}
