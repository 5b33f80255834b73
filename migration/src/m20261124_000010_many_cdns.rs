//! What more than one kind of vendor needs: requests that a vendor takes in part, answers that were lost, and quotas.
//!
//! `task.tried_at` is since when the vendor may have the task without our knowing it: a worker that finds it set looks
//! for the request before it makes it again. `task_submission.message` says which of a task's URLs failed in a request
//! that went well for others. `vendor_state.quotas` is what a vendor said last of what it takes a day, as JSON;
//! `property.areas` are the areas in which that is counted for a property.

use crate::table::{optional_big, optional_text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The new columns, one statement each, since SQLite adds one at a time.
fn columns() -> [(&'static str, ColumnDef); 5] {
    let quotas = ColumnDef::new(Alias::new("quotas")).custom("MEDIUMTEXT").null().to_owned();
    [
        ("task", optional_big("tried_at")),
        ("task_submission", optional_text("message", 2000)),
        ("property", optional_text("areas", 255)),
        ("vendor_state", quotas),
        ("vendor_state", optional_big("quotas_at")),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, mut column) in columns() {
            let change = Table::alter().table(Alias::new(table)).add_column(&mut column).to_owned();
            manager.alter_table(change).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [
            ("vendor_state", "quotas_at"),
            ("vendor_state", "quotas"),
            ("property", "areas"),
            ("task_submission", "message"),
            ("task", "tried_at"),
        ] {
            let change = Table::alter().table(Alias::new(table)).drop_column(Alias::new(column)).to_owned();
            manager.alter_table(change).await?;
        }
        Ok(())
    }
}
