//! What tests may change of the vendor's usage data: golden rows, the delay, the corrections.
//!
//! Begins as the configuration says and can be set back to it. A change is checked as a whole before any of it is made.
//! New golden rows replace all rows of the property on the UTC days that they name, and leave other days alone.
//!
//! Changed through `Control`, read by the vendor's usage endpoint once a request.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use crate::config::{AccessGroupConfig, Config, GoldenUsage, check_delay, check_golden, day_of};
use crate::lock::locked;

/// A change of the usage data; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageChange {
    /// Rows that replace those of the same property and UTC day.
    pub golden: Vec<GoldenUsage>,
    /// The longest delay in minutes; a property's own is between the half of it and all of it. 0: none.
    pub delay_minutes: Option<u32>,
    /// Whether young data differ from their final values.
    pub corrections: Option<bool>,
}

/// The usage data that are set and not made up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageState {
    /// The longest delay in minutes.
    pub delay_minutes: u32,
    /// Whether young data differ from their final values.
    pub corrections: bool,
    /// All golden rows, by property and time.
    pub golden: Vec<GoldenUsage>,
}

/// A change that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageChangeError(String);

/// One golden row as the endpoint needs it.
#[derive(Clone, Debug)]
pub(crate) struct GoldenRow {
    /// Unix seconds.
    pub(crate) time: i64,
    pub(crate) city: Arc<str>,
    pub(crate) volume: Arc<str>,
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
}

/// A property's golden rows by day since 1970, each day's in the order of time.
pub(crate) type GoldenDays = BTreeMap<i64, Vec<GoldenRow>>;

/// What one request sees.
pub(crate) struct UsageView {
    pub(crate) delay_minutes: u32,
    pub(crate) corrections: bool,
    /// The golden days of the properties that were asked for, in their order.
    pub(crate) golden: Vec<Option<Arc<GoldenDays>>>,
}

struct State {
    delay_minutes: u32,
    corrections: bool,
    golden: HashMap<String, Arc<GoldenDays>>,
}

/// The data, shared by the control endpoints and the vendor.
pub(crate) struct UsageBook {
    configured: UsageChange,
    properties: HashSet<String>,
    state: Mutex<State>,
}

impl UsageBook {
    pub(crate) fn new(config: &Config) -> Self {
        let mut properties = HashSet::new();
        for group in &config.access_groups {
            collect_names(group, &mut properties);
        }
        let golden = config.usage_golden.iter().filter(|row| properties.contains(&row.property));
        let configured = UsageChange {
            golden: golden.cloned().collect(),
            delay_minutes: Some(config.usage_delay_minutes),
            corrections: Some(config.usage_corrections),
        };
        let mut state = State { delay_minutes: 0, corrections: false, golden: HashMap::new() };
        state.apply(&configured);
        Self { configured, properties, state: Mutex::new(state) }
    }

    /// Makes a change, or none of it.
    pub(crate) fn change(&self, change: &UsageChange) -> Result<(), UsageChangeError> {
        check_golden(&change.golden).map_err(UsageChangeError)?;
        check_delay(change.delay_minutes.unwrap_or(0)).map_err(UsageChangeError)?;
        if let Some(row) = change.golden.iter().find(|row| !self.properties.contains(&row.property)) {
            return Err(UsageChangeError(format!("there is no property {}", row.property)));
        }
        locked(&self.state).apply(change);
        Ok(())
    }

    /// Back to what the configuration says.
    pub(crate) fn reset(&self) {
        let mut state = locked(&self.state);
        state.golden.clear();
        state.apply(&self.configured);
    }

    pub(crate) fn state(&self) -> UsageState {
        let state = locked(&self.state);
        let mut golden = Vec::new();
        for (property, days) in &state.golden {
            golden.extend(days.values().flatten().map(|row| GoldenUsage {
                property: property.clone(),
                time: DateTime::from_timestamp(row.time, 0).unwrap_or_default(),
                city: row.city.to_string(),
                volume: row.volume.to_string(),
                requests: row.requests,
            }));
        }
        golden.sort_by(|a, b| (&a.property, a.time).cmp(&(&b.property, b.time)));
        UsageState { delay_minutes: state.delay_minutes, corrections: state.corrections, golden }
    }

    /// What a request for these properties sees, all of one moment.
    pub(crate) fn view<'p>(&self, properties: impl Iterator<Item = &'p str>) -> UsageView {
        let state = locked(&self.state);
        UsageView {
            delay_minutes: state.delay_minutes,
            corrections: state.corrections,
            golden: properties.map(|property| state.golden.get(property).map(Arc::clone)).collect(),
        }
    }
}

impl State {
    /// Takes over a change that was checked.
    fn apply(&mut self, change: &UsageChange) {
        self.delay_minutes = change.delay_minutes.unwrap_or(self.delay_minutes);
        self.corrections = change.corrections.unwrap_or(self.corrections);
        let mut begun = HashSet::new();
        for row in &change.golden {
            let days = Arc::make_mut(self.golden.entry(row.property.clone()).or_default());
            let time = row.time.timestamp();
            let rows = days.entry(day_of(time)).or_default();
            if begun.insert((row.property.as_str(), day_of(time))) {
                rows.clear();
            }
            rows.push(GoldenRow {
                time,
                city: row.city.as_str().into(),
                volume: row.volume.as_str().into(),
                bytes: row.bytes().unwrap_or(0),
                requests: row.requests,
            });
        }
        for (property, day) in begun {
            if let Some(rows) = self.golden.get_mut(property).and_then(|days| Arc::make_mut(days).get_mut(&day)) {
                rows.sort_by_key(|row| row.time);
            }
        }
    }
}

fn collect_names(group: &AccessGroupConfig, names: &mut HashSet<String>) {
    let in_services = group.services.iter().flat_map(|service| &service.properties);
    names.extend(in_services.chain(&group.properties).map(|property| property.name.clone()));
    for child in &group.children {
        collect_names(child, names);
    }
}
