//! A delivery in a folder or in a bucket, read through `OpenDAL`.
//!
//! Files are streamed from where they lie. Called by the delivery.

use super::{in_order, is_log};
use crate::cdn::{CdnError, DeliveredLogs, LogFile, LogReader};
use crate::object_store::plain;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use opendal::{ErrorKind, Operator, services};
use std::path::PathBuf;
use tokio_util::io::StreamReader;

/// Files whose size is asked for at a time, where the listing does not tell.
const AT_A_TIME: usize = 16;

/// The tree.
#[derive(Debug)]
pub struct Tree {
    operator: Operator,
    /// The folder on this machine, which has to be there.
    root: Option<PathBuf>,
    /// For messages.
    place: String,
}

impl Tree {
    pub(super) fn folder(root: PathBuf) -> Result<Self, String> {
        // Not made at its own root: the library makes a folder that is missing.
        let builder = services::Fs::default().root("/");
        let operator = Operator::new(builder).map_err(|error| plain(&error))?;
        Ok(Self { operator, place: root.display().to_string(), root: Some(root) })
    }

    /// `place` is the bucket without its keys.
    pub(super) fn bucket(operator: Operator, place: String) -> Self {
        Self { operator, root: None, place }
    }

    fn failed(&self, error: &opendal::Error) -> CdnError {
        failed(&self.place, error)
    }

    pub(super) async fn logs(&self, folder: String) -> Result<TreeLogs, CdnError> {
        let mut path = folder;
        if let Some(root) = &self.root {
            if !tokio::fs::metadata(root).await.is_ok_and(|metadata| metadata.is_dir()) {
                return Err(CdnError::Transient(format!("there is no folder {}", root.display())));
            }
            path = format!("{}/{path}", root.display());
        }
        let entries = match self.operator.list(&path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            entries => entries.map_err(|error| self.failed(&error))?,
        };
        let wanted = entries.into_iter().filter(|entry| entry.metadata().is_file() && is_log(entry.name()));
        let files = futures::stream::iter(wanted)
            .map(|entry| async move {
                // A folder's listing holds names only.
                let metadata = match self.root {
                    Some(_) => self.operator.stat(entry.path()).await?,
                    None => entry.metadata().clone(),
                };
                let modified = metadata.last_modified().map(|time| time.to_string()).unwrap_or_default();
                let version = format!("{modified}/{}", metadata.etag().unwrap_or_default());
                Ok(LogFile { name: entry.name().to_owned(), size: metadata.content_length(), version })
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
            .map_err(|error: opendal::Error| self.failed(&error))?;
        let (operator, place) = (self.operator.clone(), self.place.clone());
        Ok(TreeLogs { operator, place, folder: path, files: in_order(files)? })
    }
}

fn failed(place: &str, error: &opendal::Error) -> CdnError {
    CdnError::Transient(format!("the log delivery {place}: {}", plain(error)))
}

/// The files of one day.
pub(super) struct TreeLogs {
    operator: Operator,
    place: String,
    folder: String,
    files: Vec<LogFile>,
}

#[async_trait]
impl DeliveredLogs for TreeLogs {
    fn files(&self) -> &[LogFile] {
        &self.files
    }

    async fn open(&self, file: &LogFile) -> Result<LogReader, CdnError> {
        let path = format!("{}{}", self.folder, file.name);
        let failed = |error: opendal::Error| failed(&self.place, &error);
        let reader = self.operator.reader(&path).await.map_err(failed)?;
        let stream = reader.into_bytes_stream(..).await.map_err(failed)?;
        Ok(Box::new(StreamReader::new(Box::pin(stream))))
    }
}
