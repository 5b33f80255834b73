//! What the simulator plays: its addresses, its keys and the vendor's tree of objects, as data.
//!
//! The built-in data set is `demo.toml`; a file of the same form replaces it. A configuration is checked once, by
//! [`Config::validate`], so that the rest of the crate can rely on unique names and on keys whose access group exists.
//!
//! Called by the command line (`overseas simulate`, `overseas up`) and by tests.

mod check;
mod edgeone;
mod logs;
mod tencent;
mod usage;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

pub use self::edgeone::{EdgeOneConfig, EdgeOneDomain, EdgeOneQuotas, EdgeOneStatus, EdgeOneZone, EdgeOneZoneStatus};
pub use self::logs::LogHeader;
pub(crate) use self::logs::{check_size, has_folder, is_without_log};
pub(crate) use self::tencent::check_delay_minutes;
pub use self::tencent::{
    DistrictForm, TaskQuota, TencentArea, TencentConfig, TencentDomain, TencentProduct, TencentQuotas, TencentStatus,
};
pub use self::usage::{DateTo, GoldenUsage};
pub(crate) use self::usage::{FIRST_SECOND, GIGABYTE, MAX_CITIES, POINT_SECONDS, check_delay, check_golden, day_of};
use crate::error::SimulatorError;

const DEMO: &str = include_str!("../../demo.toml");

/// Everything that can be set. Left out of a file, a setting has its value of the demonstration data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the vendor's API and the control endpoints listen; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where the edge server listens; port 0 takes a free one.
    #[serde(default = "default_edge_listen")]
    pub edge_listen: SocketAddr,
    /// Seconds that an invalidation takes from 0 to 100 percent; 0 completes it at once.
    #[serde(default = "default_invalidation_seconds")]
    pub invalidation_seconds: u32,
    /// How a list without invalidations looks.
    #[serde(default)]
    pub empty_list: EmptyList,
    /// How many requests are remembered; the oldest go first.
    #[serde(default = "default_record_limit")]
    pub record_limit: usize,
    /// How many cities a property's traffic comes from, 1 to 85.
    #[serde(default = "default_usage_cities")]
    pub usage_cities: usize,
    /// The longest time in minutes after which a point of the usage is delivered: each property has a delay of its own
    /// between the half of this and all of it. 0 delivers a point as soon as its five minutes are over.
    #[serde(default = "default_usage_delay_minutes")]
    pub usage_delay_minutes: u32,
    /// Usage younger than 48 hours differs from its final value by 3 percent, and some cities are missing in it.
    #[serde(default)]
    pub usage_corrections: bool,
    /// Whether the point that begins at `dateTo` is in the answer.
    #[serde(default)]
    pub usage_date_to: DateTo,
    /// Usage that is given and not made up: a UTC day of a property with golden rows has nothing else.
    #[serde(default = "demo_usage_golden")]
    pub usage_golden: Vec<GoldenUsage>,
    /// The folder into which access logs are delivered, `YYYY/MM/DD/<property>/*.gz`; none or empty: no logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_folder: Option<PathBuf>,
    /// How many whole UTC days before today are delivered at the start, at most 366.
    #[serde(default = "default_log_days")]
    pub log_days: u32,
    /// Days that are delivered at the start besides, whatever today is.
    #[serde(default = "demo_log_golden_days")]
    pub log_golden_days: Vec<NaiveDate>,
    /// Files of a property and day, 1 to 100.
    #[serde(default = "default_log_files")]
    pub log_files: usize,
    /// Requests in a file, at most 500,000.
    #[serde(default = "default_log_lines")]
    pub log_lines: usize,
    /// Lines are a little out of order, some have equal times, and the times of one file reach into those of the next.
    #[serde(default = "default_log_out_of_order")]
    pub log_out_of_order: bool,
    /// How a file begins.
    #[serde(default)]
    pub log_header: LogHeader,
    /// The last file of each property and day is held back until it is released.
    #[serde(default)]
    pub log_late: bool,
    /// The second file of each property and day, or the only one, ends in the middle until it is mended.
    #[serde(default)]
    pub log_broken: bool,
    /// The API keys.
    #[serde(default = "demo_keys")]
    pub keys: Vec<KeyConfig>,
    /// The top access groups; each key sees the part of a tree that begins at its own group.
    #[serde(default = "demo_access_groups")]
    pub access_groups: Vec<AccessGroupConfig>,
    /// The account at Tencent Cloud CDN; none: the vendor is not played.
    #[serde(default = "demo_tencent", skip_serializing_if = "Option::is_none")]
    pub tencent: Option<TencentConfig>,
    /// The account at Tencent EdgeOne; none: the vendor is not played.
    #[serde(default = "demo_edgeone", skip_serializing_if = "Option::is_none")]
    pub edgeone: Option<EdgeOneConfig>,
}

