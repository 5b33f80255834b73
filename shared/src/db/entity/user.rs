use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub(in crate::db) struct Model {
    #[sea_orm(primary_key)]
    pub(in crate::db) id: i64,
    pub(in crate::db) email: String,
    pub(in crate::db) role: String,
    pub(in crate::db) password_hash: Option<String>,
    pub(in crate::db) operate_right: bool,
    pub(in crate::db) created_at: i64,
    pub(in crate::db) last_login_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::db) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
