//! Every vendor that there is a client for: one line each.
//!
//! The configuration names a vendor, this table finds its client; nothing outside the `cdn` folder
//! names one. Called by the worker, `overseas doctor` and the commands to build clients, and by
//! the API for what a vendor can do, which needs no credentials.

use crate::cdn::setting::SettingError;
use crate::cdn::{CallGate, Capabilities, Cdn};
use crate::config::CdnConfig;
use std::sync::Arc;

type Build = fn(&str, &CdnConfig, Arc<dyn CallGate>) -> Result<Arc<dyn Cdn>, SettingError>;

struct Vendor {
    capabilities: fn() -> Capabilities,
    build: Build,
}

/// Each by its module and its client.
macro_rules! vendors {
    ($($module:ident::$client:ident,)+) => {
        static VENDORS: &[Vendor] = &[$(Vendor {
            capabilities: crate::cdn::$module::capabilities,
            build: |name, config, gate| Ok(Arc::new(crate::cdn::$module::$client::new(name, config, gate)?)),
        }),+];
    };
}

vendors! {
    level3::Level3,
    tencent::Tencent,
    edgeone::EdgeOne,
}

/// Why no client could be built. The message names the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No client is known by that name.
    #[error("cdn.{cdn}.vendor: unknown vendor \"{vendor}\"; known: {known}")]
    UnknownVendor {
        /// The account's name in the configuration.
        cdn: String,
        /// What the configuration says.
        vendor: String,
        /// What it may say, separated by commas.
        known: String,
    },
    /// A setting of the account is missing or not usable.
    #[error("cdn.{cdn}.{error}")]
    Setting {
        /// The account's name in the configuration.
        cdn: String,
        /// The setting and what is wrong with it.
        error: SettingError,
    },
}

/// Builds the client of one account; `name` is its key in the configuration. Makes no call.
///
/// # Errors
/// [`RegistryError`], whose message names the setting.
pub fn build(name: &str, config: &CdnConfig, gate: Arc<dyn CallGate>) -> Result<Arc<dyn Cdn>, RegistryError> {
    let vendor = known(name, &config.vendor)?;
    (vendor.build)(name, config, gate).map_err(|error| RegistryError::Setting { cdn: name.to_owned(), error })
}

/// Whether there is a client for what the configuration of an account names.
///
/// # Errors
/// [`RegistryError::UnknownVendor`], which lists those that there are.
pub fn check_vendor(name: &str, vendor: &str) -> Result<(), RegistryError> {
    known(name, vendor).map(drop)
}

fn known(name: &str, vendor: &str) -> Result<&'static Vendor, RegistryError> {
    find(vendor).ok_or_else(|| RegistryError::UnknownVendor {
        cdn: name.to_owned(),
        vendor: vendor.to_owned(),
        known: vendors().join(", "),
    })
}

/// What a vendor can do; `None` when there is no client for it.
#[must_use]
pub fn capabilities(vendor: &str) -> Option<Capabilities> {
    find(vendor).map(|vendor| (vendor.capabilities)())
}

/// What `cdn.<name>.vendor` may say.
#[must_use]
pub fn vendors() -> Vec<&'static str> {
    VENDORS.iter().map(|vendor| (vendor.capabilities)().vendor).collect()
}

fn find(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| (vendor.capabilities)().vendor == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdn::{LocalGate, PreloadSupport};

    fn refusal(table: serde_json::Value) -> String {
        let config: CdnConfig = serde_json::from_value(table).unwrap();
        match build("main", &config, Arc::new(LocalGate::default())) {
            Ok(_) => "built".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_refusal_names_the_setting() {
        let with = |key: &str, value: &str| {
            let mut table = serde_json::json!({"vendor": "level3", "key_id": "1", "secret": "s3cr3t"});
            table[key] = value.into();
            refusal(table)
        };
        let unknown = with("vendor", "foo");
        assert!(unknown.starts_with("cdn.main.vendor: unknown vendor \"foo\"; known: level3, "), "{unknown}");
        assert_eq!(refusal(serde_json::json!({"vendor": "level3"})), "cdn.main.key_id is missing");
        assert_eq!(with("key_id", "  "), "cdn.main.key_id is missing");
        assert_eq!(with("secret", ""), "cdn.main.secret is missing");
        assert!(with("key_id", "1:2").starts_with("cdn.main.key_id is not usable"));
        for url in ["", "ws.level3.com", "ftp://a.com", "http://u:p@a.com", "http://a.com/?x=1", "http://"] {
            let message = with("base_url", url);
            assert!(message.starts_with("cdn.main.base_url is not usable"), "{url}: {message}");
        }
        for (key, value) in [("key_id", "no-digits"), ("base_url", "http://127.0.0.1:8080/prefix/")] {
            assert_eq!(with(key, value), "built");
        }
    }

    #[test]
    fn what_a_vendor_can_do_is_known_without_credentials() {
        let level3 = capabilities("level3").unwrap();
        assert_eq!((level3.vendor, level3.urls_per_request), ("level3", Some(50)));
        assert_eq!(level3.preload, PreloadSupport::InvalidateThenFetch);
        assert!(capabilities("foo").is_none());
        for vendor in vendors() {
            assert_eq!(capabilities(vendor).unwrap().vendor, vendor);
        }
    }
}
