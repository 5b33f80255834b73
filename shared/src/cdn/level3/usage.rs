//! Usage: what a property has delivered, in points of five minutes and by metro.
//!
//! A point holds items, regions and metros within each other in ways that are not certain, so each of
//! them is the sum of what it holds, or of what it says itself where nothing within speaks: nothing
//! is counted twice, and what no metro claims is in the total all the same. A list may be told by its
//! own element or by its items' only. Memory holds the report and one point, however long the answer.
//! Invariant: what cannot be read makes the whole answer unreadable, since a hole would be billed as
//! zero. Source of all facts: Level 3 Media Portal API help. Called by `mod.rs`.

use super::decimal::Decimal;
use super::document::{Visitor, fill, unreadable};
use crate::cdn::CdnError;
use crate::cdn::http::clean;
use crate::domain::usage::{Cell, UsageReport, UsageWindow};
use chrono::{DateTime, NaiveDateTime};
use std::collections::HashMap;

/// How a point's time is written, in UTC; the second form is not known to have occurred.
const POINT_FORMATS: [&str; 2] = ["%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M"];
/// What an error says when it means that the window has no usage, in lower case and with single blanks.
const NO_DATA: &str = "no usage data was found for specified criteria";
/// Most metros of one point, far above the 85 that are known to have existed.
const MOST_METROS: usize = 5_000;
/// Bytes of a metro's name.
const NAME_LENGTH: usize = 200;

/// The query that asks for a window of at most `longest` seconds. Whether the vendor counts `dateTo` in is not
/// known: the window's end is asked for, and the report drops that point.
///
/// # Errors
/// [`CdnError::Rejected`] for a window that is longer, or not in a year of four digits.
pub(super) fn query(window: UsageWindow, longest: i64) -> Result<String, CdnError> {
    if window.to() - window.from() > longest {
        return Err(CdnError::Rejected(format!("usage of more than {longest} seconds in one call")));
    }
    let (from, to) = (date(window.from())?, date(window.to())?);
    Ok(format!("serviceType=caching&dataInterval=5min&geo=metro&dateFrom={from}&dateTo={to}"))
}

fn date(at: i64) -> Result<String, CdnError> {
    let text = DateTime::from_timestamp(at, 0).map(|time| time.format("%Y%m%d%H%M").to_string());
    text.filter(|text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| CdnError::Rejected(format!("{at} is not in a year that can be asked for")))
}

/// An element whose usage is the sum of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Point,
    Metro,
    /// An item or a region.
    Part,
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "point" | "points" => Some(Kind::Point),
        "metro" | "metros" => Some(Kind::Metro),
        "item" | "items" | "region" | "regions" => Some(Kind::Part),
        _ => None,
    }
}

/// One such element while it is open.
#[derive(Debug, Default)]
struct Frame {
    id: Option<String>,
    /// What it says of itself, in bytes.
    volume: Option<u64>,
    requests: Option<u64>,
    says_two_things: bool,
    /// The sum of the elements within, once one of them has spoken.
    within: Option<Cell>,
    has_metro: bool,
}

impl Frame {
    /// What it amounts to; `None` when neither it nor anything within says a word.
    fn cell(&self) -> Result<Option<Cell>, &'static str> {
        if self.within.is_some() {
            return Ok(self.within);
        }
        match (self.volume, self.requests) {
            _ if self.says_two_things => Err("says two different things"),
            (Some(bytes), requests) => Ok(Some(Cell { bytes, requests: requests.unwrap_or(0) })),
            (None, Some(1..)) => Err("has requests but no volume"),
            (None, Some(0)) => Ok(Some(Cell::default())),
            (None, None) => Ok(None),
        }
    }
}

/// Takes one property's usage from an answer.
#[derive(Debug)]
pub(super) struct Usage {
    report: UsageReport,
    recognised: bool,
    /// The first thing that cannot be read.
    trouble: Option<String>,
    open: Vec<Frame>,
    /// The metros of the point that is open; its time may come after them.
    metros: HashMap<String, Cell>,
}

impl Usage {
    pub(super) fn new(window: UsageWindow) -> Self {
        let report = UsageReport::new(window);
        Self { report, recognised: false, trouble: None, open: Vec::new(), metros: HashMap::new() }
    }

    /// What the vendor said of the window.
    ///
    /// # Errors
    /// [`CdnError::Unreadable`] for an answer about something else and for one of which any part cannot be
    /// read; it names the element.
    pub(super) fn finish(self) -> Result<UsageReport, CdnError> {
        match self.trouble {
            Some(trouble) => Err(unreadable(clean(&trouble))),
            None if !self.recognised => Err(unreadable("it is not about usage")),
            None => Ok(self.report),
        }
    }

