//! `overseas openapi`: writes the OpenAPI document to standard output, as `openapi.yaml` holds it.
//!
//! Made from the code alone: it reads no settings and needs no database, so that it runs anywhere.
//! Called by `main`; `.ci/run` compares what it writes with the file.

use anyhow::Result;
use overseas_api::document::Document;
use std::io::{ErrorKind, Write};

pub(crate) fn run() -> Result<()> {
    match std::io::stdout().write_all(Document::new().text().as_bytes()) {
        // A reader that has gone away, such as `head`, does not matter; a disk that is full does.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
