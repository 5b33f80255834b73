//! The jobs, one file each. What runs when stands in `schedule`; what wakes the others in `lib`.
//!
//! `submit`, `poll` and `fetch` are loops for each account, `webhooks` is one for all; `sync`, `usage` and `housekeeping`
//! run by the timetable. `plan`, `edge` and `receiver` are no jobs: `submit` groups URLs by the first, `fetch` and
//! `webhooks` make their requests with the others.
//! Any of them may run twice or be killed at any line. Also called by `overseas sync-*`, and by tests,
//! which drive the rounds by hand.

pub mod edge;
pub mod fetch;
pub mod housekeeping;
pub mod logs;
pub mod plan;
pub mod poll;
pub mod receiver;
pub mod submit;
pub mod sync;
pub mod usage;
pub mod webhooks;
