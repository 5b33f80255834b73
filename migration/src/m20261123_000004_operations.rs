//! What keeps several processes in step and leaves a trace: idempotency keys, the audit trail, which
//! scheduled run belongs to whom, and leases of shared things such as the calls to one account.
//!
//! Primary keys decide who is first: one answer for (caller, key), one run for (job, period), one holder
//! for a lease's name. The audit trail has no foreign keys, so that it outlives what it speaks of.
//! Called by the list of steps in `lib`.

use crate::table::{big, create, digest, drop, id, long_text, optional_big, optional_text, primary, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let idempotency = table("idempotency")
            .col(text("caller", 300))
            .col(text("idempotency_key", 255))
            .col(digest("request_hash"))
            .col(long_text("answer"))
            .col(big("created_at"))
            .primary_key(&mut primary(&["caller", "idempotency_key"]))
            .to_owned();
        let by_age: &[(&str, &[&str], bool)] = &[("idempotency_created_at", &["created_at"], false)];
        create(manager, "idempotency", idempotency, by_age).await?;

        let audit = table("audit")
            .col(id())
            .col(big("at"))
            .col(text("actor", 300))
            .col(text("address", 64))
            .col(text("action", 64))
            .col(text("target", 512))
            .col(long_text("detail"))
            .col(text("request_id", 64))
            .to_owned();
        create(manager, "audit", audit, &[("audit_at", &["at"], false)]).await?;

        let run = table("schedule_run")
            .col(text("job", 64))
            .col(big("period"))
            .col(text("owner", 64))
            .col(big("started_at"))
            .col(optional_big("ended_at"))
            .col(optional_text("message", 2000))
            .primary_key(&mut primary(&["job", "period"]))
            .to_owned();
        create(manager, "schedule_run", run, &[]).await?;

        let lease = table("lease")
            .col(text("name", 128))
            .col(text("owner", 64))
            .col(big("expires_at"))
            .primary_key(&mut primary(&["name"]))
            .to_owned();
        create(manager, "lease", lease, &[]).await?;

        let epoch =
            table("epoch").col(text("name", 64)).col(big("number")).primary_key(&mut primary(&["name"])).to_owned();
        create(manager, "epoch", epoch, &[]).await?;
        let first = Query::insert()
            .into_table(Alias::new("epoch"))
            .columns([Alias::new("name"), Alias::new("number")])
            .values_panic(["access".into(), 1.into()])
            .to_owned();
        manager.execute(first).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["epoch", "lease", "schedule_run", "audit", "idempotency"]).await
    }
}
