//! Packages of access logs behind signed links, which the vendor lists on demand and which are good for a day.
//!
//! A link is part of an answer, so it is input: over the vendor's own address it may lead to the public internet only, and
//! redirects are not followed. No link is stored or logged. Called by the clients' `logs`.

use crate::cdn::http::{self, CappedBody};
use crate::cdn::setting::SettingError;
use crate::cdn::{CdnError, DeliveredLogs, LineLayout, LogFile, LogReader};
use crate::config::CdnConfig;
use crate::domain::address::is_public;
use crate::public_hosts::PublicOnly;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Longest time between two pieces of a file.
const SILENCE: Duration = Duration::from_secs(60);

/// Fetches what links lead to.
#[derive(Clone)]
pub(in crate::cdn) struct Downloads {
    client: reqwest::Client,
    anywhere: bool,
}

/// One file that the vendor lists.
#[derive(Debug, Clone)]
pub(in crate::cdn) struct Package {
    /// Its name, unique in the day; files are merged in the order of names.
    pub(in crate::cdn) name: String,
    /// When it begins; Unix seconds.
    pub(in crate::cdn) begins_at: i64,
    /// Bytes, where the vendor tells them.
    pub(in crate::cdn) size: Option<u64>,
    /// The signed link.
    pub(in crate::cdn) link: String,
}

impl Downloads {
    /// For an account whose API is at `base`. An API at another address than the vendor's own (a test's, a proxy's) may
    /// name links to private networks.
    pub(in crate::cdn) fn new(config: &CdnConfig, base: &Url) -> Result<Self, SettingError> {
        let anywhere = config.base_url.is_some();
        let builder = http::builder(base.scheme() == "https").read_timeout(SILENCE);
        let builder = if anywhere { builder } else { builder.dns_resolver(Arc::new(PublicOnly)) };
        let client = builder
            .build()
            .map_err(|error| SettingError::new("base_url", format!("logs cannot be downloaded: {error}")))?;
        Ok(Self { client, anywhere })
    }

    async fn open(&self, name: &str, link: &str) -> Result<LogReader, CdnError> {
        let url = Url::parse(link).map_err(|error| CdnError::Unreadable(format!("the link of {name}: {error}")))?;
        let is_private = match url.host() {
            Some(Host::Ipv4(address)) => !is_public(address.into()),
            Some(Host::Ipv6(address)) => !is_public(address.into()),
            Some(Host::Domain(_)) => false,
            None => true,
        };
        if !matches!(url.scheme(), "http" | "https") || (is_private && !self.anywhere) {
            return Err(CdnError::Unreadable(format!("the link of {name} leads to no public address")));
        }
        let response = self.client.get(url).send().await.map_err(|error| http::transport_error(&error))?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(CdnError::Transient(format!("{name} cannot be downloaded: HTTP status {status}")));
        }
        Ok(Box::new(CappedBody::new(response, u64::MAX, usize::MAX)))
    }
}

/// The packages of a day.
pub(in crate::cdn) struct Packages {
    downloads: Downloads,
    layout: LineLayout,
    files: Vec<LogFile>,
    links: HashMap<String, String>,
}

impl Packages {
    /// Of those that begin from `from` up to but without `to`; Unix seconds.
    pub(in crate::cdn) fn new(
        downloads: &Downloads,
        layout: LineLayout,
        packages: Vec<Package>,
        (from, to): (i64, i64),
    ) -> Self {
        let mut files = Vec::new();
        let mut links = HashMap::new();
        for package in packages.into_iter().filter(|package| (from..to).contains(&package.begins_at)) {
            let Package { name, begins_at, size, link } = package;
            // A link is signed anew each time, so it says nothing of the file.
            let version = format!("{begins_at}/{}", size.map_or_else(|| "unknown".to_owned(), |size| size.to_string()));
            if links.insert(name.clone(), link).is_none() {
                files.push(LogFile { name, size: size.unwrap_or(0), version });
            }
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Self { downloads: downloads.clone(), layout, files, links }
    }
}

#[async_trait]
impl DeliveredLogs for Packages {
    fn files(&self) -> &[LogFile] {
        &self.files
    }

    fn layout(&self) -> LineLayout {
        self.layout
    }

    async fn open(&self, file: &LogFile) -> Result<LogReader, CdnError> {
        let link = self.links.get(&file.name).map(String::as_str).unwrap_or_default();
        self.downloads.open(&file.name, link).await
    }
}
