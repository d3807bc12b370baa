//! What one connection has of the memory, and where it stands when memory is short.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::pool::Use;
use super::{Memory, OF_A_CONNECTION, Shortage};

/// Streams that a connection may have open for what every connection costs: as many as servers usually allow.
const FREE_STREAMS: usize = 128;
/// An entry of the table, and its share of the tree's nodes (65,000 were measured at 1,351 KiB).
const OF_A_STREAM: usize = 24;
/// Streams are paid for in steps, so that few of them have to ask.
const STREAMS_STEP: usize = 4096;

/// A place among the connections that there are; given up when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Account>);

impl Place {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        let of_number = |number| Account {
            memory: Arc::clone(memory),
            number,
            held: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            for_kernel: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            moved: AtomicU32::new(0),
            is_listed: AtomicBool::new(true),
            asked_for: AtomicUsize::new(0),
            is_asked: AtomicBool::new(false),
            wakes: Mutex::default(),
        };
        Self(memory.eviction().insert(Instant::now(), of_number))
    }

    pub(crate) const fn account(&self) -> &Arc<Account> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.memory.leave_place(&self.0);
    }
}

/// What a connection has taken, and what it has shown.
///
/// ```text
///  New ──first useful request──▶ Useful ◀──head complete── Unfinished
///   └───────── a head or handshake that needs memory ─────────▲ (again with each such head)
/// ```
///
/// New and Unfinished connections are listed in the [`EvictionIndex`](super::eviction::EvictionIndex), from which the
/// oldest is asked to leave.
#[derive(Debug)]
pub(crate) struct Account {
    memory: Arc<Memory>,
    number: usize,
    /// Bytes beyond what every connection has.
    held: AtomicUsize,
    /// Of these, bytes that stay taken until the connection ends.
    kept: AtomicUsize,
    /// Of these, bytes for the buffers of its sockets beyond those that every connection has.
    for_kernel: AtomicUsize,
    /// Of these, bytes for streams beyond those that every connection may have open.
    streams: AtomicUsize,
    /// Steps forward, in whatever it does.
    moved: AtomicU32,
    is_listed: AtomicBool,
    /// Bytes that are expected back, because it was asked to leave.
    asked_for: AtomicUsize,
    is_asked: AtomicBool,
    /// The task that has to learn that the connection was asked to leave.
    wakes: Mutex<Option<Waker>>,
}

impl Account {
    /// Returns its number, which no other connection has meanwhile.
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// Takes `bytes`; `false` where there are none for this use.
    pub(crate) fn take(&self, bytes: usize, of: Use) -> bool {
        let taken = self.memory.pool.take(bytes, of);
        if taken {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        taken
    }

    /// Gives `bytes` back.
    pub(crate) fn give(&self, bytes: usize) {
        if bytes > 0 {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.memory.pool.give(bytes);
        }
    }

    /// Takes `bytes` for a message whose rest has not come. From now on, and until [`Account::is_useful`], the
    /// connection is one of those that leave when memory is short. `false` where others have to leave first: ask again.
    pub(crate) fn take_unfinished(self: &Arc<Self>, bytes: usize) -> bool {
        self.is_listed.store(true, Ordering::Relaxed);
        self.memory.eviction().begin_message(self);
        let taken = self.take(bytes, Use::Unfinished);
        if !taken {
            self.memory.make_room_for_message(bytes);
        }
        taken
    }

    /// Takes `bytes` until the connection ends, as soon as there are as many.
    pub(crate) async fn keep_more(&self, bytes: usize) {
        self.memory.keep(self, bytes).await;
    }

    /// Takes `bytes` until the connection ends.
    pub(super) fn keep(&self, bytes: usize) -> bool {
        let taken = self.take(bytes, Use::Connection);
        if taken {
            self.kept.fetch_add(bytes, Ordering::Relaxed);
        }
        taken
    }

    /// Takes `bytes` for what the kernel may hold of the connection, until its end; `false` where there are none.
    pub(crate) fn reserve_for_kernel(&self, bytes: usize) -> bool {
        let taken = self.take(bytes, Use::Kernel);
        if taken {
            self.for_kernel.fetch_add(bytes, Ordering::Relaxed);
            self.memory.pool.reserved_for_kernel(bytes);
        }
        taken
    }

    /// Memory for a table of so many open streams; `false` where there is none.
    pub(crate) fn holds_streams(&self, open: usize) -> bool {
        let wanted = open.saturating_sub(FREE_STREAMS).saturating_mul(OF_A_STREAM).next_multiple_of(STREAMS_STEP);
        let had = self.streams.swap(wanted, Ordering::Relaxed);
        self.give(had.saturating_sub(wanted));
        let more = wanted.saturating_sub(had);
        let granted = more == 0 || self.take(more, Use::Streams);
        if !granted {
            self.streams.store(had, Ordering::Relaxed);
            self.note(Shortage::Stream);
        }
        granted
    }

    pub(super) fn give_rest_back(&self) {
        let for_kernel = self.for_kernel.swap(0, Ordering::Relaxed);
        self.memory.pool.released_by_kernel(for_kernel);
        let others = [&self.kept, &self.streams].map(|bytes| bytes.swap(0, Ordering::Relaxed));
        self.give(others.into_iter().fold(for_kernel, usize::saturating_add));
    }

    /// The connection was refused: its client may read why if there is room for it that long.
    pub(crate) fn lingers(self: &Arc<Self>) {
        self.memory.lingers(self);
    }

    /// A message is complete: the connection has said something useful.
    pub(crate) fn is_useful(&self) {
        // Asked with every request: the lock is taken for the first one, and behind a long head.
        if self.is_listed.swap(false, Ordering::Relaxed) {
            self.memory.eviction().is_useful(self);
        }
    }

    /// Returns whether it has said nothing useful yet.
    pub(crate) fn is_new(&self) -> bool {
        self.is_listed.load(Ordering::Relaxed)
    }

    /// Something has moved.
    pub(crate) fn has_moved(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn moved(&self) -> u32 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Something was done for want of memory.
    pub(crate) fn note(&self, shortage: Shortage) {
        self.memory.note(shortage);
    }

    /// Returns the bytes that it has, and with them those that its end would give back.
    pub(super) fn ask_to_leave(&self) -> usize {
        let bytes = self.held.load(Ordering::Relaxed).saturating_add(OF_A_CONNECTION);
        let before = self.asked_for.fetch_max(bytes, Ordering::Relaxed);
        self.is_asked.store(true, Ordering::Release);
        if let Some(waker) = self.wakes.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
        bytes.saturating_sub(before)
    }

    pub(super) fn asked_for(&self) -> usize {
        self.asked_for.swap(0, Ordering::Relaxed)
    }

    /// Ready once the connection is asked to leave. Who does not, says so by [`Account::stays`].
    ///
    /// One task asks for a connection, and the last one that did is woken: that needs no list of waiters in each
    /// connection.
    pub(crate) fn poll_asked_to_leave(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut task = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, which whoever asks takes behind the flag: no request is missed in between.
        if self.is_asked.swap(false, Ordering::Acquire) {
            return Poll::Ready(());
        }
        match &mut *task {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The connection was asked to leave, and does not: that would destroy something.
    pub(crate) fn stays(&self) {
        self.has_moved();
        self.memory.has_answered(self);
    }
}
