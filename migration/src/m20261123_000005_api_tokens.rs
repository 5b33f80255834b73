//! API tokens, which programs use in place of a login, and indexes for reading the audit trail.
//!
//! Of a token only the SHA-256 is stored. A token that is revoked goes away; what it was and who took it
//! back stands in the audit trail. The trail is read newest first by who did something and to whom.
//! Called by the list of steps in `lib`.

use crate::table::{big, create, digest, drop, foreign, id, number, optional_big, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let token = table("api_token")
            .col(id())
            .col(big("user_id"))
            .col(text("name", 64))
            .col(digest("token_hash"))
            .col(number("scopes"))
            .col(big("created_at"))
            .col(optional_big("expires_at"))
            .col(optional_big("last_used_at"))
            .foreign_key(&mut foreign("api_token", "user_id", "user"))
            .to_owned();
        create(manager, "api_token", token, &[("api_token_hash", &["token_hash"], true)]).await?;
        for (name, column) in [("audit_actor", "actor"), ("audit_target", "target")] {
            let index = Index::create().name(name).table(Alias::new("audit")).col(Alias::new(column)).to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["audit_target", "audit_actor"] {
            manager.drop_index(Index::drop().name(name).table(Alias::new("audit")).to_owned()).await?;
        }
        drop(manager, &["api_token"]).await
    }
}
