//! For those who run the service: `GET /healthz`, `GET /readyz`, `GET /metrics`.
//!
//! Health says that the process answers; readiness that what it needs does. Neither needs a credential.

use crate::error::{Answer, ApiError};
use crate::routes::Group;
use crate::state::SharedState;
use overseas_shared::db::Database;
use overseas_shared::db::schema::{self, SchemaState};
use overseas_shared::queue::Queue;
use poem::web::Data;
use poem::{Response, handler};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use std::time::Duration;

/// How long the database and the queue may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// It is well.
#[derive(Debug, Serialize, Object)]
pub struct HealthOut {
    /// 0.
    err: u16,
    /// The version of the program.
    version: String,
}

/// Handlers.
pub struct Operations;

#[OpenApi(tag = "Group::Operations")]
impl Operations {
    /// Tell whether the process is up
    #[oai(path = "/healthz", method = "get", operation_id = "healthz")]
    async fn healthz(&self) -> Result<Answer<HealthOut>, ApiError> {
        Answer::new(&well())
    }

    /// Tell whether the database and the queue answer and the schema is current
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self, state: Data<&SharedState>) -> Result<Answer<HealthOut>, ApiError> {
        let wrong = what_is_wrong(&state.db, &state.queue).await;
        if wrong.is_empty() { Answer::new(&well()) } else { Err(ApiError::Unavailable(wrong.join("; "))) }
    }
}

/// What does not answer, in words; nothing when all is well.
pub(crate) async fn what_is_wrong(db: &Database, queue: &Queue) -> Vec<String> {
    let mut wrong = Vec::new();
    match tokio::time::timeout(PATIENCE, schema::state(db)).await {
        Ok(Ok(SchemaState::Current)) => {}
        Ok(Ok(other)) => wrong.extend(other.advice()),
        Ok(Err(_)) | Err(_) => wrong.push("the database does not answer".to_owned()),
    }
    if !matches!(tokio::time::timeout(PATIENCE, queue.ping()).await, Ok(Ok(()))) {
        wrong.push("the queue does not answer; tasks are taken and wait for the worker's sweep".to_owned());
    }
    wrong
}

fn well() -> HealthOut {
    HealthOut { err: 0, version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// What the process counts, for Prometheus.
#[handler]
pub(crate) fn metrics(state: Data<&SharedState>) -> Response {
    state.db.measure_connections(state.config.database.max_connections);
    let text = state.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    Response::builder().content_type("text/plain; version=0.0.4").body(text)
}
