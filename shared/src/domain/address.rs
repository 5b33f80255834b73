//! Which addresses are on the public internet.
//!
//! Processes of ours stand inside the operator's network and make requests to places that customers name (preloads,
//! webhooks), so they have to know where not to go. Names are judged by what they resolve to, which is done in
//! `public_hosts`; here is the pure part. Called by that, by the worker's requests and by the rules for webhooks.

use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::LazyLock;
use url::Url;

/// Blocks that are not on the public internet (the IANA special-purpose registries, RFC 6890).
const NOT_PUBLIC: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

static BLOCKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| NOT_PUBLIC.iter().filter_map(|block| block.parse().ok()).collect());

/// Whether an address is on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !BLOCKS.iter().any(|block| block.contains(&address))
}

/// The address that stands in a URL in place of a name; such a URL is never resolved.
#[must_use]
pub fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(address.into()),
        url::Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_all_their_forms() {
        assert_eq!(BLOCKS.len(), NOT_PUBLIC.len());
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "::1",
            "::ffff:127.0.0.1",
            "fd00::1",
            "64:ff9b::7f00:1",
            "0.0.0.0",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "2606:4700::1111", "100.128.0.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
