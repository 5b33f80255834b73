//! Serving one finished log: ranges, conditions, and streaming no faster than the client reads.
//!
//! From a folder the file is read in pieces of 64 KiB, each only when the one before it has been taken, so a slow client
//! costs a piece and not a file. A bucket is handed over by a redirection to a presigned link. A file never changes:
//! its `ETag` is its SHA-256, and one that is replaced can be read to its end. After RFC 9110, sections 13 and 14.
//! Called by the log handler.

use crate::error::ApiError;
use overseas_shared::db::log::LogDay;
use overseas_shared::domain::log::LogName;
use overseas_shared::log_store::{LogFile, LogStore, LogStoreError};
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::web::headers::{ETag, HeaderMapExt, IfNoneMatch, IfRange};
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use std::io::SeekFrom;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;
/// How long a link into the bucket works: it only has to be followed.
const LINK: Duration = Duration::from_secs(900);
const GZIP: &str = "application/gzip";

/// Why a file cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The store does not have it, or does not work.
    #[error(transparent)]
    Store(#[from] LogStoreError),
    /// The file cannot be read.
    #[error("the log file cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The range begins after the end.
    #[error("the range begins after the end of the file, which has {0} bytes")]
    Range(u64),
}

impl LogFileError {
    /// Whether the store works but has no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_missing())
    }
}

impl From<LogFileError> for ApiError {
    fn from(error: LogFileError) -> Self {
        match error {
            LogFileError::Range(size) => Self::RangeNotSatisfiable { message: error.to_string(), size },
            LogFileError::Store(_) | LogFileError::Read(_) => {
                tracing::error!(%error, "a log file cannot be served");
                Self::Unavailable("the log cannot be read at the moment; try again".to_owned())
            }
        }
    }
}

/// A file, a part of one, or where to go for it.
pub struct LogBody(Response);

impl IntoResponse for LogBody {
    fn into_response(self) -> Response {
        self.0
    }
}

/// Answers with the file of a day.
///
/// # Errors
/// [`LogFileError`].
pub async fn answer(
    store: &LogStore,
    request: &Request,
    name: &LogName,
    day: &LogDay,
) -> Result<LogBody, LogFileError> {
    let object = day.object.as_deref().unwrap_or_default();
    let file_name = name.file_name();
    if let Some(link) = store.link(object, &file_name, LINK).await? {
        let redirection = Response::builder().status(StatusCode::FOUND).header(header::LOCATION, link);
        return Ok(LogBody(redirection.header(header::CACHE_CONTROL, "no-store").finish()));
    }
    let quoted = format!("\"{}\"", day.sha256);
    let tag: Option<ETag> = quoted.parse().ok();
    let mut response = Response::builder().status(StatusCode::OK).finish();
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(value) = HeaderValue::from_str(&quoted) {
        headers.insert(header::ETAG, value);
    }
    let conditions = request.headers();
    if let (Some(condition), Some(tag)) = (conditions.typed_get::<IfNoneMatch>(), &tag)
        && !condition.precondition_passes(tag)
    {
        response.set_status(StatusCode::NOT_MODIFIED);
        return Ok(LogBody(response));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GZIP));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{file_name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    // A store that has no link streams; the error cannot happen.
    let Some(LogFile { mut file, size }) = store.read(object).await? else {
        return Err(std::io::Error::other("the store neither links nor reads").into());
    };
    let mut length = size;
    if let Some(range) = range(conditions, tag.as_ref(), size)? {
        length = range.end() - range.start() + 1;
        if let Ok(value) = HeaderValue::from_str(&format!("bytes {}-{}/{size}", range.start(), range.end())) {
            headers.insert(header::CONTENT_RANGE, value);
        }
        file.seek(SeekFrom::Start(*range.start())).await?;
        response.set_status(StatusCode::PARTIAL_CONTENT);
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response.set_body(Body::from_bytes_stream(ReaderStream::with_capacity(file.take(length), PIECE)));
    Ok(LogBody(response))
}

/// The one range that is asked for; `None` for the whole file. Several ranges, which nobody needs for a log, and one that
/// cannot be read are answered with the whole, as RFC 9110 allows.
fn range(headers: &HeaderMap, tag: Option<&ETag>, size: u64) -> Result<Option<RangeInclusive<u64>>, LogFileError> {
    let Some(asked) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(read_range) else {
        return Ok(None);
    };
    if headers.contains_key(header::IF_RANGE)
        && headers.typed_get::<IfRange>().is_none_or(|condition| condition.is_modified(tag, None))
    {
        return Ok(None);
    }
    let (first, last) = match asked {
        Asked::From(first, last) => (first, last.min(size.saturating_sub(1))),
        Asked::Last(length) => (size.saturating_sub(length), size.saturating_sub(1)),
    };
    let is_empty = first >= size || asked == Asked::Last(0);
    if is_empty { Err(LogFileError::Range(size)) } else { Ok(Some(first..=last)) }
}

/// A range as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// From one byte to another, both included.
    From(u64, u64),
    /// So many bytes at the end.
    Last(u64),
}

/// `bytes=0-99`, `bytes=100-` or `bytes=-7`. The library that the framework brings refuses an end part that is longer than
/// the file, which RFC 9110, section 14.1.2, defines as the whole.
fn read_range(text: &str) -> Option<Asked> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Asked::Last(number(last)?)),
        (false, true) => Some(Asked::From(number(first)?, u64::MAX)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Asked::From(first, last))
        }
    }
}

impl ApiResponse for LogBody {
    fn meta() -> MetaResponses {
        let header = |name: &str, description: &str, required| MetaHeader {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            required,
            deprecated: false,
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
        };
        let tag = || header("ETag", "The SHA-256 of the whole file.", true);
        let response = |status, description: &'static str, headers: Vec<MetaHeader>, has_file: bool| {
            let schema = MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary")));
            let content = if has_file { vec![MetaMediaType { content_type: GZIP, schema }] } else { vec![] };
            MetaResponse { description, status: Some(status), status_range: None, content, headers }
        };
        let range = header("Content-Range", "Which part this is.", true);
        let location = header("Location", "Where the file can be had now, without a credential.", true);
        MetaResponses {
            responses: vec![
                response(200, "The file.", vec![tag()], true),
                response(206, "The part of the file that `Range` asked for.", vec![tag(), range], true),
                response(302, "Where the file is.", vec![location], false),
                response(304, "The file that `If-None-Match` names is still the newest.", vec![tag()], false),
            ],
        }
    }

    fn register(_: &mut Registry) {}
}
