//! Request signatures of the scheme "MPA" (Level 3 Media Portal API help, authentication).
//!
//! `Authorization: MPA <keyId>:<base64(HMAC-SHA1(secret, stringToSign))>` with
//! `stringToSign = Date LF path LF Content-Type LF VERB LF Content-MD5`, each taken as it was sent: the path without its
//! query and still percent-encoded, the header values byte for byte. An absent Content-Type or Content-MD5 is empty text.
//! Content-MD5 is never compared with the body: for a server it is only text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use poem::http::{HeaderMap, HeaderName, header};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// How far the Date header may be from the server's clock, either way.
const WINDOW: TimeDelta = TimeDelta::minutes(15);
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("The Authorization header is missing or not of the form MPA keyId:signature")]
    NoAuthorization,
    #[error("The key is not known")]
    UnknownKey,
    #[error("The Date header is missing or cannot be read")]
    NoDate,
    #[error("The Date header is more than 15 minutes away")]
    OutsideWindow,
    #[error("The signature does not match")]
    WrongSignature,
}

/// The key id and the signature that a request claims.
pub(super) fn credentials(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("MPA ")?.split_once(':')
}

/// Checks date and signature of a request whose key was found.
pub(super) fn check(
    secret: &str,
    headers: &HeaderMap,
    verb: &str,
    path: &str,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let (_, claimed) = credentials(headers).ok_or(Refusal::NoAuthorization)?;
    let date = raw(headers, &header::DATE);
    let sent_at = std::str::from_utf8(date).ok().and_then(parse_date);
    let distance = now - sent_at.ok_or(Refusal::NoDate)?;
    if distance.abs() > WINDOW {
        return Err(Refusal::OutsideWindow);
    }
    let content_type = raw(headers, &header::CONTENT_TYPE);
    let md5 = raw(headers, &CONTENT_MD5);
    let fields = [date, path.as_bytes(), content_type, verb.as_bytes(), md5];
    let expected = signature(secret, fields).ok_or(Refusal::WrongSignature)?;
    if bool::from(expected.as_bytes().ct_eq(claimed.as_bytes())) { Ok(()) } else { Err(Refusal::WrongSignature) }
}

/// Signs the five fields, which are joined by line feeds. None only if the secret could be no key at all.
fn signature(secret: &str, fields: [&[u8]; 5]) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(&fields.join(&b'\n'));
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

fn raw<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h [u8] {
    headers.get(name).map_or(b"", |value| value.as_bytes())
}

