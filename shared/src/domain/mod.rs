//! Pure types and rules: no I/O, no clock, no database.
//!
//! Raw strings become these types once, at the edge (a handler, a vendor's answer, a row); below
//! it nothing is checked again. Everything here can be tested without a server, so the rules that
//! are easy to get wrong (what a URL means, how a task moves) are held by property tests.

pub mod address;
pub mod catalogue;
pub mod city;
mod failure;
pub mod log;
pub mod name;
pub mod purge_url;
pub mod task;
pub mod usage;
pub mod user;
pub mod webhook;

pub use failure::{UrlFailure, failures_among};
pub use name::{DomainName, EmailAddress, NameError};
pub use purge_url::{PurgeTarget, PurgeUrl, UrlError};
pub use task::{Kind, State, Step};
pub use user::{Principal, Scope, TokenScope, TokenScopes};
