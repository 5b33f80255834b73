use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency")]
pub(in crate::db) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) caller: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) idempotency_key: String,
    pub(in crate::db) request_hash: Vec<u8>,
    pub(in crate::db) answer: String,
    pub(in crate::db) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::db) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
