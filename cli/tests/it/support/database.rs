//! A database for each test, and ways to look at it and change it behind the product's back.
//!
//! SQLite is a file in the test's folder. On MariaDB it is a new database with a unique name on the server
//! that `script/test` started; none is dropped, since the server goes when the tests have ended.
//! Called by `world`, and by tests that need a database without a world.

use overseas_shared::db::{Database, schema};
use sqlx::Connection;
use std::path::Path;
use std::time::Duration;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Mariadb,
}

/// A server that `script/test` started.
pub fn server(variable: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "how script/test tells where its servers are")]
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run the tests with script/test"))
}

/// The seed of a test's chances, printed so that a failure can be tried again: `OVERSEAS_TEST_SEED`, or else any.
pub fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting, not one of the product")]
    let wanted = std::env::var("OVERSEAS_TEST_SEED").ok();
    let seed = wanted.map_or_else(rand::random, |text| text.parse().expect("OVERSEAS_TEST_SEED is a number"));
    eprintln!("OVERSEAS_TEST_SEED={seed}");
    seed
}

/// The address of an empty database that no other test uses.
pub async fn fresh_url(kind: Kind, folder: &Path) -> String {
    match kind {
        Kind::Sqlite => format!("sqlite://{}", folder.join("test.db").display()),
        Kind::Mariadb => on_server(&server("OVERSEAS_TEST_MYSQL")).await,
    }
}

/// Makes a database on a MariaDB server.
pub async fn on_server(base: &str) -> String {
    let name = format!("t{}", ulid::Ulid::generate().to_string().to_lowercase());
    let mut connection = sqlx::MySqlConnection::connect(&format!("{base}/mysql")).await.unwrap();
    let sql = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    format!("{base}/{name}")
}

pub async fn connect(url: &str) -> Database {
    Database::connect(url, 8, Duration::from_secs(5)).await.unwrap()
}

/// A connection to a migrated database.
pub async fn migrated(url: &str) -> Database {
    let db = connect(url).await;
    schema::up(&db).await.unwrap();
    db
}

/// One number that a query answers, for looking behind the product's back.
pub async fn number(url: &str, sql: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    if let Some(path) = url.strip_prefix("sqlite://") {
        let mut connection = sqlx::SqliteConnection::connect(path).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    } else {
        let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }
}

/// Changes rows behind the product's back.
pub async fn execute(url: &str, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    if let Some(path) = url.strip_prefix("sqlite://") {
        let mut connection = sqlx::SqliteConnection::connect(path).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
}

/// One text that a query answers on MariaDB.
pub async fn text(url: &str, sql: &str) -> String {
    let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::query_scalar::<_, Option<String>>(sql).fetch_one(&mut connection).await.unwrap().unwrap_or_default()
}

/// The plan of a query on MariaDB: for each table the kind of access, the index, and what else is said.
pub async fn explain(url: &str, query: &str) -> std::collections::HashMap<String, (String, String, String)> {
    use sqlx::Row;
    let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
    let tables = sqlx::AssertSqlSafe("ANALYZE TABLE usage_day, usage_city_day".to_owned());
    sqlx::query(tables).fetch_all(&mut connection).await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("EXPLAIN {query}"));
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    let text =
        |row: &sqlx::mysql::MySqlRow, name: &str| row.try_get::<Option<String>, _>(name).unwrap().unwrap_or_default();
    rows.iter().map(|row| (text(row, "table"), (text(row, "type"), text(row, "key"), text(row, "Extra")))).collect()
}
