//! Request signatures of the scheme TC3-HMAC-SHA256 (Tencent Cloud API 3.0, signature v3), checked strictly.
//!
//! What is signed is what was sent: Content-Type and Host byte for byte, other signed headers in lower case, the query
//! as it stands in the URL (GET only), the SHA-256 of the body. The date of the scope is the UTC date of
//! `X-TC-Timestamp`, which may be five minutes away from the injected clock; the time that tests advance is not looked
//! at, as with Level 3. Called by `TencentApi` for every action.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use poem::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::answer::ApiError;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// How far the timestamp may be from the server's clock, either way, in seconds.
const WINDOW_SECONDS: i64 = 300;

/// What the Authorization header claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim<'h> {
    pub(super) secret_id: &'h str,
    date: &'h str,
    pub(super) service: &'h str,
    signed_headers: &'h str,
    signature: &'h str,
}

/// What a signature is made over.
pub(super) struct Signed<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'r str,
    /// As it stands in the URL; left out of the signature of other methods than GET.
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: &'r [u8],
}

/// Reads the Authorization header: three parts in their order.
pub(super) fn claim(headers: &HeaderMap) -> Option<Claim<'_>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let mut parts = value.strip_prefix(ALGORITHM)?.strip_prefix(' ')?.split(',').map(str::trim);
    let credential = parts.next()?.strip_prefix("Credential=")?;
    let signed_headers = parts.next()?.strip_prefix("SignedHeaders=")?;
    let signature = parts.next()?.strip_prefix("Signature=")?;
    let mut scope = credential.split('/');
    let (secret_id, date, service) = (scope.next()?, scope.next()?, scope.next()?);
    let ended = scope.next() == Some("tc3_request") && scope.next().is_none() && parts.next().is_none();
    ended.then_some(Claim { secret_id, date, service, signed_headers, signature })
}

/// Checks time, scope and signature of a request whose key was found.
pub(super) fn check(
    secret_key: &str,
    service: &str,
    claim: &Claim<'_>,
    signed: &Signed<'_>,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    let failed = |message: &str| ApiError::new("AuthFailure.SignatureFailure", message);
    let timestamp = signed.headers.get("x-tc-timestamp").and_then(|value| value.to_str().ok());
    let timestamp = timestamp.ok_or_else(|| ApiError::missing("X-TC-Timestamp"))?;
    let sent_at = timestamp.parse::<i64>().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let sent_at = sent_at.ok_or_else(|| ApiError::invalid("X-TC-Timestamp is no Unix time in seconds"))?;
    if (now.timestamp() - sent_at.timestamp()).abs() > WINDOW_SECONDS {
        return Err(ApiError::new("AuthFailure.SignatureExpire", "The timestamp is more than five minutes away"));
    }
    if claim.date != sent_at.format("%Y-%m-%d").to_string() {
        return Err(failed("The date of the credential scope is not the UTC date of X-TC-Timestamp"));
    }
    if claim.service != service {
        return Err(failed("The service of the credential scope is not the one that was called"));
    }
    let canonical = canonical_headers(claim.signed_headers, signed.headers).map_err(failed)?;
    let query = if signed.method == "GET" { signed.query } else { "" };
    let request = format!(
        "{}\n{}\n{query}\n{canonical}\n{}\n{}",
        signed.method,
        signed.path,
        claim.signed_headers,
        hash(signed.body)
    );
    let text = format!("{ALGORITHM}\n{timestamp}\n{}/{service}/tc3_request\n{}", claim.date, hash(request.as_bytes()));
    let expected = sign(secret_key, claim.date, service, &text).ok_or_else(|| failed("The key signs nothing"))?;
    if bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes())) {
        Ok(())
    } else {
        Err(failed("The signature does not match"))
    }
}

