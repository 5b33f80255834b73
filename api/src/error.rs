//! Failures as HTTP answers: the one table from what went wrong to a status and a message.
//!
//! A message names the parameter or the item and says what to do; a 5xx never shows internals, they
//! go to the log instead. The envelope around it (`err`, `message`, `request_id`) is put on by `app`,
//! so failures of the framework look the same. Called by every handler.

use overseas_shared::batch::Stopped;
use overseas_shared::db::DbError;
use overseas_shared::domain::{NameError, UrlError};
use overseas_shared::secret::HashError;
use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

/// What the answer to a defect says before `app` puts the envelope around it.
pub(crate) const INTERNAL: &str = "internal error";

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// A parameter is missing or wrong.
    #[error("{0}")]
    BadRequest(String),
    /// No credential, or one that is not valid (any more).
    #[error("{0}")]
    Unauthorized(String),
    /// The caller may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or none that the caller may know of.
    #[error("{0}")]
    NotFound(String),
    /// It exists already.
    #[error("{0}")]
    Conflict(String),
    /// More than is accepted.
    #[error("{0}")]
    TooLarge(String),
    /// The idempotency key was used for another request.
    #[error("{0}")]
    Unprocessable(String),
    /// Too often.
    #[error("{message}")]
    TooManyRequests {
        /// What is limited and what to do.
        message: String,
        /// Seconds until the next try is worth making.
        retry_after: u64,
    },
    /// The part of a file that is asked for begins after its end.
    #[error("{message}")]
    RangeNotSatisfiable {
        /// What is wrong.
        message: String,
        /// Bytes of the file.
        size: u64,
    },
    /// Something that we need does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// A defect; its text is for the log only.
    #[error("{INTERNAL}")]
    Internal(String),
}

impl ApiError {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A parameter that is needed was not sent.
    #[must_use]
    pub fn missing(parameter: &str) -> Self {
        Self::BadRequest(format!("{parameter}: missing; send it in the query string or in the body"))
    }

    /// A parameter that cannot be read.
    #[must_use]
    pub fn wrong(parameter: &str, reason: impl std::fmt::Display) -> Self {
        Self::BadRequest(format!("{parameter}: {reason}"))
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(reason) => {
                tracing::error!(reason, "the database is not available");
                Self::Unavailable("the database is not available; try again in a moment".to_owned())
            }
            DbError::Contended(reason) => {
                tracing::warn!(reason, "a change met another one too often");
                Self::Unavailable("the database is busy; try again in a moment".to_owned())
            }
            DbError::Conflict(what) => Self::Conflict(format!("it exists already ({what})")),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<Stopped> for ApiError {
    fn from(_: Stopped) -> Self {
        Self::Unavailable("the server is stopping; try again in a moment".to_owned())
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<UrlError> for ApiError {
    fn from(error: UrlError) -> Self {
        match error {
            UrlError::TooLong(_) => Self::TooLarge(error.to_string()),
            other => Self::BadRequest(other.to_string()),
        }
    }
}

impl poem::error::ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn as_response(&self) -> Response {
        if let Self::Internal(reason) = self {
            tracing::error!(reason, "a request failed");
        }
        let response = Response::builder().status(self.status());
        let response = match self {
            Self::TooManyRequests { retry_after, .. } => response.header("Retry-After", *retry_after),
            Self::RangeNotSatisfiable { size, .. } => response.header("Content-Range", format!("bytes */{size}")),
            Self::Unavailable(_) => response.header("Retry-After", 2),
            Self::Unauthorized(_) => response.header("WWW-Authenticate", "Bearer"),
            _ => response,
        };
        response.body(self.to_string())
    }
}

/// What every failure looks like.
#[derive(Debug, Clone, Serialize, Object)]
pub struct Failure {
    /// The HTTP status again.
    pub err: u16,
    /// What is wrong, naming the parameter or item, and what to do.
    pub message: String,
    /// The id under which the server's log speaks of this request.
    pub request_id: String,
}

/// The statuses of failures that the document lists for every call.
const DOCUMENTED: [(u16, &str); 12] = [
    (400, "A parameter is missing or wrong, or the body cannot be read."),
    (401, "No credential, or one that is not valid."),
    (403, "The caller may not do this."),
    (404, "There is no such thing, or it is not the caller's."),
    (405, "The path exists, but not with this method."),
    (409, "It exists already."),
    (413, "The request is too large."),
    (416, "The range begins after the end of the file."),
    (422, "The idempotency key was used with another request."),
    (429, "Too many requests; `Retry-After` says when to come back."),
    (500, "A defect of the server; the log speaks of it under the request id."),
    (503, "Something that the server needs does not answer; try again."),
];

impl ApiResponse for ApiError {
    fn meta() -> MetaResponses {
        let response = |(status, description): (u16, &'static str)| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: "application/json", schema: Failure::schema_ref() }],
            headers: vec![],
        };
        MetaResponses { responses: DOCUMENTED.into_iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        Failure::register(registry);
    }
}

/// A successful answer, serialised straight into bytes: a detour through a tree of JSON values costs
/// more than the rest of a large answer.
pub struct Answer<T> {
    body: bytes::Bytes,
    shape: std::marker::PhantomData<fn() -> T>,
}

impl<T: Serialize> Answer<T> {
    /// Serialises the answer.
    ///
    /// # Errors
    /// [`ApiError::Internal`] when a value cannot be written as JSON.
    pub fn new(value: &T) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(value).map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Self::from_bytes(body.into()))
    }

    /// An answer that was serialised before.
    #[must_use]
    pub fn from_bytes(body: bytes::Bytes) -> Self {
        Self { body, shape: std::marker::PhantomData }
    }

    /// The serialised answer.
    #[must_use]
    pub fn bytes(&self) -> bytes::Bytes {
        self.body.clone()
    }
}

impl<T: Send> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type("application/json").body(self.body)
    }
}

impl<T: Type> Payload for Answer<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> ApiResponse for Answer<T> {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: T::schema_ref() }];
        let success =
            MetaResponse { description: "Success.", status: Some(200), status_range: None, content, headers: vec![] };
        MetaResponses { responses: vec![success] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}
