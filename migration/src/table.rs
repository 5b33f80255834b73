//! The words that the steps are written in: columns of the kinds that this schema uses, and a table
//! with the right engine and collation.
//!
//! A word that a landed step uses keeps its meaning, since a change here would change that step too; for
//! another meaning there is another word. Called by the steps only.

use sea_orm_migration::prelude::*;

/// A table; `create` adds the engine and the byte-wise text comparison where the database has such options.
pub(crate) fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).to_owned()
}

pub(crate) fn id() -> ColumnDef {
    ColumnDef::new(Alias::new("id")).big_integer().not_null().auto_increment().primary_key().to_owned()
}

pub(crate) fn big(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().not_null().to_owned()
}

pub(crate) fn optional_big(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().null().to_owned()
}

pub(crate) fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).integer().not_null().to_owned()
}

pub(crate) fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).boolean().not_null().to_owned()
}

pub(crate) fn text(name: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).string_len(length).not_null().to_owned()
}

pub(crate) fn optional_text(name: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).string_len(length).null().to_owned()
}

/// Text of up to 16 MiB; SQLite reads the word as plain text.
pub(crate) fn long_text(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).custom("MEDIUMTEXT").not_null().to_owned()
}

/// Bytes, at most 65,535 of them.
pub(crate) fn blob(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).blob().not_null().to_owned()
}

/// 32 bytes: a SHA-256.
pub(crate) fn digest(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).binary_len(32).not_null().to_owned()
}

pub(crate) fn primary(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().primary().to_owned();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

pub(crate) fn foreign(from: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{from}_{column}"))
        .from(Alias::new(from), Alias::new(column))
        .to(Alias::new(to), Alias::new("id"))
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

/// Makes `table`, then its further indexes: `(name, columns, unique)`.
pub(crate) async fn create(
    manager: &SchemaManager<'_>,
    name: &'static str,
    mut statement: TableCreateStatement,
    indexes: &[(&'static str, &[&'static str], bool)],
) -> Result<(), DbErr> {
    if manager.get_database_backend() == sea_orm_migration::sea_orm::DbBackend::MySql {
        statement.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
    }
    manager.create_table(statement).await?;
    for (index_name, columns, unique) in indexes {
        let mut index = Index::create().name(*index_name).table(Alias::new(name)).to_owned();
        for column in *columns {
            index.col(Alias::new(*column));
        }
        if *unique {
            index.unique();
        }
        manager.create_index(index).await?;
    }
    Ok(())
}

/// Drops tables, in the order given.
pub(crate) async fn drop(manager: &SchemaManager<'_>, names: &[&'static str]) -> Result<(), DbErr> {
    for name in names {
        manager.drop_table(Table::drop().table(Alias::new(*name)).if_exists().to_owned()).await?;
    }
    Ok(())
}
