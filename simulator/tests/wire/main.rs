//! What the simulator promises, over real HTTP: every test starts one on free ports and talks to it with a
//! signer that is written here anew, in `client`.
//!
//! No other server is needed: `cargo test -p overseas-simulator` runs them all. The product's own client
//! is not used, since neither may be right only by the other's measure.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod client;
mod controls;
mod edge;
mod edgeone;
mod faults;
mod invalidations;
mod logs;
mod signatures;
mod start;
mod tencent_calls;
mod tencent_client;
mod tencent_data;
mod tencent_faults;
mod tencent_tasks;
mod tree;
mod usage;
mod usage_controls;
