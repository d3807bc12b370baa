//! The pool of memory that connections share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The use of a reservation. Uses whose refusal costs least are refused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A larger socket buffer. If it is refused, the buffer stays small, which costs the kernel more work.
    Kernel,
    /// A buffer of the usual size. If it is refused, a small one is used, which costs more system calls.
    Buffer,
    /// A connection, with its sockets, its small buffers and its TLS. If it is refused, another connection is evicted,
    /// or the client waits.
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
    reserved: AtomicUsize,
    /// The reserved bytes that the kernel may use for socket buffers.
    reserved_for_kernel: AtomicUsize,
    /// The bytes that the kernel uses for socket buffers beyond those that are reserved.
    unreserved_of_kernel: AtomicUsize,
}

impl Pool {
    /// Returns a pool of `size` bytes without reservations.
    pub(crate) const fn new(size: usize) -> Self {
        Self {
            size,
            reserved: AtomicUsize::new(0),
            reserved_for_kernel: AtomicUsize::new(0),
            unreserved_of_kernel: AtomicUsize::new(0),
        }
    }

    /// Returns the number of reserved bytes up to which this use is granted.
    pub(crate) fn ceiling(&self, of: Use) -> usize {
        of.eighths().map_or(usize::MAX, |eighths| (self.size / 8).saturating_mul(eighths))
    }

    /// Reserves `bytes`. Returns `false`, and reserves nothing, if the use is refused.
    pub(crate) fn reserve(&self, bytes: usize, of: Use) -> bool {
        let most = self.ceiling(of).saturating_sub(self.unreserved_of_kernel.load(Ordering::Relaxed));
        let add = |reserved: usize| reserved.checked_add(bytes).filter(|reserved| *reserved <= most);
        self.reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Releases `bytes`, which were reserved.
    pub(crate) fn release(&self, bytes: usize) {
        let reserved = self.reserved.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(bytes <= reserved, "{bytes} bytes are released of {reserved}");
    }

    /// Returns the number of bytes that are reserved, or used by the kernel beyond what is reserved for it.
    pub(crate) fn used(&self) -> usize {
        self.reserved.load(Ordering::Relaxed).saturating_add(self.unreserved_of_kernel.load(Ordering::Relaxed))
    }

    /// Records that `bytes` of the reserved ones are for socket buffers.
    pub(crate) fn add_kernel_reservation(&self, bytes: usize) {
        self.reserved_for_kernel.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records that `bytes` are no longer for socket buffers.
    pub(crate) fn remove_kernel_reservation(&self, bytes: usize) {
        let reserved = self.reserved_for_kernel.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(bytes <= reserved, "{bytes} bytes are released of {reserved}");
    }

    /// Sets the number of bytes that the kernel uses for socket buffers.
    pub(crate) fn set_kernel_use(&self, bytes: usize) {
        let unreserved = bytes.saturating_sub(self.reserved_for_kernel.load(Ordering::Relaxed));
        self.unreserved_of_kernel.store(unreserved, Ordering::Relaxed);
    }

    /// Returns the number of bytes by which the pool is exceeded.
    pub(crate) fn exceeded_by(&self) -> usize {
        self.used().saturating_sub(self.size)
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
    fn every_use_has_a_ceiling_and_released_memory_can_be_reserved_again() {
        for (of, most) in [
            (Use::Kernel, 300),
            (Use::Buffer, 400),
            (Use::Connection, 600),
            (Use::Streams, 400),
            (Use::Unfinished, 800),
            (Use::Essential, 5000),
        ] {
            let pool = Pool::new(800);
            assert!(pool.reserve(most, of), "{of:?}");
            assert_eq!(pool.reserve(1, of), of == Use::Essential, "{of:?}");
            pool.release(1);
            assert!(pool.reserve(1, of), "{of:?}");
            assert!(pool.used() >= most);
        }
    }

    #[test]
    fn socket_memory_of_the_kernel_counts_towards_the_pool() {
        let pool = Pool::new(800);
        pool.set_kernel_use(300);
        assert!(!pool.reserve(101, Use::Buffer) && pool.reserve(100, Use::Buffer));
        assert!(!pool.reserve(1, Use::Buffer) && pool.reserve(200, Use::Connection));
        assert_eq!((pool.used(), pool.exceeded_by()), (600, 0));
        pool.set_kernel_use(1000);
        assert_eq!((pool.used(), pool.exceeded_by()), (1300, 500));
        pool.release(300);
        pool.set_kernel_use(0);
        assert_eq!((pool.used(), pool.exceeded_by()), (0, 0));
        assert!(pool.reserve(400, Use::Buffer));
    }

    #[test]
    fn memory_reserved_for_the_kernel_is_not_counted_twice() {
        let pool = Pool::new(800);
        assert!(pool.reserve(300, Use::Kernel));
        pool.add_kernel_reservation(300);
        for (measured, used) in [(0, 300), (300, 300), (350, 350)] {
            pool.set_kernel_use(measured);
            assert_eq!(pool.used(), used, "{measured}");
        }
        pool.remove_kernel_reservation(300);
        pool.release(300);
        pool.set_kernel_use(350);
        assert_eq!(pool.used(), 350);
    }

    #[test]
    fn a_refused_use_reserves_no_memory() {
        let pool = Pool::new(800);
        assert!(!pool.reserve(401, Use::Buffer) && pool.reserve(400, Use::Buffer));
        assert!(!pool.reserve(usize::MAX, Use::Unfinished));
        assert_eq!((pool.used(), pool.size()), (400, 800));
    }
}
