//! `overseas up`, the default: API and worker in one process.
//!
//! Where no CDN is configured, the simulator plays the vendor on loopback, with demo data; there, and
//! only there, callers from loopback are trusted and short passwords pass, so that every documented
//! example works as it is typed.

use crate::commands::{demo, serve};
use crate::wire;
use anyhow::{Context as _, Result, bail};
use overseas_api::bind;
use overseas_shared::config::Config;
use overseas_shared::db::Database;
use overseas_shared::db::schema::{self, SchemaState};
use overseas_shared::telemetry;

/// Runs until a signal.
pub(crate) async fn run(mut config: Config) -> Result<()> {
    let stop = wire::stop_on_signal()?;
    // The address first: a busy port should not leave a database and a simulator behind.
    let bound = bind("http.listen", &config.http.listen).await?;
    config.http.listen = bound.address.to_string();
    let simulator = if config.cdn.is_empty() { Some(demo::configure(&mut config).await?) } else { None };
    let db = wire::database(&config).await?;
    migrate_embedded(&db).await?;
    if simulator.is_some() {
        demo::fill(&db).await?;
    }
    let queue = wire::queue(&config)?;
    // Before the worker, whose first figures would be lost.
    let metrics = telemetry::start_metrics()?;
    let context = wire::worker(config.clone(), db.clone(), queue.clone(), &stop).await?;
    if simulator.is_some() {
        // Before the greeting, so that its first line works at once.
        demo::read_catalogue(&context).await?;
    }
    let worker = tokio::spawn(overseas_worker::run(context, stop.clone()));
    demo::greet(&config, bound.address, simulator.as_ref());
    let served = serve::serve_api(bound, config, db.clone(), queue, metrics, stop.clone()).await;
    stop.cancel();
    worker.await.context("the worker panicked")?;
    if let Some(simulator) = simulator {
        simulator.stop().await;
    }
    db.close().await;
    served
}

/// The embedded database is brought up to date by itself; one that others use is not.
async fn migrate_embedded(db: &Database) -> Result<()> {
    match schema::state(db).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Older(_) if db.kind() == "SQLite" => Ok(schema::up(db).await?),
        other => bail!("{}", other.advice().unwrap_or_default()),
    }
}
