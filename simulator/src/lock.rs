//! Locking without a panic, for all state that the simulated servers share.
//!
//! A lock that a panicking task held is used on: the state behind these locks is changed in single
//! steps, so nothing is left half done. Called by `faults`, `record` and `level3`.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
