//! Opening a place that holds files: a folder, or a bucket of any server that speaks S3.
//!
//! Written as a path, as `file:///path` (or `fs:///path`), or as `s3://bucket/prefix?region=..&endpoint=..`. Calls to
//! a bucket are repeated and end in time. Messages never hold the query, which may carry a key.
//! Called by the log store and by the vendors' deliveries, once at the start.

use crate::cdn::http;
use crate::config::without_secrets;
use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::{HttpTransporter, Operator, services};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time for a call that moves no content.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for one piece of content.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries of a call before it fails, over some seconds.
const RETRIES: usize = 3;
/// Where a server that is named but no region is in it.
const REGION: &str = "us-east-1";

/// A place as it is written in a setting.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder, as an absolute path.
    Folder(PathBuf),
    /// A bucket, or a part of one.
    Bucket(Operator),
}

/// A place that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct PlaceError {
    /// As it was written, without keys.
    pub place: String,
    /// What is wrong, and what is expected.
    pub reason: String,
}

/// Opens a place. Makes no call and no folder.
///
/// # Errors
/// [`PlaceError`] for an address that cannot be read.
pub fn open(text: &str) -> Result<Place, PlaceError> {
    let text = text.trim();
    let failed = |reason: String| PlaceError { place: without_secrets(text), reason };
    let Some((scheme, rest)) = text.split_once("://") else { return folder(text).map_err(failed) };
    match scheme {
        "file" | "fs" if rest.starts_with('/') => folder(rest).map_err(failed),
        "file" | "fs" => Err(failed(format!("expected {scheme}:///path with three slashes"))),
        "s3" => bucket(text).map(Place::Bucket).map_err(failed),
        _ => Err(failed("expected a folder, file:///folder or s3://bucket/prefix".to_owned())),
    }
}

fn folder(path: &str) -> Result<Place, String> {
    std::path::absolute(path).map(Place::Folder).map_err(|error| error.to_string())
}

fn bucket(text: &str) -> Result<Operator, String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    let name = url.host_str().filter(|name| !name.is_empty()).ok_or("the bucket is missing: s3://bucket/prefix")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("keys are written as ?access_key_id=..&secret_access_key=..".to_owned());
    }
    let mut builder = services::S3::default().bucket(name).root(url.path());
    let (mut region, mut endpoint) = (None, None);
    for (key, value) in url.query_pairs() {
        builder = match key.as_ref() {
            "region" => {
                region = Some(value.clone().into_owned());
                builder
            }
            "endpoint" => {
                endpoint = Some(value.clone().into_owned());
                builder.endpoint(&value)
            }
            "access_key_id" => builder.access_key_id(&value),
            "secret_access_key" => builder.secret_access_key(&value),
            "session_token" => builder.session_token(&value),
            "virtual_host" if value == "true" => builder.enable_virtual_host_style(),
            "virtual_host" if value == "false" => builder,
            _ => {
                return Err(format!(
                    "{key}: unknown or wrong; known: region, endpoint, access_key_id, secret_access_key, session_token, virtual_host=true"
                ));
            }
        };
    }
    // Of Amazon's own servers the region matters, and may stand in the environment.
    if let Some(region) = region.as_deref().or(endpoint.as_ref().map(|_| REGION)) {
        builder = builder.region(region);
    }
    let is_plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let client = http::builder(!is_plain).build().map_err(|error| error.to_string())?;
    let operator = Operator::new(builder).map_err(|error| plain(&error))?;
    let context = operator.context().with_http_transport(HttpTransporter::new(ReqwestTransport::new(client)));
    Ok(operator
        .with_context(context)
        .layer(TimeoutLayer::new().with_timeout(CALL_TIMEOUT).with_io_timeout(PIECE_TIMEOUT))
        .layer(RetryLayer::new().with_max_times(RETRIES).with_jitter()))
}

/// What the library says, down to the system's own words, without the context that it adds, which repeats the address.
#[must_use]
pub fn plain(error: &opendal::Error) -> String {
    let mut text = format!("{}: {}", error.kind(), error.message());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        open(text).unwrap_err().to_string()
    }

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        for folder in ["/srv/logs", "file:///srv/logs", "fs:///srv/logs"] {
            assert!(matches!(open(folder), Ok(Place::Folder(path)) if path.to_str() == Some("/srv/logs")), "{folder}");
        }
        assert!(matches!(open("var/logs"), Ok(Place::Folder(path)) if path.is_absolute()));
        let keys = "access_key_id=a&secret_access_key=b";
        for bucket in [
            "s3://bucket?region=eu-west-1",
            &format!("s3://bucket/some/prefix?endpoint=http://127.0.0.1:9&{keys}"),
            &format!("s3://bucket/?endpoint=https://s3.example.com&virtual_host=true&{keys}"),
        ] {
            assert!(matches!(open(bucket), Ok(Place::Bucket(_))), "{bucket}: {}", refused(bucket));
        }
    }

    #[test]
    fn a_refusal_says_what_is_expected_and_shows_no_key() {
        assert!(refused("file://srv/logs").contains("three slashes"));
        assert!(refused("gs://bucket").contains("expected a folder"));
        assert!(refused("s3://bucket?regoin=x").contains("regoin"));
        let message = refused("s3://bucket?secret_access_key=hunter2&x=hunter2");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(!refused("s3://user:hunter2@bucket").contains("hunter2"));
    }
}
