//! Where the finished daily access logs are kept: a folder, or a bucket so that several API processes serve the same
//! files.
//!
//! A file becomes visible as a whole or not at all: in a folder it is written beside its place, synchronised and
//! renamed, in a bucket the upload is completed at the end. The names are ours and say nothing that came from a
//! client. From a folder the API streams; a bucket is handed to the client by a presigned link.
//! Opened from `logs.store`. Called by the log job, the log handlers, housekeeping and `overseas doctor`.

mod folder;

use crate::config::without_secrets;
use crate::object_store::{self, Place, plain};
use bytes::Bytes;
use chrono::NaiveDate;
pub use folder::LogFile;
use folder::{Folder, FolderWriter};
use opendal::Operator;
use std::time::Duration;

/// The store cannot be opened, or does not work.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the log store {store}: {reason}")]
pub struct LogStoreError {
    store: String,
    reason: String,
    missing: bool,
}

impl LogStoreError {
    /// Whether the store works but has no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

/// The store.
#[derive(Debug, Clone)]
pub struct LogStore {
    kind: Kind,
    name: String,
}

#[derive(Debug, Clone)]
enum Kind {
    Folder(Folder),
    Bucket(Operator),
}

/// A file that is being written. Dropped before `finish`, it is as if it had never been.
pub struct LogWriter {
    kind: WriterKind,
    store: String,
}

enum WriterKind {
    Folder(FolderWriter),
    Bucket(Box<opendal::Writer>),
}

/// Bytes of one part of an upload; S3 takes none below 5 MiB but for the last one.
const PART: usize = 8 << 20;

/// A name for a new file of this day. No two are the same, so that a file is never changed while it is read.
#[must_use]
pub fn object_name(property_id: i64, date: NaiveDate) -> String {
    format!("{}/{property_id}-{}.log.gz", date.format("%Y/%m/%d"), ulid::Ulid::generate().to_string().to_lowercase())
}

impl LogStore {
    /// Opens the store. Makes no call.
    ///
    /// # Errors
    /// [`LogStoreError`], which names the store.
    pub fn open(store: &str) -> Result<Self, LogStoreError> {
        let name = without_secrets(store);
        let failed = |error: object_store::PlaceError| LogStoreError {
            store: error.place,
            reason: error.reason,
            missing: false,
        };
        let kind = match object_store::open(store).map_err(failed)? {
            Place::Folder(path) => Kind::Folder(Folder::new(path)),
            Place::Bucket(operator) => Kind::Bucket(operator),
        };
        Ok(Self { kind, name })
    }

    fn failed(&self, error: &opendal::Error) -> LogStoreError {
        let missing = error.kind() == opendal::ErrorKind::NotFound;
        LogStoreError { store: self.name.clone(), reason: plain(error), missing }
    }

