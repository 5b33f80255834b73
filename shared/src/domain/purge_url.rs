//! One URL that a customer wants refreshed or preloaded.
//!
//! The text is kept as it was written (query string included), because the answer shows it again
//! and because the vendors compare it byte for byte; beside it stands what it means: one object, a
//! directory, or a wildcard. Called by the purge handlers and, from the rows, by the worker.

use crate::domain::name::{DomainName, shorten};
use url::Url;

/// Longest URL that is accepted, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// Why a URL was refused. The message names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not `http://`, `https://` or `ftp://` with a host.
    #[error("`{0}` is not an absolute http, https or ftp URL")]
    NotAbsolute(String),
    /// Carries a user name or a password: the cache key has none, and it would end up in logs.
    #[error("`{0}` carries a user name or password; leave it out")]
    Credentials(String),
    /// Longer than [`MAX_URL_BYTES`].
    #[error("`{0}` is longer than 2048 bytes")]
    TooLong(String),
    /// A wildcard or a directory where only single objects are possible.
    #[error("`{0}` is a wildcard or a directory; preload takes single objects only")]
    NotAnObject(String),
}

/// What a URL means for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeTarget {
    /// One object.
    Object,
    /// A trailing `/`: the directory and everything below it.
    Directory,
    /// A `*` somewhere in the path or the query.
    Wildcard,
}

/// A checked URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeUrl {
    text: String,
    host: DomainName,
    path_start: usize,
    target: PurgeTarget,
}

impl PurgeUrl {
    /// Parses one URL as a client wrote it. A fragment is dropped: it never reaches a server.
    ///
    /// # Errors
    /// [`UrlError`], which names the URL.
    pub fn parse(raw: &str) -> Result<Self, UrlError> {
        let raw = raw.trim();
        if raw.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong(shorten(raw)));
        }
        let not_absolute = || UrlError::NotAbsolute(shorten(raw));
        if raw.contains(|c: char| c.is_whitespace() || c.is_control() || c == '|' || c == '\\') {
            return Err(not_absolute());
        }
        let text = raw.split('#').next().unwrap_or(raw);
        let scheme_end = text.find("://").ok_or_else(not_absolute)?;
        let url = Url::parse(text).map_err(|_| not_absolute())?;
        // `http:a.com/?next=http://b.com` has its `://` somewhere else than behind the scheme.
        let is_behind_scheme = text[..scheme_end].eq_ignore_ascii_case(url.scheme());
        if !is_behind_scheme || !matches!(url.scheme(), "http" | "https" | "ftp") {
            return Err(not_absolute());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials(shorten(raw)));
        }
        let host = DomainName::parse(url.host_str().unwrap_or_default()).map_err(|_| not_absolute())?;
        let authority_start = scheme_end + 3;
        // The URL standard forgives `http:///x`; nobody means it.
        if text[authority_start..].starts_with('/') {
            return Err(not_absolute());
        }
        let path_start = text[authority_start..].find(['/', '?']).map_or(text.len(), |offset| authority_start + offset);
        let target = target_of(&text[path_start..]);
        Ok(Self { text: text.to_owned(), host, path_start, target })
    }

    /// Parses a URL that is to be preloaded.
    ///
    /// # Errors
    /// Those of [`PurgeUrl::parse`], and [`UrlError::NotAnObject`] for a wildcard or a directory.
    /// The root (`http://cdn.example.com/`) is an object here: it is what a browser asks for.
    pub fn parse_object(raw: &str) -> Result<Self, UrlError> {
        let mut url = Self::parse(raw)?;
        if url.target == PurgeTarget::Directory && url.path_and_query() == "/" {
            url.target = PurgeTarget::Object;
        }
        match url.target {
            PurgeTarget::Object => Ok(url),
            _ => Err(UrlError::NotAnObject(shorten(raw))),
        }
    }

    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, in the form in which domains are compared.
    #[must_use]
    pub fn host(&self) -> &DomainName {
        &self.host
    }

    /// Path and query as written; `/` where the URL has no path.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match &self.text[self.path_start..] {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        }
    }

    /// What the URL means for a refresh.
    #[must_use]
    pub fn target(&self) -> PurgeTarget {
        self.target
    }
}

fn target_of(path_and_query: &str) -> PurgeTarget {
    if path_and_query.contains('*') {
        PurgeTarget::Wildcard
    } else if path_and_query.ends_with('/') && !path_and_query.contains('?') {
        PurgeTarget::Directory
    } else {
        PurgeTarget::Object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn query_strings_are_kept() {
        let url = PurgeUrl::parse("http://CDN.example.com/a.html?v=1&w=/").unwrap();
        assert_eq!(url.host().as_str(), "cdn.example.com");
        assert_eq!(url.path_and_query(), "/a.html?v=1&w=/");
        assert_eq!(url.target(), PurgeTarget::Object);
        assert_eq!(url.as_str(), "http://CDN.example.com/a.html?v=1&w=/");
    }

    #[test]
    fn a_star_is_a_wildcard_and_a_trailing_slash_a_directory() {
        let target = |raw| PurgeUrl::parse(raw).unwrap().target();
        assert_eq!(target("http://a.example.com/images/*.jpg"), PurgeTarget::Wildcard);
        assert_eq!(target("http://a.example.com/images/"), PurgeTarget::Directory);
        assert_eq!(target("http://a.example.com/images/?x=/"), PurgeTarget::Object);
        assert_eq!(target("http://a.example.com"), PurgeTarget::Object);
    }

    #[test]
    fn a_missing_path_is_the_root() {
        let path = |raw| PurgeUrl::parse(raw).unwrap().path_and_query();
        assert_eq!(path("https://a.example.com"), "/");
        assert_eq!(path("https://a.example.com?x=1"), "/?x=1");
        assert_eq!(path("https://a.example.com:8443/b"), "/b");
    }

    #[test]
    fn what_is_not_absolute_is_refused() {
        for raw in [
            "",
            "/a.html",
            "cdn.example.com/a",
            "mailto:a@b.c",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://a b/",
            "javascript://a.com/x",
            "http:a.com/x",
            "http:a.com/?next=http://a.com/b",
        ] {
            assert!(matches!(PurgeUrl::parse(raw), Err(UrlError::NotAbsolute(_))), "{raw}");
        }
        assert!(matches!(PurgeUrl::parse("http://u:p@a.com/"), Err(UrlError::Credentials(_))));
        let long = format!("http://a.com/{}", "x".repeat(2048));
        assert!(matches!(PurgeUrl::parse(&long), Err(UrlError::TooLong(_))));
    }

    #[test]
    fn preload_takes_single_objects_only() {
        assert!(PurgeUrl::parse_object("http://a.com/x*").is_err());
        assert!(PurgeUrl::parse_object("http://a.com/x/").is_err());
        assert!(PurgeUrl::parse_object("http://a.com/").is_ok());
    }

    proptest! {
        #[test]
        fn no_input_panics_and_a_parsed_url_parses_to_itself(raw in "(https?://)?\\PC{0,60}") {
            if let Ok(url) = PurgeUrl::parse(&raw) {
                let path = url.path_and_query();
                prop_assert!(path.starts_with('/'));
                prop_assert_eq!(PurgeUrl::parse(url.as_str()).unwrap(), url);
            }
        }
    }
}
