//! From an HTTP status that is not 2xx to an error's class, and the vendor's own words for people.
//!
//! Some errors carry JSON `{"error":{"message":".."}}` (Level 3 Media Portal API help); the form of
//! the XML ones is not documented, so a message is looked for wherever it may stand. The words never
//! decide the class, they only help who reads them. What 401, 403 and 429 mean depends on the calls
//! before and is the breaker's to say. Called by `call.rs`.

use super::document::{Limits, Visitor, fill, read};
use crate::cdn::CdnError;
use crate::cdn::http::{CappedBody, clean};
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use std::time::Duration;

/// Bytes of an error's body that are looked at.
pub(super) const BODY_LIMIT: usize = 64 << 10;

/// An answer that is not 2xx.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Status and words, such as `HTTP 400: the path is malformed`.
    pub(super) message: String,
    /// What a 429 asks for, where it says so in seconds.
    pub(super) retry_after: Option<Duration>,
    location: Option<String>,
}

impl Refusal {
    /// `redact` takes out what must not be repeated.
    pub(super) async fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        redact: impl Fn(&str) -> String,
    ) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let seconds = text(RETRY_AFTER).and_then(|text| text.trim().parse::<u64>().ok());
        let location = text(LOCATION).map(clean);
        let words = clean(&redact(&words(body).await));
        let words = match words.as_str() {
            "" => status.canonical_reason().unwrap_or("no reason given"),
            words => words,
        };
        Self {
            status,
            message: format!("HTTP {}: {words}", status.as_u16()),
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds.max(1))),
            location,
        }
    }

    /// The class of every status that does not depend on the calls before. `subject` is the
    /// property or group that was asked for, if any.
    pub(super) fn class(self, subject: Option<&str>) -> CdnError {
        match self.status.as_u16() {
            300..=399 => {
                let target = self.location.unwrap_or_else(|| "nowhere".to_owned());
                CdnError::Unreadable(format!("HTTP {}: redirect to {target}", self.status.as_u16()))
            }
            404 => match subject {
                Some(subject) => CdnError::UnknownProperty(format!("{subject} ({})", self.message)),
                None => CdnError::Rejected(self.message),
            },
            // The vendor, or something before it, waited too long for us: no fault of the request.
            408 | 500..=599 => CdnError::Transient(self.message),
            400..=499 => CdnError::Rejected(self.message),
            _ => CdnError::Unreadable(self.message),
        }
    }
}

/// The vendor's words, from whichever form the body has.
async fn words(body: Bytes) -> String {
    let limits = Limits::DEFAULT;
    let mut words = Words::default();
    // Also a body that is cut or malformed may have told its message by then.
    let outcome = read(CappedBody::from_bytes(body.clone(), limits.total, limits.piece), limits, &mut words).await;
    let plain = outcome.is_err() && words.any.is_none();
    match words.message.or(words.title).or(words.any) {
        Some(text) => text,
        None if plain && !body.trim_ascii_start().starts_with(b"<") => String::from_utf8_lossy(&body).into_owned(),
        None => String::new(),
    }
}

#[derive(Debug, Default)]
struct Words {
    message: Option<String>,
    title: Option<String>,
    any: Option<String>,
}

impl Visitor for Words {
    fn close(&mut self, path: &[String], text: &str) {
        let slot = match path.last().map_or("", String::as_str) {
            "message" | "errormessage" | "error" | "description" | "detail" => &mut self.message,
            "title" | "h1" => &mut self.title,
            "html" | "head" | "body" | "style" | "script" | "apicorrelationid" | "code" | "id" => {
                return;
            }
            _ => &mut self.any,
        };
        fill(slot, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use proptest::prelude::*;

    fn message(body: impl AsRef<[u8]>) -> String {
        let body = Bytes::copy_from_slice(body.as_ref());
        let redact = |text: &str| text.replace("s3cr3t", "(secret)");
        let headers = HeaderMap::new();
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, &headers, body, redact);
        refusal.now_or_never().unwrap().message
    }

    #[test]
    fn the_vendors_words_are_found_in_every_form() {
        for (body, expected) in [
            (r#"{"error":{"code":7,"message":"bad path"}}"#, "HTTP 400: bad path"),
            (r#"{"message":"bad path"}"#, "HTTP 400: bad path"),
            ("<error><code>7</code><message>bad\n\u{7} path</message></error>", "HTTP 400: bad path"),
            ("<error>bad path</error>", "HTTP 400: bad path"),
            ("<x><reason>bad path</reason>", "HTTP 400: bad path"),
            ("<html><head><title>bad path</title></head><body><p>x<br></body></html>", "HTTP 400: bad path"),
            ("bad path", "HTTP 400: bad path"),
            ("bad s3cr3t", "HTTP 400: bad (secret)"),
            ("", "HTTP 400: Bad Request"),
            ("<!DOCTYPE x><x>", "HTTP 400: Bad Request"),
        ] {
            assert_eq!(message(body), expected, "{body}");
        }
        assert_eq!(message("é".repeat(1000)).chars().count(), "HTTP 400: ".len() + 301);
    }

    #[test]
    fn a_status_has_one_class() {
        let class = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = Refusal { status, message: "m".to_owned(), retry_after: None, location: None };
            refusal.class(Some("/1/S/a")).class()
        };
        for (statuses, expected) in [
            (vec![400, 402, 405, 406, 409, 410, 413, 415, 422, 499], "rejected"),
            (vec![404], "unknown_property"),
            (vec![408, 500, 502, 503, 504, 599], "transient"),
            (vec![301, 302, 304, 307, 600], "unreadable"),
        ] {
            for status in statuses {
                assert_eq!(class(status), expected, "{status}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_body_panics_and_every_message_is_one_short_line(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let message = message(body);
            prop_assert!(message.chars().count() <= 320 && !message.contains(char::is_control));
        }
    }
}
