//! HTTP as every vendor's client uses it: one way to build a client, one way to read a body.
//!
//! A vendor's answer is input like any other: it may be endless, cut off, or a redirect to
//! somewhere else. So a body is read through [`CappedBody`], which stops at a total and at the
//! size of one piece (an XML event, say), and nothing here follows a redirect, asks a proxy or
//! unpacks a compressed body. Called by the vendors' clients.

use crate::cdn::CdnError;
use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, ReadBuf};
use url::Url;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of the vendor's words that are kept.
const MESSAGE_LENGTH: usize = 300;

/// What every client of ours has in common. Without `certificates` it can speak plain http only.
pub fn builder(certificates: bool) -> reqwest::ClientBuilder {
    // An error says that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = if certificates {
        reqwest::Client::builder()
    } else {
        // A bare machine or container has no certificates, and plain http must work there.
        reqwest::Client::builder().tls_certs_only([])
    };
    builder
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("overseas/", env!("CARGO_PKG_VERSION")))
}

/// Builds the client of one account, whose API is at `base`. `timeout` is for a whole call, the
/// body included.
///
/// # Errors
/// Those of reqwest, such as when the system's certificates cannot be loaded.
pub fn client(base: &Url, timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    builder(base.scheme() == "https").timeout(timeout).build()
}

/// Classes a failure to get an answer or the rest of it. The message holds no URL and no header.
#[must_use]
pub fn transport_error(error: &reqwest::Error) -> CdnError {
    if error.is_builder() {
        return CdnError::Rejected("the request cannot be built".to_owned());
    }
    let what = if error.is_timeout() {
        "no complete answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let mut message = what.to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    CdnError::Transient(message)
}

/// What stands in the way of a body's next byte; travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("{0}")]
    Transport(CdnError),
    #[error("longer than {0} bytes")]
    Total(u64),
    #[error("a piece of it is longer than {0} bytes")]
    Piece(usize),
}

/// Classes an error that a reader of a [`CappedBody`] met.
#[must_use]
pub fn body_error(error: &io::Error) -> CdnError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<BodyError>());
    match inner {
        Some(BodyError::Transport(error)) => error.clone(),
        Some(too_large) => CdnError::Unreadable(too_large.to_string()),
        None => CdnError::Transient(error.to_string()),
    }
}