/// Reads the forms of dates that the vendor's clients sent: RFC 1123 with or without a leading zero of the day, and the
/// zone as `GMT`, `UTC` or an offset. The day of the week is not looked at.
fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest).trim();
    let (time, zone) = text.rsplit_once(' ')?;
    let offset = match zone {
        "GMT" | "UTC" | "UT" | "Z" => "+0000",
        other => other,
    };
    DateTime::parse_from_str(&format!("{time} {offset}"), "%d %b %Y %H:%M:%S %z").ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    const SECRET: &str = "EXAMPLEsecret0123456";
    const DATE: &str = "Thu, 04 Aug 2016 08:00:00 GMT";

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn headers(date: &str, content_type: &str, md5: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        };
        set(header::DATE, date);
        set(header::CONTENT_TYPE, content_type);
        set(CONTENT_MD5, md5);
        set(header::AUTHORIZATION, &format!("MPA 279000001:{signature}"));
        headers
    }

    #[test]
    fn the_published_vectors_are_accepted_and_nothing_near_them() {
        let property = "/invalidations/v1.0/12345/BBBN56789/cdn.example.com";
        let usage = "/usage/cdn/v1.0/12345/BBBN56789/cdn.example.com";
        let md5_hex = "186a261f88e1cd1b74abedfa18026cb0";
        let md5_base64 = "GGomH4jhzRt0q+36GAJssA==";
        let md5_json = "9effcaf698eb5885c07469f04b944015";
        let (xml, json) = ("text/xml", "application/json");
        for (verb, path, content_type, md5, expected) in [
            ("GET", "/key/v1.0", xml, "", "fuVlvLnqeb/83KEmjb5t1J5qzds="),
            ("GET", "/accessGroups/v1.0/", "text/json", "", "n99LqIPtHBX8ECNzEHfa2/3srKk="),
            ("GET", "/services/cdn/v1.0/12345", xml, "", "meYpFymzbwclf1Ih4u4KGKkDHlI="),
            ("GET", usage, xml, "", "hA+6Schtz2ASM02QA8UEN31pOQg="),
            ("POST", property, xml, "", "jmD8VB/9ZQKKFHL/qoKGTQ6wOAs="),
            ("POST", property, xml, md5_hex, "qfhYSuWCWzwPBrmysQ40xNVWa6o="),
            ("POST", property, xml, md5_base64, "TvjW1FgENJCJDAue9KCWn3FL+mk="),
            ("POST", property, json, md5_json, "8jYBYKzccJKmrAuC2jZP6RZ0mvs="),
        ] {
            let now = at("2016-08-04T08:00:00Z");
            let good = headers(DATE, content_type, md5, expected);
            assert_eq!(check(SECRET, &good, verb, path, now), Ok(()), "{verb} {path} {md5}");
            let wrong = Err(Refusal::WrongSignature);
            assert_eq!(check("SECONDsecret01234567", &good, verb, path, now), wrong);
            assert_eq!(check(SECRET, &good, "PUT", path, now), wrong);
            assert_eq!(check(SECRET, &good, verb, &format!("{path}x"), now), wrong);
            let other_type = headers(DATE, "text/plain", md5, expected);
            assert_eq!(check(SECRET, &other_type, verb, path, now), wrong);
            let other_md5 = headers(DATE, content_type, "0", expected);
            assert_eq!(check(SECRET, &other_md5, verb, path, now), wrong);
        }
    }

    #[test]
    fn the_date_window_is_fifteen_minutes_either_way() {
        let headers = headers(DATE, "text/xml", "", "fuVlvLnqeb/83KEmjb5t1J5qzds=");
        let check = |now| check(SECRET, &headers, "GET", "/key/v1.0", at(now));
        assert_eq!(check("2016-08-04T08:15:00Z"), Ok(()));
        assert_eq!(check("2016-08-04T07:45:00Z"), Ok(()));
        assert_eq!(check("2016-08-04T08:15:01Z"), Err(Refusal::OutsideWindow));
        assert_eq!(check("2016-08-04T07:44:59Z"), Err(Refusal::OutsideWindow));
    }

    #[test]
    fn every_form_of_date_that_clients_sent_is_read() {
        for text in [
            "Thu, 04 Aug 2016 08:00:00 GMT",
            "Thu, 4 Aug 2016 08:00:00 GMT",
            "Thu, 04 Aug 2016 08:00:00 +0000",
            "Thu, 04 Aug 2016 08:00:00 UTC",
            "Thu, 04 Aug 2016 09:00:00 +0100",
            "04 Aug 2016 08:00:00 GMT",
        ] {
            assert_eq!(parse_date(text), Some(at("2016-08-04T08:00:00Z")), "{text}");
        }
        for text in ["", "yesterday", "Thu, 04 Aug 2016 08:00:00", "2016-08-04T08:00:00Z"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn the_authorization_header_has_one_form() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            credentials(&headers).map(|(id, signature)| (id.to_owned(), signature.to_owned()))
        };
        assert_eq!(with("MPA 1:a="), Some(("1".to_owned(), "a=".to_owned())));
        for bad in ["Basic 1:a=", "MPA 1", "MPA1:a", "mpa 1:a="] {
            assert_eq!(with(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_missing_date_is_named() {
        let headers = headers("", "text/xml", "", "x");
        let now = at("2016-08-04T08:00:00Z");
        assert_eq!(check(SECRET, &headers, "GET", "/", now), Err(Refusal::NoDate));
    }
}
