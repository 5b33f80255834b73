//! Quotas, as far as they are the same at all services: remembered for a minute, less what was submitted since, so that a
//! burst is cut to what is left instead of being refused.
//!
//! That nothing is left is believed only of a fresh answer. Called by the clients of the services.

use super::Account;
use crate::cdn::{CdnError, Quota, QuotaKind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is used.
const FRESH: Duration = Duration::from_secs(60);

/// What is remembered, and since when.
#[derive(Default)]
pub(in crate::cdn) struct Remembered(Mutex<Option<(Vec<Quota>, Instant)>>);

impl Remembered {
    /// What the vendor said within the last minute, less what was submitted since.
    pub(in crate::cdn) fn get(&self) -> Option<Vec<Quota>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, at)| at.elapsed() < FRESH).map(|(quotas, _)| quotas.clone())
    }

    pub(in crate::cdn) fn set(&self, quotas: &[Quota]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((quotas.to_vec(), Instant::now()));
    }

    /// The vendor counts otherwise than we do: ask it again.
    pub(in crate::cdn) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// So many URLs were submitted that count for these quotas.
    pub(in crate::cdn) fn spend(&self, urls: usize, counts: impl Fn(&Quota) -> bool) {
        if let Some((quotas, _)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            for quota in quotas.iter_mut().filter(|quota| counts(quota)) {
                quota.available = quota.available.saturating_sub(urls as u64);
            }
        }
    }
}

/// How many URLs the next call of this kind may hold. `counts` says which quotas it is counted for, `read` asks the vendor
/// for all of them.
///
/// # Errors
/// [`CdnError::QuotaExhausted`] where nothing is left today, [`CdnError::Unreadable`] where there is no such quota,
/// since nothing can be planned without one, and those of `read`.
pub(in crate::cdn) async fn batch_size(
    account: &Account,
    known: &Remembered,
    kind: QuotaKind,
    counts: impl Fn(&Quota) -> bool,
    read: impl Future<Output = Result<Vec<Quota>, CdnError>>,
) -> Result<usize, CdnError> {
    let tightest = |quotas: &[Quota]| {
        quotas
            .iter()
            .filter(|quota| quota.kind == kind && counts(quota))
            .map(|quota| quota.batch.min(quota.available))
            .min()
    };
    let remembered = known.get().as_deref().and_then(tightest).filter(|batch| *batch > 0);
    let batch = match remembered {
        Some(batch) => Some(batch),
        None => {
            let quotas = read.await?;
            known.set(&quotas);
            tightest(&quotas)
        }
    };
    match batch {
        Some(0) => Err(account.exhausted(&format!("nothing is left for {}", words(kind)))),
        Some(batch) => Ok(usize::try_from(batch).unwrap_or(usize::MAX)),
        None => Err(CdnError::Unreadable(format!("the account's quotas name none for {}", kind.as_str()))),
    }
}

fn words(kind: QuotaKind) -> &'static str {
    match kind {
        QuotaKind::RefreshUrl => "refreshing URLs",
        QuotaKind::RefreshDirectory => "refreshing directories",
        QuotaKind::Preload => "preloading",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(area: &str, batch: u64, available: u64) -> Quota {
        let (kind, zone) = (QuotaKind::RefreshUrl, String::new());
        Quota { kind, zone, area: area.to_owned(), batch, daily: 10_000, available }
    }

    #[test]
    fn what_was_submitted_is_taken_off_what_is_remembered() {
        let known = Remembered::default();
        assert_eq!(known.get(), None);
        known.set(&[quota("mainland", 10, 5), quota("overseas", 10, 5)]);
        known.spend(7, |quota| quota.area == "mainland");
        let left: Vec<u64> = known.get().unwrap().iter().map(|quota| quota.available).collect();
        assert_eq!(left, [0, 5]);
        known.forget();
        assert_eq!(known.get(), None);
    }
}
