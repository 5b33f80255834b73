//! A delivery behind an rsync daemon, read with the system's `rsync`.
//!
//! The program is given its arguments as a list, without a shell, and the password in its environment, so that no
//! other user of the machine sees it. A day's files are listed first and copied into the staging folder only when they
//! are wanted; a copy that was cut off goes on where it was. Exit codes are those of rsync(1). Called by the delivery.

use super::{in_order, is_log};
use crate::cdn::setting::{self, SettingError};
use crate::cdn::{CdnError, DeliveredLogs, LogFile, LogReader};
use crate::config::CdnConfig;
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use url::Url;

/// Seconds without a byte after which rsync gives up, and those for a connection.
const SILENCE: [&str; 2] = ["--timeout=60", "--contimeout=15"];
/// Longest time for a listing.
const LIST_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time for the files of a day.
const FETCH_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// How long an account whose password is refused is left alone.
const REFUSED_PAUSE: Duration = Duration::from_secs(900);
/// rsync(1): "Error starting client-server protocol", such as a wrong password or module.
const EXIT_REFUSED: i32 = 5;
/// rsync(1): "Partial transfer due to error", such as a folder that is not there.
const EXIT_PARTIAL: i32 = 23;

/// The daemon.
#[derive(Debug)]
pub struct Rsync {
    /// `rsync://user@host/module/`, with a slash at the end.
    base: String,
    password: Option<SecretString>,
}

impl Rsync {
    pub(super) fn open(address: &str, config: &CdnConfig) -> Result<Self, SettingError> {
        let refused = |why: &str| SettingError::new("logs", format!("is not usable: {why}"));
        let expected = "expected rsync://user@host/module";
        let url = Url::parse(address).map_err(|error| refused(&format!("{error} ({expected})")))?;
        if url.host_str().is_none_or(str::is_empty) || url.path().trim_matches('/').is_empty() {
            return Err(refused(expected));
        }
        if url.password().is_some() {
            return Err(refused("the password belongs into logs_password or logs_password_file"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it carries a query or a fragment"));
        }
        let password = match (&config.logs_password, config.logs_password_file.as_deref()) {
            (Some(_), Some(_)) => {
                return Err(SettingError::new("logs_password_file", "is set beside logs_password: set one of them"));
            }
            (Some(password), None) => Some(setting::required_secret("logs_password", Some(password))?),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| SettingError::new("logs_password_file", format!("cannot be read: {error}")))?;
                Some(setting::required_secret("logs_password_file", Some(&text.into()))?)
            }
            (None, None) => None,
        };
        if !url.username().is_empty() && password.is_none() {
            return Err(SettingError::new("logs_password", "is missing (or logs_password_file)"));
        }
        Ok(Self { base: format!("{}/", url.as_str().trim_end_matches('/')), password })
    }

    /// `day` is `YYYY/MM/DD`.
    pub(super) async fn logs(&self, day: &str, property: &str, staging: &Path) -> Result<RsyncLogs, CdnError> {
        let source = Source {
            address: format!("{}{day}/", self.base),
            filters: filters(property),
            staged: staging.join(day).join(property),
        };
        let list = ["--list-only", "--no-human-readable", "--8-bit-output", "--no-motd"];
        let files = match self.run(&source.arguments(&list, None), LIST_TIMEOUT).await {
            Ok(listing) => listing.lines().filter_map(|line| read_line(line, property)).collect(),
            // Nothing at all was delivered for the day, unless the whole tree is missing.
            Err(Failure { code: Some(EXIT_PARTIAL), said }) if said.contains("No such file or directory") => {
                let root = [&list[..], &SILENCE, &["--", &self.base]].concat();
                self.run(&root.into_iter().map(str::to_owned).collect::<Vec<_>>(), LIST_TIMEOUT).await?;
                Vec::new()
            }
            Err(failure) => return Err(failure.into()),
        };
        let daemon = Self { base: self.base.clone(), password: self.password.clone() };
        Ok(RsyncLogs { daemon, source, files: in_order(files)? })
    }

