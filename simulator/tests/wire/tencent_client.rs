//! A small client of Tencent's API, signing by TC3-HMAC-SHA256, for Tencent Cloud CDN and EdgeOne.
//!
//! Signing is written here anew, with nothing of the simulator's, so that a mistake in its check shows; the official
//! SDK is another judge (`simulator/tests/sdk`). The keys are those of the demo data. Called by the tests of both
//! services.

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use overseas_simulator::Config;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::client::{Answer, Wire, read};

/// Noon in UTC+8, and 04:00 in UTC.
pub(crate) const NOON: &str = "2023-11-15T04:00:00Z";
pub(crate) const NOON_SECONDS: i64 = 1_700_020_800;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 86_400;

/// What a request is signed and sent with; tests change what they want to be wrong.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) id: &'static str,
    pub(crate) key: &'static str,
    pub(crate) service: &'static str,
    pub(crate) version: &'static str,
    pub(crate) content_type: &'static str,
    /// The Content-Type that goes out, when it is not the signed one.
    pub(crate) content_type_sent: Option<&'static str>,
    pub(crate) action: &'static str,
    /// Seconds that the client's clock is ahead.
    pub(crate) ahead: i64,
    /// A date of the credential scope other than the timestamp's.
    pub(crate) date: Option<&'static str>,
    /// A GET is sent with this query; anything else is a POST.
    pub(crate) query: Option<&'static str>,
    pub(crate) body: String,
}

/// A running simulator and a key to one of its two services.
pub(crate) struct Cloud {
    pub(crate) wire: Wire,
    service: &'static str,
}

impl Cloud {
    /// Tencent Cloud CDN at noon; only `advance` moves the time.
    pub(crate) async fn cdn() -> Self {
        Self::cdn_with(|_| ()).await
    }

    pub(crate) async fn cdn_with(change: impl FnOnce(&mut Config)) -> Self {
        Self { wire: at_noon(change).await, service: "cdn" }
    }

    /// EdgeOne at the same moment.
    pub(crate) async fn teo() -> Self {
        Self::teo_with(|_| ()).await
    }

    pub(crate) async fn teo_with(change: impl FnOnce(&mut Config)) -> Self {
        Self { wire: at_noon(change).await, service: "teo" }
    }

    /// A right request for an action.
    pub(crate) fn request(&self, action: &'static str, body: &Value) -> Sent {
        let of_cdn = self.service == "cdn";
        Sent {
            id: if of_cdn { "AKIDEXAMPLEcdn0123456789" } else { "AKIDEXAMPLEteo0123456789" },
            key: if of_cdn { "EXAMPLEcdnKey0123456789" } else { "EXAMPLEteoKey0123456789" },
            service: self.service,
            version: if of_cdn { "2018-06-06" } else { "2022-09-01" },
            content_type: "application/json; charset=utf-8",
            content_type_sent: None,
            action,
            ahead: 0,
            date: None,
            query: None,
            body: body.to_string(),
        }
    }

    pub(crate) fn prepare(&self, sent: &Sent) -> reqwest::RequestBuilder {
        let Sent { id, key, service, version, content_type, action, .. } = *sent;
        let timestamp = self.wire.clock.now().timestamp() + sent.ahead;
        let date = DateTime::from_timestamp(timestamp, 0).unwrap().format("%Y-%m-%d").to_string();
        let date = sent.date.map_or(date, str::to_owned);
        let base = self.wire.simulator.vendor_url();
        let host = base.strip_prefix("http://").unwrap();
        let (method, query) = sent.query.map_or(("POST", ""), |query| ("GET", query));
        let body = if method == "GET" { "" } else { &sent.body };
        let canonical = format!(
            "{method}\n/\n{query}\ncontent-type:{content_type}\nhost:{host}\n\ncontent-type;host\n{}",
            hex::encode(Sha256::digest(body))
        );
        let scope = format!("{date}/{service}/tc3_request");
        let text =
            format!("TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{}", hex::encode(Sha256::digest(canonical.as_bytes())));
        let mut secret = format!("TC3{key}").into_bytes();
        for part in [&date, service, "tc3_request", &text] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            mac.update(part.as_bytes());
            secret = mac.finalize().into_bytes().to_vec();
        }
        let signature = hex::encode(secret);
        let url = if query.is_empty() { format!("{base}/") } else { format!("{base}/?{query}") };
        self.wire
            .http
            .request(method.parse().unwrap(), url)
            .header("Content-Type", sent.content_type_sent.unwrap_or(content_type))
            .header("X-TC-Action", action)
            .header("X-TC-Version", version)
            .header("X-TC-Timestamp", timestamp.to_string())
            .header(
                "Authorization",
                format!(
                    "TC3-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders=content-type;host, Signature={signature}"
                ),
            )
            .body(body.to_owned())
    }

    pub(crate) async fn send(&self, sent: &Sent) -> Answer {
        read(self.prepare(sent)).await.unwrap()
    }

    /// The `Response` of an action, which comes with status 200.
    pub(crate) async fn call(&self, action: &'static str, body: Value) -> Value {
        self.response(&self.request(action, &body)).await
    }

    pub(crate) async fn response(&self, sent: &Sent) -> Value {
        let answer = self.send(sent).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"), "{}", answer.body);
        answer.json()["Response"].clone()
    }

    /// The answer of an action that has to succeed.
    pub(crate) async fn ok(&self, action: &'static str, body: Value) -> Value {
        let response = self.call(action, body).await;
        assert_eq!(response["Error"], Value::Null, "{action}");
        response
    }

    /// The code of an action that has to be refused.
    pub(crate) async fn code(&self, action: &'static str, body: Value) -> String {
        let response = self.call(action, body).await;
        response["Error"]["Code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn advance(&self, seconds: u32) {
        self.wire.control().advance(seconds);
    }
}

async fn at_noon(change: impl FnOnce(&mut Config)) -> Wire {
    let mut config = crate::client::config();
    change(&mut config);
    Wire::at(config, NOON).await
}

/// The values of a member in each row of a list.
pub(crate) fn column(response: &Value, list: &str, member: &str) -> Vec<Value> {
    response[list].as_array().unwrap().iter().map(|row| row[member].clone()).collect()
}

/// A naive time in UTC+8.
pub(crate) fn naive(seconds: i64) -> String {
    DateTime::from_timestamp(seconds + 8 * HOUR, 0).unwrap().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// ISO 8601 with the offset of UTC+8.
pub(crate) fn iso(seconds: i64) -> String {
    DateTime::from_timestamp(seconds + 8 * HOUR, 0).unwrap().format("%Y-%m-%dT%H:%M:%S+08:00").to_string()
}

/// A range in the form of Tencent Cloud CDN, with more parameters.
pub(crate) fn naive_range(from: i64, until: i64, more: Value) -> Value {
    merged(json!({ "StartTime": naive(from), "EndTime": naive(until) }), more)
}

/// A range in the form of EdgeOne, with more parameters.
pub(crate) fn iso_range(from: i64, until: i64, more: Value) -> Value {
    merged(json!({ "StartTime": iso(from), "EndTime": iso(until) }), more)
}

fn merged(mut base: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        return base;
    };
    base.as_object_mut().unwrap().extend(more);
    base
}
