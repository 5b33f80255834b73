//! The CDN's edge server: what a client reaches under the name of a property, for instance to load URLs in advance.
//!
//! Any GET or HEAD for the host of an active caching property is answered, and the query says how: `bytes`, `status`,
//! `redirect`, `delay_ms`. An unknown host gets 404, as does the host of an inactive property. Hosts are looked up by
//! name and then by ever shorter wildcards, so the most particular property decides.
//!
//! Listens on an address of its own, since every path of it belongs to the customers' sites.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use poem::http::{HeaderMap, Method, StatusCode, Uri, header};
use poem::{Body, Endpoint, Request, Response};
use url::form_urlencoded;

use crate::config::{AccessGroupConfig, Config, Product, PropertyConfig};
use crate::faults::FaultRule;
use crate::operation::Operation;
use crate::record::RequestEntry;
use crate::reply::{Reply, SPOILED_XML, TEXT, blocks, spoiled};
use crate::stage::Stage;

/// The largest body that `?bytes=` gives.
const MAX_BYTES: u64 = 64 << 20;
const DEFAULT_BYTES: u64 = 1024;
const MAX_DELAY_MS: u64 = 3_600_000;

pub(crate) struct Edge {
    stage: Arc<Stage>,
    /// Lower-case host or wildcard, to the property's name in the configuration; none for an inactive one.
    hosts: HashMap<String, Option<String>>,
}

/// How the query wants a request to be answered.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    bytes: u64,
    status: StatusCode,
    redirect: Option<String>,
    delay: Duration,
}

impl Edge {
    pub(crate) fn new(config: &Config, stage: Arc<Stage>) -> Self {
        let mut hosts = HashMap::new();
        for group in &config.access_groups {
            collect_hosts(group, &mut hosts);
        }
        Self { stage, hosts }
    }

    /// The active property that serves a host.
    fn property(&self, host: &str) -> Option<&str> {
        let host = host.to_ascii_lowercase();
        if let Some(found) = self.hosts.get(&host) {
            return found.as_deref();
        }
        let mut rest = host.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.hosts.get(&format!("*.{parent}")) {
                return found.as_deref();
            }
            rest = parent;
        }
        None
    }

    async fn respond(&self, method: &Method, query: &str, known: bool, fault: Option<&FaultRule>) -> Response {
        if let Some(fault) = fault {
            tokio::time::sleep(fault.delay()).await;
            let mut normal = Reply::new(StatusCode::OK, TEXT, vec![b' '; 1024]);
            if let Some(response) = spoiled(fault, &SPOILED_XML, Some(&mut normal), error) {
                return response;
            }
        }
        if !known {
            return error(StatusCode::NOT_FOUND, "no active property has this host").into_response();
        }
        if method != Method::GET && method != Method::HEAD {
            return error(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only").into_response();
        }
        match Wish::parse(query) {
            Ok(wish) => {
                tokio::time::sleep(wish.delay).await;
                wish.into_response()
            }
            Err(problem) => error(StatusCode::BAD_REQUEST, &problem).into_response(),
        }
    }
}

impl Endpoint for Edge {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let uri = request.original_uri();
        let (path, query) = (uri.path(), uri.query().unwrap_or(""));
        let time_ms = self.stage.clock.now_ms();
        let mut entry = RequestEntry::new(Operation::Edge, time_ms, request.method().as_str(), path, query);
        let host = host(uri, request.headers());
        let property = self.property(host);
        let separator = if query.is_empty() { "" } else { "?" };
        entry.url = Some(format!("http://{host}{path}{separator}{query}"));
        entry.host = Some(host.to_owned());
        entry.property = property.map(str::to_owned);
        let mut flight = self.stage.record.begin(entry);
        let fault = self.stage.faults.take(Operation::Edge, property);
        flight.note(|entry| entry.fault = fault.as_ref().map(|fault| fault.kind.as_str()));
        let response = self.respond(request.method(), query, property.is_some(), fault.as_ref()).await;
        flight.finish(response.status().as_u16());
        Ok(response)
    }
}

