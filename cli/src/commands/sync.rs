//! `overseas sync-ag` and `overseas sync-service`: reads the vendors' catalogue now, not when it is next due.
//!
//! The work is the worker's own job, so running it beside workers is safe; only its calls are not counted
//! by the limit that they share. Services are read for the groups that are known, hence after `sync-ag`.
//! An account that fails does not hold the others back, but the command fails. Called by `main`.

use crate::wire;
use anyhow::{Result, bail};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_worker::jobs::sync;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Groups,
    Services,
}

pub(crate) async fn run(config: &Config, part: Part) -> Result<()> {
    let db = wire::current_database(config).await?;
    let clock = Clock::system();
    let accounts = wire::accounts(config, &db).await?;
    if accounts.is_empty() {
        bail!("no CDN is configured: add a [cdn.<name>] table");
    }
    let mut failed = 0;
    for account in &accounts {
        let outcome = match part {
            Part::Groups => sync::groups(&db, &clock, account).await,
            Part::Services => sync::services(&db, &clock, account).await,
        };
        match outcome {
            Ok(report) if part == Part::Groups => say!("{}: {} access groups", account.name, report.groups),
            Ok(report) => {
                say!("{}: {} properties in {} access groups", account.name, report.properties, report.groups)
            }
            Err(error) => {
                failed += 1;
                eprintln!("{error}");
            }
        }
    }
    db.close().await;
    if failed > 0 {
        bail!("{failed} of {} accounts failed", accounts.len());
    }
    Ok(())
}
