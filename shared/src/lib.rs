//! What both the API and the worker need, and neither of them owns.
//!
//! `domain` is pure; `db`, `cdn`, `queue` and `log_store` stand on it and do not know each other.
//! The arrows point one way: cli, then api and worker, then this crate.

pub mod batch;
pub mod cdn;
pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod log_store;
pub mod object_store;
pub mod public_hosts;
pub mod queue;
pub mod rate_limit;
pub mod secret;
pub mod task_id;
pub mod telemetry;
pub mod webhook_secret;
