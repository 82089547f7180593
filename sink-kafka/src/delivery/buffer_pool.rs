//! A pool of buffers for new record batches. The total size is limited, because with thousands of partitions the buffers would otherwise
//! take too much memory.

/// The largest number of buffers in the pool.
const COUNT: usize = 16;

/// A pool of buffers.
pub(crate) struct BufferPool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    limit: usize,
}

impl BufferPool {
    /// An empty pool that will keep at most `limit` bytes in total.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffers: Vec::new(), bytes: 0, limit }
    }

    /// Takes a buffer out of the pool, or a new one. Its old contents are not cleared.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Puts a buffer into the pool, or drops it if the pool is full.
    pub(crate) fn keep(&mut self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0 && self.buffers.len() < COUNT && self.bytes + capacity <= self.limit {
            self.bytes += capacity;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_limited() {
        let mut pool = BufferPool::new(3000);
        for _ in 0..5 {
            pool.keep(Vec::with_capacity(1000));
        }
        assert_eq!((pool.buffers.len(), pool.bytes), (3, 3000));
        assert_eq!(pool.take().capacity(), 1000);
        pool.keep(Vec::with_capacity(1001));
        assert_eq!((pool.buffers.len(), pool.bytes), (2, 2000));
        for _ in 0..4 {
            pool.take();
        }
        assert_eq!(pool.bytes, 0);
    }
}
