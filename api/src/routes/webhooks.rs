//! Webhooks: `GET|POST /level3/webhooks`, `POST /level3/webhooks/remove` and `/enable`.
//!
//! Whoever may purge may say where its tasks' ends are told: a message says no more than the lists of tasks, which
//! the same credential reads. A credential that only reads changes nothing, so it may list. Staff act for anybody.
//! The secret is in the answer to the registration and nowhere else; it is renewed by registering a second webhook
//! with the same URL and removing the first. What is sent is decided where tasks end (`db::webhook::message`).

use crate::auth::{Caller, Purger, TaskReader};
use crate::error::{Answer, ApiError};
use crate::params::{Params, text, whole};
use crate::routes::Group;
use crate::state::SharedState;
use overseas_shared::db::audit::NewEntry;
use overseas_shared::db::webhook::{self, NewWebhook, Webhook};
use overseas_shared::domain::webhook::{MOST, WebhookUrl, origin};
use overseas_shared::webhook_secret::WebhookSecret;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Whose webhooks.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct WebhooksIn {
    /// The user; may be left out by the user itself.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
}

impl Example for WebhooksIn {
    fn example() -> Self {
        Self { login_email: Some("user@example.com".to_owned()) }
    }
}

/// A webhook that is to be registered.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct NewWebhookIn {
    /// Where messages are sent to by POST: https, a public host, no user name or password.
    #[serde(deserialize_with = "text")]
    url: Option<String>,
    /// The user; may be left out by the user itself.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
}

impl Example for NewWebhookIn {
    fn example() -> Self {
        Self {
            url: Some("https://hooks.example.com/overseas".to_owned()),
            login_email: Some("user@example.com".to_owned()),
        }
    }
}

/// A webhook that is meant.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct WebhookIn {
    /// Its id.
    #[serde(deserialize_with = "whole")]
    id: Option<i64>,
}

impl Example for WebhookIn {
    fn example() -> Self {
        Self { id: Some(1) }
    }
}

/// A webhook.
#[derive(Debug, Serialize, Object)]
pub struct WebhookOut {
    /// Its id.
    id: i64,
    /// Where messages are sent to.
    url: String,
    /// Whose it is.
    login_email: String,
    /// What messages are signed with (Standard Webhooks); shown once, when the webhook is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    secret: Option<String>,
    /// Whether messages are sent. One that has failed for 5 days, or has answered 410, is disabled.
    enabled: bool,
    /// When it was registered, in Unix seconds.
    created: i64,
    /// When a message was delivered last, in Unix seconds; null when none was.
    last_success: Option<i64>,
    /// When a delivery failed last, in Unix seconds.
    last_failure: Option<i64>,
    /// Why.
    failure: String,
    /// Messages that wait to be delivered.
    waiting: i64,
}

/// The webhook that was registered or enabled.
#[derive(Debug, Serialize, Object)]
pub struct OneWebhookOut {
    /// 0.
    err: u16,
    /// As it is now.
    webhook: WebhookOut,
}

/// The webhooks of a user.
#[derive(Debug, Serialize, Object)]
pub struct WebhooksOut {
    /// 0.
    err: u16,
    /// Oldest first.
    results: Vec<WebhookOut>,
}

/// The webhook that was removed.
#[derive(Debug, Serialize, Object)]
pub struct RemovedWebhookOut {
    /// 0.
    err: u16,
    /// Its id.
    id: i64,
}

/// Handlers.
pub struct Webhooks;

#[OpenApi(tag = "Group::Tasks")]
impl Webhooks {
    /// List the webhooks of a user
    #[oai(path = "/level3/webhooks", method = "get", operation_id = "webhooks")]
    async fn webhooks(
        &self,
        state: Data<&SharedState>,
        reader: TaskReader,
        params: Params<WebhooksIn>,
    ) -> Result<Answer<WebhooksOut>, ApiError> {
        let caller = &reader.0;
        let target = caller.target(state.0, params.0.login_email.as_deref()).await?;
        let found = webhook::list(&state.db, caller.scope(), target.id).await?;
        Answer::new(&WebhooksOut { err: 0, results: found.into_iter().map(|webhook| shown(webhook, None)).collect() })
    }