/// The signed headers, each on a line of its own. They have to be sorted, sent, and to include Content-Type and Host.
fn canonical_headers(names: &str, headers: &HeaderMap) -> Result<String, &'static str> {
    let names: Vec<&str> = names.split(';').collect();
    if !names.is_sorted_by(|a, b| a < b) || names.iter().any(|name| name.bytes().any(|byte| byte.is_ascii_uppercase()))
    {
        return Err("SignedHeaders are not sorted, not in lower case, or there twice");
    }
    if !names.contains(&"content-type") || !names.contains(&"host") {
        return Err("content-type and host have to be signed");
    }
    let mut canonical = String::new();
    for name in names {
        let value = headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let value = value.ok_or("a signed header was not sent")?;
        let as_sent = matches!(name, "content-type" | "host");
        let value = if as_sent { value.to_owned() } else { value.trim().to_lowercase() };
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    Ok(canonical)
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

/// None only if the key could be no key at all.
fn sign(secret_key: &str, date: &str, service: &str, text: &str) -> Option<String> {
    let of_date = hmac(format!("TC3{secret_key}").as_bytes(), date)?;
    let of_request = hmac(&hmac(&of_date, service)?, "tc3_request")?;
    Some(hex::encode(hmac(&of_request, text)?))
}

/// A signature that only the simulator can make, for the links to log files.
pub(crate) fn sign_link(secret_key: &str, text: &str) -> String {
    hmac(secret_key.as_bytes(), text).map(hex::encode).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use poem::http::{HeaderName, HeaderValue};

    use super::*;

    const SECRET_ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
    const SECRET_KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";
    const JSON_UTF8: &str = "application/json; charset=utf-8";
    const CVM_BODY: &str = r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;

    /// One published or computed signature with what it is over.
    #[derive(Clone, Copy)]
    struct Vector {
        service: &'static str,
        timestamp: i64,
        method: &'static str,
        content_type: &'static str,
        query: &'static str,
        body: &'static str,
        signed_headers: &'static str,
        signature: &'static str,
    }

    const CVM: Vector = Vector {
        service: "cvm",
        timestamp: 1_551_113_065,
        method: "POST",
        content_type: JSON_UTF8,
        query: "",
        body: CVM_BODY,
        signed_headers: "content-type;host",
        signature: "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
    };

    const VECTORS: [Vector; 5] = [
        CVM,
        Vector {
            signed_headers: "content-type;host;x-tc-action",
            signature: "644be983de9a8a3f00db8eadaba61467c3b429e2215758ba897b738ca469fd26",
            ..CVM
        },
        Vector {
            service: "cdn",
            content_type: "application/json",
            body: r#"{"Urls":["http://www.test.com/1.jpg"]}"#,
            signature: "cd8a4a00ca8f4c0cfc8f2e639f47340aaa3653a9a9dfe47c62a60b09bd369d65",
            ..CVM
        },
        Vector {
            service: "cdn",
            timestamp: 1_700_000_000,
            body: r#"{"Paths":["https://www.test.com/图片/"],"FlushType":"delete"}"#,
            signature: "63f5c0efea3f7c4cf21dceae4eda0826263c1ac821c99b0755dc1f17fab7f25c",
            ..CVM
        },
        Vector {
            service: "cdn",
            timestamp: 1_700_000_000,
            method: "GET",
            content_type: "application/x-www-form-urlencoded",
            query: "TaskId=1533045796-i60rfmzm&Area=mainland",
            body: "",
            signature: "5f211a3fef91128986dbf57af72852704a8cff857272739723d5f506bbae443f",
            ..CVM
        },
    ];

    impl Vector {
        fn headers(&self) -> HeaderMap {
            let date = DateTime::from_timestamp(self.timestamp, 0).unwrap().format("%Y-%m-%d");
            let (service, signed, signature) = (self.service, self.signed_headers, self.signature);
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("content-type", self.content_type.to_owned()),
                ("host", format!("{service}.tencentcloudapi.com")),
                ("x-tc-action", "DescribeInstances".to_owned()),
                ("x-tc-timestamp", self.timestamp.to_string()),
                (
                    "authorization",
                    format!(
                        "{ALGORITHM} Credential={SECRET_ID}/{date}/{service}/tc3_request, SignedHeaders={signed}, \
                         Signature={signature}"
                    ),
                ),
            ] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
            }
            headers
        }

        fn check(&self, headers: &HeaderMap, key: &str, later: i64) -> Result<(), String> {
            let Vector { method, query, body, .. } = *self;
            let signed = Signed { method, path: "/", query, headers, body: body.as_bytes() };
            let claim = claim(headers).ok_or("no claim")?;
            assert_eq!(claim.secret_id, SECRET_ID);
            let now = DateTime::from_timestamp(self.timestamp + later, 0).unwrap();
            check(key, self.service, &claim, &signed, now).map_err(|error| error.code)
        }
    }

    #[test]
    fn the_published_vectors_are_accepted_and_nothing_near_them() {
        let wrong = || Err("AuthFailure.SignatureFailure".to_owned());
        for vector in VECTORS {
            let headers = vector.headers();
            assert_eq!(vector.check(&headers, SECRET_KEY, 0), Ok(()), "{}", vector.signature);
            assert_eq!(vector.check(&headers, "Gu5t9xGARNpq86cd98joQYCN3EXAMPLF", 0), wrong());
            let other = Vector { body: "{}", ..vector };
            assert_eq!(other.check(&headers, SECRET_KEY, 0), wrong());
            let other = Vector { query: "TaskId=1", method: "GET", ..vector };
            assert_eq!(other.check(&headers, SECRET_KEY, 0), wrong());
            let other = Vector { service: "teo", ..vector };
            assert_eq!(other.check(&headers, SECRET_KEY, 0), wrong());
            for (name, value) in [
                ("content-type", "application/json;charset=utf-8"),
                ("host", "cdn.tencentcloudapi.com:80"),
                ("x-tc-timestamp", "1551113066"),
            ] {
                let mut headers = headers.clone();
                headers.insert(name, HeaderValue::from_static(value));
                assert!(vector.check(&headers, SECRET_KEY, 0).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn the_window_is_five_minutes_either_way() {
        let headers = CVM.headers();
        for later in [-300, 0, 300] {
            assert_eq!(CVM.check(&headers, SECRET_KEY, later), Ok(()), "{later}");
        }
        for later in [-301, 301] {
            assert_eq!(
                CVM.check(&headers, SECRET_KEY, later),
                Err("AuthFailure.SignatureExpire".to_owned()),
                "{later}"
            );
        }
    }

    #[test]
    fn the_authorization_header_has_one_form() {
        let good =
            "TC3-HMAC-SHA256 Credential=id/2019-02-25/cdn/tc3_request, SignedHeaders=content-type;host, Signature=aa";
        for (value, read) in [
            (good.to_owned(), true),
            (good.replace(", ", ","), true),
            (good.replace("TC3", "TC4"), false),
            (good.replace("tc3_request", "tc3"), false),
            (good.replace("id/", ""), false),
            (good.replace("Signature=", "signature="), false),
            (format!("{good}, More=1"), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
            assert_eq!(claim(&headers).is_some(), read, "{value}");
        }
        for (signed, problem) in [
            ("host;content-type", true),
            ("Content-Type;Host", true),
            ("content-type;content-type;host", true),
            ("host", true),
            ("content-type;host;x-tc-region", true),
            ("content-type;host;x-tc-timestamp", false),
        ] {
            assert_eq!(canonical_headers(signed, &CVM.headers()).is_err(), problem, "{signed}");
        }
    }
}
