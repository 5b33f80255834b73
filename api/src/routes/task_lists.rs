//! The lists of tasks: `GET /level3/refresh_list` and `/level3/preload_list`.
//!
//! Read from the rows, never by calling a vendor. Requests that ask for the same at the same time share one read and
//! one serialised answer (`state`), which is made by [`list_answer`].

use crate::auth::{Caller, TaskReader};
use crate::error::{Answer, ApiError};
use crate::params::{Params, text, whole};
use crate::routes::purge::TaskOut;
use crate::routes::reading::page_limit;
use crate::routes::{Group, shown_time};
use crate::state::SharedState;
use bytes::Bytes;
use chrono_tz::Tz;
use overseas_shared::db::task::{TaskFilter, TaskView};
use overseas_shared::domain::name::shorten;
use overseas_shared::domain::{Kind, State as TaskState};
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Tasks of a list unless `limit` says otherwise, and at most.
const LIST: i64 = 200;
const MOST_LIST: i64 = 1000;
/// The list without a task.
const EMPTY_LIST: &str = r#"{"err":0,"results":[]}"#;

/// Which tasks to list.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct ListIn {
    /// Whose tasks; users may leave it out.
    #[serde(deserialize_with = "text")]
    login_email: Option<String>,
    /// Only this task.
    #[serde(deserialize_with = "text")]
    taskid: Option<String>,
    /// Only tasks in this state: `queued`, `running`, `done`, `failed` or `expired`.
    #[serde(deserialize_with = "text")]
    state: Option<String>,
    /// Only tasks at this CDN.
    #[serde(deserialize_with = "text")]
    cdn: Option<String>,
    /// At most so many, 1 to 1000; 200 if left out.
    #[serde(deserialize_with = "whole")]
    limit: Option<i64>,
    /// Only tasks older than this one, for the next page.
    #[serde(deserialize_with = "text")]
    before: Option<String>,
}

impl Example for ListIn {
    fn example() -> Self {
        Self { login_email: Some("user@example.com".to_owned()), ..Self::default() }
    }
}

/// Tasks, newest first.
#[derive(Debug, Serialize, Object)]
pub struct ListOut {
    /// 0.
    err: u16,
    /// The tasks.
    results: Vec<TaskOut>,
}

/// The serialised answer of a list.
///
/// # Errors
/// [`ApiError::Internal`] when a value cannot be written as JSON.
pub fn list_answer(tasks: &[TaskView], zone: Tz) -> Result<Bytes, ApiError> {
    let results = tasks.iter().map(|task| shown(task, zone)).collect();
    Ok(Answer::new(&ListOut { err: 0, results })?.bytes())
}

fn shown(task: &TaskView, zone: Tz) -> TaskOut {
    TaskOut {
        time: shown_time(task.created_at, zone),
        url: task.urls.clone(),
        taskid: task.id.clone(),
        percent_complete: task.percent.to_string(),
        state: task.state.clone(),
        cdn: task.cdn.clone(),
        vendor_taskid: Some(task.vendor_ids.clone()).filter(|ids| !ids.is_empty()),
        message: task.message.clone(),
    }
}

/// Handlers.
pub struct TaskLists;

#[OpenApi(tag = "Group::Tasks")]
impl TaskLists {
    /// List refresh tasks, newest first
    #[oai(path = "/level3/refresh_list", method = "get", operation_id = "refresh_list")]
    async fn refresh_list(
        &self,
        state: Data<&SharedState>,
        caller: TaskReader,
        params: Params<ListIn>,
    ) -> Result<Answer<ListOut>, ApiError> {
        list(state.0, &caller.0, Kind::Refresh, params.0).await
    }

    /// List preload tasks, newest first
    #[oai(path = "/level3/preload_list", method = "get", operation_id = "preload_list")]
    async fn preload_list(
        &self,
        state: Data<&SharedState>,
        caller: TaskReader,
        params: Params<ListIn>,
    ) -> Result<Answer<ListOut>, ApiError> {
        list(state.0, &caller.0, Kind::Preload, params.0).await
    }
}

async fn list(state: &SharedState, caller: &Caller, kind: Kind, params: ListIn) -> Result<Answer<ListOut>, ApiError> {
    let target = caller.target(state, params.login_email.as_deref()).await?;
    let limit = page_limit(params.limit, LIST, MOST_LIST)?;
    let wanted = params.state.map(|word| word.parse::<TaskState>()).transpose();
    let wanted = wanted.map_err(|_| ApiError::wrong("state", "expected queued, running, done, failed or expired"))?;
    let ListIn { taskid, cdn, before, .. } = params;
    // With a filter more, nothing found is an answer: the task is not in that state (yet), or at another CDN.
    let task_id = taskid.clone().filter(|_| wanted.is_none() && cdn.is_none() && before.is_none());
    let filter = TaskFilter { owner: target.id, kind, task_id: taskid, state: wanted, cdn, before, limit };
    let answer = state.task_list(caller.scope(), filter).await?;
    // Whether it is another's or nobody's is not told.
    if let Some(task_id) = task_id.filter(|_| answer == EMPTY_LIST) {
        let (id, kind) = (shorten(&task_id), kind.as_str());
        return Err(ApiError::NotFound(format!("taskid: {} has no such {kind} task: {id}", target.email)));
    }
    Ok(Answer::from_bytes(answer))
}
