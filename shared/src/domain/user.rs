//! Who is calling, and what is in that caller's reach.
//!
//! A [`Scope`] goes into every query over tenants' data; there is no query without one within a
//! handler's reach, so a forgotten check does not compile.

use crate::domain::name::EmailAddress;

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
