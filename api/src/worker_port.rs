//! What a worker on its own answers over HTTP: `/healthz`, `/readyz` and `/metrics`, and nothing else.
//!
//! No credential is needed, so the address belongs into one's own network. Started by `overseas worker` where
//! `worker.listen` is set; `overseas up` and `overseas api` have these pages on the API's address.

use crate::routes::operations::what_is_wrong;
use crate::server::{Bound, ServerError};
use metrics_exporter_prometheus::PrometheusHandle;
use overseas_shared::db::Database;
use overseas_shared::queue::Queue;
use poem::http::StatusCode;
use poem::web::Data;
use poem::{EndpointExt, Response, Route, get, handler};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the pages look at.
pub struct WorkerPort {
    /// The rows.
    pub db: Database,
    /// Most connections to them.
    pub max_connections: u32,
    /// The queue.
    pub queue: Queue,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

#[handler]
fn healthz() -> Response {
    answer(StatusCode::OK, &json!({"err": 0, "version": env!("CARGO_PKG_VERSION")}))
}

#[handler]
async fn readyz(port: Data<&Arc<WorkerPort>>) -> Response {
    let wrong = what_is_wrong(&port.db, &port.queue).await;
    if wrong.is_empty() {
        return answer(StatusCode::OK, &json!({"err": 0, "version": env!("CARGO_PKG_VERSION")}));
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"err": 503, "message": wrong.join("; ")}))
}

#[handler]
fn metrics(port: Data<&Arc<WorkerPort>>) -> Response {
    port.db.measure_connections(port.max_connections);
    Response::builder().content_type("text/plain; version=0.0.4").body(port.metrics.render())
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    Response::builder().status(status).content_type("application/json").body(body.to_string())
}

/// Serves until `stop`.
///
/// # Errors
/// [`ServerError::Ended`] when the server ends by itself.
pub async fn serve_worker_port(bound: Bound, port: WorkerPort, stop: CancellationToken) -> Result<(), ServerError> {
    let routes = Route::new().at("/healthz", get(healthz)).at("/readyz", get(readyz)).at("/metrics", get(metrics));
    bound.run(routes.data(Arc::new(port)), stop, Duration::from_secs(1)).await
}
