//! Every setting of the system: its type, its default, its checks.
//!
//! Read once at the start from `overseas.toml` (or `--config`) and the environment
//! (`OVERSEAS__DATABASE__URL` is `database.url`), which wins. An unknown key, a bad value or a missing
//! secret ends the start with one message that names the setting. This is the only file that reads
//! the environment. `overseas.example.toml` shows the same settings and is held to these types by a test.

mod settings;

pub use settings::{
    AuthConfig, CdnConfig, Config, DatabaseConfig, HttpConfig, LogConfig, LogFormat, LogsConfig, QueueConfig,
    RateLimitConfig, TasksConfig, UsageConfig, WebhooksConfig, WorkerConfig,
};

use std::path::{Path, PathBuf};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "overseas.toml";

/// Why the start is refused. The message names the setting and where it came from.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named is not there or cannot be read.
    #[error("the configuration file {0} cannot be read: {1}")]
    File(PathBuf, String),
    /// A key that is unknown, or a value of the wrong type.
    #[error("the setting `{setting}` is wrong: {reason}")]
    Setting {
        /// The setting's full name, such as `http.listen`.
        setting: String,
        /// What is wrong with it and what is expected.
        reason: String,
    },
}

impl Config {
    /// Reads the file (the default file only if it is there) and the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`], which names the setting.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_from(file, std::env::vars().collect())
    }

    /// Like [`Config::load`] with an environment that is passed in.
    ///
    /// # Errors
    /// [`ConfigError`], which names the setting.
    pub fn load_from(
        file: Option<&Path>,
        environment: std::collections::HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let source = config::File::from(path).format(config::FileFormat::Toml).required(file.is_some());
        let variables = config::Environment::with_prefix("OVERSEAS")
            .prefix_separator("__")
            .separator("__")
            .source(Some(environment));
        let raw = config::Config::builder()
            .add_source(source)
            .add_source(variables)
            .build()
            .map_err(|error| ConfigError::File(path.to_owned(), error.to_string()))?;
        let settings: Self = serde_path_to_error::deserialize(raw).map_err(|error| {
            let setting = error.path().to_string();
            ConfigError::Setting { setting, reason: plain_reason(&error.into_inner()) }
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// What a type alone cannot say.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |setting: &str, reason: &str| {
            Err(ConfigError::Setting { setting: setting.to_owned(), reason: reason.to_owned() })
        };
        if !["mysql://", "sqlite://", "sqlite::memory:"].iter().any(|s| self.database.url.starts_with(s)) {
            return wrong("database.url", "expected mysql://user:password@host/name or sqlite://path");
        }
        if self.database.max_connections == 0 {
            return wrong("database.max_connections", "must be at least 1");
        }
        let queue = &self.queue.url;
        if queue != "memory" && !queue.starts_with("redis://") && !queue.starts_with("redis+unix://") {
            return wrong("queue.url", "expected redis://host:6379/0, or memory");
        }
        if self.queue.poll_milliseconds == 0 {
            return wrong("queue.poll_milliseconds", "must be at least 1");
        }
        if self.http.rate_limit.burst == 0 || self.http.rate_limit.per_second == 0 {
            return wrong(
                "http.rate_limit",
                "burst and per_second must be at least 1; `enabled = false` switches it off",
            );
        }
        if !self.http.public_url.is_empty() && !self.http.public_url.starts_with("http") {
            return wrong("http.public_url", "expected http://.. or https://..");
        }
        if self.usage.keep_days < 93 || self.usage.keep_days_city < 93 {
            return wrong(
                "usage",
                "keep_days and keep_days_city must be at least 93: that is the longest range of an answer",
            );
        }
        if self.logs.keep_days < 1 {
            return wrong("logs.keep_days", "must be at least 1");
        }
        if self.logs.staging.trim().is_empty() || self.logs.store.trim().is_empty() {
            return wrong("logs", "store and staging must not be empty");
        }
        if self.worker.lease_seconds < 3 {
            return wrong("worker.lease_seconds", "must be at least 3: a lease is renewed three times before it ends");
        }
        if self.worker.sweep_seconds == 0 {
            return wrong("worker.sweep_seconds", "must be at least 1");
        }
        for (name, cdn) in &self.cdn {
            let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
            if !fits || name.len() > 64 {
                return wrong(
                    &format!("cdn.{name}"),
                    "a CDN's name has lower-case letters, digits, - and _, at most 64",
                );
            }
            let is_place = |place: &str| {
                place.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            };
            if cdn.edge.as_deref().is_some_and(|place| !is_place(place)) {
                return wrong(&format!("cdn.{name}.edge"), "expected host:port");
            }
            if cdn.poll_seconds == 0 || cdn.max_concurrency == 0 || cdn.timeout_seconds == 0 {
                return wrong(
                    &format!("cdn.{name}"),
                    "poll_seconds, max_concurrency and timeout_seconds must be at least 1",
                );
            }
        }
        Ok(())
    }

    /// How clients reach the API, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> String {
        if self.http.public_url.is_empty() {
            format!("http://{}", self.http.listen)
        } else {
            self.http.public_url.trim_end_matches('/').to_owned()
        }
    }
}

