//! `overseas sync-ag` and `overseas sync-service`: the catalogue, now.

#![expect(clippy::print_stdout, reason = "the command's answer")]

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
            Ok(report) if part == Part::Groups => println!("{}: {} access groups", account.name, report.groups),
            Ok(report) => {
                println!("{}: {} properties in {} access groups", account.name, report.properties, report.groups)
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