    /// Runs the program; returns what it wrote.
    async fn run(&self, arguments: &[String], most: Duration) -> Result<String, Failure> {
        let mut command = Command::new("rsync");
        command.args(arguments).env("LC_ALL", "C").env("TZ", "UTC").env_remove("RSYNC_RSH").stdin(Stdio::null());
        command.env("RSYNC_PASSWORD", self.password.as_ref().map_or("", |password| password.expose_secret()));
        command.kill_on_drop(true);
        let failed = |said: String| Failure { code: None, said };
        let output = match tokio::time::timeout(most, command.output()).await {
            Err(_) => return Err(failed(format!("it took longer than {} s", most.as_secs()))),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(failed("the program rsync is not installed".to_owned()));
            }
            Ok(output) => output.map_err(|error| failed(error.to_string()))?,
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
        Err(Failure { code: output.status.code(), said })
    }
}

/// The files of one property on one day.
#[derive(Debug)]
struct Source {
    /// The day's folder.
    address: String,
    /// Which of its files are meant.
    filters: [String; 5],
    /// Where copies of them go.
    staged: PathBuf,
}

impl Source {
    fn arguments(&self, options: &[&str], target: Option<String>) -> Vec<String> {
        let options = options.iter().chain(&SILENCE).map(|option| (*option).to_owned());
        let all = options.chain(["--recursive".to_owned()]).chain(self.filters.clone());
        all.chain(["--".to_owned(), self.address.clone()]).chain(target).collect()
    }
}

