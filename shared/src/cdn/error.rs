//! How a call to a vendor fails, by what the caller can do about it.
//!
//! A vendor's client classes every failure; nothing outside its folder looks at statuses or codes. Some classes are
//! about the whole account, some about these URLs, some pass by themselves. No message holds a secret.

use std::time::Duration;

/// How a call to a vendor failed, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CdnError {
    /// The vendor refuses the key, the signature or the scope: only an operator can mend it.
    /// No call is made for `retry_after`, so as not to hammer.
    #[error("the vendor refuses the credentials: {message}")]
    Credentials {
        /// What the vendor said, without secrets.
        message: String,
        /// When the next call is worth making.
        retry_after: Duration,
    },
    /// The vendor's call rate is exceeded; the whole account waits.
    #[error("the vendor's call rate is exceeded; next call in {} s", retry_after.as_secs())]
    RateLimited {
        /// When the next call is worth making.
        retry_after: Duration,
    },
    /// What the vendor takes today is used up: these URLs wait until it is renewed, everything else goes on.
    #[error("today's quota at the CDN is used up: {message}")]
    QuotaExhausted {
        /// What is used up and when it is renewed.
        message: String,
        /// Until it is renewed.
        retry_after: Duration,
    },
    /// More URLs in one request than the vendor takes; the same in smaller requests goes through.
    #[error("more URLs in one request than the vendor takes: {0}")]
    BatchTooLarge(String),
    /// The vendor refuses these very URLs or this property, and will refuse them again.
    #[error("the vendor refuses the request: {0}")]
    Rejected(String),
    /// The property is not known to the vendor.
    #[error("the vendor does not know the property: {0}")]
    UnknownProperty(String),
    /// The account cannot do this.
    #[error("the vendor cannot do this: {0}")]
    Unsupported(String),
    /// A failure that may pass: 5xx, a cut connection, a time-out. The vendor may have acted all the same.
    #[error("the vendor did not answer properly: {0}")]
    Transient(String),
    /// An answer that cannot be read, or is larger than any true one.
    #[error("the vendor's answer cannot be read: {0}")]
    Unreadable(String),
}

impl CdnError {
    /// How long the whole account should be left alone, if at all.
    #[must_use]
    pub fn account_pause(&self) -> Option<Duration> {
        match self {
            Self::Credentials { retry_after, .. } | Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// How long to wait before the same is tried again, where the vendor or its rules say it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::QuotaExhausted { retry_after, .. } => Some(*retry_after),
            other => other.account_pause(),
        }
    }

    /// Whether the vendor may have done what it was asked, although there is no answer that says so.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Unreadable(_))
    }

    /// Whether trying the same again is pointless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::UnknownProperty(_) | Self::Unsupported(_))
    }

    /// The class as a metric's label.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Credentials { .. } => "credentials",
            Self::RateLimited { .. } => "rate_limited",
            Self::QuotaExhausted { .. } => "quota",
            Self::BatchTooLarge(_) => "batch_too_large",
            Self::Rejected(_) => "rejected",
            Self::UnknownProperty(_) => "unknown_property",
            Self::Unsupported(_) => "unsupported",
            Self::Transient(_) => "transient",
            Self::Unreadable(_) => "unreadable",
        }
    }
}
