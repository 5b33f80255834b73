//! Daily access logs: one row for each property and UTC day, which is both what is known of the day's file and the
//! work on it.
//!
//! `due_at` is the next try and the end of a lease, as for tasks; it is null when there is nothing to do. `log_object`
//! names what lies in the store without belonging to a day any more, or not yet: it is noted before a file is
//! written and taken out when a day points to it, so that nothing in the store is ever forgotten. `signing_key` holds
//! what download links are signed with, the same for all API processes. Called by the list of steps in `lib`.

use crate::table::{big, create, digest, drop, foreign, number, optional_big, optional_text, primary, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let day = table("log_day")
            .col(big("property_id"))
            .col(number("day"))
            .col(big("cdn_id"))
            .col(text("state", 8))
            .col(optional_text("object", 255))
            .col(big("size"))
            .col(big("line_count"))
            .col(optional_text("sha256", 64))
            .col(number("file_count"))
            .col(optional_text("listing", 64))
            .col(optional_text("problem", 2000))
            .col(number("attempts"))
            .col(optional_big("due_at"))
            .col(optional_text("lease_owner", 64))
            .col(big("created_at"))
            .col(optional_big("made_at"))
            .primary_key(&mut primary(&["property_id", "day"]))
            .foreign_key(&mut foreign("log_day", "property_id", "property"))
            .to_owned();
        let indexes: &[(&str, &[&str], bool)] =
            &[("log_day_due", &["cdn_id", "due_at"], false), ("log_day_day", &["day"], false)];
        create(manager, "log_day", day, indexes).await?;

        let object = table("log_object")
            .col(text("object", 255))
            .col(big("remove_at"))
            .primary_key(&mut primary(&["object"]))
            .to_owned();
        create(manager, "log_object", object, &[("log_object_remove_at", &["remove_at"], false)]).await?;

        let key = table("signing_key")
            .col(text("name", 64))
            .col(digest("secret"))
            .primary_key(&mut primary(&["name"]))
            .to_owned();
        create(manager, "signing_key", key, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["signing_key", "log_object", "log_day"]).await
    }
}