    fn trouble(&mut self, path: &[String], what: &str) {
        let ids: Vec<&str> = self.open.iter().filter_map(|frame| frame.id.as_deref()).collect();
        self.trouble.get_or_insert_with(|| format!("{what} ({}; {})", path.join("/"), ids.join(", ")));
    }

    fn leaf(&mut self, path: &[String], parent: &str, name: &str, text: &str) {
        let Some(frame) = self.open.last_mut() else {
            return;
        };
        let decimal = || Decimal::parse(text);
        let (slot, value) = match name {
            "id" if kind(parent).is_some() => return fill(&mut frame.id, text),
            "volume" => (&mut frame.volume, decimal().map(Decimal::gigabytes_in_bytes)),
            "requests" => (&mut frame.requests, decimal().and_then(Decimal::count)),
            _ => return,
        };
        match value {
            Some(value) => frame.says_two_things |= *slot.get_or_insert(value) != value,
            None => self.trouble(path, &format!("{name} `{}` is no such number", clean(text))),
        }
    }

    fn put_away(&mut self, path: &[String], kind: Kind, mut frame: Frame) {
        let cell = match frame.cell() {
            Ok(cell) => cell,
            Err(why) => return self.trouble(path, &format!("`{}` {why}", frame.id.unwrap_or_default())),
        };
        match (kind, frame.id.take()) {
            (Kind::Point, Some(id)) => return self.put_away_point(path, &id, cell),
            (Kind::Point, None) => {
                let is_list = path.last().is_some_and(|name| name == "points");
                if !is_list || cell.is_some() || !self.metros.is_empty() {
                    self.trouble(path, "a point without an id");
                }
                return;
            }
            // A list of metros that has an id is no metro.
            (Kind::Metro, Some(name)) if !frame.has_metro => {
                frame.has_metro = true;
                self.add_metro(path, name, cell.unwrap_or_default());
            }
            _ => {}
        }
        if let Some(around) = self.open.last_mut() {
            around.has_metro |= frame.has_metro;
            if let Some(cell) = cell {
                around.within = Some(around.within.unwrap_or_default().plus(cell));
            }
        }
    }

    fn add_metro(&mut self, path: &[String], name: String, cell: Cell) {
        if name.len() > NAME_LENGTH {
            return self.trouble(path, "a name longer than any city's");
        }
        let known = self.metros.entry(name).or_default();
        *known = known.plus(cell);
        if self.metros.len() > MOST_METROS {
            self.trouble(path, "more metros than there can be");
        }
    }

    fn put_away_point(&mut self, path: &[String], id: &str, cell: Option<Cell>) {
        let Some(at) = point_time(id) else {
            return self.trouble(path, &format!("the id `{}` is no time", clean(id)));
        };
        self.report.deliver(at);
        if let Some(cell) = cell {
            self.report.add_total(at, cell);
        }
        let mut has_room = true;
        for (name, cell) in self.metros.drain() {
            has_room &= self.report.add_city(at, &name, cell);
        }
        if !has_room {
            self.trouble(path, "more metros than there can be");
        }
    }
}

fn point_time(id: &str) -> Option<i64> {
    let time = POINT_FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(id, format).ok())?;
    Some(time.and_utc().timestamp())
}

impl Visitor for Usage {
    fn open(&mut self, path: &[String]) {
        let name = path.last().map_or("", String::as_str);
        let kind = kind(name);
        self.recognised |= name == "data" || kind == Some(Kind::Point);
        if kind == Some(Kind::Point) && !self.metros.is_empty() {
            self.trouble(path, "a point within a point");
        }
        if kind == Some(Kind::Point) || (kind.is_some() && !self.open.is_empty()) {
            self.open.push(Frame::default());
        }
    }

    fn close(&mut self, path: &[String], text: &str) {
        let Some((name, above)) = path.split_last() else {
            return;
        };
        if !self.recognised {
            // It is told as an error, but who knows whether always.
            self.recognised = says_no_data(text);
        }
        match kind(name) {
            Some(kind) => {
                let frame = self.open.pop();
                // Once anything cannot be read, nothing more is kept.
                if let Some(frame) = frame.filter(|_| self.trouble.is_none()) {
                    self.put_away(path, kind, frame);
                }
            }
            None => self.leaf(path, above.last().map_or("", String::as_str), name, text),
        }
    }

    fn empty_list(&mut self, _path: &[String], name: &str) {
        self.recognised |= name == "data" || kind(name) == Some(Kind::Point);
    }

    fn takes_refusal(&mut self, body: &[u8]) -> bool {
        let is_empty = says_no_data(&String::from_utf8_lossy(body));
        self.recognised |= is_empty;
        is_empty
    }
}

fn says_no_data(text: &str) -> bool {
    text.to_ascii_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").contains(NO_DATA)
}

#[cfg(test)]
mod tests;
