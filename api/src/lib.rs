//! The HTTP API: parameters in, answers out. No SQL and no call to a vendor.
//!
//! `app` puts the layers around the handlers; `routes` has one file a resource with its types and
//! handlers together. Called by `overseas api` and `overseas up`.

pub mod app;
pub mod auth;
pub mod document;
pub mod error;
pub mod idempotency;
pub mod limits;
pub mod log_file;
pub mod memory;
pub mod params;
pub mod quotas;
pub mod routes;
pub mod server;
pub mod state;
pub mod turns;
pub mod worker_port;

pub use server::{Bound, ServerError, bind, serve};
pub use state::{SharedState, State};
pub use worker_port::{WorkerPort, serve_worker_port};
