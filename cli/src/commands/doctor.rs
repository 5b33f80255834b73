//! `overseas doctor`: checks everything that the service needs, one line each; exit code 1 if one fails.
//!
//! A failed check never ends the run; what cannot be checked without it is said to be not checked. Each
//! account is opened alone, so that a wrong setting of one does not hide the others, and makes one call to
//! its vendor, which the limit that the workers share does not count. An account's row is written where
//! it is new, and for a moment a file in the log store. Called by `main`.

use crate::wire;
use anyhow::Result;
use overseas_shared::cdn::PropertyAddress;
use overseas_shared::clock::Clock;
use overseas_shared::config::{Config, without_secrets};
use overseas_shared::db::{Database, catalogue, schema, usage};
use overseas_shared::domain::log::{date_of, day_at};
use overseas_shared::log_store::LogStore;
use overseas_worker::Account;
use std::process::ExitCode;

/// The vendors refuse signatures whose date is 15 minutes off; a minute is already a sign of a broken clock.
const CLOCK_TOLERANCE: i64 = 60;

/// Prints the lines and counts what failed.
#[derive(Default)]
struct Findings {
    failed: usize,
}

impl Findings {
    fn note(&mut self, what: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(said) => say!("ok    {what:<16} {said}"),
            Err(reason) => {
                self.failed += 1;
                say!("FAIL  {what:<16} {reason}");
            }
        }
    }
}

pub(crate) async fn run(config: &Config) -> Result<ExitCode> {
    let mut findings = Findings::default();
    let db = wire::database(config).await;
    findings.note("database", check_database(db.as_ref()).await);
    let migrated = match &db {
        Ok(db) => check_migrations(db).await,
        Err(_) => Err("not checked: the database does not answer".to_owned()),
    };
    let usable = migrated.is_ok();
    findings.note("migrations", migrated);
    findings.note("queue", check_queue(config).await);
    let mut clocks = Vec::new();
    for name in config.cdn.keys() {
        let outcome = match &db {
            Ok(db) if usable => check_account(config, db, name, &mut clocks).await,
            _ => Err("not checked: the database cannot be used".to_owned()),
        };
        findings.note(&format!("cdn.{name}"), outcome);
    }
    if config.cdn.is_empty() {
        say!("note  cdn              none is configured; `overseas up` starts a simulator, a worker has nothing to do");
    }
    if let Ok(db) = db.as_ref().map_err(drop).and_then(|db| if usable { Ok(db) } else { Err(()) }) {
        findings.note("cities", check_cities(db).await);
    }
    let store = match LogStore::open(&config.logs.store) {
        Ok(store) => {
            store.check().await.map(|()| without_secrets(&config.logs.store)).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    findings.note("log store", store);
    findings.note("log staging", check_staging(config));
    findings.note("clock", check_clock(&clocks));
    if let Ok(db) = db {
        db.close().await;
    }
    Ok(if findings.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn check_database(db: Result<&Database, &anyhow::Error>) -> Result<String, String> {
    match db {
        Ok(db) => db.ping().await.map(|()| format!("{} answers", db.kind())).map_err(|error| error.to_string()),
        Err(error) => Err(format!("{error:#}")),
    }
}

async fn check_migrations(db: &Database) -> Result<String, String> {
    let state = schema::state(db).await.map_err(|error| error.to_string())?;
    state.advice().map_or_else(|| Ok("the schema is current".to_owned()), Err)
}

/// Not a failure: such a city is shown in English.
async fn check_cities(db: &Database) -> Result<String, String> {
    let unknown = usage::unknown_cities(db).await.map_err(|error| error.to_string())?;
    match unknown.len() {
        0 => Ok("all have Chinese names".to_owned()),
        number => Ok(format!("{number} without a Chinese name: {}", unknown.join(", "))),
    }
}

async fn check_queue(config: &Config) -> Result<String, String> {
    let queue = wire::queue(config).map_err(|error| format!("{error:#}"))?;
    queue.ping().await.map_err(|error| error.to_string())?;
    Ok(if queue.is_memory() { "in the process".to_owned() } else { "Redis answers".to_owned() })
}

/// One call with the account's credentials.
async fn check_account(
    config: &Config,
    db: &Database,
    name: &str,
    clocks: &mut Vec<(String, i64)>,
) -> Result<String, String> {
    let mut alone = config.clone();
    alone.cdn.retain(|other, _| other == name);
    let accounts = wire::accounts(&alone, db).await.map_err(|error| format!("{error:#}"))?;
    let Some(account) = accounts.first() else { return Err("it cannot be opened".to_owned()) };
    let status = account.client.account().await.map_err(|error| error.to_string())?;
    clocks.extend(status.clock_ahead_seconds.map(|ahead| (name.to_owned(), ahead)));
    let (groups, properties) = catalogue::counts(db, account.id).await.map_err(|error| error.to_string())?;
    let credits = status.credits.map(|credits| format!(", {credits} credits left")).unwrap_or_default();
    let delivery = check_delivery(config, db, account).await?;
    Ok(format!("{}{credits}; {groups} access groups and {properties} properties known; {delivery}", status.summary))
}

/// The folder can be written.
fn check_staging(config: &Config) -> Result<String, String> {
    let folder = &config.logs.staging;
    let failed = |error: std::io::Error| format!("{folder}: {error}");
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = std::path::Path::new(folder).join(format!(".check-{}", std::process::id()));
    std::fs::write(&file, "check").map_err(failed)?;
    std::fs::remove_file(&file).map_err(failed)?;
    Ok(folder.clone())
}

/// Yesterday's files of one property.
async fn check_delivery(config: &Config, db: &Database, account: &Account) -> Result<String, String> {
    if !account.has_logs() {
        return Ok("no log delivery is configured".to_owned());
    }
    let listed = usage::listed(db, account.id, true).await.map_err(|error| error.to_string())?;
    let Some(property) = listed.into_iter().next().map(|due| due.property) else {
        return Ok("no active property is known yet".to_owned());
    };
    let yesterday = date_of(day_at(Clock::system().now()) - 1);
    let address = PropertyAddress { vendor_ref: property.vendor_ref, name: property.name };
    let staging = std::path::Path::new(&config.logs.staging).join(&account.name);
    let logs = account.client.logs(&address, yesterday, &staging).await.map_err(|error| error.to_string())?;
    Ok(format!("the log delivery answers; {} files of {} for {yesterday}", logs.files().len(), address.name))
}

/// The clock is compared with those of the vendors that answered.
fn check_clock(clocks: &[(String, i64)]) -> Result<String, String> {
    let worst = clocks.iter().max_by_key(|(_, ahead)| ahead.abs());
    match worst {
        None => Ok("no vendor answered that it could be compared with".to_owned()),
        Some((name, ahead)) if ahead.abs() <= CLOCK_TOLERANCE => {
            Ok(format!("within {} s of {name}'s", ahead.abs() + 1))
        }
        Some((name, ahead)) => {
            Err(format!("{} s away from {name}'s: set the time (chrony, systemd-timesyncd)", ahead.abs()))
        }
    }
}
