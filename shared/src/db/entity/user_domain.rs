use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_domain")]
pub(in crate::db) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) user_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) domain: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) cdn_id: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::db) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
