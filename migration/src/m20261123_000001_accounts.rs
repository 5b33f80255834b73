//! Who may call: the ops directory (companies and their accounts), users, sessions, and the count of
//! failed logins that slows guessing down.
//!
//! Of a token only the SHA-256 is stored, of a password only the argon2id hash.

use crate::table::{
    big, create, digest, drop, flag, foreign, id, number, optional_big, optional_text, primary, table, text,
};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let company = table("company")
            .col(id())
            .col(text("name", 255))
            .col(text("alias", 255))
            .col(text("owner_name", 255))
            .col(text("owner_email", 254))
            .col(big("created_at"))
            .to_owned();
        create(manager, "company", company, &[("company_name", &["name"], true)]).await?;

        let account = table("ops_account")
            .col(text("email", 254))
            .col(big("company_id"))
            .col(big("created_at"))
            .primary_key(&mut primary(&["email"]))
            .foreign_key(&mut foreign("ops_account", "company_id", "company"))
            .to_owned();
        create(manager, "ops_account", account, &[]).await?;

        let user = table("user")
            .col(id())
            .col(text("email", 254))
            .col(text("role", 8))
            .col(optional_text("password_hash", 255))
            .col(flag("operate_right"))
            .col(big("created_at"))
            .col(optional_big("last_login_at"))
            .to_owned();
        create(manager, "user", user, &[("user_email", &["email"], true)]).await?;

        let session = table("session")
            .col(digest("token_hash"))
            .col(big("user_id"))
            .col(big("created_at"))
            .col(big("expires_at"))
            .primary_key(&mut primary(&["token_hash"]))
            .foreign_key(&mut foreign("session", "user_id", "user"))
            .to_owned();
        create(manager, "session", session, &[("session_expires_at", &["expires_at"], false)]).await?;

        let failure = table("login_failure")
            .col(text("subject", 300))
            .col(number("failures"))
            .col(big("last_failed_at"))
            .col(big("blocked_until"))
            .primary_key(&mut primary(&["subject"]))
            .to_owned();
        create(manager, "login_failure", failure, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["login_failure", "session", "user", "ops_account", "company"]).await
    }
}
