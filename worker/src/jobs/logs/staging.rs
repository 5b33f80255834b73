//! Copies of a vendor's files that nobody needs any more.
//!
//! A day's copies go when its file is made; those of a worker that was killed, or whose day another one finished, stay
//! in `<staging>/<cdn>/YYYY/MM/DD/<property>/`. Each worker looks after its own folder, since no other one may see it.
//! Started by the worker.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3600);
/// How long nobody has written to a folder of copies that is removed; longer than a copy and a merge take.
const AGE: Duration = Duration::from_secs(2 * 24 * 3600);
/// Folders between the staging folder and a property's: CDN, year, month, day.
const DEPTH: usize = 4;

/// Tidies now and then until `stop`.
pub(crate) async fn run(staging: PathBuf, stop: CancellationToken) {
    loop {
        let folder = staging.clone();
        let removed = tokio::task::spawn_blocking(move || tidy(&folder, AGE)).await.unwrap_or(0);
        if removed > 0 {
            tracing::info!(folder = %staging.display(), removed, "copies of log files that nobody needs were removed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Removes what nobody has touched for this long; returns how many folders of properties.
#[must_use]
fn tidy(staging: &Path, older_than: Duration) -> usize {
    tidy_level(staging, DEPTH, older_than)
}

fn tidy_level(folder: &Path, depth: usize, older_than: Duration) -> usize {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if depth == 0 {
            let touched = entry.metadata().and_then(|metadata| metadata.modified());
            let age = touched.ok().and_then(|touched| SystemTime::now().duration_since(touched).ok());
            if age.is_some_and(|age| age >= older_than) {
                removed += usize::from(std::fs::remove_dir_all(&path).is_ok());
            }
        } else {
            removed += tidy_level(&path, depth - 1, older_than);
            // Refused where something is left in it.
            let _ = std::fs::remove_dir(&path);
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_copies_go_and_what_is_in_use_stays() {
        let staging = tempfile::tempdir().unwrap();
        let copies = staging.path().join("level3/2016/09/29/cdn.example.com");
        std::fs::create_dir_all(&copies).unwrap();
        std::fs::write(copies.join("a.gz"), "copy").unwrap();
        std::fs::write(staging.path().join("notes.txt"), "mine").unwrap();
        assert_eq!(tidy(staging.path(), Duration::from_secs(3600)), 0);
        assert!(copies.join("a.gz").exists());
        assert_eq!(tidy(staging.path(), Duration::ZERO), 1);
        let left: Vec<_> = std::fs::read_dir(staging.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }
}