/// One line of at most 300 characters, without control characters.
#[must_use]
pub fn clean(text: &str) -> String {
    let blanked: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let line = blanked.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Counts a call to a vendor that took so long and ended so: `ok`, or a class of [`CdnError`].
pub fn count_call(cdn: &str, operation: &'static str, elapsed: Duration, outcome: &'static str) {
    let labels = [("cdn", cdn.to_owned()), ("operation", operation.to_owned())];
    metrics::histogram!("overseas_vendor_call_seconds", &labels).record(elapsed.as_secs_f64());
    metrics::counter!(
        "overseas_vendor_calls_total",
        "cdn" => cdn.to_owned(), "operation" => operation, "outcome" => outcome
    )
    .increment(1);
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, CdnError>> + Send>>;

/// A body as an asynchronous reader that ends with an error when a limit is passed. Memory holds
/// one chunk as it came from the socket, and what the caller keeps.
pub struct CappedBody {
    chunks: Chunks,
    chunk: Bytes,
    total_limit: u64,
    total: u64,
    piece_limit: usize,
    piece: usize,
}

impl CappedBody {
    /// Reads at most `total_limit` bytes of a response, of which one piece has at most
    /// `piece_limit` bytes and the rest of a chunk.
    #[must_use]
    pub fn new(response: reqwest::Response, total_limit: u64, piece_limit: usize) -> Self {
        let chunks = response.bytes_stream().map(|chunk| chunk.map_err(|error| transport_error(&error)));
        Self::from_chunks(Box::pin(chunks), total_limit, piece_limit)
    }

    /// The same for bytes that are there already.
    #[must_use]
    pub fn from_bytes(bytes: Bytes, total_limit: u64, piece_limit: usize) -> Self {
        let chunks = futures::stream::iter([Ok(bytes)]);
        Self::from_chunks(Box::pin(chunks), total_limit, piece_limit)
    }

    fn from_chunks(chunks: Chunks, total_limit: u64, piece_limit: usize) -> Self {
        Self { chunks, chunk: Bytes::new(), total_limit, total: 0, piece_limit, piece: 0 }
    }

    /// From here on counts the next piece.
    pub fn begin_piece(&mut self) {
        self.piece = 0;
    }

    /// Skips white space; the byte that follows stays to be read. `None` at the end of the body.
    ///
    /// # Errors
    /// [`CdnError`], classed.
    pub async fn peek_first(&mut self) -> Result<Option<u8>, CdnError> {
        loop {
            let available = self.fill_buf().await.map_err(|error| body_error(&error))?;
            if available.is_empty() {
                return Ok(None);
            }
            let blank = available.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let first = available.get(blank).copied();
            self.consume(blank);
            self.begin_piece();
            if first.is_some() {
                return Ok(first);
            }
        }
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// [`CdnError::Unreadable`] when more than `limit` bytes come, [`CdnError::Transient`] when the body is cut.
    pub async fn read_all(mut self, limit: u64) -> Result<Bytes, CdnError> {
        self.total_limit = self.total_limit.min(limit);
        let mut whole = Vec::new();
        loop {
            self.begin_piece();
            let available = self.fill_buf().await.map_err(|error| body_error(&error))?;
            let length = available.len();
            if length == 0 {
                return Ok(whole.into());
            }
            whole.extend_from_slice(available);
            self.consume(length);
        }
    }
}

impl AsyncBufRead for CappedBody {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.piece > this.piece_limit {
            return Poll::Ready(Err(io::Error::other(BodyError::Piece(this.piece_limit))));
        }
        while this.chunk.is_empty() {
            match ready!(this.chunks.as_mut().poll_next(cx)) {
                None => break,
                Some(Err(error)) => {
                    return Poll::Ready(Err(io::Error::other(BodyError::Transport(error))));
                }
                Some(Ok(chunk)) => {
                    this.total = this.total.saturating_add(chunk.len() as u64);
                    if this.total > this.total_limit {
                        return Poll::Ready(Err(io::Error::other(BodyError::Total(this.total_limit))));
                    }
                    this.chunk = chunk;
                }
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.chunk.advance(amount.min(this.chunk.len()));
        this.piece = this.piece.saturating_add(amount);
    }
}

impl AsyncRead for CappedBody {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = available.len().min(buffer.remaining());
        buffer.put_slice(&available[..length]);
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

/// Reads a whole body into memory.
///
/// # Errors
/// [`CdnError::Unreadable`] when it is longer than `limit` bytes, [`CdnError::Transient`] when it is cut.
pub async fn read_capped(response: reqwest::Response, limit: u64) -> Result<Bytes, CdnError> {
    CappedBody::new(response, limit, usize::MAX).read_all(limit).await
}

/// Reads the first `limit` bytes of an error's body and leaves the rest. What cannot be read is
/// left out: the status says enough.
pub async fn read_start(mut response: reqwest::Response, limit: usize) -> Bytes {
    let mut start = Vec::new();
    while start.len() < limit {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = limit - start.len();
                start.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Ok(None) | Err(_) => break,
        }
    }
    start.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn body(chunks: &[&'static str], total: u64, piece: usize) -> CappedBody {
        let chunks: Vec<_> = chunks.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect();
        CappedBody::from_chunks(Box::pin(futures::stream::iter(chunks)), total, piece)
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_limit() {
        assert_eq!(body(&["ab", "", "cd"], 4, 1).read_all(4).await.unwrap(), "abcd");
        let error = body(&["ab", "cde"], 4, 1).read_all(9).await.unwrap_err();
        assert_eq!(error, CdnError::Unreadable("longer than 4 bytes".to_owned()));
        assert!(body(&["ab", "cde"], 9, 1).read_all(4).await.is_err());
    }

    #[tokio::test]
    async fn a_piece_that_does_not_end_is_an_error() {
        let mut reader = body(&["aaaa", "bbbb", "cccc"], 100, 5);
        let mut text = Vec::new();
        let error = reader.read_to_end(&mut text).await.unwrap_err();
        assert!(matches!(body_error(&error), CdnError::Unreadable(_)));
        assert_eq!(text, b"aaaabbbb");
        reader.begin_piece();
        reader.read_to_end(&mut text).await.unwrap();
        assert_eq!(text, b"aaaabbbbcccc");
    }

    #[tokio::test]
    async fn a_cut_body_is_transient() {
        let cut = CdnError::Transient("the connection broke".to_owned());
        let chunks = vec![Ok(Bytes::from_static(b"ab")), Err(cut.clone())];
        let reader = CappedBody::from_chunks(Box::pin(futures::stream::iter(chunks)), 9, 9);
        assert_eq!(reader.read_all(9).await.unwrap_err(), cut);
    }

    #[tokio::test]
    async fn white_space_before_the_first_byte_is_skipped() {
        let mut reader = body(&["  ", "\r\n", " <a/>"], 100, 100);
        assert_eq!(reader.peek_first().await.unwrap(), Some(b'<'));
        assert_eq!(reader.read_all(100).await.unwrap(), "<a/>");
        assert_eq!(body(&[" "], 100, 100).peek_first().await.unwrap(), None);
    }
}
