//! Where the finished daily access logs are kept: a folder or another store that `OpenDAL` speaks to.
//!
//! Opened from `logs.store`. Called by `overseas doctor`, which proves that it can be written and read.

use opendal::Operator;

/// The store cannot be opened, or does not work.
#[derive(Debug, thiserror::Error)]
#[error("the log store {store}: {reason}")]
pub struct LogStoreError {
    store: String,
    reason: String,
}

/// The store.
#[derive(Debug, Clone)]
pub struct LogStore {
    operator: Operator,
    name: String,
}

impl LogStore {
    /// Opens a folder (which is made if it is missing) or an `OpenDAL` url.
    ///
    /// # Errors
    /// [`LogStoreError`], which names the store.
    pub fn open(store: &str) -> Result<Self, LogStoreError> {
        let failed = |error: opendal::Error| LogStoreError { store: store.to_owned(), reason: error.to_string() };
        let operator = if store.contains("://") {
            Operator::from_uri(store).map_err(failed)?
        } else {
            let folder = std::path::absolute(store)
                .map_err(|error| LogStoreError { store: store.to_owned(), reason: error.to_string() })?;
            let builder = opendal::services::Fs::default().root(&folder.to_string_lossy());
            Operator::new(builder).map_err(failed)?
        };
        Ok(Self { operator, name: store.to_owned() })
    }

    /// Writes a small file, reads it back and deletes it.
    ///
    /// # Errors
    /// [`LogStoreError`] with the step's own words.
    pub async fn check(&self) -> Result<(), LogStoreError> {
        let failed = |error: opendal::Error| LogStoreError { store: self.name.clone(), reason: error.to_string() };
        let path = format!(".overseas-check-{}", ulid::Ulid::generate());
        self.operator.write(&path, "check").await.map_err(failed)?;
        let read = self.operator.read(&path).await.map_err(failed)?;
        self.operator.delete(&path).await.map_err(failed)?;
        if read.to_vec() == b"check" {
            Ok(())
        } else {
            Err(LogStoreError { store: self.name.clone(), reason: "what was written is not what was read".to_owned() })
        }
    }
}
