//! The vendor's authentication scheme "MPA", after the Level 3 Media Portal API help.
//!
//! A request is signed over its date, path, content type, verb and the MD5 of its body, each byte
//! for byte as it is sent: whoever changes a header after signing breaks the signature. The query
//! is not signed. Called for every request by `call.rs`; the secret does not leave this file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

/// What is signed of a request, byte for byte as it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// The `Date` header.
    pub(super) date: &'a str,
    /// The path with its scope and any trailing slash, without the query.
    pub(super) path: &'a str,
    /// The `Content-Type` header, which a GET carries as well.
    pub(super) content_type: &'a str,
    /// `GET` or `POST`.
    pub(super) verb: &'a str,
    /// The `Content-MD5` header as text, or empty.
    pub(super) content_md5: &'a str,
}

/// The key of one account.
pub(super) struct Signer {
    key_id: String,
    secret: SecretString,
}

impl Signer {
    pub(super) fn new(key_id: &str, secret: SecretString) -> Self {
        Self { key_id: key_id.to_owned(), secret }
    }

    /// The id of the key, which is not secret.
    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The base64 HMAC-SHA1 of the five parts, 28 characters.
    pub(super) fn signature(&self, signed: Signed<'_>) -> String {
        let text = [signed.date, signed.path, signed.content_type, signed.verb, signed.content_md5].join("\n");
        let key = self.secret.expose_secret().as_bytes();
        // HMAC takes a key of any length, so the error arm is never reached.
        Hmac::<Sha1>::new_from_slice(key)
            .map_or_else(|_| String::new(), |mac| STANDARD.encode(mac.chain_update(text).finalize().into_bytes()))
    }

    /// The value of the `Authorization` header.
    pub(super) fn authorization(&self, signature: &str) -> String {
        format!("MPA {}:{signature}", self.key_id)
    }

    /// The text without our secret and this signature, should the vendor repeat them to us.
    pub(super) fn redact(&self, text: &str, signature: &str) -> String {
        text.replace(signature, "(signature)").replace(self.secret.expose_secret(), "(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURGE: &str = "/invalidations/v1.0/12345/BBBN56789/cdn.example.com";
    const USAGE: &str = "/usage/cdn/v1.0/12345/BBBN56789/cdn.example.com";

    fn signer() -> Signer {
        Signer::new("55555", SecretString::from("EXAMPLEsecret0123456"))
    }

    #[test]
    fn the_eight_vectors_agree() {
        let xml_md5 = "186a261f88e1cd1b74abedfa18026cb0";
        let json_md5 = "9effcaf698eb5885c07469f04b944015";
        let base64_md5 = "GGomH4jhzRt0q+36GAJssA==";
        let vectors = [
            ("GET", "/key/v1.0", "text/xml", "", "fuVlvLnqeb/83KEmjb5t1J5qzds="),
            ("GET", "/accessGroups/v1.0/", "text/json", "", "n99LqIPtHBX8ECNzEHfa2/3srKk="),
            ("GET", "/services/cdn/v1.0/12345", "text/xml", "", "meYpFymzbwclf1Ih4u4KGKkDHlI="),
            ("GET", USAGE, "text/xml", "", "hA+6Schtz2ASM02QA8UEN31pOQg="),
            ("POST", PURGE, "text/xml", "", "jmD8VB/9ZQKKFHL/qoKGTQ6wOAs="),
            ("POST", PURGE, "text/xml", xml_md5, "qfhYSuWCWzwPBrmysQ40xNVWa6o="),
            ("POST", PURGE, "text/xml", base64_md5, "TvjW1FgENJCJDAue9KCWn3FL+mk="),
            ("POST", PURGE, "application/json", json_md5, "8jYBYKzccJKmrAuC2jZP6RZ0mvs="),
        ];
        for (index, (verb, path, content_type, content_md5, expected)) in vectors.into_iter().enumerate() {
            let date = "Thu, 04 Aug 2016 08:00:00 GMT";
            let signed = Signed { date, path, content_type, verb, content_md5 };
            assert_eq!(signer().signature(signed), expected, "V{}", index + 1);
        }
    }

    #[test]
    fn the_header_is_the_scheme_the_key_and_the_signature() {
        assert_eq!(signer().authorization("abc="), "MPA 55555:abc=");
        let echoed = "got abc= for EXAMPLEsecret0123456";
        assert_eq!(signer().redact(echoed, "abc="), "got (signature) for (secret)");
    }
}
