use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "property")]
pub(in crate::db) struct Model {
    #[sea_orm(primary_key)]
    pub(in crate::db) id: i64,
    pub(in crate::db) cdn_id: i64,
    pub(in crate::db) service_id: i64,
    pub(in crate::db) vendor_ref: String,
    pub(in crate::db) name: String,
    pub(in crate::db) product: String,
    pub(in crate::db) active: bool,
    pub(in crate::db) caching: bool,
    pub(in crate::db) listed: bool,
    pub(in crate::db) seen_at: i64,
    pub(in crate::db) areas: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::db) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
