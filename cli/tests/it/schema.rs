//! Migrations up and down on both databases, and how another version's schema is recognised.
//!
//! Every step has to be undoable, and both databases have to get the same tables and columns; the
//! databases are empty ones, made for the test. That real processes refuse a wrong schema is in `queue`.

use crate::support::Kind;
use crate::support::database::{connect, execute, fresh_url, number};
use overseas_shared::db::schema::{self, SchemaState};

async fn migrations_go_up_and_down_and_up(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let db = connect(&fresh_url(kind, folder.path()).await).await;
    let steps = schema::status(&db).await.unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| !step.applied));
    assert!(matches!(schema::state(&db).await.unwrap(), SchemaState::Older(missing) if missing.len() == steps.len()));

    schema::up(&db).await.unwrap();
    assert_eq!(schema::state(&db).await.unwrap(), SchemaState::Current);

    schema::down(&db, 1).await.unwrap();
    assert!(matches!(schema::state(&db).await.unwrap(), SchemaState::Older(missing) if missing.len() == 1));
    schema::down(&db, u32::try_from(steps.len()).unwrap() - 1).await.unwrap();
    assert!(schema::status(&db).await.unwrap().iter().all(|step| !step.applied));

    schema::up(&db).await.unwrap();
    assert_eq!(schema::state(&db).await.unwrap(), SchemaState::Current);
}

#[tokio::test]
async fn migrations_go_up_and_down_and_up_sqlite() {
    migrations_go_up_and_down_and_up(Kind::Sqlite).await;
}

#[tokio::test]
async fn migrations_go_up_and_down_and_up_mariadb() {
    migrations_go_up_and_down_and_up(Kind::Mariadb).await;
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let url = fresh_url(Kind::Sqlite, folder.path()).await;
    let db = connect(&url).await;
    schema::up(&db).await.unwrap();
    execute(&url, "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_future', 0)").await;
    let state = schema::state(&db).await.unwrap();
    assert_eq!(state, SchemaState::Newer(vec!["m29990101_000001_future".to_owned()]));
    assert!(state.advice().unwrap().contains("newer"));
}

#[tokio::test]
async fn both_databases_get_the_same_tables_and_columns() {
    let folder = tempfile::tempdir().unwrap();
    let (sqlite, mariadb) =
        (fresh_url(Kind::Sqlite, folder.path()).await, fresh_url(Kind::Mariadb, folder.path()).await);
    for url in [&sqlite, &mariadb] {
        schema::up(&connect(url).await).await.unwrap();
    }
    let in_sqlite = number(&sqlite, "SELECT COUNT(*) FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'").await;
    let in_mariadb =
        number(&mariadb, "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()").await;
    assert!(in_sqlite > 100);
    assert_eq!(in_sqlite, in_mariadb);
}
