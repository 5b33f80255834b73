//! `overseas migrate`: run the schema's missing steps, undo the newest, or show which have run.
//!
//! With `doctor` and the embedded start, the only one that accepts a schema of another version, since
//! mending that is its purpose. A database server is migrated here and nowhere else: neither the API nor
//! a worker changes its schema when it starts. Every action ends with the list of steps. Called by `main`.

use crate::wire;
use anyhow::Result;
use clap::Subcommand;
use overseas_shared::config::Config;
use overseas_shared::db::schema;

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Run all steps that are missing
    Up,
    /// Undo the newest steps; their tables and what is in them are gone
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Show which steps have run
    Status,
}

pub(crate) async fn run(config: &Config, action: Action) -> Result<()> {
    let db = wire::database(config).await?;
    match action {
        Action::Up => schema::up(&db).await?,
        Action::Down { steps } => schema::down(&db, steps).await?,
        Action::Status => {}
    }
    for step in schema::status(&db).await? {
        say!("{}  {}", if step.applied { "applied" } else { "missing" }, step.name);
    }
    db.close().await;
    Ok(())
}
