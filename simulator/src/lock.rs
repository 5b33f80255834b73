//! Locking without a panic: the state behind these locks is changed in single steps, so that a task which panicked while
//! it held one left nothing half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