/// How a list without invalidations looks (the Level 3 Media Portal API help leaves it open, so a client accepts both).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmptyList {
    /// `<invalidations/>`.
    #[default]
    Empty,
    /// No such element.
    Missing,
}

/// An API key: tied to one access group and one role (Level 3 Media Portal API help, keys).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The key id, digits.
    pub id: String,
    /// The secret that signs, raw bytes.
    pub secret: String,
    /// The access group whose subtree the key may use.
    pub access_group: u64,
    /// The contact's name.
    #[serde(default)]
    pub name: String,
    /// The role's name.
    #[serde(default = "default_role")]
    pub role: String,
    /// Credits at the start; each accepted invalidation request takes one, and they end at 0 without a refusal.
    #[serde(default = "default_credits")]
    pub credits: u64,
}

/// An access group with what is in it (Level 3 Media Portal API help, object tree).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessGroupConfig {
    /// The id, unique over all trees.
    pub id: u64,
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default)]
    pub description: String,
    /// Properties directly under the group (streaming); each names its `scid`.
    #[serde(default)]
    pub properties: Vec<PropertyConfig>,
    /// The service components.
    #[serde(default)]
    pub services: Vec<ServiceConfig>,
    /// The groups below.
    #[serde(default)]
    pub children: Vec<AccessGroupConfig>,
}

/// A service component: the container for billing and reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// The id, nine alphanumerics at the vendor.
    pub scid: String,
    /// The product.
    #[serde(default)]
    pub product: Product,
    /// The properties.
    #[serde(default)]
    pub properties: Vec<PropertyConfig>,
}

/// A property (network identifier).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyConfig {
    /// A host name, a wildcard `*.host`, or a streaming id; unique over all trees.
    pub name: String,
    /// An inactive one is listed, but the edge does not know it.
    #[serde(default = "default_active")]
    pub active: bool,
    /// The product.
    #[serde(default)]
    pub product: Product,
    /// The streaming type, such as `Live`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The service component of a property directly under a group; not allowed inside a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scid: Option<String>,
}

/// The vendor's products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Product {
    /// Caching of a web site.
    #[default]
    Caching,
    /// Streaming.
    Streaming,
}

impl Product {
    /// The vendor's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Caching => "CACHING",
            Self::Streaming => "STREAMING",
        }
    }
}

impl Config {
    /// The demonstration data, `demo.toml`.
    #[expect(clippy::expect_used, reason = "compiled in, and a test reads it")]
    #[must_use]
    pub fn demo() -> Self {
        toml::from_str(DEMO).expect("demo.toml is valid")
    }

    /// Reads TOML text and checks it.
    ///
    /// # Errors
    /// An unknown key, a bad value, or data that contradict each other; the text names the place.
    pub fn from_toml(text: &str) -> Result<Self, SimulatorError> {
        let config: Self = toml::from_str(text).map_err(|error| SimulatorError::Config(error.to_string()))?;
        config.validate()?;
        Ok(config)
    }

    /// Reads a file and checks it.
    ///
    /// # Errors
    /// As [`Config::from_toml`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, SimulatorError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SimulatorError::Read { path: path.to_owned(), source })?;
        Self::from_toml(&text)
    }

    /// The same configuration on two free ports of the loopback address.
    #[must_use]
    pub fn on_free_ports(mut self) -> Self {
        self.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        self.edge_listen = self.listen;
        self
    }

    /// The same configuration with every secret replaced, for showing it to people.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        for key in &mut self.keys {
            key.secret = "(hidden)".to_owned();
        }
        let of_tencent = self.tencent.as_mut().map(|account| &mut account.secret_key);
        let of_edgeone = self.edgeone.as_mut().map(|account| &mut account.secret_key);
        for secret in of_tencent.into_iter().chain(of_edgeone) {
            "(hidden)".clone_into(secret);
        }
        self
    }

    /// The folder of the access logs, if any are to be delivered.
    #[must_use]
    pub fn log_folder(&self) -> Option<&Path> {
        self.log_folder.as_deref().filter(|folder| !folder.as_os_str().is_empty())
    }

    /// Checks what the types cannot: unique ids and names, and keys whose access group exists.
    ///
    /// # Errors
    /// The first contradiction that was found.
    pub fn validate(&self) -> Result<(), SimulatorError> {
        check::check(self).map_err(SimulatorError::Config)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::demo()
    }
}

// By hand, so that a secret never gets into a log.
impl fmt::Debug for KeyConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyConfig")
            .field("id", &self.id)
            .field("access_group", &self.access_group)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("credits", &self.credits)
            .finish_non_exhaustive()
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8380))
}

fn default_edge_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8381))
}

fn default_invalidation_seconds() -> u32 {
    10
}

fn default_record_limit() -> usize {
    200_000
}

