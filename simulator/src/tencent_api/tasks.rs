//! The purges and prefetches that were submitted: one task a call, one row a URL, listed with the newest first.
//!
//! How a row stands follows from the time that has passed and from the texts that tests set to make it fail, so nothing
//! has to be driven. Kept for 30 days of simulated time, and at most a million rows: the oldest tasks go first. Both
//! services keep their own list.

use std::collections::VecDeque;
use std::sync::Arc;

use super::switches::Switches;

/// How long a task is kept.
const KEPT_MS: i64 = 30 * 86_400_000;
const MAX_ROWS: usize = 1_000_000;

/// One URL or target.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) target: String,
    /// The host in it, in lower case.
    pub(crate) host: String,
}

/// What was submitted in one call.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: Arc<str>,
    pub(crate) created_ms: i64,
    /// The vendor's word for what is done: `url`, `path`, `purge_prefix`..
    pub(crate) kind: String,
    /// How it is done: `flush`, `delete`..
    pub(crate) method: String,
    /// The area, or the zone.
    pub(crate) place: String,
    pub(crate) prefetch: bool,
    pub(crate) rows: Vec<Row>,
}

/// How a row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Done,
    /// One of the texts of `refuse_urls` or `fail_urls` is in it.
    Failed,
    /// What a test set for all tasks.
    Set(String),
}

impl Task {
    pub(crate) fn created(&self) -> i64 {
        self.created_ms.div_euclid(1000)
    }

    /// When it ends.
    pub(crate) fn ends(&self, seconds: u32) -> i64 {
        self.created() + i64::from(seconds)
    }

    /// How far it is at a time.
    pub(crate) fn percent(&self, now_ms: i64, seconds: u32) -> i64 {
        let (elapsed, whole) = (now_ms - self.created_ms, i64::from(seconds) * 1000);
        if elapsed >= whole { 100 } else { elapsed.max(0) * 100 / whole }
    }

    /// How a row stands at a time.
    pub(crate) fn state(&self, row: &Row, now_ms: i64, seconds: u32, switches: &Switches) -> State {
        if let Some(word) = &switches.task_state {
            State::Set(word.clone())
        } else if self.percent(now_ms, seconds) < 100 {
            State::Running
        } else if switches.fails(&row.target) {
            State::Failed
        } else {
            State::Done
        }
    }
}

/// All tasks of a service, oldest first.
#[derive(Default)]
pub(crate) struct TaskList {
    tasks: VecDeque<Arc<Task>>,
    rows: usize,
    last_number: u64,
}

impl TaskList {
    /// A number for the next id.
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn add(&mut self, task: Task) {
        self.rows += task.rows.len();
        let gone = task.created_ms - KEPT_MS;
        self.tasks.push_back(Arc::new(task));
        while self.tasks.len() > 1
            && (self.rows > MAX_ROWS || self.tasks.front().is_some_and(|oldest| oldest.created_ms < gone))
        {
            self.rows -= self.tasks.pop_front().map_or(0, |task| task.rows.len());
        }
    }

    /// The tasks that are wanted, newest first.
    pub(crate) fn newest_first(&self, wanted: impl Fn(&Task) -> bool) -> Vec<Arc<Task>> {
        self.tasks.iter().rev().filter(|task| wanted(task)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(created_ms: i64, rows: usize) -> Task {
        let row = Row { target: "http://a/x".to_owned(), host: "a".to_owned() };
        Task {
            id: format!("{created_ms}").into(),
            created_ms,
            kind: "url".to_owned(),
            method: "delete".to_owned(),
            place: "global".to_owned(),
            prefetch: false,
            rows: vec![row; rows],
        }
    }

    #[test]
    fn a_row_stands_as_time_and_switches_say() {
        let task = task(1000, 1);
        let state = |now_ms, switches: &Switches| task.state(&task.rows[0], now_ms, 10, switches);
        let quiet = Switches::default();
        assert_eq!((state(10_999, &quiet), state(11_000, &quiet)), (State::Running, State::Done));
        assert_eq!((task.percent(1000, 10), task.percent(6000, 10), task.percent(6000, 0)), (0, 50, 100));
        let failing = Switches { fail_urls: vec!["/x".to_owned()], ..Switches::default() };
        assert_eq!((state(10_999, &failing), state(11_000, &failing)), (State::Running, State::Failed));
        let set = Switches { task_state: Some("odd".to_owned()), ..failing };
        assert_eq!(state(0, &set), State::Set("odd".to_owned()));
    }

    #[test]
    fn old_tasks_go_by_time_and_by_number() {
        let mut list = TaskList::default();
        list.add(task(0, 1));
        list.add(task(1, 1));
        list.add(task(KEPT_MS + 1, 1));
        let ids = |list: &TaskList| list.newest_first(|_| true).iter().map(|task| task.created_ms).collect::<Vec<_>>();
        assert_eq!(ids(&list), [KEPT_MS + 1, 1]);
        list.add(task(KEPT_MS + 1, MAX_ROWS));
        assert_eq!(list.newest_first(|_| true).len(), 1);
    }
}
