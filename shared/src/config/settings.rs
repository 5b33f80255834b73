//! The types of the settings, with their defaults; `overseas.example.toml` explains each.
//!
//! A key that is not here stops the start. Values are read leniently where the environment can only
//! hold text (comma lists), and secrets are of a type that does not print itself.

use crate::config::{without_password, without_secrets};
use chrono_tz::Tz;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The zone of `time` fields, a name of the IANA database.
    #[serde(deserialize_with = "time_zone")]
    pub time_zone: Tz,
    /// Where the rows live.
    pub database: DatabaseConfig,
    /// How the worker is woken.
    pub queue: QueueConfig,
    /// The HTTP server.
    pub http: HttpConfig,
    /// Passwords and sessions.
    pub auth: AuthConfig,
    /// The background worker.
    pub worker: WorkerConfig,
    /// Tasks and what is kept of them.
    pub tasks: TasksConfig,
    /// Statistics.
    pub usage: UsageConfig,
    /// Access logs.
    pub logs: LogsConfig,
    /// Messages to users about their ended tasks.
    pub webhooks: WebhooksConfig,
    /// What the processes themselves write.
    pub log: LogConfig,
    /// The accounts at the vendors, by the name that users see.
    pub cdn: BTreeMap<String, CdnConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            time_zone: Tz::Asia__Shanghai,
            database: DatabaseConfig::default(),
            queue: QueueConfig::default(),
            http: HttpConfig::default(),
            auth: AuthConfig::default(),
            worker: WorkerConfig::default(),
            tasks: TasksConfig::default(),
            usage: UsageConfig::default(),
            logs: LogsConfig::default(),
            webhooks: WebhooksConfig::default(),
            log: LogConfig::default(),
            cdn: BTreeMap::new(),
        }
    }
}

/// `[database]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `mysql://user:password@host/name` or `sqlite://path`.
    pub url: String,
    /// Most connections of one process.
    pub max_connections: u32,
    /// Seconds to wait for a free connection before the answer is 503.
    pub acquire_seconds: u64,
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &without_password(&self.url))
            .field("max_connections", &self.max_connections)
            .field("acquire_seconds", &self.acquire_seconds)
            .finish()
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: "sqlite://var/overseas.db".to_owned(), max_connections: 16, acquire_seconds: 2 }
    }
}

/// `[queue]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// `redis://host:6379/0`, or `memory` when API and worker are one process.
    pub url: String,
    /// The beginning of every key in Redis, so that installations can share a server.
    pub prefix: String,
    /// Milliseconds between two looks into the queue.
    pub poll_milliseconds: u64,
}

impl std::fmt::Debug for QueueConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueConfig")
            .field("url", &without_password(&self.url))
            .field("prefix", &self.prefix)
            .field("poll_milliseconds", &self.poll_milliseconds)
            .finish()
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { url: "memory".to_owned(), prefix: "overseas".to_owned(), poll_milliseconds: 25 }
    }
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port of the API.
    pub listen: String,
    /// How clients reach the API from outside, for links in answers; `http://<listen>` when empty.
    pub public_url: String,
    /// Networks whose callers need no credential and count as staff.
    #[serde(deserialize_with = "comma_list")]
    pub trusted_networks: Vec<IpNet>,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "comma_list")]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that browsers may call from.
    #[serde(deserialize_with = "comma_list")]
    pub cors_origins: Vec<String>,
    /// How often a caller may call.
    pub rate_limit: RateLimitConfig,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Seconds after which a request is given up with 503.
    pub request_seconds: u64,
    /// Seconds that requests under way get at the stop.
    pub grace_seconds: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: String::new(),
            trusted_networks: Vec::new(),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            rate_limit: RateLimitConfig::default(),
            max_body_bytes: 8 * 1024 * 1024,
            request_seconds: 60,
            grace_seconds: 10,
        }
    }
}

impl HttpConfig {
    /// Whether a caller from this address needs no credential.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        contains(&self.trusted_networks, address)
    }

    /// Whether this peer may say on whose behalf it calls.
    #[must_use]
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        contains(&self.trusted_proxies, address)
    }
}

/// `[http.rate_limit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// Whether there is a limit at all.
    pub enabled: bool,
    /// Calls of one caller that may come at once after a pause.
    pub burst: u32,
    /// Calls of one caller a second that may follow.
    pub per_second: u32,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self { enabled: true, burst: 2_000, per_second: 200 }
    }
}

/// An IPv4 address that arrives on an IPv6 socket is `::ffff:a.b.c.d`: compared as IPv4.
fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Seconds that a session lasts.
    pub session_seconds: u32,
    /// Shortest password, in characters.
    pub min_password_length: usize,
    /// Failed logins of one account or from one address before the next ones have to wait.
    pub free_login_failures: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { session_seconds: 3600, min_password_length: 10, free_login_failures: 5 }
    }
}

/// `[worker]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Seconds after which the work of a worker that died is taken over.
    pub lease_seconds: u32,
    /// Seconds between two looks at the rows without being woken.
    pub sweep_seconds: u32,
    /// Seconds that work in hand gets at the stop.
    pub grace_seconds: u32,
    /// Address and port for `/healthz`, `/readyz` and `/metrics` of a worker on its own; empty for none.
    pub listen: String,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self { lease_seconds: 15, sweep_seconds: 2, grace_seconds: 20, listen: String::new() }
    }
}

