//! What there is to drive: the CDNs, the vendors' catalogues as last read, and who is mapped to what.
//!
//! A mapping names a domain, not a property: a domain may be mapped before the vendor lists it, and
//! it keeps its mapping when the vendor drops it for a while. Properties are never deleted by a
//! synchronisation, only marked as not listed, so that tasks and statistics keep their owner.

use crate::table::{big, create, drop, flag, foreign, id, optional_text, primary, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let cdn = table("cdn").col(id()).col(text("name", 64)).col(big("created_at")).to_owned();
        create(manager, "cdn", cdn, &[("cdn_name", &["name"], true)]).await?;

        let group = table("access_group")
            .col(id())
            .col(big("cdn_id"))
            .col(text("vendor_id", 64))
            .col(text("name", 255))
            .col(optional_text("parent_vendor_id", 64))
            .col(flag("listed"))
            .col(big("seen_at"))
            .foreign_key(&mut foreign("access_group", "cdn_id", "cdn"))
            .to_owned();
        let unique: &[(&str, &[&str], bool)] = &[("access_group_vendor_id", &["cdn_id", "vendor_id"], true)];
        create(manager, "access_group", group, unique).await?;

        let service = table("service")
            .col(id())
            .col(big("access_group_id"))
            .col(text("vendor_id", 64))
            .col(text("product", 64))
            .col(flag("listed"))
            .col(big("seen_at"))
            .foreign_key(&mut foreign("service", "access_group_id", "access_group"))
            .to_owned();
        let unique: &[(&str, &[&str], bool)] = &[("service_vendor_id", &["access_group_id", "vendor_id"], true)];
        create(manager, "service", service, unique).await?;

        let property = table("property")
            .col(id())
            .col(big("cdn_id"))
            .col(big("service_id"))
            .col(text("vendor_ref", 384))
            .col(text("name", 255))
            .col(text("product", 64))
            .col(flag("active"))
            .col(flag("caching"))
            .col(flag("listed"))
            .col(big("seen_at"))
            .foreign_key(&mut foreign("property", "cdn_id", "cdn"))
            .foreign_key(&mut foreign("property", "service_id", "service"))
            .to_owned();
        let indexes: &[(&str, &[&str], bool)] =
            &[("property_vendor_ref", &["cdn_id", "vendor_ref"], true), ("property_name", &["name"], false)];
        create(manager, "property", property, indexes).await?;

        let user_cdn = table("user_cdn")
            .col(big("user_id"))
            .col(big("cdn_id"))
            .primary_key(&mut primary(&["user_id", "cdn_id"]))
            .foreign_key(&mut foreign("user_cdn", "user_id", "user"))
            .foreign_key(&mut foreign("user_cdn", "cdn_id", "cdn"))
            .to_owned();
        create(manager, "user_cdn", user_cdn, &[]).await?;

        let user_domain = table("user_domain")
            .col(big("user_id"))
            .col(text("domain", 255))
            .col(big("cdn_id"))
            .primary_key(&mut primary(&["user_id", "domain", "cdn_id"]))
            .foreign_key(&mut foreign("user_domain", "user_id", "user"))
            .foreign_key(&mut foreign("user_domain", "cdn_id", "cdn"))
            .to_owned();
        create(manager, "user_domain", user_domain, &[("user_domain_domain", &["domain"], false)]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["user_domain", "user_cdn", "property", "service", "access_group", "cdn"]).await
    }
}
