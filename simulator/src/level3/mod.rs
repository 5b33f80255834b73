//! The Level 3 Media Portal API, version 1.0, as its help pages describe it.
//!
//! A request passes, in this order: the record of requests, the fault rules, the path (404) and method (405), the
//! signature (403), the Accept header (406), the key's access group (403), service and property (404), for usage and
//! invalidations the query and the body (400), and for usage whether there is any (404). Every refusal has an XML body
//! `<error><message>`, or `{"error":{"message"}}` for a request that accepts JSON.
//!
//! The simulator's server calls this for every path that is not a control endpoint.

mod answers;
mod call;
mod endpoints;
mod invalidations;
pub(crate) mod logs;
mod order;
mod signature;
mod tree;
mod usage;
mod xml;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::{Request, Response};
use serde_json::json;

use self::call::{Call, Format, Refused};
use self::invalidations::Invalidations;
use self::tree::Tree;
use self::xml::Xml;
use crate::config::{Config, DateTo, EmptyList, KeyConfig};
use crate::faults::{FaultKind, FaultRule};
use crate::operation::Operation;
use crate::record::{InFlight, RequestEntry};
use crate::reply::{JSON, Reply, SPOILED_XML, XML, spoiled};
use crate::stage::Stage;

/// The largest body of a request.
const MAX_BODY: usize = 1 << 20;

struct Key {
    config: KeyConfig,
    credits: AtomicU64,
}

/// The vendor: its tree and keys, and what its clients did to it.
pub(crate) struct Level3 {
    stage: Arc<Stage>,
    tree: Tree,
    keys: HashMap<String, Key>,
    empty_list: EmptyList,
    usage_cities: usize,
    usage_date_to: DateTo,
    invalidations: Mutex<Invalidations>,
    correlations: AtomicU64,
}

/// What one request works with on its way through the endpoints.
struct Visit<'v> {
    call: &'v Call,
    /// The paths of the body, or why it cannot be read.
    paths: &'v Result<Arc<[String]>, Refused>,
    /// Lists answer as if nothing were registered.
    forgetful: bool,
    flight: &'v mut InFlight,
}

/// What goes out to the client.
enum Outgoing {
    /// The answer as it is meant.
    Meant(Reply),
    /// What a fault made of it.
    Spoiled(Response),
}

impl Level3 {
    pub(crate) fn new(config: &Config, stage: Arc<Stage>) -> Self {
        let tree = Tree::new(config);
        let key = |config: &KeyConfig| Key { config: config.clone(), credits: AtomicU64::new(config.credits) };
        Self {
            stage,
            keys: config.keys.iter().map(|config| (config.id.clone(), key(config))).collect(),
            empty_list: config.empty_list,
            usage_cities: config.usage_cities,
            usage_date_to: config.usage_date_to,
            invalidations: Mutex::new(Invalidations::new(tree.property_count(), config.invalidation_seconds)),
            correlations: AtomicU64::new(0),
            tree,
        }
    }

    /// Answers one request and records it.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let call = Call::new(&request);
        let operation = call.route.operation;
        let time_ms = self.stage.clock.now_ms();
        let mut entry = RequestEntry::new(operation, time_ms, call.method.as_str(), &call.path, &call.query);
        entry.property = call.property().map(str::to_owned);
        entry.key_id = signature::credentials(&call.headers).map(|(id, _)| id.to_owned());
        let mut flight = self.stage.record.begin(entry);
        let body = read_body(request).await;
        let fault = self.stage.faults.take(operation, call.property());
        let paths = read_paths(&call, &body);
        flight.note(|entry| {
            entry.body_bytes = body.as_ref().map_or(0, Bytes::len);
            entry.fault = fault.as_ref().map(|fault| fault.kind.as_str());
            entry.paths = paths.as_ref().map_or_else(|_| Arc::new([]), Arc::clone);
        });
        let visit = Visit {
            call: &call,
            paths: &paths,
            forgetful: fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::Forget),
            flight: &mut flight,
        };
        let outgoing = match &fault {
            None => Outgoing::Meant(self.reply(visit)),
            Some(fault) => self.reply_with_fault(fault, visit).await,
        };
        match outgoing {
            Outgoing::Meant(reply) => reply.into_recorded_response(flight),
            Outgoing::Spoiled(response) => {
                flight.finish(response.status().as_u16());
                response
            }
        }
    }

    async fn reply_with_fault(&self, fault: &FaultRule, visit: Visit<'_>) -> Outgoing {
        let call = visit.call;
        let error = |status, message: &str| error(call, status, message);
        if fault.after_effect {
            let mut reply = self.reply(visit);
            tokio::time::sleep(fault.delay()).await;
            let response = spoiled(fault, &SPOILED_XML, Some(&mut reply), error);
            return response.map_or(Outgoing::Meant(reply), Outgoing::Spoiled);
        }
        tokio::time::sleep(fault.delay()).await;
        // Only reading may be done for an answer that is spoiled anyway: the real half of it makes the better cut.
        let harmless = call.route.operation != Operation::Invalidate;
        let may_read = fault.kind == FaultKind::Cut && harmless;
        if may_read {
            let mut reply = self.reply(visit);
            let response = spoiled(fault, &SPOILED_XML, Some(&mut reply), error);
            return response.map_or(Outgoing::Meant(reply), Outgoing::Spoiled);
        }
        match spoiled(fault, &SPOILED_XML, None, error) {
            Some(response) => Outgoing::Spoiled(response),
            None => Outgoing::Meant(self.reply(visit)),
        }
    }

    fn reply(&self, visit: Visit<'_>) -> Reply {
        let call = visit.call;
        self.dispatch(visit).unwrap_or_else(|refused| error(call, refused.status, &refused.message))
    }
}

async fn read_body(request: Request) -> Result<Bytes, Refused> {
    let read = request.into_body().into_bytes_limit(MAX_BODY).await;
    read.map_err(|error| match error {
        ReadBodyError::PayloadTooLarge => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        other => Refused::new(StatusCode::BAD_REQUEST, other.to_string()),
    })
}

fn read_paths(call: &Call, body: &Result<Bytes, Refused>) -> Result<Arc<[String]>, Refused> {
    if call.route.operation != Operation::Invalidate {
        return Ok(Arc::new([]));
    }
    match body {
        Ok(body) => order::parse_paths(&call.headers, body)
            .map(Arc::from)
            .map_err(|message| Refused::new(StatusCode::BAD_REQUEST, message)),
        Err(refused) => Err(Refused::new(refused.status, &*refused.message)),
    }
}

fn error(call: &Call, status: StatusCode, message: &str) -> Reply {
    if call.format == Some(Format::Json) {
        let body = json!({ "error": { "message": message } });
        return Reply::new(status, JSON, body.to_string());
    }
    let mut xml = Xml::default();
    xml.open("error", &[]);
    xml.text("message", message);
    xml.close("error");
    Reply::new(status, XML, xml.finish())
}
