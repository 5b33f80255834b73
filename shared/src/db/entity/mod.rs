//! The rows, one file a table; private to `db`, so that no other layer depends on columns.
//!
//! The columns and their reasons stand in the migrations; these structs only mirror them.

pub(super) mod access_group;
pub(super) mod cdn;
pub(super) mod company;
pub(super) mod idempotency;
pub(super) mod login_failure;
pub(super) mod ops_account;
pub(super) mod property;
pub(super) mod property_poll;
pub(super) mod schedule_run;
pub(super) mod service;
pub(super) mod session;
pub(super) mod submission;
pub(super) mod task;
pub(super) mod user;
pub(super) mod user_domain;
