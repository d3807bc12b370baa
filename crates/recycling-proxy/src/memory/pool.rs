//! The pool of memory that connections share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The use of a reservation. Uses whose refusal costs least are refused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A larger socket buffer. Without it, the buffer stays small, which costs the kernel more work.
    Kernel,
    /// A buffer of the usual size. Without it, a small one is used, which costs more system calls.
    Buffer,
    /// A connection, with its sockets, its small buffers and its TLS; where there is no room, another ends or clients
    /// wait.
    Connection,
    /// Open streams of HTTP/2.
    Streams,
    /// An incomplete request head.
    Unfinished,
    /// A message whose first bytes were forwarded. It is never refused.
    Essential,
}

impl Use {
    /// Returns the share of the pool up to which this use may fill it, in eighths; `None` if it is never refused.
    const fn eighths(self) -> Option<usize> {
        match self {
            Self::Kernel => Some(3),
            Self::Buffer | Self::Streams => Some(4),
            Self::Connection => Some(6),
            Self::Unfinished => Some(8),
            Self::Essential => None,
        }
    }
}

/// A fixed number of bytes, and how many of them are reserved.
#[derive(Debug)]
pub(crate) struct Pool {
    size: usize,
    taken: AtomicUsize,
    /// The reserved bytes that the kernel may use for socket buffers.
    reserved_kernel: AtomicUsize,
    /// The bytes that the kernel uses for socket buffers beyond those that are reserved.
    of_kernel: AtomicUsize,
}

impl Pool {
    /// Returns a pool of `size` bytes without reservations.
    pub(crate) const fn new(size: usize) -> Self {
        Self { size, taken: AtomicUsize::new(0), reserved_kernel: AtomicUsize::new(0), of_kernel: AtomicUsize::new(0) }
    }

    /// Returns the number of reserved bytes up to which this use is allowed.
    pub(crate) fn most(&self, of: Use) -> usize {
        of.eighths().map_or(usize::MAX, |eighths| (self.size / 8).saturating_mul(eighths))
    }

    /// Reserves `bytes`. Returns `false`, and reserves nothing, if the use is refused.
    pub(crate) fn take(&self, bytes: usize, of: Use) -> bool {
        let most = self.most(of).saturating_sub(self.of_kernel.load(Ordering::Relaxed));
        let taken = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    /// Releases `bytes`, which were reserved.
    pub(crate) fn give(&self, bytes: usize) {
        let taken = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(bytes <= taken, "{bytes} bytes are given back of {taken}");
    }

    /// Returns the number of reserved bytes.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed).saturating_add(self.of_kernel.load(Ordering::Relaxed))
    }

    /// Records that `bytes` of the reserved ones are for socket buffers.
    pub(crate) fn reserved_for_kernel(&self, bytes: usize) {
        self.reserved_kernel.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records that `bytes` are no longer for socket buffers.
    pub(crate) fn released_by_kernel(&self, bytes: usize) {
        let reserved = self.reserved_kernel.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(bytes <= reserved, "{bytes} bytes are released of {reserved}");
    }

    /// Sets the number of bytes that the kernel uses for socket buffers.
    pub(crate) fn note_kernel(&self, bytes: usize) {
        let unpaid = bytes.saturating_sub(self.reserved_kernel.load(Ordering::Relaxed));
        self.of_kernel.store(unpaid, Ordering::Relaxed);
    }

    /// Returns the number of bytes by which the pool is exceeded.
    pub(crate) fn overdrawn(&self) -> usize {
        self.taken().saturating_sub(self.size)
    }

    /// Returns the size in bytes.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_use_has_a_ceiling_and_returned_memory_can_be_taken_again() {
        for (of, most) in [
            (Use::Kernel, 300),
            (Use::Buffer, 400),
            (Use::Connection, 600),
            (Use::Streams, 400),
            (Use::Unfinished, 800),
            (Use::Essential, 5000),
        ] {
            let pool = Pool::new(800);
            assert!(pool.take(most, of), "{of:?}");
            assert_eq!(pool.take(1, of), of == Use::Essential, "{of:?}");
            pool.give(1);
            assert!(pool.take(1, of), "{of:?}");
            assert!(pool.taken() >= most);
        }
    }

    #[test]
    fn socket_memory_of_the_kernel_counts_towards_the_pool() {
        let pool = Pool::new(800);
        pool.note_kernel(300);
        assert!(!pool.take(101, Use::Buffer) && pool.take(100, Use::Buffer));
        assert!(!pool.take(1, Use::Buffer) && pool.take(200, Use::Connection));
        assert_eq!((pool.taken(), pool.overdrawn()), (600, 0));
        pool.note_kernel(1000);
        assert_eq!((pool.taken(), pool.overdrawn()), (1300, 500));
        pool.give(300);
        pool.note_kernel(0);
        assert_eq!((pool.taken(), pool.overdrawn()), (0, 0));
        assert!(pool.take(400, Use::Buffer));
    }

    #[test]
    fn memory_reserved_for_the_kernel_is_not_counted_twice() {
        let pool = Pool::new(800);
        assert!(pool.take(300, Use::Kernel));
        pool.reserved_for_kernel(300);
        for (measured, taken) in [(0, 300), (300, 300), (350, 350)] {
            pool.note_kernel(measured);
            assert_eq!(pool.taken(), taken, "{measured}");
        }
        pool.released_by_kernel(300);
        pool.give(300);
        pool.note_kernel(350);
        assert_eq!(pool.taken(), 350);
    }

    #[test]
    fn a_refused_request_takes_no_memory() {
        let pool = Pool::new(800);
        assert!(!pool.take(401, Use::Buffer) && pool.take(400, Use::Buffer));
        assert!(!pool.take(usize::MAX, Use::Unfinished));
        assert_eq!((pool.taken(), pool.size()), (400, 800));
    }
}
