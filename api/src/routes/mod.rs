//! One file a resource: its parameter and answer types, and its handlers, together.

pub mod accounts;
pub mod mappings;
pub mod operations;
pub mod purge;
pub mod sessions;

use poem_openapi::Tags;

/// The groups of the document.
#[derive(Tags)]
pub enum Group {
    /// Who is calling.
    Session,
    /// Refresh and preload URLs, and follow the tasks.
    Tasks,
    /// Which user may act on which domain, at which CDN.
    Mapping,
    /// Companies, their accounts and users; staff only.
    Accounts,
    /// For those who run the service.
    Operations,
}