fn default_usage_cities() -> usize {
    20
}

fn default_usage_delay_minutes() -> u32 {
    240
}

fn default_log_days() -> u32 {
    3
}

fn default_log_files() -> usize {
    4
}

fn default_log_lines() -> usize {
    60
}

fn default_log_out_of_order() -> bool {
    true
}

fn default_role() -> String {
    "Administrator".to_owned()
}

fn default_credits() -> u64 {
    1_000_000
}

fn default_active() -> bool {
    true
}

fn demo_keys() -> Vec<KeyConfig> {
    Config::demo().keys
}

fn demo_usage_golden() -> Vec<GoldenUsage> {
    Config::demo().usage_golden
}

fn demo_log_golden_days() -> Vec<NaiveDate> {
    Config::demo().log_golden_days
}

fn demo_access_groups() -> Vec<AccessGroupConfig> {
    Config::demo().access_groups
}

fn demo_tencent() -> Option<TencentConfig> {
    Config::demo().tencent
}

fn demo_edgeone() -> Option<EdgeOneConfig> {
    Config::demo().edgeone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn the_demonstration_data_are_valid_and_state_every_default() {
        let demo = Config::default();
        demo.validate().unwrap();
        assert_eq!(Config::from_toml("").unwrap(), demo);
        assert_eq!(Config::from_toml(DEMO).unwrap(), demo);
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = toml::to_string(&Config::demo()).unwrap();
        assert_eq!(Config::from_toml(&text).unwrap(), Config::demo());
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        assert!(refused("lisen = \"127.0.0.1:1\"").contains("lisen"));
        assert!(refused("listen = \"nowhere\"").contains("listen"));
        assert!(refused("empty_list = \"maybe\"").contains("empty_list"));
        assert!(refused("usage_date_to = \"maybe\"").contains("usage_date_to"));
        assert!(refused("usage_cities = 0").contains("usage_cities"));
        assert!(refused("usage_cities = 86").contains("usage_cities"));
        assert!(refused("usage_delay_minutes = 600000").contains("delay"));
        assert!(refused("log_header = \"csv\"").contains("log_header"));
        assert!(refused("log_files = 0").contains("files"));
        assert!(refused("log_lines = 500001").contains("lines"));
        assert!(refused("log_days = 367").contains("log_days"));
        assert!(refused("log_golden_days = [\"2016-09-28\"]").contains("log_golden_days: 2016-09-28"));
        assert!(refused("log_golden_days = [\"2016-02-30\"]").contains("log_golden_days"));
        let golden = "{property=\"p\",time=\"2016-08-04T07:51:00Z\",city=\"Miami\",volume=\"1\",requests=1}";
        assert!(refused(&format!("usage_golden = [{golden}]")).contains("golden usage of p"));
    }

    #[test]
    fn an_empty_folder_delivers_no_logs() {
        assert_eq!(Config::demo().log_folder(), None);
        assert_eq!(Config::from_toml("log_folder = \"\"").unwrap().log_folder(), None);
        let set = Config::from_toml("log_folder = \"var/logs\"").unwrap();
        assert_eq!(set.log_folder(), Some(Path::new("var/logs")));
    }

    #[test]
    fn contradictions_are_refused() {
        let key = "[[keys]]\nid = \"1\"\nsecret = \"s\"\naccess_group = 5\n";
        let group = "[[access_groups]]\nid = 5\nname = \"G\"\n";
        let property = "[[access_groups.properties]]\nname = \"p\"\n";
        assert!(Config::from_toml(&format!("{key}{group}")).is_ok());
        assert!(refused(key).contains("key 1 names an access_group that does not exist"));
        assert!(refused(&format!("{key}{key}{group}")).contains("key 1 is there twice"));
        assert!(refused(&format!("{key}{group}{group}")).contains("access group 5 is there twice"));
        assert!(refused(&format!("{key}{group}{property}")).contains("property p needs a scid"));
        let parent = property.replace("\"p\"", "\"..\"");
        assert!(refused(&format!("{key}{group}{parent}scid = \"S\"\n")).contains("property \"..\""));
        let twice = format!("{property}scid = \"S\"\n");
        assert!(refused(&format!("{key}{group}{twice}{twice}")).contains("property p is there twice"));
    }

    #[test]
    fn secrets_stay_out_of_debug_output_and_of_the_shown_configuration() {
        let shown = toml::to_string(&Config::demo().without_secrets()).unwrap();
        let debugged = format!("{:?}", Config::demo());
        for text in [shown, debugged] {
            for id in ["279000001", "AKIDEXAMPLEcdn0123456789", "AKIDEXAMPLEteo0123456789"] {
                assert!(text.contains(id), "{text}");
            }
            for secret in ["EXAMPLEsecret0123456", "EXAMPLEcdnKey0123456789", "EXAMPLEteoKey0123456789"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}
