//! What was submitted, as `DescribePurgeTasks` and `DescribePrefetchTasks` list it: one row a target, newest tasks
//! first.
//!
//! A zone has to be named, as the vendor wants since 30 May 2024, and either a job or both times. A row that has not
//! ended has no time of its end (empty text), which is chosen: the documentation only says what the member means.

use serde_json::{Value, json};

use super::{EdgeOne, time_range};
use crate::lock::locked;
use crate::tencent_api::{ApiError, Members, Params, Row, State, Task, Visit, iso, members};

/// The filters of a request.
#[derive(Default)]
struct Filters {
    job: Option<String>,
    target: Option<(String, bool)>,
    domains: Option<Vec<String>>,
    statuses: Option<Vec<String>>,
    kind: Option<String>,
}

impl EdgeOne {
    pub(super) fn describe_tasks(&self, visit: &Visit<'_>, prefetch: bool) -> Result<Members, ApiError> {
        let params = visit.params;
        let (offset, limit) = params.page(20, 1000)?;
        let zone = self.zone(params.text("ZoneId").ok_or_else(|| ApiError::missing("ZoneId"))?)?;
        let filters = Filters::read(params, prefetch)?;
        let range = match (&filters.job, params.text("StartTime"), params.text("EndTime")) {
            (Some(_), None, None) => None,
            (None, None, None) => return Err(ApiError::missing("StartTime")),
            _ => Some(time_range(params)?),
        };
        let in_time = |task: &Task| range.is_none_or(|(start, end, _)| (start..=end).contains(&task.created()));
        let of_zone = |task: &Task| task.prefetch == prefetch && task.place == zone.id && in_time(task);
        let tasks = locked(&self.tasks).newest_first(|task| of_zone(task) && filters.take_task(task));
        let (mut total, mut page) = (0_usize, Vec::new());
        for task in &tasks {
            for row in &task.rows {
                let state = task.state(row, visit.now_ms, self.config.purge_seconds, &visit.switches);
                let status = word(&state);
                if !filters.take_row(row, &status) {
                    continue;
                }
                if total >= offset && page.len() < limit {
                    page.push(self.shown(visit, task, row, &status));
                }
                total += 1;
            }
        }
        Ok(members(json!({ "TotalCount": total, "Tasks": page })))
    }

    fn shown(&self, visit: &Visit<'_>, task: &Task, row: &Row, status: &str) -> Value {
        let ended = task.percent(visit.now_ms, self.config.purge_seconds) == 100 && status != "processing";
        let mut shown = json!({
            "JobId": *task.id,
            "Target": row.target,
            "Type": task.kind,
            "Status": status,
            "CreateTime": iso(task.created()),
            "UpdateTime": if ended { iso(task.ends(self.config.purge_seconds)) } else { String::new() },
        });
        if !task.method.is_empty() {
            shown["Method"] = task.method.as_str().into();
        }
        if status == "failed" {
            let (kind, message) = if task.prefetch {
                ("originPullFailed", "The origin could not be asked.")
            } else {
                ("taskFailed", "The task failed.")
            };
            shown["FailType"] = kind.into();
            shown["FailMessage"] = message.into();
        }
        shown
    }
}

fn word(state: &State) -> String {
    match state {
        State::Set(word) => word.clone(),
        State::Running => "processing".to_owned(),
        State::Done => "success".to_owned(),
        State::Failed => "failed".to_owned(),
    }
}

impl Filters {
    fn read(params: &Params, prefetch: bool) -> Result<Self, ApiError> {
        let mut filters = Self::default();
        for filter in params.objects("Filters") {
            let (name, fuzzy) = (filter.text("Name").unwrap_or_default(), filter.flag("Fuzzy"));
            let values: Vec<String> = filter.texts("Values").into_iter().map(str::to_owned).collect();
            if values.is_empty() || values.len() > 20 {
                return Err(ApiError::new("InvalidParameter.TooManyFilterValues", "A filter has 1 to 20 values"));
            }
            let single = values.len() == 1;
            match name {
                "job-id" if single && !fuzzy => filters.job = values.into_iter().next(),
                "target" if single && (!fuzzy || !prefetch) => {
                    filters.target = values.into_iter().next().map(|value| (value, fuzzy));
                }
                "type" if single && !fuzzy && !prefetch => filters.kind = values.into_iter().next(),
                "domains" if !fuzzy => filters.domains = Some(values),
                "statuses" if !fuzzy => filters.statuses = Some(values),
                _ => return Err(ApiError::new("InvalidFilter", format!("The filter {name} cannot be used like this"))),
            }
        }
        Ok(filters)
    }

    fn take_task(&self, task: &Task) -> bool {
        self.job.as_ref().is_none_or(|job| **job == *task.id)
            && self.kind.as_ref().is_none_or(|kind| *kind == task.kind)
    }

    fn take_row(&self, row: &Row, status: &str) -> bool {
        let target = self.target.as_ref();
        target.is_none_or(|(text, fuzzy)| if *fuzzy { row.target.contains(text) } else { row.target == *text })
            && self.domains.as_ref().is_none_or(|domains| domains.contains(&row.host))
            && self.statuses.as_ref().is_none_or(|statuses| statuses.iter().any(|wanted| wanted == status))
    }
}
