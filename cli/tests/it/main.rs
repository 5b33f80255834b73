//! The promises of the system, on the real database, the real Redis and real HTTP; the vendor is the simulator.
//!
//! `script/test` starts the servers and names them in the environment. Tests whose names end in
//! `sqlite` and `mariadb` are the same test on both databases. Workers are driven by hand, one round
//! at a time, and clocks are moved by hand; where a real process is needed, a condition is awaited
//! with a bound. A test that needs a server of its own, to stop it, starts it itself.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(unreachable_pub, reason = "a test binary has no outside; `pub` marks what `support` offers")]

mod accounts;
mod api_basics;
mod api_callers;
mod api_operations;
mod api_parameters;
mod api_tokens;
mod audit_trail;
mod capabilities;
mod concurrent;
mod contract;
mod deployment;
mod dry_runs;
mod embedded;
mod fault_limits;
mod fault_storms;
mod fault_vendors;
mod faults;
mod idempotency_keys;
mod log_buckets;
mod log_days;
mod log_faults;
mod log_outages;
mod log_slow_readers;
mod log_sources;
mod logs;
mod many_cdns;
mod purge_api;
mod purge_refusals;
mod queue;
mod rate_limits;
mod role_table;
mod schema;
mod sessions;
mod several_cdns;
mod staff_tasks;
mod start_refusals;
mod statistics;
mod submit;
mod support;
mod sync;
mod task_lists;
mod telemetry;
mod tencent_judged;
mod tencent_sdk;
mod upgrade;
mod usage_collecting;
mod usage_sums;
mod vendors;
mod watch;
mod webhook_deliveries;
mod webhook_messages;
mod webhooks;
