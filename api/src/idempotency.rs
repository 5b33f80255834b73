//! `Idempotency-Key`: the same key with the same request gives the same answer for 24 hours.
//!
//! The key belongs to its caller; what was asked is compared by a hash. Only successes are kept, in
//! the transaction of the request's own rows. Called by the purge handlers.

use crate::error::ApiError;
use crate::state::SharedState;
use bytes::Bytes;
use overseas_shared::db::idempotency::{self, Kept};
use poem::Request;
use sha2::{Digest, Sha256};

/// Longest key.
const LONGEST: usize = 255;

/// A request's key, with what identifies it.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    caller: String,
    key: String,
    request_hash: [u8; 32],
}

impl IdempotencyKey {
    /// The key of a request, if it has one. `asked` is all that makes the request what it is.
    ///
    /// # Errors
    /// 400 when the key is empty, too long or not printable.
    pub fn of(request: &Request, caller: &str, asked: &[&str]) -> Result<Option<Self>, ApiError> {
        let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
        let fits = |key: &&str| !key.is_empty() && key.len() <= LONGEST && key.bytes().all(|b| b.is_ascii_graphic());
        let key = value.to_str().ok().filter(fits).ok_or_else(|| {
            ApiError::wrong("Idempotency-Key", format!("expected 1 to {LONGEST} printable characters without spaces"))
        })?;
        let mut hash = Sha256::new();
        for part in asked {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Ok(Some(Self { caller: caller.to_owned(), key: key.to_owned(), request_hash: hash.finalize().into() }))
    }

    /// The answer that was given to the same request before.
    ///
    /// # Errors
    /// 422 when the key was used for another request.
    pub async fn answered(&self, state: &SharedState) -> Result<Option<Bytes>, ApiError> {
        let Some(kept) = idempotency::find(&state.db, &self.caller, &self.key, state.clock.now()).await? else {
            return Ok(None);
        };
        if kept.request_hash != self.request_hash {
            return Err(ApiError::Unprocessable(
                "Idempotency-Key: it was used for another request within the last 24 hours; choose a new one"
                    .to_owned(),
            ));
        }
        Ok(Some(Bytes::from(kept.answer)))
    }

    /// The row that keeps an answer.
    #[must_use]
    pub fn keep(&self, answer: &[u8], now: i64) -> Kept {
        Kept {
            caller: self.caller.clone(),
            key: self.key.clone(),
            request_hash: self.request_hash,
            answer: String::from_utf8_lossy(answer).into_owned(),
            created_at: now,
        }
    }
}
