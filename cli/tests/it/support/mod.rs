//! What the tests stand on: a world with a database of its own, a simulator of its own, an API on a
//! free port and a worker that is driven by hand; and real processes for the fault tests.
//!
//! A promise that must hold on both databases is written once, in `on_both!`, and becomes two tests.
//! What takes real time is awaited with `eventually`, within a bound. Called by all tests.

pub mod cdns;
pub mod database;
pub mod delivery;
pub mod door;
pub mod http;
pub mod ledger;
pub mod logs;
pub mod process;
pub mod receiver;
pub mod servers;
pub mod world;

pub use database::Kind;
pub use ledger::Ledger;
pub use world::World;

use std::time::{Duration, Instant};

/// Runs a test on both databases.
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($world:ident: World) $body:block)+) => {
        $(mod $name {
            use super::*;

            async fn promise($world: World) $body

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                promise(World::new($crate::support::Kind::Sqlite).await).await;
            }

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                promise(World::new($crate::support::Kind::Mariadb).await).await;
            }
        })+
    };
}
pub(crate) use on_both;

/// Waits until a condition holds; fails the test with `what` when it does not within `seconds`.
pub async fn eventually<F, Fut>(what: &str, seconds: u64, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let end = Instant::now() + Duration::from_secs(seconds);
    while !condition().await {
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
