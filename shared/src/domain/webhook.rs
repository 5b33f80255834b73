//! Webhooks: where they may lead, what a message says, and how long it is tried.
//!
//! A message is that of Standard Webhooks (<https://www.standardwebhooks.com>). It tells of a task that has ended,
//! and an ended task changes no more, so the body is made anew for each try and is the same each time. All of it is
//! pure; times are UTC milliseconds. Called by the webhook handlers, `db::webhook` and the worker's deliveries.

use crate::domain::address::{is_public, literal_address};
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use std::fmt;
use url::Url;

/// Longest URL, in characters.
pub const LONGEST_URL: usize = 2048;
/// Most webhooks of a user.
pub const MOST: u64 = 10;

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// A message that was tried for this long is given up.
pub const GIVE_UP_AFTER: i64 = 3 * DAY;
/// A webhook all of whose deliveries have failed for this long is disabled.
pub const DISABLE_AFTER: i64 = 5 * DAY;
/// The wait after the first failure; it doubles with each.
const FIRST_WAIT: i64 = 5 * SECOND;
/// The longest wait, but for the jitter.
const LONGEST_WAIT: i64 = 4 * HOUR;

/// Ends of names that are not on the public internet (RFC 6761, 6762, 8375, 9476, and what networks use inside).
const PRIVATE_NAMES: [&str; 9] =
    ["localhost", "local", "internal", "intranet", "lan", "home.arpa", "test", "invalid", "alt"];

/// Where messages are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// It has more characters than are stored.
    #[error("longer than {LONGEST_URL} characters")]
    TooLong,
    /// It is none, or one of another kind.
    #[error("expected a URL such as https://hooks.example.com/overseas")]
    NotUrl,
    /// It is not encrypted.
    #[error("must begin with https://")]
    NotHttps,
    /// It holds a credential, which would be shown in lists.
    #[error("must hold no user name or password; check the signature of the messages instead")]
    Credential,
    /// It leads into somebody's own network.
    #[error("the host is not on the public internet")]
    NotPublic,
}

impl WebhookUrl {
    /// Reads a URL. With `allow_private` it may be plain http and lead into a private network. What a name resolves to
    /// is looked at with each delivery, since it may change.
    ///
    /// # Errors
    /// [`WebhookUrlError`], worded for the customer.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, WebhookUrlError> {
        if text.chars().count() > LONGEST_URL {
            return Err(WebhookUrlError::TooLong);
        }
        // The parser would drop some of these.
        let is_strange = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if !text.starts_with("https://") && !text.starts_with("http://") || text.chars().any(is_strange) {
            return Err(WebhookUrlError::NotUrl);
        }
        let mut url = Url::parse(text).map_err(|_| WebhookUrlError::NotUrl)?;
        url.set_fragment(None);
        if url.as_str().len() > LONGEST_URL {
            return Err(WebhookUrlError::TooLong);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::Credential);
        }
        if !allow_private {
            if url.scheme() != "https" {
                return Err(WebhookUrlError::NotHttps);
            }
            if !may_be_public(&url) {
                return Err(WebhookUrlError::NotPublic);
            }
        }
        Ok(Self(url))
    }

    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn may_be_public(url: &Url) -> bool {
    if let Some(address) = literal_address(url) {
        return is_public(address);
    }
    let name = url.host_str().unwrap_or_default().trim_end_matches('.').to_lowercase();
    let ends_with = |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'));
    name.contains('.') && !PRIVATE_NAMES.iter().any(|end| ends_with(end))
}

/// Scheme, host and port: what log lines and the audit trail show, since paths often hold somebody's key.
#[must_use]
pub fn origin(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// Milliseconds until the next try after this many failed ones; `jitter` is 0 to 1 and spreads receivers that were
/// away together.
#[must_use]
pub fn back_off(attempts: u32, jitter: f64) -> i64 {
    let wait = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(30)).min(LONGEST_WAIT);
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a wait need not be exact")]
    let spread = (wait as f64 * (0.75 + jitter * 0.5)) as i64;
    spread
}

/// The id of a message: the same for every try, another for every task and webhook.
#[must_use]
pub fn message_id(task_id: &str, webhook_id: i64) -> String {
    format!("msg_{task_id}_{webhook_id}")
}

/// A task that has ended, as its message tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTask {
    /// The id.
    pub id: String,
    /// Whose it is.
    pub login_email: String,
    /// `refresh` or `preload`.
    pub kind: String,
    /// At which CDN.
    pub cdn: String,
    /// Of which property; empty where it is gone.
    pub domain: String,
    /// The URLs, joined by `|`.
    pub urls: String,
    /// How many there are.
    pub url_count: i32,
    /// 0 to 100.
    pub percent: i32,
    /// `done`, `failed` or `expired`.
    pub state: String,
    /// Why it failed.
    pub message: String,
    /// When it was made.
    pub created_at: i64,
    /// When it ended.
    pub ended_at: i64,
}

#[derive(Serialize)]
struct Message<'a> {
    r#type: String,
    timestamp: Time,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    taskid: &'a str,
    login_email: &'a str,
    kind: &'a str,
    cdn: &'a str,
    domain: &'a str,
    url: &'a str,
    urls: i32,
    #[serde(rename = "percentComplete")]
    percent_complete: String,
    state: &'a str,
    message: &'a str,
    created: Time,
    ended: Time,
}

