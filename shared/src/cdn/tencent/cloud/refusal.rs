//! What an error code of Tencent Cloud means to us.
//!
//! A code is `Category` or `Category.Detail`. Each service lists the details whose meaning differs from that of their
//! category; for the rest the category decides, and an unknown one passes as something that may mend itself. Tested
//! against the official lists of codes. Source: the `errorcodes.py` of the vendor's SDKs and the documentation's
//! common error codes. Called by `call.rs`.

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cdn) enum Class {
    /// The key or the account as a whole is refused.
    Credentials,
    /// Too many calls.
    RateLimited,
    /// What may be done in a day is used up.
    Quota,
    /// Too many items in one call.
    Batch,
    /// These items are refused, and will be again.
    Rejected,
    /// The domain or zone is not known.
    UnknownProperty,
    /// The account cannot do this; the text says why and what to do.
    Unsupported(&'static str),
    /// Access is denied to this action or domain. An operator can mend it, so the work waits.
    Denied,
    /// It may pass.
    Transient,
    /// The same, and why.
    Waiting(&'static str),
}

/// Categories, which are whole codes too.
const CATEGORIES: [(&str, Class); 26] = [
    ("ActionOffline", Class::Unsupported("the vendor has taken this action away")),
    ("AuthFailure", Class::Credentials),
    ("DryRunOperation", Class::Rejected),
    ("FailedOperation", Class::Transient),
    ("InternalError", Class::Transient),
    ("InvalidAction", Class::Unsupported("the vendor does not know this action")),
    ("InvalidFilter", Class::Rejected),
    ("InvalidParameter", Class::Rejected),
    ("InvalidParameterValue", Class::Rejected),
    ("InvalidRequest", Class::Rejected),
    ("IpInBlacklist", Class::Denied),
    ("IpNotInWhitelist", Class::Denied),
    ("LimitExceeded", Class::Transient),
    ("MissingParameter", Class::Rejected),
    ("NoSuchProduct", Class::Unsupported("the vendor does not know this product")),
    ("NoSuchVersion", Class::Unsupported("the vendor does not know this version of its API")),
    ("OperationDenied", Class::Rejected),
    ("RequestLimitExceeded", Class::RateLimited),
    ("ResourceInUse", Class::Rejected),
    ("ResourceInsufficient", Class::Transient),
    ("ResourceNotFound", Class::UnknownProperty),
    ("ResourceUnavailable", Class::Rejected),
    ("ResourcesSoldOut", Class::Transient),
    ("ServiceUnavailable", Class::Transient),
    ("UnauthorizedOperation", Class::Denied),
    ("UnsupportedOperation", Class::Rejected),
];

/// Details that are not of their category's class, at every service.
const COMMON: [(&str, Class); 3] = [
    ("InternalError.GatewayAccountError", Class::Credentials),
    ("RequestSizeLimitExceeded", Class::Batch),
    ("UnknownParameter", Class::Rejected),
];

/// The class of a code at a service with these details of its own.
pub(in crate::cdn) fn class_of(codes: &[(&str, Class)], code: &str) -> Class {
    let find = |table: &[(&str, Class)], wanted: &str| {
        table.iter().find(|(known, _)| *known == wanted).map(|(_, class)| *class)
    };
    let category = code.split('.').next().unwrap_or(code);
    find(codes, code)
        .or_else(|| find(&COMMON, code))
        .or_else(|| find(&COMMON, category))
        .or_else(|| find(&CATEGORIES, category))
        .unwrap_or(Class::Transient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_of_the_service_comes_before_its_category_and_an_unknown_code_may_pass() {
        let own = [("LimitExceeded.DailyQuota", Class::Quota)];
        assert_eq!(class_of(&own, "LimitExceeded.DailyQuota"), Class::Quota);
        assert_eq!(class_of(&own, "LimitExceeded.SomethingNew"), Class::Transient);
        assert_eq!(class_of(&own, "RequestLimitExceeded.UinLimitExceeded"), Class::RateLimited);
        assert_eq!(class_of(&own, "AuthFailure.SignatureExpire"), Class::Credentials);
        for code in ["", ".", "Unheard.Of", "unauthorizedoperation"] {
            assert_eq!(class_of(&own, code), Class::Transient, "{code}");
        }
    }
}
