//! `overseas openapi`: writes the OpenAPI document to standard output, as `openapi.yaml` holds it.
//!
//! Made from the code alone: it reads no settings and needs no database, so that it runs anywhere.
//! Called by `main`; `.ci/run` compares what it writes with the file.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use overseas_api::document::Document;

pub(crate) fn run() {
    print!("{}", Document::new().text());
}
