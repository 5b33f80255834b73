//! The account at Tencent EdgeOne that the simulator plays: its keys, zones with their domains, and quotas.
//!
//! Everything has a default, which is that of `demo.toml`. The secret never gets into `Debug` output; `without_secrets`
//! of the whole configuration hides it too. Checked by `Config::validate`; used by `crate::edgeone`.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Config;
use super::tencent::{TaskQuota, check_credentials, check_host, check_times, yes};

/// The account at Tencent EdgeOne.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeOneConfig {
    /// The id of the key.
    #[serde(default = "demo_secret_id")]
    pub secret_id: String,
    /// The key that signs.
    #[serde(default = "demo_secret_key")]
    pub secret_key: String,
    /// Seconds that a purge or a prefetch takes; 0 completes it at once.
    #[serde(default = "demo_purge_seconds")]
    pub purge_seconds: u32,
    /// Statistics of five minutes that ended less than this ago are answered as 0.
    #[serde(default = "demo_usage_delay_minutes")]
    pub usage_delay_minutes: u32,
    /// The quotas of each zone.
    #[serde(default)]
    pub quotas: EdgeOneQuotas,
    /// The zones of the account.
    #[serde(default = "demo_zones")]
    pub zones: Vec<EdgeOneZone>,
}

/// The quotas of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeOneQuotas {
    /// URLs that are purged.
    pub purge_url: TaskQuota,
    /// Prefixes that are purged.
    pub purge_prefix: TaskQuota,
    /// Hosts that are purged.
    pub purge_host: TaskQuota,
    /// Purges of a whole zone.
    pub purge_all: TaskQuota,
    /// URLs that are prefetched.
    pub prefetch_url: TaskQuota,
}

impl Default for EdgeOneQuotas {
    fn default() -> Self {
        Self {
            purge_url: TaskQuota { batch: 2000, daily: 10_000 },
            purge_prefix: TaskQuota { batch: 200, daily: 2000 },
            purge_host: TaskQuota { batch: 200, daily: 2000 },
            purge_all: TaskQuota { batch: 1, daily: 100 },
            prefetch_url: TaskQuota { batch: 500, daily: 2000 },
        }
    }
}

/// A zone: a name below which domains are accelerated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeOneZone {
    /// The id, `zone-...`.
    pub id: String,
    /// The name.
    pub name: String,
    /// Its status.
    #[serde(default)]
    pub status: EdgeOneZoneStatus,
    /// The domains.
    #[serde(default)]
    pub domains: Vec<EdgeOneDomain>,
}

/// A zone's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeOneZoneStatus {
    /// In use.
    #[default]
    Active,
    /// Its name servers are not switched yet.
    Pending,
    /// Its name servers are switched away.
    Moved,
    /// Blocked.
    Deactivated,
    /// Without a plan yet.
    Initializing,
}

impl EdgeOneZoneStatus {
    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Moved => "moved",
            Self::Deactivated => "deactivated",
            Self::Initializing => "initializing",
        }
    }
}

/// A domain of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeOneDomain {
    /// A host name below the zone's, or a wildcard `*.host`.
    pub name: String,
    /// Its status.
    #[serde(default)]
    pub status: EdgeOneStatus,
    /// Whether it has any traffic; without it all statistics are 0 and there are no logs.
    #[serde(default = "yes")]
    pub traffic: bool,
    /// Whether there are logs of it.
    #[serde(default = "yes")]
    pub logs: bool,
}

/// A domain's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeOneStatus {
    /// Serving.
    #[default]
    Online,
    /// Being deployed.
    Process,
    /// Switched off.
    Offline,
    /// Waiting for its zone.
    Init,
}

impl EdgeOneStatus {
    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Process => "process",
            Self::Offline => "offline",
            Self::Init => "init",
        }
    }
}

// By hand, so that a secret never gets into a log.
impl fmt::Debug for EdgeOneConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EdgeOneConfig")
            .field("secret_id", &self.secret_id)
            .field("purge_seconds", &self.purge_seconds)
            .field("usage_delay_minutes", &self.usage_delay_minutes)
            .field("quotas", &self.quotas)
            .field("zones", &self.zones)
            .finish_non_exhaustive()
    }
}

/// The first contradiction that is found.
pub(super) fn check_edgeone(config: &EdgeOneConfig) -> Result<(), String> {
    check_credentials("edgeone", &config.secret_id, &config.secret_key)?;
    check_times("edgeone", config.purge_seconds, config.usage_delay_minutes)?;
    let (mut ids, mut zones, mut hosts) = (HashSet::new(), HashSet::new(), HashSet::new());
    for zone in &config.zones {
        check_host("edgeone.zones", &zone.name, &mut zones)?;
        let id = zone.id.strip_prefix("zone-").unwrap_or("");
        if id.is_empty() || !id.chars().all(|character| character.is_ascii_alphanumeric()) {
            return Err(format!("edgeone.zones {:?}: an id is zone- with letters and digits behind it", zone.id));
        }
        if !ids.insert(&zone.id) {
            return Err(format!("edgeone.zones {} is there twice", zone.id));
        }
        for domain in &zone.domains {
            check_host("edgeone.zones.domains", &domain.name, &mut hosts)?;
            if domain.name != zone.name && !domain.name.ends_with(&format!(".{}", zone.name)) {
                return Err(format!("edgeone.zones.domains {} does not belong to {}", domain.name, zone.name));
            }
        }
    }
    Ok(())
}

fn demo() -> EdgeOneConfig {
    // The demonstration data have the table; were it missing, an account without zones stands in.
    Config::demo().edgeone.unwrap_or(EdgeOneConfig {
        secret_id: String::new(),
        secret_key: String::new(),
        purge_seconds: 0,
        usage_delay_minutes: 0,
        quotas: EdgeOneQuotas::default(),
        zones: Vec::new(),
    })
}

fn demo_secret_id() -> String {
    demo().secret_id
}

fn demo_secret_key() -> String {
    demo().secret_key
}

fn demo_purge_seconds() -> u32 {
    10
}

fn demo_usage_delay_minutes() -> u32 {
    10
}

fn demo_zones() -> Vec<EdgeOneZone> {
    demo().zones
}
