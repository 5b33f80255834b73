//! Migrations: run, undo, look; and the refusal to work on a schema of another version.
//!
//! Called by `overseas migrate`, by the embedded start, and by api and worker before they serve.

use crate::db::{Database, DbError, rows};
use overseas_migration::{Migrator, MigratorTrait};
use sea_orm::FromQueryResult;
use std::collections::BTreeSet;

/// How the database's schema compares with what this program knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// They are the same.
    Current,
    /// These steps have not run yet.
    Older(Vec<String>),
    /// These steps are unknown here: a newer program has migrated the database.
    Newer(Vec<String>),
}

impl SchemaState {
    /// What an operator should do, or `None` when nothing is wrong.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Current => None,
            Self::Older(steps) => Some(format!(
                "the database's schema is older than this program ({} step(s) missing, the first is {}): run `overseas migrate up`",
                steps.len(),
                steps.first().map_or("", String::as_str)
            )),
            Self::Newer(steps) => Some(format!(
                "the database's schema is newer than this program (it has {}): start the newer program, or undo with its `overseas migrate down`",
                steps.join(", ")
            )),
        }
    }
}

/// One step and whether it has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepStatus {
    /// The step's name, which begins with its date.
    pub name: String,
    /// Whether it has run on this database.
    pub applied: bool,
}

#[derive(FromQueryResult)]
struct Applied {
    version: String,
}

/// All steps that this program or the database knows.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn status(db: &Database) -> Result<Vec<StepStatus>, DbError> {
    let applied = applied(db).await?;
    let known: BTreeSet<String> = known();
    Ok(known.union(&applied).map(|name| StepStatus { name: name.clone(), applied: applied.contains(name) }).collect())
}

/// Compares the database with this program.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn state(db: &Database) -> Result<SchemaState, DbError> {
    let (applied, known) = (applied(db).await?, known());
    let newer: Vec<String> = applied.difference(&known).cloned().collect();
    if !newer.is_empty() {
        return Ok(SchemaState::Newer(newer));
    }
    let older: Vec<String> = known.difference(&applied).cloned().collect();
    Ok(if older.is_empty() { SchemaState::Current } else { SchemaState::Older(older) })
}

/// Runs all steps that are missing. On SQLite they are one transaction, on one connection: others would have to notice
/// first that the schema has changed. MySQL ends a transaction with every change of the schema.
///
/// # Errors
/// [`DbError`] when a step fails; on MySQL the steps before it stay.
pub async fn up(db: &Database) -> Result<(), DbError> {
    if db.is_mysql() {
        return Ok(Migrator::up(&db.connection, None).await?);
    }
    let tx = db.begin().await?;
    Migrator::up(&tx, None).await?;
    Ok(tx.commit().await?)
}

/// Undoes the last `steps` steps, in the same way.
///
/// # Errors
/// [`DbError`] when a step fails.
pub async fn down(db: &Database, steps: u32) -> Result<(), DbError> {
    if db.is_mysql() {
        return Ok(Migrator::down(&db.connection, Some(steps)).await?);
    }
    let tx = db.begin().await?;
    Migrator::down(&tx, Some(steps)).await?;
    Ok(tx.commit().await?)
}

fn known() -> BTreeSet<String> {
    Migrator::migrations().iter().map(|step| step.name().to_owned()).collect()
}

async fn applied(db: &Database) -> Result<BTreeSet<String>, DbError> {
    let table = if db.is_mysql() {
        "SELECT TABLE_NAME AS version FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'seaql_migrations'"
    } else {
        "SELECT name AS version FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'"
    };
    if rows::<Applied>(&db.connection, table.to_owned(), vec![]).await?.is_empty() {
        return Ok(BTreeSet::new());
    }
    let applied: Vec<Applied> = rows(&db.connection, "SELECT version FROM seaql_migrations".to_owned(), vec![]).await?;
    Ok(applied.into_iter().map(|row| row.version).collect())
}
