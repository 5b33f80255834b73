//! What the processes tell of themselves: log lines and metrics.
//!
//! Log lines go to standard error, pretty or as JSON, with a message and fields; a failure is logged
//! once, where it is handled. Metrics are collected in the process and rendered for Prometheus.
//! Called once at the start of each process.

use crate::config::{LogConfig, LogFormat};
pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use std::io::IsTerminal;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Why logging or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error("the setting `log.level` is wrong: {0}")]
    Filter(String),
    /// The metrics recorder was refused.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}

const QUIET: &str = "poem=warn,sea_orm_migration=warn,sqlx=warn";

/// Sets up logging.
///
/// # Errors
/// [`TelemetryError::Filter`] when `log.level` cannot be read.
pub fn start_logging(config: &LogConfig) -> Result<(), TelemetryError> {
    // What the libraries say of their own starts and stops, we say ourselves; the setting can ask for it.
    let directives = format!("{QUIET},{},{}", crate::queue::QUIET_LOGS, config.level);
    let filter = EnvFilter::try_new(directives).map_err(|error| TelemetryError::Filter(error.to_string()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A line that nobody reads any more is dropped; complaining about it would be one line more.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first one's settings.
    let _ = match config.format {
        LogFormat::Pretty => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Between two rounds of sorting what was recorded into its buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Collects metrics; the handle renders them. What is recorded is sorted into its buckets every few seconds, since it
/// would otherwise wait in memory for somebody who asks.
///
/// # Errors
/// [`TelemetryError::Metrics`] when another recorder is in place.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let refused = |error: metrics_exporter_prometheus::BuildError| TelemetryError::Metrics(error.to_string());
    let seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)
        .map_err(refused)?
        .install_recorder()
        .map_err(refused)?;
    metrics::gauge!("overseas_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(handle)
}
