//! Resolving names that customers wrote, so that they lead to the public internet only.
//!
//! A name may resolve to an address inside the operator's network, and may do so only the second time it is asked, so
//! checking it beforehand is worth nothing: this resolver hands the connector only addresses that were checked. An
//! address that stands in a URL itself never comes here; see `domain::address`. Used by the worker's clients for
//! preloads and webhooks.

use crate::domain::address::is_public;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;

/// The name has only addresses that are not on the public internet.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
pub struct NotPublic;

/// Resolves names to their public addresses.
#[derive(Debug, Clone, Copy, Default)]
pub struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.filter(|address| is_public(address.ip())).collect();
            if found.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The innermost cause of a failure; the outer texts repeat the URL.
#[must_use]
pub fn innermost(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// Whether [`PublicOnly`] refused the host. The refusal arrives wrapped in the connector's errors.
#[must_use]
pub fn is_refusal(error: &reqwest::Error) -> bool {
    innermost(error).is::<NotPublic>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_refused_and_said_so() {
        let client = crate::cdn::http::builder(false).dns_resolver(Arc::new(PublicOnly)).build().unwrap();
        let error = client.get("http://localhost:1/").send().await.unwrap_err();
        assert!(is_refusal(&error), "{error:?}");
    }
}
