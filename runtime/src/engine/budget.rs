//! Limits the memory that the batches of all lanes may hold together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit of the semaphore. It is small enough to count small batches well, and large enough that the number of permits fits.
const UNIT_BYTES: usize = 1024;

/// A number of bytes from which lanes take shares. Shares are given in the order of the requests, so that no lane starves.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    units: u32,
}

/// A share of a budget, which is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// Creates a budget of `bytes`, but of at least one unit.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize) as u32);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits until `bytes` are free, and takes them. A request for more than the whole budget waits until no other share is held, and takes
    /// the whole budget.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units);
        // An error would mean that the semaphore is closed, but it is never closed.
        Share { _permit: self.free.clone().acquire_many_owned(units).await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn is_free(budget: &Budget, bytes: usize) -> bool {
        timeout(Duration::from_millis(20), budget.take(bytes)).await.is_ok()
    }

    #[tokio::test]
    async fn what_is_larger_than_the_budget_passes_alone() {
        let budget = Budget::new(10 << 10);
        let small = budget.take(1).await;
        assert!(is_free(&budget, 9 << 10).await);
        assert!(!is_free(&budget, 10 << 10).await);
        assert!(!is_free(&budget, 1 << 40).await);
        drop(small);
        let huge = budget.take(1 << 40).await;
        assert!(!is_free(&budget, 1).await);
        drop(huge);
        assert!(is_free(&budget, 10 << 10).await);
        assert!(is_free(&Budget::new(0), 5).await);
    }

    #[tokio::test]
    async fn nothing_costs_nothing() {
        let budget = Budget::new(1024);
        let _all = budget.take(1024).await;
        assert!(is_free(&budget, 0).await, "a heartbeat must pass a full pipe");
    }
}
