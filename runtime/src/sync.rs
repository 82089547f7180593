//! Locks of plain values.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A poisoned lock only means that some thread panicked between two plain stores; the values are still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
