//! The log store as a folder.
//!
//! A file is written to `.partial/`, on the same file system, synchronised, renamed to its place, and then the folder
//! that holds it is synchronised too, so that neither a crash nor a power cut shows half a file or loses one that was
//! noted as made. A writer that is dropped removes what it wrote. Called by the log store.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::fs;
use tokio::io::AsyncWriteExt;

/// Where files lie while they are written.
const PARTIAL: &str = ".partial";

#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

/// A file of the store, opened.
#[derive(Debug)]
pub struct LogFile {
    /// At its beginning.
    pub file: fs::File,
    /// Bytes.
    pub size: u64,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) async fn writer(&self, object: &str) -> io::Result<FolderWriter> {
        let partial = self.root.join(PARTIAL);
        fs::create_dir_all(&partial).await?;
        let place = self.root.join(object);
        let temporary = Temporary(partial.join(ulid::Ulid::generate().to_string()));
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&temporary.0).await?;
        Ok(FolderWriter { root: self.root.clone(), place, temporary, file })
    }

    pub(super) async fn read(&self, object: &str) -> io::Result<LogFile> {
        let file = fs::File::open(self.root.join(object)).await?;
        let size = file.metadata().await?.len();
        Ok(LogFile { file, size })
    }

    pub(super) async fn read_all(&self, object: &str) -> io::Result<Vec<u8>> {
        fs::read(self.root.join(object)).await
    }

    /// Folders that have become empty go with their last file.
    pub(super) async fn delete(&self, object: &str) -> io::Result<()> {
        let place = self.root.join(object);
        match fs::remove_file(&place).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let above = place.ancestors().skip(1).take_while(|folder| *folder != self.root);
        for folder in above {
            // Refused where something is left in it.
            if fs::remove_dir(folder).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn remove_leftovers(&self, older_than: Duration) -> io::Result<usize> {
        remove_old(&self.root.join(PARTIAL), older_than).await
    }
}

/// Removes the files of a folder that nobody has touched for this long; returns how many.
async fn remove_old(folder: &Path, older_than: Duration) -> io::Result<usize> {
    let mut entries = match fs::read_dir(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    while let Some(entry) = entries.next_entry().await? {
        let Ok(touched) = entry.metadata().await.and_then(|metadata| metadata.modified()) else { continue };
        if SystemTime::now().duration_since(touched).unwrap_or_default() >= older_than {
            removed += usize::from(fs::remove_file(entry.path()).await.is_ok());
        }
    }
    Ok(removed)
}

/// Removed when it is dropped, unless it has been renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

pub(super) struct FolderWriter {
    root: PathBuf,
    place: PathBuf,
    temporary: Temporary,
    file: fs::File,
}

impl FolderWriter {
    pub(super) async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece).await
    }

    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let folder = self.place.parent().unwrap_or(&self.root).to_owned();
        make_folders(&self.root, &folder).await?;
        fs::rename(&self.temporary.0, &self.place).await?;
        self.temporary.0 = PathBuf::new();
        fs::File::open(&folder).await?.sync_all().await
    }
}

/// Makes the folders below the root, each of which is durable before something is put into it.
async fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> = folder.ancestors().take_while(|above| *above != root).map(Path::to_owned).collect();
    for made in missing.iter().rev() {
        match fs::create_dir(made).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            outcome => outcome?,
        }
        fs::File::open(made.parent().unwrap_or(root)).await?.sync_all().await?;
    }
    Ok(())
}
