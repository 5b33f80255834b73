//! Keeping the leases of claimed tasks while a round works on them.
//!
//! Called by the rounds of the submit and fetch jobs.

use crate::context::Context;
use overseas_shared::db::task::{self, ClaimedTask};
use std::sync::Arc;
use std::time::Duration;

/// Renews the lease of claimed tasks until it is dropped.
pub(crate) struct Renewal(tokio::task::JoinHandle<()>);

impl Renewal {
    pub(crate) fn start(context: &Arc<Context>, claimed: &[ClaimedTask], owner: &str) -> Self {
        let ids: Vec<String> = claimed.iter().map(|task| task.id.clone()).collect();
        let (context, owner) = (Arc::clone(context), owner.to_owned());
        let every = Duration::from_secs(u64::from(context.config.worker.lease_seconds)) / 3;
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                if let Err(error) = task::renew(&context.db, &ids, &owner, context.lease_until()).await {
                    tracing::warn!(%error, "a lease could not be renewed");
                }
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}
