//! The signature TC3-HMAC-SHA256, after Tencent Cloud's documentation of "signature v3".
//!
//! Signed are the content type, the host (with its port where that is not the scheme's own) and the body, each byte for
//! byte as it is sent: whoever changes a header after signing breaks the signature. Called for every request by
//! `call.rs`; the secret does not leave this file.

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const TERMINATION: &str = "tc3_request";
const SIGNED_HEADERS: &str = "content-type;host";

/// What is signed of a request, byte for byte as it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// The service's name, such as `cdn`.
    pub(super) service: &'a str,
    /// The `Host` header.
    pub(super) host: &'a str,
    /// The `Content-Type` header.
    pub(super) content_type: &'a str,
    /// The `X-TC-Timestamp` header, Unix seconds.
    pub(super) timestamp: i64,
    /// The body.
    pub(super) body: &'a [u8],
}

/// The key of one account.
pub(super) struct Signer {
    id: String,
    secret: SecretString,
}

impl Signer {
    pub(super) fn new(id: &str, secret: SecretString) -> Self {
        Self { id: id.to_owned(), secret }
    }

    /// The id of the key (`SecretId`), which is not secret.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The lower-case hexadecimal signature, 64 characters.
    pub(super) fn signature(&self, signed: Signed<'_>) -> String {
        let date = date(signed.timestamp);
        let canonical = format!(
            "POST\n/\n\ncontent-type:{}\nhost:{}\n\n{SIGNED_HEADERS}\n{}",
            signed.content_type,
            signed.host,
            hex::encode(Sha256::digest(signed.body))
        );
        let text = format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            signed.timestamp,
            scope(&date, signed.service),
            hex::encode(Sha256::digest(canonical))
        );
        let key = format!("TC3{}", self.secret.expose_secret());
        let key = [date.as_str(), signed.service, TERMINATION]
            .iter()
            .fold(key.into_bytes(), |key, part| keyed_hash(&key, part.as_bytes()));
        hex::encode(keyed_hash(&key, text.as_bytes()))
    }

    /// The value of the `Authorization` header.
    pub(super) fn authorization(&self, signed: Signed<'_>, signature: &str) -> String {
        let scope = scope(&date(signed.timestamp), signed.service);
        format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}", self.id)
    }

    /// The text without our secret and this signature, should the vendor repeat them to us.
    pub(super) fn redact(&self, text: &str, signature: &str) -> String {
        text.replace(signature, "(signature)").replace(self.secret.expose_secret(), "(secret)")
    }
}

/// HMAC takes a key of any length, so the error arm is never reached.
fn keyed_hash(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .map_or_else(|_| Vec::new(), |mac| mac.chain_update(text).finalize().into_bytes().to_vec())
}

/// The UTC date of the timestamp.
fn date(timestamp: i64) -> String {
    DateTime::from_timestamp(timestamp, 0).unwrap_or_default().format("%Y-%m-%d").to_string()
}

fn scope(date: &str, service: &str) -> String {
    format!("{date}/{service}/{TERMINATION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        let (id, secret) = ("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE");
        Signer::new(id, SecretString::from(secret))
    }

    /// The request of the documentation's example.
    fn example() -> Signed<'static> {
        Signed {
            service: "cvm",
            host: "cvm.tencentcloudapi.com",
            content_type: "application/json; charset=utf-8",
            timestamp: 1_551_113_065,
            body: br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#,
        }
    }

    #[test]
    fn the_vector_of_the_documentation_agrees() {
        let signature = signer().signature(example());
        assert_eq!(signature, "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168");
        assert_eq!(
            signer().authorization(example(), &signature),
            "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, \
             SignedHeaders=content-type;host, Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
        );
    }

    #[test]
    fn vectors_of_the_official_signer_agree() {
        let signed = |content_type, timestamp, body: &'static str| {
            let (service, host) = ("cdn", "cdn.tencentcloudapi.com");
            signer().signature(Signed { service, host, content_type, timestamp, body: body.as_bytes() })
        };
        assert_eq!(
            signed("application/json", 1_551_113_065, r#"{"Urls":["http://www.test.com/1.jpg"]}"#),
            "cd8a4a00ca8f4c0cfc8f2e639f47340aaa3653a9a9dfe47c62a60b09bd369d65"
        );
        assert_eq!(
            signed(
                "application/json; charset=utf-8",
                1_700_000_000,
                r#"{"Paths":["https://www.test.com/图片/"],"FlushType":"delete"}"#
            ),
            "63f5c0efea3f7c4cf21dceae4eda0826263c1ac821c99b0755dc1f17fab7f25c"
        );
    }

    #[test]
    fn the_secret_and_the_signature_are_taken_out_of_what_the_vendor_repeats() {
        let text = "key Gu5t9xGARNpq86cd98joQYCN3EXAMPLE and abcdef";
        assert_eq!(signer().redact(text, "abcdef"), "key (secret) and (signature)");
    }
}
