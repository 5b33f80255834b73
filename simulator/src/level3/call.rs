//! A request to the vendor's API, taken apart: which operation, which scope, which form of answer.
//!
//! The raw path is kept beside the decoded scope, because the signature covers what was sent and not what it means.

use poem::Request;
use poem::http::{HeaderMap, Method, StatusCode, header};

use super::tree::Scope;
use crate::operation::Operation;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Xml,
    Json,
}

impl Format {
    /// What the Accept header asks for; none for any other value, and for none at all.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
        match accept.trim().to_ascii_lowercase().as_str() {
            "text/xml" => Some(Self::Xml),
            "text/json" | "application/json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) scope: Option<Scope>,
    /// Whether the endpoint knows the method.
    pub(super) allowed: bool,
}

/// A request without its body.
pub(super) struct Call {
    pub(super) method: Method,
    /// As it was sent.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) route: Route,
    /// None: an Accept header that gets 406.
    pub(super) format: Option<Format>,
}

impl Call {
    pub(super) fn new(request: &Request) -> Self {
        let uri = request.original_uri();
        let method = request.method().clone();
        Self {
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or("").to_owned(),
            headers: request.headers().clone(),
            route: Route::of(&method, uri.path()),
            format: Format::of(request.headers()),
            method,
        }
    }

    pub(super) fn property(&self) -> Option<&str> {
        self.route.scope.as_ref()?.property.as_deref()
    }
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let get = method == Method::GET;
        let whole = path.strip_suffix('/').unwrap_or(path);
        let to = |operation, scope, allowed| Self { operation, scope, allowed };
        match whole {
            "/key/v1.0" => return to(Operation::Key, None, get),
            "/accessGroups/v1.0" => return to(Operation::AccessGroups, None, get),
            _ => {}
        }
        if let Some(scope) = whole.strip_prefix("/services/cdn/v1.0/").and_then(scope) {
            return to(Operation::Services, Some(scope), get);
        }
        if let Some(scope) = whole.strip_prefix("/usage/cdn/v1.0/").and_then(scope) {
            return to(Operation::Usage, Some(scope), get);
        }
        if let Some(scope) = whole.strip_prefix("/invalidations/v1.0/").and_then(scope) {
            let post = method == Method::POST;
            let operation = if post { Operation::Invalidate } else { Operation::Invalidations };
            return to(operation, Some(scope), get || post);
        }
        to(Operation::Unknown, None, true)
    }
}

/// Reads `AG`, `AG/SCID` or `AG/SCID/NI`.
fn scope(text: &str) -> Option<Scope> {
    let parts: Vec<String> = text.split('/').map(percent_decoded).collect::<Option<_>>()?;
    if parts.len() > 3 || parts.iter().any(String::is_empty) {
        return None;
    }
    let mut parts = parts.into_iter();
    Some(Scope { group: parts.next()?, scid: parts.next(), property: parts.next() })
}

/// None for a broken escape and for bytes that are no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return None;
        };
        bytes.push(hex(*high)? << 4 | hex(*low)?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A request that is not answered with data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> (Operation, Option<Scope>) {
        let route = Route::of(&Method::GET, path);
        (route.operation, route.scope)
    }

    fn scope(group: &str, scid: Option<&str>, property: Option<&str>) -> Option<Scope> {
        Some(Scope { group: group.to_owned(), scid: scid.map(str::to_owned), property: property.map(str::to_owned) })
    }

    #[test]
    fn endpoints_are_known_with_and_without_a_trailing_slash() {
        assert_eq!(of("/key/v1.0"), (Operation::Key, None));
        assert_eq!(of("/key/v1.0/"), (Operation::Key, None));
        assert_eq!(of("/accessGroups/v1.0/"), (Operation::AccessGroups, None));
        let services = of("/services/cdn/v1.0/12345/");
        assert_eq!(services, (Operation::Services, scope("12345", None, None)));
        assert_eq!(of("/usage/cdn/v1.0/1/S"), (Operation::Usage, scope("1", Some("S"), None)));
        let list = (Operation::Invalidations, scope("1", Some("S"), Some("*.x")));
        assert_eq!(of("/invalidations/v1.0/1/S/*.x"), list);
        assert_eq!(of("/invalidations/v1.0/1/S/%2A%2Ex/"), list);
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "/",
            "/key",
            "/key/v1.0//",
            "/services/cdn/v1.0",
            "/services/cdn/v1.0//S",
            "/services/cdn/v1.0/1/S/n/x",
            "/services/cdn/v1.0/%zz",
            "/services/cdn/v1.0/%ff",
            "/services/cdn/v1.0/%2",
            "/usage/cdn/v1.0",
            "/usage/cdn/v1.0/1/S/n/x",
        ] {
            assert_eq!(of(path).0, Operation::Unknown, "{path}");
        }
    }

    #[test]
    fn the_method_decides_between_asking_and_listing() {
        let path = "/invalidations/v1.0/1/S/n";
        assert_eq!(Route::of(&Method::POST, path).operation, Operation::Invalidate);
        assert!(!Route::of(&Method::DELETE, path).allowed);
        assert!(!Route::of(&Method::POST, "/key/v1.0").allowed);
    }
}
