//! The database: one file of queries a noun, on MySQL, MariaDB and SQLite alike.
//!
//! Rows are the truth of this system: a task exists when its row is committed, and work is claimed
//! by changing rows. Queries over tenants' data take a [`Scope`](crate::domain::Scope). The entities are private, so other
//! layers see domain types only. Called by the API's handlers, the worker's jobs and the commands.

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, FromQueryResult,
    RuntimeErr, SqlErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use std::time::Duration;

pub mod account;
pub mod api_token;
pub mod audit;
pub mod catalogue;
mod entity;
pub mod epoch;
pub mod idempotency;
pub mod lease;
pub mod log;
pub mod login;
pub mod mapping;
pub mod place;
pub mod schedule;
pub mod schema;
pub mod session;
pub mod submission;
pub mod task;
pub mod task_admin;
pub mod usage;
pub mod vendor;
pub mod webhook;

/// How a query failed, by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// The database does not answer; the same request may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Two transactions were in each other's way; trying again helps.
    #[error("two changes met, please try again: {0}")]
    Contended(String),
    /// A uniqueness rule refused the row; holds the database's words, which name the index.
    #[error("the row exists: {0}")]
    Conflict(String),
    /// A row holds what this version does not know.
    #[error("a row cannot be read: {0}")]
    Corrupt(String),
    /// Anything else: a defect.
    #[error("the query failed: {0}")]
    Other(String),
}

impl From<DbErr> for DbError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(what)) = error.sql_err() {
            return Self::Conflict(what);
        }
        let text = error.to_string();
        // 1205 lock wait time-out, 1213 deadlock, 1020 record changed (MariaDB); 5 and 6 are SQLite's busy and locked.
        let contended =
            ["1213 (40001)", "1205 (HY000)", "1020 (HY000)", "database is locked", "database table is locked"];
        if contended.iter().any(|mark| text.contains(mark)) {
            return Self::Contended(text);
        }
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(text),
            DbErr::Query(RuntimeErr::SqlxError(cause)) | DbErr::Exec(RuntimeErr::SqlxError(cause))
                if connection_is_gone(cause) =>
            {
                Self::Unavailable(text)
            }
            _ => Self::Other(text),
        }
    }
}

fn connection_is_gone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        // 1053 server shutdown in progress, 1040 too many connections, 1927 connection was killed.
        sqlx::Error::Database(cause) => {
            let text = cause.to_string();
            ["1053 ", "1040 ", "1927 "].iter().any(|code| text.contains(code))
        }
        _ => false,
    }
}

/// Said once on each connection to MySQL or MariaDB. Row locks are only taken on the rows that are changed, so
/// that claims of several workers pass each other; and a process that was frozen in the middle of a transaction
/// must not hold its locks for long: whoever waits for one gives up soon, and the server ends its connection.
const MYSQL_SESSION: &[&str] = &[
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 5",
    "SET SESSION wait_timeout = 60",
];

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct Database {
    connection: DatabaseConnection,
}

