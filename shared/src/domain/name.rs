//! Names that people type: domains and e-mail addresses, brought to one form.
//!
//! A domain is compared in lower case and in punycode (RFC 5891), an e-mail address in lower case;
//! both are stored in that form, so that a comparison of rows is a comparison of bytes.
//! Called by the HTTP handlers, the commands and the vendors' clients.

use std::fmt;

/// Longest host name in octets (RFC 1035, section 2.3.4).
const MAX_DOMAIN_LENGTH: usize = 253;
/// Longest address that SMTP can carry (RFC 5321, section 4.5.3.1.3, less the angle brackets).
const MAX_EMAIL_LENGTH: usize = 254;

/// Why a name was refused. The message names the value and says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a host name.
    #[error("`{0}` is not a domain name (expected something like cdn.example.com)")]
    Domain(String),
    /// Not an e-mail address.
    #[error("`{0}` is not an e-mail address (expected something like user@example.com)")]
    Email(String),
}

/// A host name in lower case and punycode; the first label may be `*` (a wildcard property).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// Parses what a client or a vendor wrote.
    ///
    /// # Errors
    /// [`NameError::Domain`] when it is empty, too long, or has characters that no host name has.
    pub fn parse(raw: &str) -> Result<Self, NameError> {
        let refused = || NameError::Domain(shorten(raw));
        let trimmed = raw.trim().trim_end_matches('.');
        let (wildcard, host) = match trimmed.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        let ascii = idna::domain_to_ascii(host).map_err(|_| refused())?;
        let well_formed = !ascii.is_empty() && ascii.split('.').all(is_label);
        let name = if wildcard { format!("*.{ascii}") } else { ascii };
        if !well_formed || name.len() > MAX_DOMAIN_LENGTH {
            return Err(refused());
        }
        Ok(Self(name))
    }

    /// The name as stored: lower case, punycode.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The wildcard names that cover this one, nearest first: for `a.b.example.com`
    /// they are `*.b.example.com`, `*.example.com` and `*.com`.
    pub fn covering_wildcards(&self) -> impl Iterator<Item = String> + '_ {
        let labels = self.0.strip_prefix("*.").unwrap_or(&self.0);
        labels.match_indices('.').map(move |(dot, _)| format!("*{}", &labels[dot..]))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Letters, digits, hyphens and the underscore that some property names carry.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// An e-mail address in lower case: who somebody is, in this system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Parses what a client wrote. Only the shape is checked: whether the mailbox exists is not known here.
    ///
    /// # Errors
    /// [`NameError::Email`] when there is no local part, no domain, or a character that no address has.
    pub fn parse(raw: &str) -> Result<Self, NameError> {
        let refused = || NameError::Email(shorten(raw));
        let address = raw.trim().to_lowercase();
        let (local, host) = address.rsplit_once('@').ok_or_else(refused)?;
        let local_is_fine = !local.is_empty()
            && local.len() <= 64
            && !local.contains(|c: char| c.is_whitespace() || c.is_control() || "@<>(),;:\"\\[]".contains(c));
        let host_is_fine = !host.starts_with('*') && DomainName::parse(host).is_ok();
        if !local_is_fine || !host_is_fine || address.len() > MAX_EMAIL_LENGTH {
            return Err(refused());
        }
        Ok(Self(address))
    }

    /// The address as stored: lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// At most 100 characters of what was sent, for a message.
#[must_use]
pub fn shorten(raw: &str) -> String {
    match raw.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &raw[..end]),
        None => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn domains_are_compared_in_lower_case_and_punycode() {
        let name = |raw: &str| DomainName::parse(raw).unwrap().as_str().to_owned();
        assert_eq!(name(" CDN.Example.COM. "), "cdn.example.com");
        assert_eq!(name("bücher.example"), "xn--bcher-kva.example");
        assert_eq!(name("*.Img.example.com"), "*.img.example.com");
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for raw in ["", ".", "a..b", "-a.com", "a b.com", "a/b", "*", "a.*.com", "http://a.com", &"a.".repeat(200)] {
            assert!(DomainName::parse(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn wildcards_are_listed_nearest_first() {
        let name = DomainName::parse("a.b.example.com").unwrap();
        assert_eq!(name.covering_wildcards().collect::<Vec<_>>(), ["*.b.example.com", "*.example.com", "*.com"]);
    }

    #[test]
    fn addresses_are_compared_in_lower_case() {
        assert_eq!(EmailAddress::parse("User@Example.com").unwrap().as_str(), "user@example.com");
        for raw in ["", "user", "@example.com", "user@", "a b@example.com", "a@*.example.com", "a@b@c.com"] {
            assert!(EmailAddress::parse(raw).is_err(), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_parses_to_itself(raw in "\\PC{0,80}") {
            if let Ok(name) = DomainName::parse(&raw) {
                prop_assert_eq!(DomainName::parse(name.as_str()).unwrap(), name);
            }
            if let Ok(address) = EmailAddress::parse(&raw) {
                prop_assert_eq!(EmailAddress::parse(address.as_str()).unwrap(), address);
            }
        }
    }
}
