//! `overseas openapi`: the document that `openapi.yaml` holds.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use overseas_api::document::Document;

pub(crate) fn run() {
    print!("{}", Document::new().text());
}
