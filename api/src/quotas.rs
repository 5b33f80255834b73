//! What the vendors take a day, as the workers last read it.
//!
//! A vendor is never called during a request: its answer of some minutes ago is read from the database, with its time.
//! Called by the handlers of capabilities and of dry runs.

use crate::error::ApiError;
use overseas_shared::cdn::Quota;
use overseas_shared::db::{Database, vendor};
use overseas_shared::domain::Scope;
use serde_json::Value;
use std::collections::BTreeMap;

/// What one CDN takes a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredQuotas {
    /// Everything that the vendor counts.
    pub quotas: Vec<Quota>,
    /// When it was read, in Unix seconds; `None` where nothing was read yet.
    pub read_at: Option<i64>,
}

/// The CDNs within the scope by name, all or one of them, with what each takes.
///
/// # Errors
/// [`ApiError::Unavailable`] when the database cannot be asked.
pub async fn stored(
    db: &Database,
    scope: Scope,
    cdn: Option<&str>,
) -> Result<BTreeMap<String, StoredQuotas>, ApiError> {
    let found = vendor::quotas(db, scope, cdn).await?.into_iter();
    let read = found.map(|row| {
        let quotas = row.quotas.map(|text| read(&text)).unwrap_or_default();
        (row.cdn, StoredQuotas { quotas, read_at: row.quotas_at.map(|at| at.div_euclid(1000)) })
    });
    Ok(read.collect())
}

/// A worker of a newer version may have written a kind that is not known here; the others count all the same.
fn read(text: &str) -> Vec<Quota> {
    let items: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_does_not_hide_the_rest() {
        let known = r#"{"kind":"preload","zone":"","area":"mainland","batch":500,"daily":1000,"available":7}"#;
        let newer = r#"{"kind":"refresh_tag","zone":"","area":"","batch":1,"daily":1,"available":1}"#;
        assert_eq!(read(&format!("[{newer},{known}]"))[0].available, 7);
        for text in ["", "{}", "nonsense", "[1]"] {
            assert_eq!(read(text), [], "{text}");
        }
    }
}
