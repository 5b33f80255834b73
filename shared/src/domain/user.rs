//! Who is calling, and what is in that caller's reach.
//!
//! A [`Scope`] goes into every query over tenants' data; there is no query without one within a
//! handler's reach, so a forgotten check does not compile.

use crate::domain::name::EmailAddress;
use std::fmt;
use std::str::FromStr;

/// Which tenants' data a query may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Only what is mapped to this user, or made by it.
    User(i64),
    /// Everything: staff.
    All,
}

/// A caller whose credential was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user of the API.
    User {
        /// The row's id.
        id: i64,
        /// The address that the user logs in with.
        email: EmailAddress,
    },
    /// Staff with an account of their own.
    Staff {
        /// The row's id.
        id: i64,
        /// The address that the member of staff logs in with.
        email: EmailAddress,
    },
    /// A caller without a credential from a network that is trusted; counts as staff.
    TrustedNetwork,
}

impl Principal {
    /// What this caller's queries may touch.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::User { id, .. } => Scope::User(*id),
            Self::Staff { .. } | Self::TrustedNetwork => Scope::All,
        }
    }

    /// Whether this caller acts for anyone.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        !matches!(self, Self::User { .. })
    }

    /// The caller's own address, where it has one.
    #[must_use]
    pub fn email(&self) -> Option<&EmailAddress> {
        match self {
            Self::User { email, .. } | Self::Staff { email, .. } => Some(email),
            Self::TrustedNetwork => None,
        }
    }

    /// How the caller is named in the audit trail.
    #[must_use]
    pub fn label(&self) -> &str {
        self.email().map_or("trusted-network", EmailAddress::as_str)
    }
}

/// What a credential may be used for, within what its user may do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope {
    /// Reading domains, mappings, tasks, statistics and logs.
    Read,
    /// Refreshing and preloading, and following one's tasks.
    Purge,
    /// Everything that the user may do.
    Admin,
}

impl TokenScope {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Purge, Self::Admin];

    /// The word that people write and see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Purge => "purge",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Purge => 2,
            Self::Admin => 4,
        }
    }
}

/// A set of [`TokenScope`]s, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenScopes(u8);

/// The scopes of a token cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope; expected one or more of read, purge and admin, joined by commas")]
pub struct UnknownScope(String);

impl TokenScopes {
    /// A session may do everything that its user may.
    pub const SESSION: Self = Self(4);

    /// Whether it may be used for this.
    #[must_use]
    pub fn allow(self, scope: TokenScope) -> bool {
        self.0 & (scope.bit() | TokenScope::Admin.bit()) != 0
    }

    /// As a number, for a row.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From a row; unknown bits, of a newer version, grant nothing.
    #[must_use]
    pub fn from_bits(bits: i32) -> Self {
        Self(u8::try_from(bits & 7).unwrap_or(0))
    }
}

impl FromStr for TokenScopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let mut bits = 0;
        for word in text.split(',').map(str::trim) {
            let scope = TokenScope::ALL.into_iter().find(|scope| scope.as_str().eq_ignore_ascii_case(word));
            bits |= scope.ok_or_else(|| UnknownScope(word.to_owned()))?.bit();
        }
        Ok(Self(bits))
    }
}

impl fmt::Display for TokenScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> =
            TokenScope::ALL.into_iter().filter(|scope| self.0 & scope.bit() != 0).map(TokenScope::as_str).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_holds_the_other_scopes_and_they_hold_only_themselves() {
        let scopes = |text: &str| text.parse::<TokenScopes>().unwrap();
        for (text, read, purge, admin) in [
            ("read", true, false, false),
            ("purge", false, true, false),
            ("admin", true, true, true),
            (" Purge, read", true, true, false),
        ] {
            let set = scopes(text);
            let allowed = TokenScope::ALL.map(|scope| set.allow(scope));
            assert_eq!(allowed, [read, purge, admin], "{text}");
            assert_eq!(TokenScopes::from_bits(set.bits().into()), set);
        }
        assert_eq!(scopes("purge,read").to_string(), "read,purge");
        assert!(TokenScopes::SESSION.allow(TokenScope::Admin));
        assert!(!TokenScopes::from_bits(-8).allow(TokenScope::Read));
    }

    #[test]
    fn an_unknown_scope_is_refused_and_named() {
        for text in ["", "read,", "write", "read,root"] {
            assert!(text.parse::<TokenScopes>().is_err(), "{text}");
        }
        assert!("read,root".parse::<TokenScopes>().unwrap_err().to_string().contains("`root`"));
    }
}
