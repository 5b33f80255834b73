//! What was submitted, as `DescribePurgeTasks` and `DescribePushTasks` list it: one row a URL, newest tasks first.
//!
//! Pages hold at most 100 rows, whatever `Limit` says: how many the vendor gives at most is not documented, so a client
//! has to count what it got. A prefetch that is done says `Done`, as in the vendor's sample, where the text says
//! `done`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Tencent, time_range};
use crate::lock::locked;
use crate::tencent_api::{ApiError, Members, Row, State, Task, UTC_8, Visit, host_of, members, naive};

/// The most rows of a page.
const MAX_PAGE: usize = 100;

impl Tencent {
    pub(super) fn describe_purge_tasks(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let wanted = visit.params.text("PurgeType");
        if !matches!(wanted, None | Some("" | "url" | "path")) {
            return Err(ApiError::invalid("PurgeType is url or path"));
        }
        let kind = wanted.filter(|kind| !kind.is_empty());
        let of_kind = |task: &Task| !task.prefetch && kind.is_none_or(|kind| kind == task.kind);
        let (total, rows) = self.select(visit, of_kind)?;
        let shown = rows.iter().map(|(task, place, status)| {
            json!({
                "TaskId": *task.id,
                "Url": task.rows[*place].target,
                "Status": status,
                "PurgeType": task.kind,
                "FlushType": task.method,
                "CreateTime": naive(task.created(), UTC_8),
            })
        });
        Ok(members(json!({ "PurgeLogs": shown.collect::<Vec<_>>(), "TotalCount": total })))
    }

    pub(super) fn describe_push_tasks(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let (total, rows) = self.select(visit, |task| task.prefetch)?;
        let shown = rows.iter().map(|(task, place, status)| self.push_row(visit, task, *place, status));
        Ok(members(json!({ "PushLogs": shown.collect::<Vec<_>>(), "TotalCount": total })))
    }

    fn push_row(&self, visit: &Visit<'_>, task: &Task, place: usize, status: &str) -> Value {
        let percent = task.percent(visit.now_ms, self.config.purge_seconds);
        // A task that a test holds at another state is not through.
        let held = visit.switches.task_state.is_some() && !status.eq_ignore_ascii_case("done");
        let ended = percent == 100 && !held;
        json!({
            "TaskId": *task.id,
            "Url": task.rows[place].target,
            "Status": status,
            "Percent": if held { percent.min(99) } else { percent },
            "CreateTime": naive(task.created(), UTC_8),
            "Area": task.place,
            "UpdateTime": ended.then(|| naive(task.ends(self.config.purge_seconds), UTC_8)),
        })
    }

    fn status(&self, visit: &Visit<'_>, task: &Task, row: &Row) -> String {
        let state = task.state(row, visit.now_ms, self.config.purge_seconds, &visit.switches);
        let word = match state {
            State::Set(word) => return word,
            State::Running => "process",
            State::Done if task.prefetch => "Done",
            State::Done => "done",
            State::Failed if task.prefetch => "invalid",
            State::Failed => "fail",
        };
        word.to_owned()
    }

    /// A page of the rows that are asked for, each with its status, and how many there are in all.
    #[expect(clippy::type_complexity, reason = "the one caller takes it apart at once")]
    fn select(
        &self,
        visit: &Visit<'_>,
        of_kind: impl Fn(&Task) -> bool,
    ) -> Result<(usize, Vec<(Arc<Task>, usize, String)>), ApiError> {
        let params = visit.params;
        let (offset, limit) = params.page(20, i64::MAX)?;
        let text = |name| params.text(name).filter(|text| !text.is_empty());
        let (id, keyword, status, area) = (text("TaskId"), text("Keyword"), text("Status"), text("Area"));
        let range = match (id, text("StartTime"), text("EndTime")) {
            (Some(_), None, None) => None,
            (None, None, None) => return Err(ApiError::missing("TaskId")),
            _ => Some(time_range(visit)?),
        };
        let named = |task: &Task| id.is_none_or(|id| id == &*task.id) && area.is_none_or(|area| area == task.place);
        let in_time = |task: &Task| range.is_none_or(|(start, end)| (start..=end).contains(&task.created()));
        let tasks = locked(&self.tasks).newest_first(|task| of_kind(task) && named(task) && in_time(task));
        let (mut total, mut page) = (0, Vec::new());
        for task in &tasks {
            for (place, row) in task.rows.iter().enumerate() {
                // A keyword is a domain, or a whole URL.
                let about = keyword
                    .is_none_or(|keyword| keyword == row.target || host_of(keyword) == keyword && keyword == row.host);
                if !about {
                    continue;
                }
                let stands = self.status(visit, task, row);
                if status.is_some_and(|status| !status.eq_ignore_ascii_case(&stands)) {
                    continue;
                }
                if total >= offset && page.len() < limit.min(MAX_PAGE) {
                    page.push((Arc::clone(task), place, stands));
                }
                total += 1;
            }
        }
        Ok((total, page))
    }
}
