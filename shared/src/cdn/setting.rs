//! Reading a vendor's table of the configuration, with messages that name the setting.
//!
//! A vendor's client knows which settings it needs but not what the operator called the account, so
//! it reports the key and the registry puts `cdn.<name>.` before it. A value that is secret never
//! enters a message. Called by the vendors' constructors, once at the start.

use crate::config::CdnConfig;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// A setting of one account that its client cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct SettingError {
    /// The key within the account's table, such as `key_id`.
    pub setting: &'static str,
    /// What is wrong with it, as the rest of a sentence: `is missing`.
    pub problem: String,
}

impl SettingError {
    /// Says what is wrong with a setting.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }
}

/// The text of a setting without the blanks around it.
///
/// # Errors
/// [`SettingError`] when it is left out or blank.
pub fn required<'a>(setting: &'static str, value: Option<&'a str>) -> Result<&'a str, SettingError> {
    match value.map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(SettingError::new(setting, "is missing")),
    }
}

/// A secret without the blanks around it, which a file or an environment variable easily adds.
///
/// # Errors
/// [`SettingError`] when it is left out or blank.
pub fn required_secret(setting: &'static str, value: Option<&SecretString>) -> Result<SecretString, SettingError> {
    let text = required(setting, value.map(ExposeSecret::expose_secret))?;
    Ok(SecretString::from(text))
}

/// Where the vendor's API is: `base_url`, or the vendor's own address.
///
/// # Errors
/// [`SettingError`] when it is not an http or https URL of a host, a port and perhaps a path.
pub fn base_url(config: &CdnConfig, default: &str) -> Result<Url, SettingError> {
    let text = config.base_url.as_deref().unwrap_or(default).trim();
    let refused = |why: &str| SettingError::new("base_url", format!("is not usable: {why}"));
    let url = Url::parse(text).map_err(|error| refused(&format!("{error} (expected something like {default})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refused(&format!("expected an http or https address like {default}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it carries a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it carries a query or a fragment"));
    }
    Ok(url)
}
