//! The rows that are the queue: tasks, the requests that were made to a vendor for them, and when to
//! ask a vendor again.
//!
//! `task.due_at` is both the next try and the end of a lease: claiming a row writes the lease's owner
//! and moves `due_at` to its end, so a lease that runs out is due again by itself. One request to the
//! vendor may serve several tasks and a large task takes several requests, hence `task_submission`,
//! which says which of the task's URLs (counted from 0) went with which request.
//! Tasks have no foreign keys: they outlive what they point at, and the hot insert stays cheap.

use crate::table::{big, create, drop, id, long_text, number, optional_big, optional_text, primary, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let task = table("task")
            .col(text("id", 26))
            .col(big("user_id"))
            .col(big("cdn_id"))
            .col(big("property_id"))
            .col(text("kind", 8))
            .col(text("state", 8))
            .col(text("step", 8))
            .col(number("percent"))
            .col(long_text("urls"))
            .col(number("url_count"))
            .col(number("submitted_count"))
            .col(number("fetched_count"))
            .col(number("attempts"))
            .col(big("due_at"))
            .col(optional_text("lease_owner", 64))
            .col(long_text("vendor_ids"))
            .col(long_text("fetch_failures"))
            .col(optional_text("message", 2000))
            .col(text("request_id", 64))
            .col(big("created_at"))
            .col(optional_big("ended_at"))
            .primary_key(&mut primary(&["id"]))
            .to_owned();
        let indexes: &[(&str, &[&str], bool)] = &[
            ("task_list", &["user_id", "kind", "id"], false),
            ("task_due", &["cdn_id", "step", "kind", "due_at"], false),
        ];
        create(manager, "task", task, indexes).await?;

        let submission = table("submission")
            .col(id())
            .col(big("cdn_id"))
            .col(big("property_id"))
            .col(text("vendor_id", 255))
            .col(text("state", 8))
            .col(number("percent"))
            .col(big("submitted_at"))
            .col(optional_big("seen_at"))
            .col(optional_text("message", 2000))
            .to_owned();
        let open: &[(&str, &[&str], bool)] = &[("submission_open", &["state", "property_id"], false)];
        create(manager, "submission", submission, open).await?;

        let link = table("task_submission")
            .col(text("task_id", 26))
            .col(big("submission_id"))
            .col(number("first_url"))
            .col(number("url_count"))
            .primary_key(&mut primary(&["task_id", "submission_id"]))
            .to_owned();
        let by_submission: &[(&str, &[&str], bool)] = &[("task_submission_submission", &["submission_id"], false)];
        create(manager, "task_submission", link, by_submission).await?;

        let poll = table("property_poll")
            .col(big("property_id"))
            .col(big("cdn_id"))
            .col(big("due_at"))
            .primary_key(&mut primary(&["property_id"]))
            .to_owned();
        let due: &[(&str, &[&str], bool)] = &[("property_poll_due", &["cdn_id", "due_at"], false)];
        create(manager, "property_poll", poll, due).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["property_poll", "task_submission", "submission", "task"]).await
    }
}
