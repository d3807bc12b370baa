//! The memory of one connection, and its state for eviction.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::pool::Use;
use super::{Memory, PER_CONNECTION, Shortage};

/// The open streams that [`PER_CONNECTION`] includes: as many as servers usually allow.
const INCLUDED_STREAMS: usize = 128;
/// An entry of the table of streams in bytes, with its share of the tree's nodes (65,000 were measured at 1,351 KiB).
const PER_STREAM: usize = 24;
/// Streams are charged in steps of this many bytes, so that few of them change the pool.
const STREAMS_STEP: usize = 4096;

/// A connection slot, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Account>);

impl Slot {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        let of_number = |number| Account {
            memory: Arc::clone(memory),
            number,
            charged: AtomicUsize::new(0),
            until_end: AtomicUsize::new(0),
            for_kernel: AtomicUsize::new(0),
            for_streams: AtomicUsize::new(0),
            progress: AtomicU32::new(0),
            is_listed: AtomicBool::new(true),
            pending: AtomicUsize::new(0),
            eviction_requested: AtomicBool::new(false),
            waker: Mutex::default(),
        };
        Self(memory.eviction().insert(Instant::now(), of_number))
    }

    /// Returns the memory account of the connection.
    pub(crate) const fn account(&self) -> &Arc<Account> {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.memory.release(&self.0);
    }
}

/// The memory that is charged to a connection, and its state for eviction.
///
/// ```text
///  New ──first complete request──▶ Useful ◀──head complete── Unfinished
///   └───────── a head or handshake that needs memory ────────────▲ (again with each such head)
/// ```
///
/// New and Unfinished connections are listed in the [`EvictionIndex`](super::eviction::EvictionIndex), and the oldest of
/// them are evicted first.
#[derive(Debug)]
pub(crate) struct Account {
    memory: Arc<Memory>,
    number: usize,
    /// The bytes beyond [`PER_CONNECTION`].
    charged: AtomicUsize,
    /// Of these, bytes that stay charged until the connection ends.
    until_end: AtomicUsize,
    /// Of these, bytes for the buffers of its sockets.
    for_kernel: AtomicUsize,
    /// Of these, bytes for streams beyond [`INCLUDED_STREAMS`].
    for_streams: AtomicUsize,
    /// A count that grows whenever bytes move.
    progress: AtomicU32,
    /// Whether the connection is New or Unfinished.
    is_listed: AtomicBool,
    /// The bytes that the requested eviction is expected to free; 0 if none was requested.
    pending: AtomicUsize,
    eviction_requested: AtomicBool,
    /// The task to wake when an eviction is requested.
    waker: Mutex<Option<Waker>>,
}

impl Account {
    /// Returns its number, which no other open connection has.
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// Charges `bytes`. Returns `false`, and charges nothing, if the pool refuses this use.
    pub(crate) fn charge(&self, bytes: usize, of: Use) -> bool {
        let granted = self.memory.pool.reserve(bytes, of);
        if granted {
            self.charged.fetch_add(bytes, Ordering::Relaxed);
        }
        granted
    }

    /// Releases `bytes` that were charged.
    pub(crate) fn uncharge(&self, bytes: usize) {
        if bytes > 0 {
            self.charged.fetch_sub(bytes, Ordering::Relaxed);
            self.memory.pool.release(bytes);
        }
    }

    /// Charges `bytes` for an incomplete message. Until [`Account::record_useful`] the connection is Unfinished, and may
    /// be evicted when memory is short. Returns `false` if other connections have to be evicted first; the caller tries
    /// again later.
    pub(crate) fn charge_unfinished(self: &Arc<Self>, bytes: usize) -> bool {
        self.is_listed.store(true, Ordering::Relaxed);
        self.memory.eviction().begin_message(self);
        let granted = self.charge(bytes, Use::Unfinished);
        if !granted {
            self.memory.evict_unfinished(bytes);
        }
        granted
    }

    /// Waits until `bytes` are free, and charges them until the connection ends.
    pub(crate) async fn charge_until_end(&self, bytes: usize) {
        self.memory.charge_until_end(self, bytes).await;
    }

