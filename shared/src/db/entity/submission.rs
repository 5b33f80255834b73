use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "submission")]
pub(in crate::db) struct Model {
    #[sea_orm(primary_key)]
    pub(in crate::db) id: i64,
    pub(in crate::db) cdn_id: i64,
    pub(in crate::db) property_id: i64,
    pub(in crate::db) vendor_id: String,
    pub(in crate::db) state: String,
    pub(in crate::db) percent: i32,
    pub(in crate::db) submitted_at: i64,
    pub(in crate::db) seen_at: Option<i64>,
    pub(in crate::db) message: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::db) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
