//! The secret of a webhook, and the signatures that are made with it (Standard Webhooks, scheme `v1`).
//!
//! A receiver is shown the secret once, as `whsec_<base64>`; here it is kept as it is, since a signature needs it and
//! not a hash of it. It does not print itself. Made by the handler that registers a webhook, used by the worker.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a secret; the specification asks for 24 to 64.
const LENGTH: usize = 32;

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl WebhookSecret {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random::<[u8; LENGTH]>().to_vec())
    }

    /// From a row.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// For a row.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As receivers are given it: `whsec_<base64>`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// The header `webhook-signature` of a message that is sent at `seconds` (Unix): the HMAC-SHA256 of
    /// `<id>.<seconds>.<body>`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        // A key may have any length, so there is always one.
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).ok().map(|mut mac| {
            mac.update(format!("{id}.{seconds}.").as_bytes());
            mac.update(body);
            STANDARD.encode(mac.finalize().into_bytes())
        });
        format!("v1,{}", mac.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of the specification's own libraries:
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py>.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secret = WebhookSecret(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        assert_eq!(secret.text(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_long_never_the_same_and_do_not_print_themselves() {
        let (one, two) = (WebhookSecret::random(), WebhookSecret::random());
        assert!((24..=64).contains(&one.as_bytes().len()));
        assert_ne!(one.text(), two.text());
        let printed = format!("{one:?}");
        assert!(!printed.contains(one.text().trim_start_matches("whsec_")), "{printed}");
    }
}
