//! Turns: what bears the same name is done one after the other, in this process.
//!
//! A name that nobody waits for takes no memory. Called by the login, so that the logins of one account are
//! checked one at a time, while those of others go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The names that somebody waits for.
#[derive(Default)]
pub struct Turns {
    waiting: Arc<Mutex<HashMap<String, Turn>>>,
}

/// The name's turn, for as long as this lives.
pub struct Held {
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
    waiting: Arc<Mutex<HashMap<String, Turn>>>,
}

impl Turns {
    /// Waits for the name's turn.
    pub async fn turn(&self, name: &str) -> Held {
        let turn = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(waiting.entry(name.to_owned()).or_default())
        };
        let mut held = Held { name: name.to_owned(), guard: None, waiting: Arc::clone(&self.waiting) };
        held.guard = Some(turn.lock_owned().await);
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.guard = None;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // One is the map's own: nobody waits and nobody has it.
        if waiting.get(&self.name).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            waiting.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_at_a_time_for_a_name_and_nothing_is_left() {
        let (turns, inside) = (Arc::new(Turns::default()), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for number in 0..20 {
            let (turns, inside) = (Arc::clone(&turns), Arc::clone(&inside));
            let task = tokio::spawn(async move {
                let _turn = turns.turn("a").await;
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
            });
            // Some give up while they wait.
            if number % 5 == 4 {
                task.abort();
            } else {
                tasks.push(task);
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(turns.waiting.lock().unwrap().is_empty());
    }
}
