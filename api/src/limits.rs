//! The rate limit of each caller, and the headers that speak of it.
//!
//! A caller is a user, however many tokens it uses, or an address without a valid credential. Callers from
//! trusted networks are not counted, and neither are the pages that need no caller. What was decided is
//! noted with the request, and `app` writes it into the answer, whatever the answer is.
//! Called by the extractors in `auth`.

use crate::error::ApiError;
use crate::state::SharedState;
use overseas_shared::rate_limit::Verdict;
use poem::Request;
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// What was decided for a request; put into its extensions by `app`.
#[derive(Debug, Clone, Default)]
pub struct Decided(Arc<OnceLock<Told>>);

#[derive(Debug, Clone, Copy)]
struct Told {
    verdict: Verdict,
    burst: u32,
}

/// Counts a call.
///
/// # Errors
/// 429 when it was one too many.
pub async fn count(request: &Request, state: &SharedState, address: IpAddr, caller: &str) -> Result<(), ApiError> {
    let Some(limiter) = state.limiter.as_ref().filter(|_| !state.config.http.trusts(address)) else { return Ok(()) };
    let verdict = limiter.take(caller).await;
    let limit = limiter.limit();
    if let Some(decided) = request.extensions().get::<Decided>() {
        let _ = decided.0.set(Told { verdict, burst: limit.burst });
    }
    if verdict.allowed {
        return Ok(());
    }
    metrics::counter!("overseas_http_rate_limited_total").increment(1);
    Err(ApiError::TooManyRequests {
        message: format!(
            "too many requests: {} at once and {} a second are allowed; wait before the next one",
            limit.burst, limit.per_second
        ),
        retry_after: seconds(verdict.retry_in).max(1),
    })
}

fn seconds(milliseconds: i64) -> u64 {
    u64::try_from(milliseconds.saturating_add(999) / 1000).unwrap_or(0)
}

impl Decided {
    /// Writes `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds until all calls are free
    /// again), the names of the IETF's draft on rate limit headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Some(told) = self.0.get() else { return };
        let verdict = told.verdict;
        for (name, value) in [
            ("ratelimit-limit", u64::from(told.burst)),
            ("ratelimit-remaining", u64::from(verdict.remaining)),
            ("ratelimit-reset", seconds(verdict.full_in)),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}
