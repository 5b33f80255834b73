//! Usage by the day: a UTC day's 288 five-minute values of a property packed into one value, with the day's
//! totals and peak beside it in plain columns; the same for each city.
//!
//! Rows grow with properties and days, not with points. `day` is the number of days since 1970. The index over
//! the cities' totals holds all that a sum over whole days needs, so the packs are not touched for it.
//! `property_usage` is the row that collectors of one property lock. Called by the list of steps in `lib`.

use crate::table::{big, blob, create, drop, foreign, id, number, optional_big, primary, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let city = table("city").col(id()).col(text("name", 255)).to_owned();
        create(manager, "city", city, &[("city_name", &["name"], true)]).await?;

        let state = table("property_usage")
            .col(big("property_id"))
            .col(optional_big("backfilled_to"))
            .col(optional_big("latest"))
            .primary_key(&mut primary(&["property_id"]))
            .foreign_key(&mut foreign("property_usage", "property_id", "property"))
            .to_owned();
        create(manager, "property_usage", state, &[]).await?;

        let day = table("usage_day")
            .col(big("property_id"))
            .col(number("day"))
            .col(big("total_bytes"))
            .col(big("total_requests"))
            .col(big("peak_bytes"))
            .col(blob("bytes"))
            .col(blob("requests"))
            .primary_key(&mut primary(&["property_id", "day"]))
            .foreign_key(&mut foreign("usage_day", "property_id", "property"))
            .to_owned();
        create(manager, "usage_day", day, &[("usage_day_day", &["day"], false)]).await?;

        let city_day = table("usage_city_day")
            .col(big("property_id"))
            .col(number("day"))
            .col(big("city_id"))
            .col(big("total_bytes"))
            .col(big("total_requests"))
            .col(blob("bytes"))
            .col(blob("requests"))
            .primary_key(&mut primary(&["property_id", "day", "city_id"]))
            .foreign_key(&mut foreign("usage_city_day", "property_id", "property"))
            .to_owned();
        let indexes: &[(&str, &[&str], bool)] = &[
            ("usage_city_day_totals", &["property_id", "day", "city_id", "total_bytes", "total_requests"], false),
            ("usage_city_day_day", &["day"], false),
        ];
        create(manager, "usage_city_day", city_day, indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["usage_city_day", "usage_day", "property_usage", "city"]).await
    }
}
