//! The CDN's quotas: counted for objects, directories and preloads apart, each for mainland China and for the rest of the
//! world. The vendor gives accounts different numbers, so none is written down here.
//!
//! Called by `mod.rs`; what is remembered of them and what follows from it is in `cloud`.

use super::cloud::Account;
use super::wire::{Nothing, PurgeQuotaOut, PushQuotaOut, QuotaRow};
use crate::cdn::{CdnError, Quota, QuotaKind};

/// All quotas of the account, from the vendor.
pub(super) async fn read(account: &Account) -> Result<Vec<Quota>, CdnError> {
    let purge: PurgeQuotaOut = account.call("quotas", "DescribePurgeQuota", "", &Nothing {}).await?;
    let push: PushQuotaOut = account.call("quotas", "DescribePushQuota", "", &Nothing {}).await?;
    let of = |kind: QuotaKind, rows: Vec<QuotaRow>| {
        rows.into_iter().map(move |row| Quota {
            kind,
            zone: String::new(),
            area: row.area.unwrap_or_default().to_ascii_lowercase(),
            batch: row.batch,
            daily: row.total,
            available: u64::try_from(row.available).unwrap_or(0),
        })
    };
    Ok(of(QuotaKind::RefreshUrl, purge.url_purge)
        .chain(of(QuotaKind::RefreshDirectory, purge.path_purge))
        .chain(of(QuotaKind::Preload, push.url_push))
        .collect())
}
