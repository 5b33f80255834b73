//! Puts the parts together the same way for every command: settings, database, queue, accounts, signals.
//!
//! Commands that read or write rows take `current_database`, which refuses another version's schema;
//! `database` is for those that look at the schema or change it. A worker's calls to vendors pass the gate
//! that all workers share; `accounts` is for single commands, whose calls are counted in the process only.
//! The first signal stops in an orderly way, the second at once. Called by `main` and the commands.

use anyhow::{Context as _, Result, bail};
use overseas_shared::cdn::{CallGate, LocalGate, registry};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::{Database, schema};
use overseas_shared::log_store::LogStore;
use overseas_shared::queue::Queue;
use overseas_shared::telemetry;
use overseas_worker::jobs::logs::merge_turns;
use overseas_worker::{Account, Context, SharedGate, new_owner, open_accounts};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Reads the settings and starts logging.
pub(crate) fn config(file: Option<&Path>) -> Result<Config> {
    let config = Config::load(file)?;
    telemetry::start_logging(&config.log)?;
    Ok(config)
}

/// Refuses vendors that there is no client for, also where none is called.
pub(crate) fn check_vendors(config: &Config) -> Result<()> {
    for (name, cdn) in &config.cdn {
        registry::check_vendor(name, &cdn.vendor)?;
    }
    Ok(())
}

/// Connects to the database.
pub(crate) async fn database(config: &Config) -> Result<Database> {
    let settings = &config.database;
    let acquire = Duration::from_secs(settings.acquire_seconds);
    Database::connect(&settings.url, settings.max_connections, acquire)
        .await
        .with_context(|| format!("database.url {}", overseas_shared::config::without_password(&settings.url)))
}

/// Connects to the database and refuses one whose schema is another version's.
pub(crate) async fn current_database(config: &Config) -> Result<Database> {
    let db = database(config).await?;
    if let Some(advice) = schema::state(&db).await?.advice() {
        bail!("{advice}");
    }
    Ok(db)
}

/// Opens the queue.
pub(crate) fn queue(config: &Config) -> Result<Queue> {
    Queue::open(&config.queue.url, &config.queue.prefix).context("the setting `queue.url` is wrong")
}

/// Opens the log store.
pub(crate) fn log_store(config: &Config) -> Result<LogStore> {
    LogStore::open(&config.logs.store).context("the setting `logs.store` is wrong")
}

/// The accounts for a command that calls vendors by itself.
pub(crate) async fn accounts(config: &Config, db: &Database) -> Result<Vec<Arc<Account>>> {
    let gate: Arc<dyn CallGate> = Arc::new(LocalGate::default());
    Ok(open_accounts(config, db, &gate, &Clock::system()).await?)
}

/// All that a worker needs.
pub(crate) async fn worker(config: Config, db: Database, queue: Queue, stop: &CancellationToken) -> Result<Context> {
    let (clock, owner) = (Clock::system(), new_owner());
    let gate = SharedGate::start(db.clone(), clock.clone(), owner.clone(), stop.clone());
    let shared: Arc<dyn CallGate> = Arc::clone(&gate) as Arc<dyn CallGate>;
    let accounts = open_accounts(&config, &db, &shared, &clock).await?;
    let store = log_store(&config)?;
    Ok(Context { db, queue, clock, config, accounts, gate, store, merges: merge_turns(), owner })
}

/// A token that is cancelled by SIGTERM or Ctrl-C; the second signal ends the process at once.
pub(crate) fn stop_on_signal() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for round in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round == 0 {
                // Before anything is said: a terminal that is gone must not keep the process.
                token.cancel();
                tracing::info!("stopping");
            }
        }
        std::process::exit(130);
    });
    Ok(stop)
}

/// A time in the configured zone, for people.
pub(crate) fn shown_time(config: &Config, milliseconds: i64) -> String {
    overseas_api::routes::shown_time(milliseconds, config.time_zone)
}
