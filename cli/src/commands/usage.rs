//! `overseas sync-usage` and `overseas usage export`: read a range of usage from the vendors again, and write the
//! stored points as rows.
//!
//! Reading overwrites what is stored, so it can be repeated; it goes in steps of a UTC day at most, with a bar on a
//! terminal. A window that fails is said and counted, and the rest goes on. Called by `main`.

use crate::wire;
use anyhow::{Result, bail};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::catalogue::PropertyRow;
use overseas_shared::db::place::places;
use overseas_shared::db::usage;
use overseas_shared::domain::usage::{Interval, Metric, Span};
use overseas_shared::domain::{DomainName, Scope};
use overseas_worker::jobs::usage::{range, steps};
use std::io::Write;

/// Longest range of one export's read; a longer one is made of several.
const STEP: i64 = 30 * 86_400;

#[derive(Args)]
pub(crate) struct SyncOptions {
    /// The begin, UTC, such as 2016-08-04T00:00Z or 2016-08-04
    #[arg(long, value_parser = time)]
    from: i64,
    /// The end, not included
    #[arg(long, value_parser = time)]
    to: i64,
    /// Only this domain; may be given several times
    #[arg(long)]
    domain: Vec<String>,
}

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Write the stored five-minute values of domains to standard output
    Export(ExportOptions),
}

#[derive(Args)]
pub(crate) struct ExportOptions {
    /// A domain; may be given several times
    #[arg(long, required = true)]
    domain: Vec<String>,
    /// The begin, UTC, such as 2016-08-04T00:00Z or 2016-08-04
    #[arg(long, value_parser = time)]
    from: i64,
    /// The end, not included
    #[arg(long, value_parser = time)]
    to: i64,
    /// Comma-separated values instead of one JSON object a line
    #[arg(long)]
    csv: bool,
}

/// A time as people write it, in Unix seconds.
fn time(text: &str) -> Result<i64, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp());
    }
    let plain = text.trim_end_matches('Z');
    for format in ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(plain, format) {
            return Ok(time.and_utc().timestamp());
        }
    }
    match NaiveDate::parse_from_str(plain, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0)) {
        Some(time) => Ok(time.and_utc().timestamp()),
        None => Err("expected a UTC time like 2016-08-04T00:00Z".to_owned()),
    }
}

pub(crate) fn read_domains(written: &[String]) -> Result<Vec<DomainName>> {
    Ok(written.iter().map(|name| DomainName::parse(name)).collect::<Result<_, _>>()?)
}

pub(crate) async fn sync(config: &Config, options: SyncOptions) -> Result<()> {
    if options.to <= options.from {
        bail!("--to: the end is not after the begin");
    }
    let wanted = read_domains(&options.domain)?;
    let stop = wire::stop_on_signal()?;
    let db = wire::current_database(config).await?;
    let clock = Clock::system();
    let accounts = wire::accounts(config, &db).await?;
    if accounts.is_empty() {
        bail!("no CDN is configured: add a [cdn.<name>] table");
    }
    let (mut found, mut failed) = (0, 0);
    for account in &accounts {
        let Some(support) = account.client.capabilities().usage else { continue };
        let is_wanted =
            |property: &PropertyRow| wanted.is_empty() || wanted.iter().any(|domain| domain.as_str() == property.name);
        let listed = usage::listed(&db, account.id, false).await?;
        let properties: Vec<PropertyRow> = listed.into_iter().map(|due| due.property).filter(is_wanted).collect();
        let windows = steps(options.from, options.to, support.longest_window_seconds);
        found += properties.len();
        let bar = bar((properties.len() * windows.len()) as u64, &account.name);
        let run = range(&db, &clock, account, &properties, &windows, &stop, |property, _, _| {
            bar.set_message(property.name.clone());
            bar.inc(1);
        })
        .await;
        bar.finish_and_clear();
        failed += run.failed;
        say!("{}: {} properties, {} windows read, {} failed", account.name, properties.len(), run.windows, run.failed);
    }
    db.close().await;
    if stop.is_cancelled() {
        bail!("stopped; what was read is stored, and the command can be repeated");
    }
    if found == 0 && !wanted.is_empty() {
        bail!("no vendor lists such a domain; run `overseas sync-ag` and `overseas sync-service` first");
    }
    if failed > 0 {
        bail!("{failed} windows failed; the lines above say why, and the command can be repeated");
    }
    Ok(())
}

/// On a terminal a bar, elsewhere nothing.
pub(crate) fn bar(length: u64, name: &str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_prefix(name.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}

pub(crate) async fn run(config: &Config, action: Action) -> Result<()> {
    let Action::Export(options) = action;
    let db = wire::current_database(config).await?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if options.csv {
        writeln!(out, "domain,timestamp,bytes,bandwidth")?;
    }
    for domain in read_domains(&options.domain)? {
        let found = places(&db, Scope::All, Some(std::slice::from_ref(&domain)), None).await?;
        if found.is_empty() {
            bail!("there is no domain {domain}");
        }
        let ids: Vec<i64> = found.iter().filter_map(|row| row.property_id).collect();
        let mut at = options.from;
        while at < options.to {
            let end = (at + STEP).min(options.to);
            let grid = usage::series(&db, &ids, Span::new(at, end - 1)?).await?;
            for point in grid.points(Metric::Flux, Interval::FiveMinutes) {
                let bytes = u64::try_from(point.value).unwrap_or(0);
                let (time, bandwidth) = (point.timestamp, Metric::Bandwidth.value(bytes));
                if options.csv {
                    writeln!(out, "{domain},{time},{bytes},{bandwidth}")?;
                } else {
                    writeln!(
                        out,
                        r#"{{"domain":"{domain}","timestamp":{time},"bytes":{bytes},"bandwidth":{bandwidth}}}"#
                    )?;
                }
            }
            at = end;
        }
    }
    out.flush()?;
    db.close().await;
    Ok(())
}