/// The reason without the noise that the reader of the file adds.
fn plain_reason(error: &config::ConfigError) -> String {
    error.to_string()
}

/// An address whose query may carry a key, with every value of the query and the password left out, for messages.
#[must_use]
pub fn without_secrets(address: &str) -> String {
    let shown = without_password(address);
    let Some((place, query)) = shown.split_once('?') else { return shown };
    let hidden = query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_harmless = ["region", "endpoint", "virtual_host"].contains(&name);
        if is_harmless { format!("{name}={value}") } else { format!("{name}=***") }
    });
    format!("{place}?{}", hidden.collect::<Vec<_>>().join("&"))
}

/// The address with the password left out, for messages.
#[must_use]
pub fn without_password(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;
    use std::collections::HashMap;

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overseas.toml");
        std::fs::write(&path, toml).unwrap();
        let environment: HashMap<_, _> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::load_from(Some(&path), environment)
    }

    fn message(toml: &str, environment: &[(&str, &str)]) -> String {
        load(toml, environment).unwrap_err().to_string()
    }

    #[test]
    fn the_example_file_shows_every_setting_with_its_default() {
        let text = include_str!("../../../overseas.example.toml");
        let shown = load(text, &[]).unwrap();
        let mut with_examples_removed = shown.clone();
        with_examples_removed.cdn.clear();
        assert_eq!(format!("{with_examples_removed:?}"), format!("{:?}", Config::default()));
        // Each setting stands in the file by name, also those that are commented out because they have no default.
        let known = format!("{:?}", shown);
        for word in known.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| w.contains('_')) {
            let is_field = known.contains(&format!("{word}: "));
            assert!(!is_field || text.contains(word), "overseas.example.toml does not mention {word}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = load(
            "[http]\nlisten = '127.0.0.1:1'\n[cdn.level3]\nvendor = 'level3'\nsecret = 'a'",
            &[
                ("OVERSEAS__HTTP__LISTEN", "127.0.0.1:2"),
                ("OVERSEAS__HTTP__TRUSTED_NETWORKS", "10.0.0.0/8, ::1/128"),
                ("OVERSEAS__CDN__LEVEL3__SECRET", "00123"),
                ("OVERSEAS__WORKER__LEASE_SECONDS", "30"),
                ("OVERSEAS__TIME_ZONE", "UTC"),
            ],
        )
        .unwrap();
        assert_eq!(config.http.listen, "127.0.0.1:2");
        assert_eq!(config.http.trusted_networks.len(), 2);
        assert!(config.http.trusts("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!config.http.trusts("11.1.2.3".parse().unwrap()));
        assert_eq!(config.worker.lease_seconds, 30);
        assert_eq!(config.time_zone, Tz::UTC);
        let secret = config.cdn["level3"].secret.as_ref().unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(secret), "00123");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        assert!(
            message("[http]\nlistne = 'x'", &[]).contains("http.listne"),
            "{}",
            message("[http]\nlistne = 'x'", &[])
        );
        assert!(message("", &[("OVERSEAS__HTTP__LISTNE", "x")]).contains("http.listne"));
        assert!(message("[worker]\nlease_seconds = 'soon'", &[]).contains("worker.lease_seconds"));
        assert!(message("time_zone = 'Mars/Olympus'", &[]).contains("time_zone"));
        assert!(message("[http]\ntrusted_networks = ['10.0.0.0/33']", &[]).contains("http.trusted_networks"));
        assert!(message("[database]\nurl = 'postgres://x'", &[]).contains("database.url"));
        assert!(message("[cdn.level3]\nvendor = 'level3'\nsecrte = 'x'", &[]).contains("cdn.level3.secrte"));
        assert!(message("[cdn.Level3x]\nvendor = 'level3'\npoll_seconds = 0", &[]).contains("cdn.Level3x"));
        assert!(message("nonsense", &[]).contains("overseas.toml"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = load(
            "[database]\nurl = 'mysql://u:hunter2@h/d'\n[queue]\nurl = 'redis://:hunter2@h'\n\
             [logs]\nstore = 's3://b/p?region=r&secret_access_key=hunter2'\n\
             [cdn.a]\nvendor = 'level3'\nsecret = 'hunter2'\nlogs_password = 'hunter2'\n\
             logs = 's3://b/p?secret_access_key=hunter2'\n\
             [cdn.b]\nvendor = 'level3'\nlogs = 'rsync://u:hunter2@h/m'",
            &[],
        )
        .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
