//! Buffers kept for the next record batches, within a limit on their sum: thousands of partitions must not each keep a large one.

/// How many are kept at most.
const COUNT: usize = 16;

/// See the module.
pub(crate) struct Spares {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    limit: usize,
}

impl Spares {
    /// Keeps buffers of `limit` bytes in all.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffers: Vec::new(), bytes: 0, limit }
    }

    /// A buffer with any contents.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer, if there is room for it.
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
        let mut spares = Spares::new(3000);
        for _ in 0..5 {
            spares.keep(Vec::with_capacity(1000));
        }
        assert_eq!((spares.buffers.len(), spares.bytes), (3, 3000));
        assert_eq!(spares.take().capacity(), 1000);
        spares.keep(Vec::with_capacity(1001));
        assert_eq!((spares.buffers.len(), spares.bytes), (2, 2000));
        for _ in 0..4 {
            spares.take();
        }
        assert_eq!(spares.bytes, 0);
    }
}