/// The daemon takes wildcards in an address, so that the folder of `*.example.com` would be everybody's; in a filter
/// they can be escaped.
fn filters(property: &str) -> [String; 5] {
    let mut escaped = String::new();
    let has_wildcard = property.contains(['*', '?', '[']);
    for character in property.chars() {
        if has_wildcard && matches!(character, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    [
        format!("--include=/{escaped}/"),
        // What `is_log` would leave out.
        format!("--exclude=/{escaped}/.*"),
        format!("--exclude=/{escaped}/-*"),
        format!("--include=/{escaped}/*.gz"),
        "--exclude=*".to_owned(),
    ]
}

/// How the program ended, and what it said.
struct Failure {
    code: Option<i32>,
    said: String,
}

impl From<Failure> for CdnError {
    fn from(failure: Failure) -> Self {
        let message = format!("the log delivery: rsync: {}", failure.said);
        if failure.code == Some(EXIT_REFUSED) && failure.said.contains("auth failed") {
            return Self::Credentials { message, retry_after: REFUSED_PAUSE };
        }
        Self::Transient(message)
    }
}

/// `-rw-r--r--           3 2026/11/23 12:53:07 property/a.gz`; anything but a file with a plain name is left out.
fn read_line(line: &str, property: &str) -> Option<LogFile> {
    let rest = line.strip_prefix('-')?;
    let (_, rest) = rest.split_once(' ')?;
    let (size, rest) = rest.trim_start().split_once(' ')?;
    let (date, rest) = rest.split_once(' ')?;
    let (time, name) = rest.split_once(' ')?;
    let name = name.strip_prefix(property)?.strip_prefix('/')?;
    let size = size.parse().ok()?;
    is_log(name).then(|| LogFile { name: name.to_owned(), size, version: format!("{date} {time}") })
}

/// The files of one day.
pub(super) struct RsyncLogs {
    daemon: Rsync,
    source: Source,
    files: Vec<LogFile>,
}

#[async_trait]
impl DeliveredLogs for RsyncLogs {
    fn files(&self) -> &[LogFile] {
        &self.files
    }

    async fn fetch(&self) -> Result<(), CdnError> {
        let staging = |error: std::io::Error| {
            CdnError::Transient(format!("the staging folder {}: {error}", self.source.staged.display()))
        };
        tokio::fs::create_dir_all(&self.source.staged).await.map_err(staging)?;
        let day = self.source.staged.parent().unwrap_or(&self.source.staged);
        let copy = ["--times", "--no-links", "--partial", "--no-motd"];
        let arguments = self.source.arguments(&copy, Some(format!("{}/", day.display())));
        self.daemon.run(&arguments, FETCH_TIMEOUT).await?;
        Ok(())
    }

    async fn open(&self, file: &LogFile) -> Result<LogReader, CdnError> {
        let path = self.source.staged.join(&file.name);
        let failed = |error| CdnError::Transient(format!("the copy of {}: {error}", file.name));
        Ok(Box::new(tokio::fs::File::open(path).await.map_err(failed)?))
    }

    async fn clean_up(&self) {
        if let Err(error) = tokio::fs::remove_dir_all(&self.source.staged).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.source.staged.display(), %error, "copies of log files could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(address: &str, password: Option<&str>, file: Option<&str>) -> Result<Rsync, String> {
        let mut config = CdnConfig::new("level3");
        config.logs_password = password.map(Into::into);
        config.logs_password_file = file.map(str::to_owned);
        Rsync::open(address, &config).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_has_a_host_and_a_module_and_its_password_elsewhere() {
        assert_eq!(open("rsync://u@h:873/logs/a/", Some("p"), None).unwrap().base, "rsync://u@h:873/logs/a/");
        assert_eq!(open("rsync://h/logs", None, None).unwrap().base, "rsync://h/logs/");
        for (address, password, file, expected) in [
            ("rsync://h", None, None, "logs is not usable: expected rsync://user@host/module"),
            ("rsync:///logs", None, None, "logs is not usable"),
            ("rsync://u:hunter2@h/logs", None, None, "logs is not usable: the password belongs into"),
            ("rsync://h/logs?x=1", None, None, "logs is not usable: it carries a query"),
            ("rsync://u@h/logs", None, None, "logs_password is missing"),
            ("rsync://u@h/logs", Some(" "), None, "logs_password is missing"),
            ("rsync://u@h/logs", Some("p"), Some("f"), "logs_password_file is set beside"),
            ("rsync://u@h/logs", None, Some("/dev/null/x"), "logs_password_file cannot be read"),
        ] {
            let message = open(address, password, file).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains("hunter2"));
        }
    }

    #[test]
    fn the_password_is_read_from_a_file_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let rsync = open("rsync://u@h/logs", None, file.to_str()).unwrap();
        assert_eq!(rsync.password.as_ref().unwrap().expose_secret(), "hunter2");
        assert!(!format!("{rsync:?}").contains("hunter2"));
    }

    #[test]
    fn a_wildcard_in_a_property_is_no_wildcard_for_rsync() {
        assert_eq!(filters("*.example.com")[3], "--include=/\\*.example.com/*.gz");
        assert_eq!(filters("cdn.example.com")[0], "--include=/cdn.example.com/");
    }

    /// The lines are what rsync 3.5.0 wrote.
    #[test]
    fn a_listing_is_read() {
        let listing = "\
drwxr-xr-x        4096 2026/11/23 12:53:07 .
drwxr-xr-x        4096 2026/11/23 12:53:07 p
-rw-r--r--           3 2026/11/23 12:53:07 p/a b.gz
lrwxrwxrwx          11 2026/11/23 12:53:07 p/link.gz
-rw-r--r--           0 2026/11/23 12:53:07 p/n\\#012l.gz
-rw-r--r-- 98765432100 2026/11/23 12:53:07 p/x.gz
-rw-r--r--           0 2026/11/23 12:53:07 p/ü.gz
-rw-r--r--           0 2026/11/23 12:53:07 p/.half.gz.Ab12
-rw-r--r--           0 2026/11/23 12:53:07 p/notes.txt
-rw-r--r--           0 2026/11/23 12:53:07 other/x.gz
drwxr-xr-x        4096 2026/11/23 12:53:07 p/dir.gz";
        let files = listing.lines().filter_map(|line| read_line(line, "p"));
        let read: Vec<(String, u64)> = files.map(|file| (file.name, file.size)).collect();
        let expected = [("a b.gz", 3), ("x.gz", 98_765_432_100), ("ü.gz", 0)];
        assert_eq!(read, expected.map(|(name, size)| (name.to_owned(), size)));
    }
}
