//! The layers around the handlers: request id, client address, body cap, parameters, time limit, and
//! the one envelope that every failure wears, whoever made it.
//!
//! From outside in: `envelope` (id, failures, metrics) → CORS → time limit and panics → `gather`
//! (parameters) → routes. Called by `server`, and by tests that need no socket.

use crate::auth::{ClientAddress, RequestId, client_address, find_client};
use crate::document;
use crate::error::{ApiError, Failure, INTERNAL};
use crate::limits::Decided;
use crate::params::{RawParams, merge};
use crate::routes;
use crate::state::SharedState;
use poem::endpoint::BoxEndpoint;
use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::middleware::{Cors, NormalizePath, TrailingSlash};
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Result, Route};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Longest request id that is taken from a client.
const LONGEST_REQUEST_ID: usize = 64;

/// The whole API.
#[must_use]
pub fn app(state: SharedState) -> BoxEndpoint<'static, Response> {
    let document = document::Document::new();
    let routes = Route::new()
        .at("/openapi.json", poem::get(document.json()))
        .at("/openapi.yaml", poem::get(document.yaml()))
        .at("/docs", poem::get(document.swagger_ui()))
        .at("/metrics", poem::get(routes::operations::metrics))
        .nest_no_strip("/", document::service());
    let gathered = routes.around(gather).around(limit).with(NormalizePath::new(TrailingSlash::Trim));
    let cross_origin = match cors(&state.config.http.cors_origins) {
        Some(cors) => gathered.with(cors).map_to_response().boxed(),
        None => gathered.map_to_response().boxed(),
    };
    cross_origin.around(envelope).data(state).map_to_response().boxed()
}

fn cors(origins: &[String]) -> Option<Cors> {
    if origins.is_empty() {
        return None;
    }
    let cors = Cors::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers(["authorization", "content-type", "idempotency-key", "x-request-id"])
        .expose_headers(["x-request-id", "retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"])
        .expose_headers(["content-disposition", "content-range", "etag"])
        .max_age(86_400);
    Some(origins.iter().fold(cors, |cors, origin| cors.allow_origin(origin)))
}

/// Reads the body within its cap and merges all parameters.
async fn gather<E: Endpoint>(next: Arc<E>, mut request: Request) -> Result<Response> {
    let most = state(&request)?.config.http.max_body_bytes;
    let body = request.take_body().into_bytes_limit(most).await.map_err(|error| match error {
        poem::error::ReadBodyError::PayloadTooLarge => {
            ApiError::TooLarge(format!("the body is larger than {most} bytes"))
        }
        _ => ApiError::BadRequest("the body ended early".to_owned()),
    })?;
    let query = request.uri().query().unwrap_or_default();
    let merged = merge(query, request.content_type(), &body)?;
    request.extensions_mut().insert::<RawParams>(merged);
    next.call(request).await.map(IntoResponse::into_response)
}

/// Ends requests that take too long, and turns a panic into a failure of its request alone.
async fn limit<E: Endpoint>(next: Arc<E>, request: Request) -> Result<Response> {
    let most = Duration::from_secs(state(&request)?.config.http.request_seconds);
    let guarded = futures::FutureExt::catch_unwind(AssertUnwindSafe(next.call(request)));
    match tokio::time::timeout(most, guarded).await {
        Ok(Ok(outcome)) => outcome.map(IntoResponse::into_response),
        Ok(Err(_)) => Err(ApiError::Internal("a handler panicked".to_owned()).into()),
        Err(_) => Err(ApiError::Unavailable(format!("no answer within {} s; try again", most.as_secs())).into()),
    }
}

fn state(request: &Request) -> Result<&SharedState> {
    let missing = || ApiError::Internal("a request without state".to_owned());
    Ok(request.data::<SharedState>().ok_or_else(missing)?)
}

/// Gives every request an id, every failure its envelope, and counts.
async fn envelope<E: Endpoint>(next: Arc<E>, mut request: Request) -> Result<Response> {
    let begun = Instant::now();
    let request_id = request_id(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let forwarded: Vec<&str> =
        request.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let client = find_client(&state(&request)?.config.http, request.remote_addr(), &forwarded);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    request.extensions_mut().insert(ClientAddress(client));
    let decided = Decided::default();
    request.extensions_mut().insert(decided.clone());
    let address = client_address(&request);
    // Whatever is said during the request carries its id.
    let span = tracing::info_span!("request", request_id);
    let mut response = match next.call(request).instrument(span.clone()).await {
        Ok(response) => response.into_response(),
        // Here a failure is logged.
        Err(error) => span.in_scope(|| error.into_response()),
    };
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = fail(response, &method, &path, &request_id).instrument(span).await;
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    decided.write(response.headers_mut());
    let elapsed = begun.elapsed();
    let route = document::route_label(&path);
    metrics::counter!("overseas_http_requests_total", "route" => route, "method" => method.to_string(), "status" => status.as_u16().to_string()).increment(1);
    metrics::histogram!("overseas_http_request_seconds", "route" => route).record(elapsed);
    tracing::debug!(request_id, %method, path, status = status.as_u16(), %address, ?elapsed, "answered");
    Ok(response)
}

/// The client's own id if it is harmless, otherwise a new one.
fn request_id(request: &Request) -> String {
    let harmless = |id: &&str| {
        !id.is_empty()
            && id.len() <= LONGEST_REQUEST_ID
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    request.header("x-request-id").filter(harmless).map_or_else(|| ulid::Ulid::generate().to_string(), str::to_owned)
}

/// Puts a failure into the envelope, whether a handler, the document layer or the router made it.
async fn fail(response: Response, method: &Method, path: &str, request_id: &str) -> Response {
    let status = response.status();
    let (parts, body) = response.into_parts();
    let said = body.into_string().await.unwrap_or_default();
    let message = match status {
        StatusCode::NOT_FOUND if said == NotFoundError.to_string() => {
            format!("there is no path {path}; see /docs for those that there are")
        }
        StatusCode::METHOD_NOT_ALLOWED if said == MethodNotAllowedError.to_string() || said.is_empty() => {
            format!("{path} does not take {method}; it takes {}", document::methods_of(path).join(", "))
        }
        StatusCode::BAD_REQUEST if said == poem::error::ParsePathError.to_string() => {
            "the path holds bytes that are not UTF-8; see /docs for the paths that there are".to_owned()
        }
        StatusCode::SERVICE_UNAVAILABLE => said,
        _ if status.is_server_error() => {
            // Ours has said why already, where it was made into an answer.
            if said != INTERNAL {
                tracing::error!(%method, path, said, "a request failed");
            }
            "the server failed; its log speaks of it under the request id".to_owned()
        }
        _ if said.is_empty() => status.canonical_reason().unwrap_or("refused").to_owned(),
        _ => said,
    };
    let failure = Failure { err: status.as_u16(), message, request_id: request_id.to_owned() };
    let body = serde_json::to_vec(&failure).unwrap_or_default();
    let mut answer = Response::builder().status(status).content_type("application/json").body(body);
    let kept = [
        header::RETRY_AFTER,
        header::WWW_AUTHENTICATE,
        header::CONTENT_RANGE,
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::VARY,
    ];
    for name in kept {
        if let Some(value) = parts.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    if status == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(value) = HeaderValue::from_str(&document::methods_of(path).join(", "))
    {
        answer.headers_mut().insert(header::ALLOW, value);
    }
    answer
}
