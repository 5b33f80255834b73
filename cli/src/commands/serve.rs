//! `overseas api` and `overseas worker`: the two long-running processes of production.
//!
//! Both refuse a schema that is not this version's. On a signal both finish what is under way within a
//! grace period; what a worker leaves comes back by its lease. The API binds its address last, so one that
//! listens has passed the checks. They meet only in the database and the queue.
//! Called by `main`; `serve_api` also by `up`.

use crate::wire;
use anyhow::Result;
use overseas_api::{Bound, SharedState, State, WorkerPort, bind, serve, serve_worker_port};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::Database;
use overseas_shared::queue::Queue;
use overseas_shared::telemetry::{self, PrometheusHandle};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs the API until a signal.
pub(crate) async fn api(config: Config) -> Result<()> {
    let stop = wire::stop_on_signal()?;
    wire::check_vendors(&config)?;
    let db = wire::current_database(&config).await?;
    let queue = wire::queue(&config)?;
    if queue.is_memory() {
        tracing::warn!(
            "queue.url is memory: workers in other processes are not woken and find the tasks by their sweep"
        );
    }
    let bound = bind("http.listen", &config.http.listen).await?;
    tracing::info!(address = %bound.address, "the API listens");
    serve_api(bound, config, db, queue, telemetry::start_metrics()?, stop).await
}

/// Serves the API on an address that is bound.
pub(crate) async fn serve_api(
    bound: Bound,
    config: Config,
    db: Database,
    queue: Queue,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> Result<()> {
    let store = wire::log_store(&config)?;
    let mut state = State::new(db.clone(), queue, Clock::system(), store, config);
    state.metrics = Some(metrics);
    let state: SharedState = Arc::new(state);
    serve(bound, state, stop).await?;
    tracing::info!("the API has stopped");
    Ok(())
}

/// Runs the worker until a signal.
pub(crate) async fn worker(config: Config) -> Result<()> {
    let stop = wire::stop_on_signal()?;
    let db = wire::current_database(&config).await?;
    let queue = wire::queue(&config)?;
    let metrics = telemetry::start_metrics()?;
    if !config.worker.listen.is_empty() {
        let bound = bind("worker.listen", &config.worker.listen).await?;
        tracing::info!(address = %bound.address, "the worker's health and metrics are there");
        let max_connections = config.database.max_connections;
        let port = WorkerPort { db: db.clone(), max_connections, queue: queue.clone(), metrics };
        tokio::spawn(serve_worker_port(bound, port, stop.clone()));
    }
    let context = wire::worker(config, db.clone(), queue, &stop).await?;
    if context.accounts.is_empty() {
        tracing::warn!("no CDN is configured, so there is nothing to do: add a [cdn.<name>] table");
    }
    overseas_worker::run(context, stop).await;
    db.close().await;
    Ok(())
}
