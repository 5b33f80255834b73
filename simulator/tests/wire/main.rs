//! What the simulator promises, over real HTTP: every test starts one on free ports and talks to it with a signer that is
//! written here anew, from the fact sheet's published vectors.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod client;
mod controls;
mod edge;
mod faults;
mod invalidations;
mod signatures;
mod start;
mod tree;
