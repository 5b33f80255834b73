//! The database's schema, step by step, up and down, for MySQL, MariaDB and SQLite alike.
//!
//! Rules: a landed step is never edited, a change is a new step; every step can be undone; text is
//! compared byte by byte on all databases (`utf8mb4_bin`), because names are brought to one form
//! before they are stored; times are UTC milliseconds in 64 bits, since `TIMESTAMP` differs between
//! the databases and ends in 2038. Called by `overseas migrate` and by the embedded start.

pub use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait};

mod m20261123_000001_accounts;
mod m20261123_000002_catalogue;
mod m20261123_000003_tasks;
mod m20261123_000004_operations;
mod m20261123_000005_api_tokens;
mod m20261123_000006_usage;
mod m20261123_000007_logs;
mod m20261123_000008_staff;
mod m20261123_000009_webhooks;
mod m20261124_000010_many_cdns;
mod table;

/// All steps, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_accounts::Migration),
            Box::new(m20261123_000002_catalogue::Migration),
            Box::new(m20261123_000003_tasks::Migration),
            Box::new(m20261123_000004_operations::Migration),
            Box::new(m20261123_000005_api_tokens::Migration),
            Box::new(m20261123_000006_usage::Migration),
            Box::new(m20261123_000007_logs::Migration),
            Box::new(m20261123_000008_staff::Migration),
            Box::new(m20261123_000009_webhooks::Migration),
            Box::new(m20261124_000010_many_cdns::Migration),
        ]
    }
}
