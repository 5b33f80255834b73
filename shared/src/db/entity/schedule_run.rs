use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schedule_run")]
pub(in crate::db) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) job: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::db) period: i64,
    pub(in crate::db) owner: String,
    pub(in crate::db) started_at: i64,
    pub(in crate::db) ended_at: Option<i64>,
    pub(in crate::db) message: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::db) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
