//! What staff look at: tasks by state, which failed task was tried again as which, and how each account's vendor fares.
//!
//! A task is tried again once: its row in `task_retry` is unique. `vendor_state` is written by the workers every few
//! seconds, each column by whoever knows something newer. Called by the list of steps in `lib`.

use crate::table::{big, create, drop, foreign, optional_big, optional_text, primary, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_state = Index::create()
            .name("task_state")
            .table(Alias::new("task"))
            .col(Alias::new("state"))
            .col(Alias::new("id"))
            .to_owned();
        manager.create_index(by_state).await?;

        let retry = table("task_retry")
            .col(text("task_id", 26))
            .col(text("retried_as", 26))
            .col(big("retried_at"))
            .primary_key(&mut primary(&["task_id"]))
            .to_owned();
        create(manager, "task_retry", retry, &[("task_retry_at", &["retried_at"], false)]).await?;

        let vendor = table("vendor_state")
            .col(big("cdn_id"))
            .col(optional_big("succeeded_at"))
            .col(optional_big("failed_at"))
            .col(optional_text("failed_operation", 64))
            .col(optional_text("failure", 2000))
            .col(optional_big("synced_at"))
            .col(optional_big("credits"))
            .col(optional_big("credits_at"))
            .col(optional_big("paused_until"))
            .primary_key(&mut primary(&["cdn_id"]))
            .foreign_key(&mut foreign("vendor_state", "cdn_id", "cdn"))
            .to_owned();
        create(manager, "vendor_state", vendor, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["vendor_state", "task_retry"]).await?;
        manager.drop_index(Index::drop().name("task_state").table(Alias::new("task")).to_owned()).await
    }
}
