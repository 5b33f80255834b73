//! Requests to the CDN's edge, made safely with URLs that customers wrote.
//!
//! The worker stands inside the operator's network, so it must not be led to places there: names are
//! resolved here and private addresses refused, redirects are followed only on the same host, and
//! what is read is bounded in size and time. With `cdn.<name>.edge` every request goes to that place.
//! Called by the fetch job.

use futures::StreamExt;
use overseas_shared::cdn::http;
use overseas_shared::domain::address::{is_public, literal_address};
use overseas_shared::public_hosts::{NotPublic, PublicOnly, innermost, is_refusal};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A redirect may lead to another, but not for ever.
const REDIRECTS: usize = 5;
/// No request takes longer than this.
const LONGEST: Duration = Duration::from_secs(3600);
/// The edge may be silent for this long, for instance while it fetches from the origin.
const SILENCE: Duration = Duration::from_secs(60);

/// Why a URL was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// The edge answered, but not with the content.
    #[error("status {0}")]
    Status(u16),
    /// The URL leads where the worker must not go, or cannot be fetched by HTTP.
    #[error("{0}")]
    Refused(String),
    /// No answer: worth another try.
    #[error("{0}")]
    Unreachable(String),
}

/// The edge cannot be used as it is configured.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the setting `edge` is wrong: {0}")]
pub struct EdgeSettingError(String);

/// Fetches URLs and drops what comes.
pub struct EdgeClient {
    client: reqwest::Client,
    most_bytes: u64,
    fixed: bool,
}

impl EdgeClient {
    /// With `edge` (`host:port`) every request goes there; without it to the URL's own public address.
    ///
    /// # Errors
    /// [`EdgeSettingError`] when `edge` cannot be read.
    pub fn new(edge: Option<&str>, most_bytes: u64) -> Result<Self, EdgeSettingError> {
        let resolver = match edge {
            None => Resolver::Public,
            Some(place) if place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                Resolver::Fixed(place.to_owned())
            }
            Some(place) => return Err(EdgeSettingError(format!("`{place}` is not host:port"))),
        };
        let resolver = Arc::new(resolver);
        let build = |certificates| {
            let builder = http::builder(certificates).dns_resolver(Arc::clone(&resolver));
            builder.read_timeout(SILENCE).timeout(LONGEST).build()
        };
        let client = build(true).or_else(|_| build(false)).map_err(|error| EdgeSettingError(error.to_string()))?;
        Ok(Self { client, most_bytes, fixed: edge.is_some() })
    }

    /// Requests the URL and reads the answer to its end.
    ///
    /// # Errors
    /// [`FetchFailure`], worded for the customer.
    pub async fn fetch(&self, text: &str) -> Result<(), FetchFailure> {
        let refused = |reason: &str| FetchFailure::Refused(reason.to_owned());
        // The cache key has no scheme; what was uploaded by FTP is served by HTTP.
        let text = text.strip_prefix("ftp://").map_or_else(|| text.to_owned(), |rest| format!("http://{rest}"));
        let mut url = Url::parse(&text).map_err(|_| refused("not a URL"))?;
        for _ in 0..=REDIRECTS {
            if !self.fixed && literal_address(&url).is_some_and(|address| !is_public(address)) {
                return Err(refused("the address is not public"));
            }
            let answer = self.client.get(url.clone()).send().await.map_err(|error| failure(&error))?;
            let status = answer.status();
            if status.is_redirection() && status.as_u16() != 304 {
                let place = answer.headers().get("location").and_then(|value| value.to_str().ok());
                let next = place.and_then(|place| url.join(place).ok()).ok_or(FetchFailure::Status(status.as_u16()))?;
                if next.host_str() != url.host_str() || !matches!(next.scheme(), "http" | "https") {
                    return Err(FetchFailure::Refused(format!("status {} to another host", status.as_u16())));
                }
                url = next;
                continue;
            }
            if !status.is_success() {
                return Err(FetchFailure::Status(status.as_u16()));
            }
            return self.drain(answer).await;
        }
        Err(refused("too many redirects"))
    }

    async fn drain(&self, answer: reqwest::Response) -> Result<(), FetchFailure> {
        let mut body = answer.bytes_stream();
        let mut read = 0_u64;
        while let Some(part) = body.next().await {
            read += part.map_err(|error| failure(&error))?.len() as u64;
            if read > self.most_bytes {
                return Err(FetchFailure::Refused(format!("larger than {} bytes", self.most_bytes)));
            }
        }
        Ok(())
    }
}

fn failure(error: &reqwest::Error) -> FetchFailure {
    if is_refusal(error) {
        return FetchFailure::Refused(NotPublic.to_string());
    }
    let kind = if error.is_timeout() { "no answer in time" } else { "no answer" };
    FetchFailure::Unreachable(format!("{kind}: {}", innermost(error)))
}

enum Resolver {
    Public,
    Fixed(String),
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        match self {
            Self::Fixed(place) => {
                let place = place.clone();
                Box::pin(async move {
                    let found: Vec<SocketAddr> = tokio::net::lookup_host(place).await?.collect();
                    Ok(Box::new(found.into_iter()) as Addrs)
                })
            }
            Self::Public => PublicOnly.resolve(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_an_edge_private_addresses_are_refused() {
        let edge = EdgeClient::new(None, 1000).unwrap();
        for url in ["http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x", "http://2130706433/x"] {
            let outcome = edge.fetch(url).await;
            assert!(matches!(outcome, Err(FetchFailure::Refused(_))), "{url}: {outcome:?}");
        }
    }

    #[test]
    fn an_edge_is_a_host_and_a_port() {
        assert!(EdgeClient::new(Some("127.0.0.1:80"), 1).is_ok());
        assert!(EdgeClient::new(Some("127.0.0.1"), 1).is_err());
    }
}
