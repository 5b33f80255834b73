//! `overseas sync-logs`: make the daily logs of a date anew, now, with a bar for each.
//!
//! What is there is replaced when the new file is whole. A day that a worker is busy with is left to it. A day that
//! fails is said and counted, stays on the queue for the workers, and the rest goes on. Called by `main`.

use crate::commands::usage::{bar, read_domains};
use crate::wire;
use anyhow::{Result, bail};
use chrono::NaiveDate;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::log::{self, Asked, Lease, Outcome};
use overseas_shared::db::usage;
use overseas_shared::domain::log::{day_at, day_number, parse_date};
use overseas_worker::jobs::logs::{Claim, LogWork, Progress, merge_turns, work_on};
use overseas_worker::{Account, new_owner};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[derive(Args)]
pub(crate) struct SyncOptions {
    /// The UTC day, such as 2016-09-29; may be given several times
    #[arg(long, required = true, value_parser = date)]
    date: Vec<NaiveDate>,
    /// Only this domain; may be given several times
    #[arg(long)]
    domain: Vec<String>,
}

fn date(text: &str) -> Result<NaiveDate, String> {
    parse_date(text, "%Y-%m-%d").ok_or_else(|| "expected a UTC day like 2016-09-29".to_owned())
}

pub(crate) async fn sync(config: &Config, options: SyncOptions) -> Result<()> {
    let (wanted, clock) = (read_domains(&options.domain)?, Clock::system());
    if let Some(date) = options.date.iter().find(|date| day_number(**date) >= day_at(clock.now())) {
        bail!("--date: {date} is not over yet (in UTC)");
    }
    let stop = wire::stop_on_signal()?;
    let db = wire::current_database(config).await?;
    let accounts = wire::accounts(config, &db).await?;
    if !accounts.iter().any(|account| account.has_logs()) {
        bail!("no CDN delivers logs: set cdn.<name>.logs");
    }
    let work = LogWork::new(config, db.clone(), clock, wire::log_store(config)?, merge_turns());
    let (mut found, mut failed) = (0, 0);
    for account in accounts.iter().filter(|account| account.has_logs()) {
        let listed = usage::listed(&db, account.id, false).await?;
        let properties = listed.into_iter().map(|due| due.property);
        for property in properties.filter(|p| wanted.is_empty() || wanted.iter().any(|d| d.as_str() == p.name)) {
            for date in &options.date {
                if stop.is_cancelled() {
                    bail!("interrupted; what was done stays, and the command can be repeated");
                }
                found += 1;
                let asked = Asked { property_id: property.id, cdn_id: account.id, day: day_number(*date) };
                let said = one(&work, account, asked, &format!("{} {date}", property.name), &stop).await?;
                failed += usize::from(said.is_err());
                let (Ok(said) | Err(said)) = said;
                say!("{} {date}: {said}", property.name);
            }
        }
    }
    db.close().await;
    match (found, failed) {
        (0, _) => bail!("there is no such domain; see /level3/domains"),
        (_, 0) => Ok(()),
        (found, failed) => bail!("{failed} of {found} days failed; they stay on the queue"),
    }
}

/// What came of one day, in words.
async fn one(
    work: &LogWork,
    account: &Account,
    asked: Asked,
    title: &str,
    stop: &CancellationToken,
) -> Result<Result<String, String>> {
    let (owner, now) = (new_owner(), work.clock.now());
    let lease = Lease { owner: &owner, now, until: now + work.lease_milliseconds };
    // Not due before our lease, so that no worker is quicker.
    log::ask_for(&work.db, &[asked], lease.until, now).await?;
    let Some(day) = log::claim_day(&work.db, asked.property_id, asked.day, lease).await? else {
        return Ok(Ok("a worker is busy with it".to_owned()));
    };
    let (progress, bar) = (Progress::default(), bytes_bar(title));
    let claim = Claim { account, day: &day, owner: &owner, forced: true };
    let working = work_on(work, claim, &progress, stop);
    tokio::pin!(working);
    let outcome = loop {
        tokio::select! {
            outcome = &mut working => break outcome?,
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                bar.set_length(progress.total.load(Ordering::Relaxed));
                bar.set_position(progress.read.load(Ordering::Relaxed));
            }
        }
    };
    bar.finish_and_clear();
    Ok(match outcome {
        Outcome::Made(made) => {
            let problem = made.problem.map(|problem| format!("; {problem}")).unwrap_or_default();
            Ok(format!("{} lines, {} bytes from {} files{problem}", made.lines, made.size, made.files))
        }
        Outcome::Unchanged => Ok("the vendor has no files any more; the log stays as it is".to_owned()),
        Outcome::Nothing => Ok("the vendor has no files yet".to_owned()),
        Outcome::Empty => Ok("the vendor has no files".to_owned()),
        Outcome::Failed { problem, .. } => Err(problem),
        Outcome::Released => Err("interrupted".to_owned()),
    })
}

fn bytes_bar(title: &str) -> ProgressBar {
    let bar = bar(0, title);
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}
