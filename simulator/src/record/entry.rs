//! What the record tells: its entries, and its summary. Their serialised form is what `/_control/` answers.
//!
//! An entry is filled in while its request is under way and not changed afterwards, so readers share it.
//! Doubled paths are those of registered invalidations, among the entries that are still kept.
//! Made by the simulated servers, kept by the parent module, read through `Control`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::operation::Operation;

/// How many doubled paths a summary names.
const MAX_EXAMPLES: usize = 20;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestEntry {
    /// Its number; numbers only grow.
    pub n: u64,
    /// When it arrived, in milliseconds since 1970 by the simulator's clock.
    pub time_ms: i64,
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, without the question mark.
    pub query: String,
    /// What was asked for.
    pub operation: Operation,
    /// The property or domain, where the request named one; the first of several.
    pub property: Option<String>,
    /// The key id that the request claimed.
    pub key_id: Option<String>,
    /// The answer's status; none if the simulator was stopped before it was ready. A client that goes away changes nothing:
    /// its request is carried out all the same.
    pub status: Option<u16>,
    /// The paths of an invalidation, or the URLs or targets of a task, as far as the body could be read.
    pub paths: Arc<[String]>,
    /// The size of the request's body.
    pub body_bytes: usize,
    /// The fault that was applied.
    pub fault: Option<&'static str>,
    /// Whether an invalidation or a task was registered, even if the answer went wrong.
    pub registered: bool,
    /// How many requests were in progress when it started, itself included; the edge's are counted apart.
    pub concurrent: usize,
    /// The whole URL, for the edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The host that was asked, for the edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The parameters of an action, for Tencent Cloud CDN and EdgeOne.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Arc<Value>>,
    /// The error that was answered with status 200, for Tencent Cloud CDN and EdgeOne.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

impl RequestEntry {
    /// An entry with what is known of every request; the rest is filled in on the way.
    pub(crate) fn new(operation: Operation, time_ms: i64, method: &str, path: &str, query: &str) -> Self {
        Self {
            n: 0,
            time_ms,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            operation,
            property: None,
            key_id: None,
            status: None,
            paths: Arc::new([]),
            body_bytes: 0,
            fault: None,
            registered: false,
            concurrent: 0,
            url: None,
            host: None,
            body: None,
            error_code: None,
        }
    }

    /// Roughly the memory that the entry holds.
    pub(super) fn kept_bytes(&self) -> usize {
        let paths: usize = self.paths.iter().map(|path| path.len() + 24).sum();
        let url = self.url.as_ref().map_or(0, String::len);
        // Roughly what the values of a parsed body take.
        let body = if self.body.is_some() { 4 * self.body_bytes.max(self.query.len()) } else { 0 };
        256 + self.path.len() + self.query.len() + url + paths + body
    }
}

/// A part of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// What to pass as `since` the next time.
    pub next: u64,
    /// The entries whose number is `since` or above, oldest first.
    pub requests: Vec<Arc<RequestEntry>>,
}

/// Counts over all requests since the start or the last clearing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All requests.
    pub requests: u64,
    /// How many of each operation got each status; 0 stands for requests that a stop ended.
    pub operations: BTreeMap<Operation, BTreeMap<u16, u64>>,
    /// The most vendor requests in progress at one time.
    pub peak_concurrency: usize,
    /// The most edge requests in progress at one time.
    pub peak_edge_concurrency: usize,
    /// Paths of all registered invalidations.
    pub paths_invalidated: u64,
    /// Paths that were invalidated more than once.
    pub duplicates: Duplicates,
}

/// Paths that were registered more than once for one property, among the requests that are still kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// How many pairs of property and path.
    pub count: usize,
    /// Up to 20 of them.
    pub examples: Vec<DuplicatePath>,
}

/// One doubled path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DuplicatePath {
    /// The property, or the request's path where the scope was wider than one property.
    pub property: String,
    /// The path that was invalidated.
    pub path: String,
    /// How often.
    pub times: usize,
}

impl Duplicates {
    pub(super) fn among<'e>(entries: impl Iterator<Item = &'e RequestEntry>) -> Duplicates {
        let mut times: HashMap<(&str, &str), usize> = HashMap::new();
        for entry in entries.filter(|entry| entry.registered) {
            let property = entry.property.as_deref().unwrap_or(&entry.path);
            for path in entry.paths.iter() {
                *times.entry((property, path)).or_default() += 1;
            }
        }
        let mut doubled: Vec<_> = times.into_iter().filter(|(_, times)| *times > 1).collect();
        doubled.sort_unstable();
        let example = |((property, path), times): &((&str, &str), usize)| DuplicatePath {
            property: (*property).to_owned(),
            path: (*path).to_owned(),
            times: *times,
        };
        Duplicates { count: doubled.len(), examples: doubled.iter().take(MAX_EXAMPLES).map(example).collect() }
    }
}
