//! The account at Tencent Cloud CDN that the simulator plays: its keys, domains, quotas, and how late its statistics
//! are.
//!
//! Everything has a default, which is that of `demo.toml`. The secret never gets into `Debug` output; `without_secrets`
//! of the whole configuration hides it too. Checked by `Config::validate`; used by `crate::tencent`.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Config;

/// The account at Tencent Cloud CDN.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TencentConfig {
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
    /// How the ranking of districts names them.
    #[serde(default)]
    pub district_form: DistrictForm,
    /// The quotas, each for mainland and overseas apart.
    #[serde(default = "demo_quotas")]
    pub quotas: TencentQuotas,
    /// The domains of the account.
    #[serde(default = "demo_domains")]
    pub domains: Vec<TencentDomain>,
}

/// What stands in `Name` of a ranking of districts; the documentation leaves it open, so a client accepts both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DistrictForm {
    /// The name, as `DescribeMapInfo` lists it.
    #[default]
    Name,
    /// The id of `DescribeMapInfo`, as text.
    Id,
}

/// How much may be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskQuota {
    /// The most in one call.
    pub batch: u64,
    /// The most in a day, which begins at 00:00 in UTC+8.
    pub daily: u64,
}

/// The quotas of an account, each for mainland and overseas apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TencentQuotas {
    /// URLs that are purged.
    pub url: TaskQuota,
    /// Directories that are purged.
    pub path: TaskQuota,
    /// URLs that are prefetched.
    pub push: TaskQuota,
}

impl Default for TencentQuotas {
    fn default() -> Self {
        Self {
            url: TaskQuota { batch: 1000, daily: 10_000 },
            path: TaskQuota { batch: 500, daily: 100 },
            push: TaskQuota { batch: 500, daily: 1000 },
        }
    }
}

/// A domain of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TencentDomain {
    /// A host name, or a wildcard `*.host`.
    pub name: String,
    /// Where it is accelerated.
    #[serde(default)]
    pub area: TencentArea,
    /// Its status.
    #[serde(default)]
    pub status: TencentStatus,
    /// The product.
    #[serde(default)]
    pub product: TencentProduct,
    /// Whether it has any traffic; without it all statistics are 0 and there are no logs.
    #[serde(default = "yes")]
    pub traffic: bool,
    /// Whether there are logs of it.
    #[serde(default = "yes")]
    pub logs: bool,
}

/// Where a domain is accelerated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TencentArea {
    /// In mainland China only.
    Mainland,
    /// Outside of it only.
    Overseas,
    /// Everywhere.
    #[default]
    Global,
}

impl TencentArea {
    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mainland => "mainland",
            Self::Overseas => "overseas",
            Self::Global => "global",
        }
    }

    /// The areas that quotas, statistics and logs are kept for.
    #[must_use]
    pub fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Mainland => &["mainland"],
            Self::Overseas => &["overseas"],
            Self::Global => &["mainland", "overseas"],
        }
    }

    /// The area of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Mainland, Self::Overseas, Self::Global].into_iter().find(|area| area.as_str() == name)
    }
}

/// A domain's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TencentStatus {
    /// Serving.
    #[default]
    Online,
    /// Switched off.
    Offline,
    /// Being deployed.
    Processing,
    /// Refused by the review.
    Rejected,
    /// Being switched off.
    Closing,
}

impl TencentStatus {
    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Processing => "processing",
            Self::Rejected => "rejected",
            Self::Closing => "closing",
        }
    }
}

/// The vendor's products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TencentProduct {
    /// The CDN.
    #[default]
    Cdn,
    /// The CDN for dynamic content, whose statistics are asked for by `Product`.
    Ecdn,
}

impl TencentProduct {
    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cdn => "cdn",
            Self::Ecdn => "ecdn",
        }
    }
}

// By hand, so that a secret never gets into a log.
impl fmt::Debug for TencentConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TencentConfig")
            .field("secret_id", &self.secret_id)
            .field("purge_seconds", &self.purge_seconds)
            .field("usage_delay_minutes", &self.usage_delay_minutes)
            .field("district_form", &self.district_form)
            .field("quotas", &self.quotas)
            .field("domains", &self.domains)
            .finish_non_exhaustive()
    }
}

/// The first contradiction that is found.
pub(super) fn check_tencent(config: &TencentConfig) -> Result<(), String> {
    check_credentials("tencent", &config.secret_id, &config.secret_key)?;
    check_times("tencent", config.purge_seconds, config.usage_delay_minutes)?;
    let mut names = HashSet::new();
    config.domains.iter().try_for_each(|domain| check_host("tencent.domains", &domain.name, &mut names))
}

/// A key can stand in a header and signs something.
pub(super) fn check_credentials(place: &str, secret_id: &str, secret_key: &str) -> Result<(), String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if secret_id.is_empty() || !secret_id.chars().all(plain) {
        return Err(format!("{place}.secret_id: letters, digits, - and _ only"));
    }
    if secret_key.is_empty() {
        return Err(format!("{place}.secret_key is empty"));
    }
    Ok(())
}

/// No duration leaves what dates can hold.
pub(super) fn check_times(place: &str, purge_seconds: u32, usage_delay_minutes: u32) -> Result<(), String> {
    if purge_seconds > 31 * 86_400 {
        return Err(format!("{place}.purge_seconds: at most 31 days"));
    }
    check_delay_minutes(usage_delay_minutes).map_err(|problem| format!("{place}.{problem}"))
}

/// The longest delay of statistics: 31 days.
pub(crate) fn check_delay_minutes(minutes: u32) -> Result<(), String> {
    if minutes > 31 * 1440 { Err("usage_delay_minutes: at most 31 days".to_owned()) } else { Ok(()) }
}

/// A host name that is not there yet.
pub(super) fn check_host(place: &str, name: &str, names: &mut HashSet<String>) -> Result<(), String> {
    let good = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '.' | '-' | '_')
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    if host.is_empty() || !host.chars().all(good) {
        return Err(format!("{place} {name:?}: no host name in lower case"));
    }
    if !names.insert(name.to_owned()) {
        return Err(format!("{place} {name} is there twice"));
    }
    Ok(())
}

fn demo() -> TencentConfig {
    // The demonstration data have the table; were it missing, an account without domains stands in.
    Config::demo().tencent.unwrap_or(TencentConfig {
        secret_id: String::new(),
        secret_key: String::new(),
        purge_seconds: 0,
        usage_delay_minutes: 0,
        district_form: DistrictForm::Name,
        quotas: TencentQuotas::default(),
        domains: Vec::new(),
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
    15
}

fn demo_quotas() -> TencentQuotas {
    TencentQuotas::default()
}

fn demo_domains() -> Vec<TencentDomain> {
    demo().domains
}

pub(super) fn yes() -> bool {
    true
}