impl Database {
    /// Connects. A folder that is missing for an SQLite file is made.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when nothing answers there.
    pub async fn connect(url: &str, max_connections: u32, acquire: Duration) -> Result<Self, DbError> {
        let sqlite = url.starts_with("sqlite:");
        let mut options = ConnectOptions::new(if sqlite { sqlite_url(url)? } else { url.to_owned() });
        options
            .max_connections(if sqlite { max_connections.min(4) } else { max_connections })
            .min_connections(1)
            .acquire_timeout(acquire)
            .connect_timeout(acquire)
            .idle_timeout(Some(Duration::from_secs(45)))
            .test_before_acquire_if_idle_for(Duration::from_secs(2))
            .sqlx_logging(false);
        options.map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
                .synchronous(sqlx::sqlite::SqliteSynchronous::Normal)
                .busy_timeout(Duration::from_secs(10))
                .foreign_keys(true)
                // KiB for each connection: the rows are small, and the pages of a long run would only fill memory.
                .pragma("cache_size", "-1024")
        });
        options.map_sqlx_mysql_pool_opts(|pool| {
            pool.after_connect(|connection, _| {
                Box::pin(async move {
                    for setting in MYSQL_SESSION {
                        sqlx::Executor::execute(&mut *connection, *setting).await?;
                    }
                    // MariaDB has it, MySQL does not, and there the `wait_timeout` does the same more slowly.
                    let _ = sqlx::Executor::execute(connection, "SET SESSION idle_transaction_timeout = 10").await;
                    Ok(())
                })
            })
        });
        let connection = sea_orm::Database::connect(options).await?;
        Ok(Self { connection })
    }

    /// Whether a trivial query is answered.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when it is not.
    pub async fn ping(&self) -> Result<(), DbError> {
        Ok(self.connection.ping().await?)
    }

    /// Gives all connections back. Queries that wait for one fail; one that is under way gets a moment.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.close_by_ref()).await;
    }

    /// The kind of database, as it calls itself.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.is_mysql() { "MySQL" } else { "SQLite" }
    }

    /// How many connections are open, and how many of them nobody uses.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        let (open, idle) = if self.is_mysql() {
            let pool = self.connection.get_mysql_connection_pool();
            (pool.size(), pool.num_idle())
        } else {
            let pool = self.connection.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle())
        };
        (usize::try_from(open).unwrap_or(0), idle)
    }

    /// Sets the gauges of the connections; `most` is how many there may be.
    pub fn measure_connections(&self, most: u32) {
        let (open, idle) = self.connections();
        let used = open.saturating_sub(idle);
        for (state, number) in [("used", used), ("idle", idle), ("most", usize::try_from(most).unwrap_or(0))] {
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            metrics::gauge!("overseas_database_connections", "state" => state).set(number as f64);
        }
    }

    fn is_mysql(&self) -> bool {
        self.connection.get_database_backend() == DbBackend::MySql
    }

    /// A transaction that may write. On SQLite it takes the write lock at once, since a lock that is
    /// asked for in the middle can be refused without waiting.
    async fn begin(&self) -> Result<DatabaseTransaction, DbError> {
        // MySQL's isolation level is set once for each connection, which saves a round trip here.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.connection.begin_with_options(options).await?)
    }

    /// The suffix that takes only rows that no other transaction holds. SQLite has one writer and needs none.
    fn skip_locked(&self) -> &'static str {
        if self.is_mysql() { " FOR UPDATE SKIP LOCKED" } else { "" }
    }

    /// The beginning of an insert that leaves rows alone which are there already.
    fn insert_new(&self) -> &'static str {
        if self.is_mysql() { "INSERT IGNORE" } else { "INSERT OR IGNORE" }
    }

    fn for_update(&self) -> &'static str {
        if self.is_mysql() { " FOR UPDATE" } else { "" }
    }
}

/// Relative paths are from the working folder; the folder of the file is made.
fn sqlite_url(url: &str) -> Result<String, DbError> {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    if path == ":memory:" {
        return Ok(url.to_owned());
    }
    let (file, query) = path.split_once('?').unwrap_or((path, "mode=rwc"));
    if let Some(folder) = std::path::Path::new(file).parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| DbError::Unavailable(format!("{}: {error}", folder.display())))?;
    }
    Ok(format!("sqlite://{file}?{query}"))
}

/// Runs a query that returns rows.
async fn rows<T: FromQueryResult>(
    on: &impl ConnectionTrait,
    sql: String,
    values: Vec<Value>,
) -> Result<Vec<T>, DbError> {
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    Ok(T::find_by_statement(statement).all(on).await?)
}

/// Runs a query that returns at most one row.
async fn row<T: FromQueryResult>(
    on: &impl ConnectionTrait,
    sql: String,
    values: Vec<Value>,
) -> Result<Option<T>, DbError> {
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    Ok(T::find_by_statement(statement).one(on).await?)
}

/// Runs a statement and returns how many rows it found.
async fn execute(on: &impl ConnectionTrait, sql: String, values: Vec<Value>) -> Result<u64, DbError> {
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    Ok(on.execute_raw(statement).await?.rows_affected())
}

/// `?,?,?` for a list of `count` values.
fn marks(count: usize) -> String {
    let mut text = "?,".repeat(count);
    text.pop();
    text
}

/// The rows of a multi-row insert: `(?,?),(?,?)`.
fn row_marks(rows: usize, columns: usize) -> String {
    let one = format!("({}),", marks(columns));
    let mut text = one.repeat(rows);
    text.pop();
    text
}

/// Repeats an operation that met another one (a deadlock, a busy SQLite file), up to ten times.
async fn retrying<T, F, Fut>(mut operation: F) -> Result<T, DbError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, DbError>>,
{
    let mut tries = 0;
    loop {
        match operation().await {
            Err(DbError::Contended(reason)) if tries < 10 => {
                tries += 1;
                tracing::debug!(reason, tries, "two transactions met");
                let pause = rand::random_range(2..=20) * tries;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            other => return other,
        }
    }
}
