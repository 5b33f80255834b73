//! Answers, whole ones and those that a fault spoils on their way out.
//!
//! A server makes a [`Reply`] as if nothing were wrong; [`spoiled`] turns it into what the fault's rule wants. A long
//! body comes in pieces that are made while it is sent, and a huge one from one static block: neither costs memory.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use poem::http::{StatusCode, header};
use poem::{Body, Response};

use crate::faults::{FaultKind, FaultRule};
use crate::record::InFlight;

pub(crate) const XML: &str = "text/xml;charset=UTF-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

static BLOCK: [u8; 64 << 10] = [b' '; 64 << 10];

/// The language of the answers that are spoiled.
pub(crate) struct Spoiling {
    content_type: &'static str,
    /// Every way to parse this fails: something unclosed, a control character, bytes that are no UTF-8.
    garbage: &'static [u8],
    /// What stands in for the answer to a request that had no effect because its connection was cut.
    cut_before_effect: &'static [u8],
    /// Where a huge answer begins.
    huge_start: &'static [u8],
}

/// Spoiled answers of a vendor that answers XML, and of the edge.
pub(crate) const SPOILED_XML: Spoiling = Spoiling {
    content_type: XML,
    garbage: b"<accessGroup id=<<\x00\xff\xfe}{ 502 bad weather",
    cut_before_effect: b"<accessGroup id=\"\" name=\"\"><apiCorrelationId>CDNPortal</apiCorrelationId></accessGroup>",
    huge_start: b"<accessGroup id=\"1\" name=\"huge\"><apiCorrelationId>CDNPortal</apiCorrelationId>",
};

/// Spoiled answers of a vendor that answers JSON.
pub(crate) const SPOILED_JSON: Spoiling = Spoiling {
    content_type: JSON,
    garbage: b"{\"Response\":{\"RequestId\":<\x00\xff\xfe}{ 502 bad weather",
    cut_before_effect: b"{\"Response\":{\"TaskId\":\"\",\"RequestId\":\"00000000-0000-0000-0000-000000000000\"}}",
    huge_start: b"{\"Response\":{\"RequestId\":\"00000000-0000-0000-0000-000000000000\",",
};

/// How much of a body in pieces is made for an answer that is cut.
const CUT_FROM: usize = 1 << 20;

/// A body that is made while it is sent; an empty piece only lets other requests have their turn.
type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

enum Content {
    Whole(Bytes),
    Pieces(Pieces),
}

/// An answer as it is meant.
pub(crate) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    content: Content,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, content: Content::Whole(body.into()) }
    }

    pub(crate) fn in_pieces(
        status: StatusCode,
        content_type: &'static str,
        pieces: impl Iterator<Item = Bytes> + Send + 'static,
    ) -> Self {
        Self { status, content_type, content: Content::Pieces(Box::new(pieces)) }
    }

    /// The answer to a request that is not recorded, or was already.
    pub(crate) fn into_response(self) -> Response {
        self.respond(None)
    }

    /// The answer to a recorded request, which is in progress until the last piece of the body is made.
    pub(crate) fn into_recorded_response(self, flight: InFlight) -> Response {
        self.respond(Some(flight))
    }

    fn respond(self, flight: Option<InFlight>) -> Response {
        let status = self.status.as_u16();
        let body = match self.content {
            Content::Whole(body) => {
                if let Some(flight) = flight {
                    flight.finish(status);
                }
                Body::from(body)
            }
            Content::Pieces(pieces) => {
                let mut flight = flight;
                if let Some(flight) = &mut flight {
                    flight.note(|entry| entry.status = Some(status));
                }
                Body::from_bytes_stream(streamed(pieces, flight))
            }
        };
        Response::builder().status(self.status).header(header::CONTENT_TYPE, self.content_type).body(body)
    }

    /// The body, or the first mebibyte of one in pieces.
    fn beginning(&mut self) -> Bytes {
        match &mut self.content {
            Content::Whole(body) => body.clone(),
            Content::Pieces(pieces) => {
                let mut body = Vec::new();
                while body.len() < CUT_FROM {
                    let Some(piece) = pieces.next() else {
                        break;
                    };
                    body.extend_from_slice(&piece);
                }
                body.into()
            }
        }
    }
}

/// Sends pieces as they are made. The request's end is recorded before the body's end is sent, so that a client which
/// has read the answer finds its request in the record.
fn streamed(pieces: Pieces, flight: Option<InFlight>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold((pieces, flight), |(mut pieces, flight)| async move {
        loop {
            match pieces.next() {
                Some(piece) if piece.is_empty() => tokio::task::yield_now().await,
                Some(piece) => return Some((Ok(piece), (pieces, flight))),
                None => {
                    drop(flight);
                    return None;
                }
            }
        }
    })
}

/// The answer that the fault wants in place of the `normal` one; none if the normal one is to go out as it is. Errors of
/// a vendor's own and empty lists are that vendor's part.
pub(crate) fn spoiled(
    fault: &FaultRule,
    language: &Spoiling,
    normal: Option<&mut Reply>,
    error: impl FnOnce(StatusCode, &str) -> Reply,
) -> Option<Response> {
    let response = match fault.kind {
        FaultKind::Slow | FaultKind::Forget | FaultKind::Error | FaultKind::Empty => return None,
        FaultKind::Forbidden => error(StatusCode::FORBIDDEN, "Forbidden").into_response(),
        FaultKind::Status => {
            let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            error(status, "The service is unavailable").into_response()
        }
        FaultKind::Garbage => Reply::new(StatusCode::OK, language.content_type, language.garbage).into_response(),
        FaultKind::Cut => cut(language, normal),
        FaultKind::Huge => huge(language, fault.bytes.unwrap_or(0)),
    };
    Some(response)
}

/// Declares the whole body, sends half of it, and fails; hyper then closes the connection.
fn cut(language: &Spoiling, normal: Option<&mut Reply>) -> Response {
    let (status, content_type, body) = match normal {
        Some(reply) => (reply.status, reply.content_type, reply.beginning()),
        None => (StatusCode::OK, language.content_type, Bytes::from_static(language.cut_before_effect)),
    };
    let half = body.slice(..body.len() / 2);
    let failure = stream::once(async {
        // The first half has to leave the buffers before the connection goes.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::other("cut by a fault rule"))
    });
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CONTENT_LENGTH, body.len().max(1))
        .body(Body::from_bytes_stream(stream::iter([Ok(half)]).chain(failure)))
}

/// No declared length: a client finds out by reading, and has to have a limit of its own.
fn huge(language: &Spoiling, bytes: u64) -> Response {
    let padding = bytes.saturating_sub(language.huge_start.len() as u64);
    let start = stream::iter([Ok(Bytes::from_static(language.huge_start))]);
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, language.content_type)
        .body(Body::from_bytes_stream(start.chain(blocks(padding))))
}

/// A stream of so many bytes.
pub(crate) fn blocks(bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(bytes, |left| async move {
        let size = BLOCK.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        (size > 0).then(|| (Ok(Bytes::from_static(&BLOCK[..size])), left - size as u64))
    })
}