    /// Register a webhook
    ///
    /// Each task of the user that ends is told there by POST, until it is answered with 2xx, for at most 3 days; a
    /// message may come twice, with the same `webhook-id`. At most 10 for each user. The headers are those of
    /// [Standard Webhooks](https://www.standardwebhooks.com), whose libraries check the signature. The body:
    /// `{"type": "task.done", "timestamp": "2026-11-23T06:59:41.000Z", "data": {"taskid", "login_email", "kind", "cdn",
    /// "domain", "url", "urls", "percentComplete", "state", "message", "created", "ended"}}`; the type is `task.done`,
    /// `task.failed` or `task.expired`, `urls` is a number, `created` and `ended` are times, all else is text.
    #[oai(path = "/level3/webhooks", method = "post", operation_id = "create_webhook")]
    async fn create_webhook(
        &self,
        state: Data<&SharedState>,
        purger: Purger,
        params: Params<NewWebhookIn>,
    ) -> Result<Answer<OneWebhookOut>, ApiError> {
        let (caller, now) = (&purger.0, state.clock.now());
        let url = params.0.url.ok_or_else(|| ApiError::missing("url"))?;
        let url = WebhookUrl::parse(&url, state.config.webhooks.allow_private);
        let url = url.map_err(|error| ApiError::wrong("url", error))?;
        let target = caller.target(state.0, params.0.login_email.as_deref()).await?;
        let new = NewWebhook { user_id: target.id, url, secret: WebhookSecret::random() };
        let made = webhook::create(&state.db, &new, now, |made| entry(caller, now, "create_webhook", made)).await?;
        let made = made.ok_or_else(|| {
            ApiError::Conflict(format!("url: {} has {MOST} webhooks, which is the most; remove one", target.email))
        })?;
        Answer::new(&OneWebhookOut { err: 0, webhook: shown(made, Some(new.secret.text())) })
    }

    /// Remove a webhook
    ///
    /// Messages that wait for it go with it.
    #[oai(path = "/level3/webhooks/remove", method = "post", operation_id = "remove_webhook")]
    async fn remove_webhook(
        &self,
        state: Data<&SharedState>,
        purger: Purger,
        params: Params<WebhookIn>,
    ) -> Result<Answer<RemovedWebhookOut>, ApiError> {
        let (caller, now) = (&purger.0, state.clock.now());
        let id = params.0.id.ok_or_else(|| ApiError::missing("id"))?;
        let entry = |webhook: &Webhook| entry(caller, now, "remove_webhook", webhook);
        if !webhook::remove(&state.db, caller.scope(), id, entry).await? {
            return Err(missing());
        }
        Answer::new(&RemovedWebhookOut { err: 0, id })
    }

    /// Enable a webhook that was disabled
    ///
    /// Messages that still wait for it are sent at once.
    #[oai(path = "/level3/webhooks/enable", method = "post", operation_id = "enable_webhook")]
    async fn enable_webhook(
        &self,
        state: Data<&SharedState>,
        purger: Purger,
        params: Params<WebhookIn>,
    ) -> Result<Answer<OneWebhookOut>, ApiError> {
        let (caller, now) = (&purger.0, state.clock.now());
        let id = params.0.id.ok_or_else(|| ApiError::missing("id"))?;
        let entry = |webhook: &Webhook| entry(caller, now, "enable_webhook", webhook);
        let webhook = webhook::enable(&state.db, caller.scope(), id, now, entry).await?.ok_or_else(missing)?;
        Answer::new(&OneWebhookOut { err: 0, webhook: shown(webhook, None) })
    }
}

/// The same for another user's as for nobody's.
fn missing() -> ApiError {
    ApiError::NotFound("id: there is no such webhook".to_owned())
}

/// Without the path, which often holds the receiver's own key.
fn entry(caller: &Caller, now: i64, action: &'static str, webhook: &Webhook) -> NewEntry {
    caller.entry(now, action, &webhook.email, &format!("{} {}", webhook.id, origin(&webhook.url)))
}

fn shown(webhook: Webhook, secret: Option<String>) -> WebhookOut {
    let seconds = |at: Option<i64>| at.map(|at| at.div_euclid(1000));
    WebhookOut {
        id: webhook.id,
        url: webhook.url,
        login_email: webhook.email,
        secret,
        enabled: webhook.enabled,
        created: webhook.created_at.div_euclid(1000),
        last_success: seconds(webhook.succeeded_at),
        last_failure: seconds(webhook.failed_at),
        failure: webhook.failure.unwrap_or_default(),
        waiting: webhook.waiting,
    }
}