    /// Charges `bytes` until the connection ends. Returns `false`, and charges nothing, if they are not free.
    pub(super) fn try_charge_until_end(&self, bytes: usize) -> bool {
        let granted = self.charge(bytes, Use::Connection);
        if granted {
            self.until_end.fetch_add(bytes, Ordering::Relaxed);
        }
        granted
    }

    /// Charges `bytes` for socket buffers of the kernel until the connection ends. Returns `false`, and charges nothing,
    /// if the pool refuses them.
    pub(crate) fn reserve_for_kernel(&self, bytes: usize) -> bool {
        let granted = self.charge(bytes, Use::Kernel);
        if granted {
            self.for_kernel.fetch_add(bytes, Ordering::Relaxed);
            self.memory.pool.add_kernel_reservation(bytes);
        }
        granted
    }

    /// Changes the charge for open streams to that of `open` of them. Returns `false`, and keeps the smaller charge, if
    /// the pool refuses more.
    pub(crate) fn charge_streams(&self, open: usize) -> bool {
        let needed = open.saturating_sub(INCLUDED_STREAMS).saturating_mul(PER_STREAM).next_multiple_of(STREAMS_STEP);
        let before = self.for_streams.swap(needed, Ordering::Relaxed);
        self.uncharge(before.saturating_sub(needed));
        let more = needed.saturating_sub(before);
        let granted = more == 0 || self.charge(more, Use::Streams);
        if !granted {
            self.for_streams.store(before, Ordering::Relaxed);
            self.record_shortage(Shortage::Stream);
        }
        granted
    }

    /// Releases what is charged until the end of the connection.
    pub(super) fn uncharge_rest(&self) {
        let for_kernel = self.for_kernel.swap(0, Ordering::Relaxed);
        self.memory.pool.remove_kernel_reservation(for_kernel);
        let others = [&self.until_end, &self.for_streams].map(|bytes| bytes.swap(0, Ordering::Relaxed));
        self.uncharge(others.into_iter().fold(for_kernel, usize::saturating_add));
    }

    /// Records that the connection was refused and is in its lingering close. It is the first to be evicted.
    pub(crate) fn begin_lingering(self: &Arc<Self>) {
        self.memory.begin_lingering(self);
    }

    /// Records that a message is complete: the connection is Useful.
    pub(crate) fn record_useful(&self) {
        // Called with every request. The lock is taken with the first one, and after a long head.
        if self.is_listed.swap(false, Ordering::Relaxed) {
            self.memory.eviction().record_useful(self);
        }
    }

    /// Returns whether the connection is Useful.
    pub(crate) fn is_useful(&self) -> bool {
        !self.is_listed.load(Ordering::Relaxed)
    }

    /// Records that bytes have moved.
    pub(crate) fn record_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns a count that grows whenever bytes move, modulo 2³².
    pub(super) fn progress(&self) -> u32 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Records what was done for lack of memory.
    pub(crate) fn record_shortage(&self, shortage: Shortage) {
        self.memory.record(shortage);
    }

    /// Requests that the connection ends. Returns the bytes that this frees beyond those of an earlier request.
    pub(super) fn request_eviction(&self) -> usize {
        let bytes = self.charged.load(Ordering::Relaxed).saturating_add(PER_CONNECTION);
        let before = self.pending.fetch_max(bytes, Ordering::Relaxed);
        self.eviction_requested.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
        bytes.saturating_sub(before)
    }

    /// Withdraws the request. Returns the bytes that it was expected to free.
    pub(super) fn settle_eviction(&self) -> usize {
        self.pending.swap(0, Ordering::Relaxed)
    }

    /// Ready once the connection is to be evicted. It then ends, or calls [`Account::decline_eviction`].
    ///
    /// Only the task that called last is woken: that needs no list of tasks in each connection.
    pub(crate) fn poll_eviction_requested(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: `request_eviction` sets the flag before it takes the lock, so no request is missed.
        if self.eviction_requested.swap(false, Ordering::Acquire) {
            return Poll::Ready(());
        }
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Records that the connection cannot be evicted now, because that would break an exchange.
    pub(crate) fn decline_eviction(&self) {
        self.record_progress();
        self.memory.settle_eviction(self);
    }
}
