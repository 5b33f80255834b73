//! Completion webhooks: where a user wants to be told, and the messages that tell of ended tasks.
//!
//! `webhook.secret` is kept as it is, since messages are signed with it. A message is the pair of a task and a webhook,
//! so one task makes at most one for each. `due_at` is the next try and the end of a lease, as for tasks; it is null
//! when the message was delivered or given up. A message has no foreign keys: it is written where tasks end, which
//! must not wait for anybody, and what loses its webhook is deleted with it. Called by the list of steps in `lib`.

use crate::table::{
    big, create, digest, drop, flag, foreign, id, number, optional_big, optional_text, primary, table, text,
};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let webhook = table("webhook")
            .col(id())
            .col(big("user_id"))
            .col(text("url", 2048))
            .col(digest("secret"))
            .col(flag("enabled"))
            .col(big("created_at"))
            .col(optional_big("succeeded_at"))
            .col(optional_big("failed_at"))
            .col(optional_text("failure", 2000))
            .col(optional_big("failing_since"))
            .foreign_key(&mut foreign("webhook", "user_id", "user"))
            .to_owned();
        create(manager, "webhook", webhook, &[("webhook_user", &["user_id"], false)]).await?;

        let message = table("webhook_message")
            .col(text("task_id", 26))
            .col(big("webhook_id"))
            .col(text("state", 10))
            .col(number("attempts"))
            .col(optional_big("due_at"))
            .col(optional_text("lease_owner", 64))
            .col(optional_text("problem", 2000))
            .col(big("created_at"))
            .col(optional_big("ended_at"))
            .primary_key(&mut primary(&["task_id", "webhook_id"]))
            .to_owned();
        let indexes: &[(&str, &[&str], bool)] = &[
            ("webhook_message_due", &["webhook_id", "due_at"], false),
            ("webhook_message_waiting", &["due_at"], false),
            ("webhook_message_ended", &["ended_at"], false),
        ];
        create(manager, "webhook_message", message, indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["webhook_message", "webhook"]).await
    }
}