    fn io_failed(&self, error: &std::io::Error) -> LogStoreError {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        LogStoreError { store: self.name.clone(), reason: error.to_string(), missing }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// [`LogStoreError`] when the store cannot be written.
    pub async fn writer(&self, object: &str) -> Result<LogWriter, LogStoreError> {
        let kind = match &self.kind {
            Kind::Folder(folder) => {
                WriterKind::Folder(folder.writer(object).await.map_err(|error| self.io_failed(&error))?)
            }
            Kind::Bucket(operator) => {
                let writer = operator.writer_with(object).chunk(PART).content_type("application/gzip").await;
                WriterKind::Bucket(Box::new(writer.map_err(|error| self.failed(&error))?))
            }
        };
        Ok(LogWriter { kind, store: self.name.clone() })
    }

    /// Opens a file that this process streams itself; `None` where [`LogStore::link`] is how it is read.
    ///
    /// # Errors
    /// [`LogStoreError`] when there is no such file, or it cannot be opened.
    pub async fn read(&self, object: &str) -> Result<Option<LogFile>, LogStoreError> {
        match &self.kind {
            Kind::Folder(folder) => folder.read(object).await.map(Some).map_err(|error| self.io_failed(&error)),
            Kind::Bucket(_) => Ok(None),
        }
    }

    /// A link to the file in the bucket that works for this long without a credential and saves it under `file_name`;
    /// `None` for a folder.
    ///
    /// # Errors
    /// [`LogStoreError`] when it cannot be signed.
    pub async fn link(
        &self,
        object: &str,
        file_name: &str,
        expires: Duration,
    ) -> Result<Option<String>, LogStoreError> {
        let Kind::Bucket(operator) = &self.kind else { return Ok(None) };
        let presigned = operator
            .presign_read_with(object, expires)
            .override_content_disposition(&format!("attachment; filename=\"{file_name}\""))
            .override_content_type("application/gzip")
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(Some(presigned.uri().to_string()))
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// [`LogStoreError`] when the store cannot be changed.
    pub async fn delete(&self, object: &str) -> Result<(), LogStoreError> {
        match &self.kind {
            Kind::Folder(folder) => folder.delete(object).await.map_err(|error| self.io_failed(&error)),
            Kind::Bucket(operator) => operator.delete(object).await.map_err(|error| self.failed(&error)),
        }
    }

    /// Removes what processes that were killed left half written, if nobody has touched it for this long. In a bucket
    /// that is the work of a lifecycle rule for incomplete uploads.
    ///
    /// # Errors
    /// [`LogStoreError`] when the store cannot be read.
    pub async fn remove_leftovers(&self, older_than: Duration) -> Result<usize, LogStoreError> {
        match &self.kind {
            Kind::Folder(folder) => folder.remove_leftovers(older_than).await.map_err(|error| self.io_failed(&error)),
            Kind::Bucket(_) => Ok(0),
        }
    }

    /// Writes a small file, reads it back and deletes it.
    ///
    /// # Errors
    /// [`LogStoreError`] with the step's own words.
    pub async fn check(&self) -> Result<(), LogStoreError> {
        let object = format!("check/{}", ulid::Ulid::generate());
        let mut writer = self.writer(&object).await?;
        writer.write(Bytes::from_static(b"check")).await?;
        writer.finish().await?;
        let read = match &self.kind {
            Kind::Folder(folder) => folder.read_all(&object).await.map_err(|error| self.io_failed(&error))?,
            Kind::Bucket(operator) => operator.read(&object).await.map_err(|error| self.failed(&error))?.to_vec(),
        };
        self.delete(&object).await?;
        if read == b"check" {
            return Ok(());
        }
        let reason = "what was written is not what was read".to_owned();
        Err(LogStoreError { store: self.name.clone(), reason, missing: false })
    }
}

impl LogWriter {
    /// Writes the next piece.
    ///
    /// # Errors
    /// [`LogStoreError`], such as for a disk that is full.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), LogStoreError> {
        let reason = match &mut self.kind {
            WriterKind::Folder(writer) => writer.write(&piece).await.map_err(|error| error.to_string()),
            WriterKind::Bucket(writer) => writer.write(piece).await.map_err(|error| plain(&error)),
        };
        reason.map_err(|reason| LogStoreError { store: self.store.clone(), reason, missing: false })
    }

    /// Makes the file durable and visible.
    ///
    /// # Errors
    /// [`LogStoreError`]; then there is no file.
    pub async fn finish(self) -> Result<(), LogStoreError> {
        let reason = match self.kind {
            WriterKind::Folder(writer) => writer.finish().await.map_err(|error| error.to_string()),
            WriterKind::Bucket(mut writer) => match writer.close().await {
                Ok(_) => Ok(()),
                Err(error) => {
                    let _ = writer.abort().await;
                    Err(plain(&error))
                }
            },
        };
        reason.map_err(|reason| LogStoreError { store: self.store.clone(), reason, missing: false })
    }

    /// Gives the file up. What cannot be taken back now goes with the leftovers.
    pub async fn abort(self) {
        match self.kind {
            WriterKind::Folder(writer) => drop(writer),
            WriterKind::Bucket(mut writer) => {
                if let Err(error) = writer.abort().await {
                    tracing::debug!(error = plain(&error), "an upload could not be taken back");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_file_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = LogStore::open(&folder.path().join("logs").display().to_string()).unwrap();
        store.check().await.unwrap();
        let object = object_name(7, NaiveDate::from_ymd_opt(2016, 9, 29).unwrap());
        assert!(object.starts_with("2016/09/29/7-"), "{object}");
        let mut writer = store.writer(&object).await.unwrap();
        writer.write(Bytes::from_static(b"half")).await.unwrap();
        assert!(store.read(&object).await.unwrap_err().is_missing());
        drop(writer);
        assert!(store.read(&object).await.unwrap_err().is_missing());

        let mut writer = store.writer(&object).await.unwrap();
        writer.write(Bytes::from_static(b"who")).await.unwrap();
        writer.write(Bytes::from_static(b"le")).await.unwrap();
        writer.finish().await.unwrap();
        let mut text = String::new();
        let mut file = store.read(&object).await.unwrap().unwrap();
        assert_eq!(file.size, 5);
        file.file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "whole");
        assert_eq!(store.remove_leftovers(Duration::ZERO).await.unwrap(), 0);

        store.delete(&object).await.unwrap();
        store.delete(&object).await.unwrap();
        assert!(store.read(&object).await.unwrap_err().is_missing());
        // Only the folder for what is being written is left, and it is empty.
        let left: Vec<_> = std::fs::read_dir(folder.path().join("logs")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left, [folder.path().join("logs/.partial")]);
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = LogStore::open(&folder.path().display().to_string()).unwrap();
        let mut writer = store.writer("a/b").await.unwrap();
        writer.write(Bytes::from_static(b"half")).await.unwrap();
        std::mem::forget(writer);
        assert_eq!(store.remove_leftovers(Duration::from_secs(3600)).await.unwrap(), 0);
        assert_eq!(store.remove_leftovers(Duration::ZERO).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_written_is_named() {
        let store = LogStore::open("/dev/null/logs").unwrap();
        let message = store.check().await.unwrap_err().to_string();
        assert!(message.starts_with("the log store /dev/null/logs: "), "{message}");
    }
}
