use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task")]
pub(in crate::db) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) id: String,
    pub(in crate::db) user_id: i64,
    pub(in crate::db) cdn_id: i64,
    pub(in crate::db) property_id: i64,
    pub(in crate::db) kind: String,
    pub(in crate::db) state: String,
    pub(in crate::db) step: String,
    pub(in crate::db) percent: i32,
    pub(in crate::db) urls: String,
    pub(in crate::db) url_count: i32,
    pub(in crate::db) submitted_count: i32,
    pub(in crate::db) fetched_count: i32,
    pub(in crate::db) attempts: i32,
    pub(in crate::db) due_at: i64,
    pub(in crate::db) lease_owner: Option<String>,
    pub(in crate::db) vendor_ids: String,
    pub(in crate::db) fetch_failures: String,
    pub(in crate::db) message: Option<String>,
    pub(in crate::db) request_id: String,
    pub(in crate::db) created_at: i64,
    pub(in crate::db) ended_at: Option<i64>,
    pub(in crate::db) tried_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::db) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