/// A time as RFC 3339 writes it, in UTC.
struct Time(i64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl EndedTask {
    /// The body of the message.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let message = Message {
            r#type: format!("task.{}", self.state),
            timestamp: Time(self.ended_at),
            data: Data {
                taskid: &self.id,
                login_email: &self.login_email,
                kind: &self.kind,
                cdn: &self.cdn,
                domain: &self.domain,
                url: &self.urls,
                urls: self.url_count,
                percent_complete: self.percent.to_string(),
                state: &self.state,
                message: &self.message,
                created: Time(self.created_at),
                ended: Time(self.ended_at),
            },
        };
        serde_json::to_vec(&message).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_is_https_and_leads_to_a_public_host() {
        for url in [
            "https://hooks.example.com/a?b=c",
            "https://hooks.example.com:8443/",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/x",
            "https://bücher.example/",
        ] {
            assert!(WebhookUrl::parse(url, false).is_ok(), "{url}");
        }
        let long = format!("https://hooks.example.com/{}", "a".repeat(LONGEST_URL));
        let grows = format!("https://hooks.example.com/{}", "ä".repeat(1000));
        for (url, reason) in [
            ("http://hooks.example.com/", WebhookUrlError::NotHttps),
            ("ftp://hooks.example.com/", WebhookUrlError::NotUrl),
            ("hooks.example.com", WebhookUrlError::NotUrl),
            ("https://", WebhookUrlError::NotUrl),
            ("https://hooks.example.com/a b", WebhookUrlError::NotUrl),
            ("https://hooks.example.com\\@127.0.0.1/", WebhookUrlError::NotUrl),
            ("https://user@hooks.example.com/", WebhookUrlError::Credential),
            ("https://:secret@hooks.example.com/", WebhookUrlError::Credential),
            ("https://127.0.0.1/", WebhookUrlError::NotPublic),
            ("https://2130706433/", WebhookUrlError::NotPublic),
            ("https://0x7f.1/", WebhookUrlError::NotPublic),
            ("https://[::1]/", WebhookUrlError::NotPublic),
            ("https://[::ffff:10.0.0.1]/", WebhookUrlError::NotPublic),
            ("https://169.254.169.254/latest", WebhookUrlError::NotPublic),
            ("https://localhost/", WebhookUrlError::NotPublic),
            ("https://LOCALHOST./", WebhookUrlError::NotPublic),
            ("https://a.localhost/", WebhookUrlError::NotPublic),
            ("https://metadata.google.internal/", WebhookUrlError::NotPublic),
            ("https://router/", WebhookUrlError::NotPublic),
            (&long, WebhookUrlError::TooLong),
            (&grows, WebhookUrlError::TooLong),
        ] {
            assert_eq!(WebhookUrl::parse(url, false), Err(reason), "{url}");
        }
    }

    #[test]
    fn a_private_network_is_allowed_where_the_operator_says_so_and_a_credential_never() {
        for url in ["http://127.0.0.1:8080/", "http://receiver/", "https://[::1]/"] {
            assert!(WebhookUrl::parse(url, true).is_ok(), "{url}");
        }
        assert_eq!(WebhookUrl::parse("http://a:b@receiver/", true), Err(WebhookUrlError::Credential));
    }

    #[test]
    fn what_is_shown_of_a_url_holds_no_key() {
        assert_eq!(origin("https://hooks.example.com:8443/services/key?token=x"), "https://hooks.example.com:8443");
        assert_eq!(origin("no url"), "");
    }

    #[test]
    fn a_body_tells_of_the_task_and_its_times_are_rfc_3339() {
        let task = EndedTask {
            id: "T".to_owned(),
            login_email: "a@b.example".to_owned(),
            kind: "refresh".to_owned(),
            cdn: "level3".to_owned(),
            domain: "cdn.example.com".to_owned(),
            urls: "http://cdn.example.com/a|http://cdn.example.com/b".to_owned(),
            url_count: 2,
            percent: 100,
            state: "done".to_owned(),
            message: String::new(),
            created_at: 1_614_265_330_000,
            ended_at: 1_614_265_331_500,
        };
        let expected = r#"{"type":"task.done","timestamp":"2021-02-25T15:02:11.500Z","data":{"taskid":"T","login_email":"a@b.example","kind":"refresh","cdn":"level3","domain":"cdn.example.com","url":"http://cdn.example.com/a|http://cdn.example.com/b","urls":2,"percentComplete":"100","state":"done","message":"","created":"2021-02-25T15:02:10.000Z","ended":"2021-02-25T15:02:11.500Z"}}"#;
        assert_eq!(String::from_utf8(task.body()).unwrap(), expected);
        assert_eq!(message_id("T", 3), "msg_T_3");
    }

    proptest! {
        #[test]
        fn the_back_off_grows_to_a_bound(attempts in 0u32..1000, jitter in 0.0f64..1.0) {
            let wait = back_off(attempts, jitter);
            prop_assert!((FIRST_WAIT * 3 / 4..=LONGEST_WAIT * 5 / 4).contains(&wait));
            prop_assert!(back_off(attempts + 1, 0.0) >= back_off(attempts, 0.0));
        }

        #[test]
        fn no_url_panics_and_what_passes_is_https(text in "\\PC{0,40}") {
            if let Ok(url) = WebhookUrl::parse(&format!("https://{text}"), false) {
                prop_assert!(url.as_str().starts_with("https://") && url.as_str().len() <= LONGEST_URL);
            }
        }
    }
}