impl Wish {
    fn parse(query: &str) -> Result<Self, String> {
        let mut wish = Self { bytes: DEFAULT_BYTES, status: StatusCode::OK, redirect: None, delay: Duration::ZERO };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = || format!("{name}={value} cannot be done");
            match name.as_ref() {
                "bytes" => wish.bytes = value.parse::<u64>().map_err(|_| bad())?.min(MAX_BYTES),
                "status" => wish.status = parse_status(&value).ok_or_else(bad)?,
                "redirect" => wish.redirect = Some(value.into_owned()),
                "delay_ms" => {
                    let delay: u64 = value.parse().map_err(|_| bad())?;
                    wish.delay = Duration::from_millis(delay.min(MAX_DELAY_MS));
                }
                // The sites' own parameters mean nothing here.
                _ => {}
            }
        }
        Ok(wish)
    }

    fn into_response(self) -> Response {
        if let Some(target) = self.redirect {
            let Ok(location) = header::HeaderValue::from_str(&target) else {
                return error(StatusCode::BAD_REQUEST, "redirect is no URL").into_response();
            };
            return Response::builder().status(StatusCode::FOUND).header(header::LOCATION, location).finish();
        }
        Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, TEXT)
            .header(header::CONTENT_LENGTH, self.bytes)
            .body(Body::from_bytes_stream(blocks(self.bytes)))
    }
}

/// Answers that may have a body; 204 and 304 may not, and 1xx are no answers.
fn parse_status(text: &str) -> Option<StatusCode> {
    let status = text.parse().ok().and_then(|code| StatusCode::from_u16(code).ok())?;
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    ((200..600).contains(&status.as_u16()) && !bodiless).then_some(status)
}

fn error(status: StatusCode, message: &str) -> Reply {
    Reply::new(status, TEXT, format!("{message}\n"))
}

/// The host that was asked, without the port.
fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> &'r str {
    if let Some(host) = uri.host() {
        return host;
    }
    let header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = header.unwrap_or("");
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn collect_hosts(group: &AccessGroupConfig, hosts: &mut HashMap<String, Option<String>>) {
    let in_services = group.services.iter().flat_map(|service| &service.properties);
    let caching = |property: &&PropertyConfig| property.product == Product::Caching;
    for property in in_services.chain(&group.properties).filter(caching) {
        let name = property.active.then(|| property.name.clone());
        hosts.insert(property.name.to_ascii_lowercase(), name);
    }
    for child in &group.children {
        collect_hosts(child, hosts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn edge() -> Edge {
        let stage = Stage::new(Arc::new(SystemClock), &Config::demo());
        Edge::new(&Config::demo(), Arc::new(stage))
    }

    #[test]
    fn hosts_of_active_caching_properties_are_served() {
        let edge = edge();
        for (host, property) in [
            ("cdn.example.com", Some("cdn.example.com")),
            ("CDN.Example.com", Some("cdn.example.com")),
            ("b.example.com", Some("b.example.com")),
            ("x.img.example.com", Some("*.img.example.com")),
            ("y.x.img.example.com", Some("*.img.example.com")),
            ("img.example.com", None),
            ("old.example.com", None),
            ("sample-live", None),
            ("example.org", None),
            ("", None),
        ] {
            assert_eq!(edge.property(host), property, "{host}");
        }
    }

    #[test]
    fn an_inactive_property_hides_behind_no_wildcard() {
        let mut edge = edge();
        edge.hosts.insert("*.example.com".to_owned(), Some("*.example.com".to_owned()));
        assert_eq!(edge.property("old.example.com"), None);
        assert_eq!(edge.property("new.example.com"), Some("*.example.com"));
    }

    #[test]
    fn the_query_says_how_to_answer() {
        let wish = Wish::parse("v=1&bytes=5&status=404&delay_ms=7").unwrap();
        assert_eq!((wish.bytes, wish.status.as_u16()), (5, 404));
        assert_eq!(wish.delay, Duration::from_millis(7));
        assert_eq!(Wish::parse("bytes=99999999999").unwrap().bytes, MAX_BYTES);
        for bad in ["bytes=x", "status=99", "status=204", "delay_ms=-1"] {
            assert!(Wish::parse(bad).is_err(), "{bad}");
        }
    }
}
