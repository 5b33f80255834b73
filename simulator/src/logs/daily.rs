//! The deliveries that nobody asks for: the last days at the start, and each day when it has ended.
//!
//! What "today" is, the simulated clock says, which `advance` moves; so a test need not wait for midnight. Days are
//! delivered one after the other, and a stop waits for one of them at most. 2016-09-28 is passed over: it is the
//! product's example of a day that has no log. Called by `server`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{LogDelivery, LogDeliveryError};
use crate::config::{Config, has_folder, is_without_log};
use crate::stage::Stage;

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The most days that are delivered after one move of the clock; before them there is nothing.
const MAX_DAYS_BEHIND: u64 = 366;

/// Delivers the last whole days and the golden ones, if there is a folder. Blocks.
pub(crate) fn deliver_at_start(stage: &Stage, config: &Config, today: NaiveDate) -> Result<(), LogDeliveryError> {
    if !stage.logs.has_folder() {
        return Ok(());
    }
    stage.logs.prepare()?;
    let recent = (1..=u64::from(config.log_days)).filter_map(|days| today.checked_sub_days(Days::new(days)));
    let days: BTreeSet<NaiveDate> = recent.chain(config.log_golden_days.iter().copied()).collect();
    for day in days {
        deliver_day(stage, day)?;
    }
    Ok(())
}

/// Delivers each day from `today` on when it has ended, until the stop.
pub(crate) async fn deliver_each_day(stage: Arc<Stage>, mut today: NaiveDate, stop: CancellationToken) {
    if !stage.logs.has_folder() {
        return;
    }
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        let now = stage.clock.now().date_naive();
        today = today.max(now.checked_sub_days(Days::new(MAX_DAYS_BEHIND)).unwrap_or(now));
        while today < now && !stop.is_cancelled() {
            let (shelf, day) = (Arc::clone(&stage), today);
            match spawn_blocking(move || deliver_day(&shelf, day)).await {
                Ok(Ok(())) => {}
                // Not tried again: the next day will, and the control can ask for this one.
                Ok(Err(error)) => tracing::error!(%day, %error, "a day's access logs were not delivered"),
                Err(error) => tracing::error!(%day, %error, "the delivery of access logs ended badly"),
            }
            today = today.succ_opt().unwrap_or(now);
        }
    }
}

fn deliver_day(stage: &Stage, day: NaiveDate) -> Result<(), LogDeliveryError> {
    // Of a clock before 2010 nothing is expected.
    if is_without_log(day) || !has_folder(day) {
        return Ok(());
    }
    let written = stage.logs.deliver(&LogDelivery { day, ..LogDelivery::default() })?;
    tracing::debug!(%day, files = written.len(), "access logs delivered");
    Ok(())
}
