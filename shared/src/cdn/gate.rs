//! How many calls to one account may be under way at a time.
//!
//! The vendor counts the calls of the account, not of a process, so the worker passes a gate that
//! counts over all workers; commands and tests use [`LocalGate`]. A client takes a permit for each
//! call and drops it after the answer's last byte.

use crate::cdn::CdnError;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The right to make one call; dropping it gives it back.
pub struct Permit(#[expect(dead_code, reason = "held for its Drop")] Box<dyn Send + Sync>);

impl Permit {
    /// Wraps whatever gives the right back when it is dropped.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

/// Decides who may call.
#[async_trait]
pub trait CallGate: Send + Sync {
    /// Waits until one of `limit` calls to the account `cdn` is free.
    ///
    /// # Errors
    /// [`CdnError::Transient`] when the gate itself cannot be asked.
    async fn enter(&self, cdn: &str, limit: u32) -> Result<Permit, CdnError>;
}

/// Counts the calls of this process alone.
#[derive(Default)]
pub struct LocalGate {
    accounts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

#[async_trait]
impl CallGate for LocalGate {
    async fn enter(&self, cdn: &str, limit: u32) -> Result<Permit, CdnError> {
        let semaphore = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            let slots = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
            Arc::clone(accounts.entry(cdn.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(slots))))
        };
        let permit =
            semaphore.acquire_owned().await.map_err(|_| CdnError::Transient("the call gate is closed".to_owned()))?;
        Ok(Permit::new(permit))
    }
}