/// `[tasks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TasksConfig {
    /// Days that ended tasks are kept.
    pub keep_days: u32,
    /// Days that the audit trail is kept.
    pub keep_audit_days: u32,
    /// Hours after which a task that no vendor accepted is given up.
    pub give_up_hours: u32,
    /// Largest answer that a preload reads from the edge, in bytes.
    pub preload_max_bytes: u64,
}

impl Default for TasksConfig {
    fn default() -> Self {
        Self { keep_days: 90, keep_audit_days: 400, give_up_hours: 72, preload_max_bytes: 10 * 1024 * 1024 * 1024 }
    }
}

/// `[usage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsageConfig {
    /// Days that bandwidth and traffic by time are kept.
    pub keep_days: u32,
    /// Days that bandwidth and traffic by city are kept.
    pub keep_days_city: u32,
}

impl Default for UsageConfig {
    fn default() -> Self {
        Self { keep_days: 800, keep_days_city: 400 }
    }
}

/// `[logs]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// Where the finished daily logs are kept: a folder, or `s3://bucket/prefix`.
    pub store: String,
    /// A folder of each worker for what is being worked on.
    pub staging: String,
    /// Days that finished logs are kept.
    pub keep_days: u32,
}

impl std::fmt::Debug for LogsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogsConfig")
            .field("store", &without_secrets(&self.store))
            .field("staging", &self.staging)
            .field("keep_days", &self.keep_days)
            .finish()
    }
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self { store: "var/logs".to_owned(), staging: "var/log-staging".to_owned(), keep_days: 180 }
    }
}

/// `[webhooks]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// Whether webhooks may be plain http and lead into private networks.
    pub allow_private: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A `tracing` filter such as `info` or `info,overseas_worker=debug`.
    pub level: String,
    /// `pretty` or `json`.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Pretty }
    }
}

/// One account at one vendor; the key of its table in the configuration is the CDN's name for users.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CdnConfig {
    /// Which client speaks to it, such as `level3`.
    pub vendor: String,
    /// Where the vendor's API is; the vendor's own address when left out. Plain http and any port may be given.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The id of the API key; at Tencent Cloud the SecretId.
    #[serde(default)]
    pub key_id: Option<String>,
    /// The secret of the API key; at Tencent Cloud the SecretKey.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// Seconds between two questions about the progress of one property's tasks.
    #[serde(default = "CdnConfig::default_poll_seconds")]
    pub poll_seconds: u64,
    /// Most calls to the account at a time, over all workers.
    #[serde(default = "CdnConfig::default_max_concurrency")]
    pub max_concurrency: u32,
    /// Seconds after which one call to the vendor is given up.
    #[serde(default = "CdnConfig::default_timeout_seconds")]
    pub timeout_seconds: u64,
    /// Seconds to leave the account alone after the vendor said that its call rate is exceeded.
    #[serde(default = "CdnConfig::default_rate_limit_pause_seconds")]
    pub rate_limit_pause_seconds: u64,
    /// Where to connect for a preload in place of the URL's own address, as `host:port`;
    /// with it, private addresses are allowed.
    #[serde(default)]
    pub edge: Option<String>,
    /// Where the vendor delivers its access logs: a folder, `s3://bucket/prefix` or `rsync://user@host/module`.
    #[serde(default)]
    pub logs: Option<String>,
    /// The password of the rsync daemon.
    #[serde(default)]
    pub logs_password: Option<SecretString>,
    /// A file that holds it.
    #[serde(default)]
    pub logs_password_file: Option<String>,
}

impl std::fmt::Debug for CdnConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CdnConfig")
            .field("vendor", &self.vendor)
            .field("base_url", &self.base_url)
            .field("key_id", &self.key_id)
            .field("secret", &self.secret)
            .field("poll_seconds", &self.poll_seconds)
            .field("max_concurrency", &self.max_concurrency)
            .field("timeout_seconds", &self.timeout_seconds)
            .field("rate_limit_pause_seconds", &self.rate_limit_pause_seconds)
            .field("edge", &self.edge)
            .field("logs", &self.logs.as_deref().map(without_secrets))
            .field("logs_password", &self.logs_password)
            .field("logs_password_file", &self.logs_password_file)
            .finish()
    }
}

impl CdnConfig {
    /// An account at `vendor` with every other setting at its default.
    #[must_use]
    pub fn new(vendor: &str) -> Self {
        Self {
            vendor: vendor.to_owned(),
            base_url: None,
            key_id: None,
            secret: None,
            poll_seconds: Self::default_poll_seconds(),
            max_concurrency: Self::default_max_concurrency(),
            timeout_seconds: Self::default_timeout_seconds(),
            rate_limit_pause_seconds: Self::default_rate_limit_pause_seconds(),
            edge: None,
            logs: None,
            logs_password: None,
            logs_password_file: None,
        }
    }

    fn default_poll_seconds() -> u64 {
        10
    }
    fn default_max_concurrency() -> u32 {
        3
    }
    fn default_timeout_seconds() -> u64 {
        60
    }
    fn default_rate_limit_pause_seconds() -> u64 {
        15
    }
}

fn time_zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(|_| {
        serde::de::Error::custom(format!("`{name}` is not a time zone (expected a name like Asia/Shanghai)"))
    })
}

/// A list in the file, a comma list in the environment.
fn comma_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Raw {
        List(Vec<String>),
        Text(String),
    }
    let items = match Raw::deserialize(deserializer)? {
        Raw::List(items) => items,
        Raw::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    items
        .iter()
        .map(|item| item.trim())
        .filter(|item| !item.is_empty())
        .map(|item| item.parse().map_err(|error| serde::de::Error::custom(format!("`{item}`: {error}"))))
        .collect()
}
