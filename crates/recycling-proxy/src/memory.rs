//! The memory that all connections share.
//!
//! The kernel kills the process, and with it every connection, if it exceeds the limit of its container. Other modules
//! bound the memory of one connection; this one bounds the sum.
//!
//! ```text
//!  limit of the container
//!  ├─ the program itself, and slack for fragments
//!  └─ pool ─┬─ connections: sockets, state and small buffers, taken when they are accepted
//!           ├─ buffers of sockets that grow with what is sent through them, or else small ones (`socket_memory`)
//!           ├─ buffers of the usual size, or else small ones: reading goes on in smaller steps
//!           ├─ streams of HTTP/2
//!           └─ unfinished heads and handshakes: when the pool is used up, the oldest of them are evicted
//! ```
//!
//! When no slot is free, the least useful connection is asked to end: the oldest without a request, else the one
//! without progress for the longest time (`eviction`). Each connection decides whether ending would break an exchange.

pub(crate) mod account;
mod eviction;
mod limit;
pub(crate) mod pool;

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use labels::labels;
use prometheus_client::registry::Registry;
use settings::ProxySettings;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use self::account::{Account, Place};
use self::eviction::EvictionIndex;
use self::pool::{Pool, Use};
use crate::metrics::{Counters, Gauge};

/// The memory that is reserved for each connection, in bytes: two sockets with their descriptors, its task, and a small
/// buffer. Idle connections were measured at 8.8 to 11.1 kB without the buffer.
pub(crate) const OF_A_CONNECTION: usize = 16 * 1024;
/// The memory of the process without connections: the program and its libraries, the kernel's part, tables.
const OF_THE_PROGRAM: u64 = 8 * MIB;
/// The memory of a thread: its stack, pooled buffers and pipes.
const OF_A_THREAD: u64 = 3 * MIB;
/// The part of the rest that is left for fragmentation and for small buffers beyond the first: one in this many.
const SLACK: u64 = 8;
/// The least pool. With too low a limit, a proxy that serves a few connections slowly is better than none.
const LEAST_POOL: u64 = MIB;
const MIB: u64 = 1 << 20;

/// The interval between two readings of the kernel's socket memory. A fast link fills the buffers of some hundred
/// sockets within it.
const WEIGH: Duration = Duration::from_millis(100);
/// The time between two searches for a connection to evict, while another waits for a slot.
const WAIT: Duration = Duration::from_millis(50);
/// The time between two checks of which connections make progress.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two log lines about a shortage.
const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);

labels!(
    /// What was done because memory or slots were short.
    pub(crate) Shortage {
        /// Read into a small buffer instead of one of the usual size.
        SmallBuffer = "small_buffer",
        /// A client waited for a free slot.
        Waiting = "waiting",
        /// Evicted a refused connection in its lingering close.
        Lingering = "lingering",
        /// Evicted a connection without a request so far.
        Silent = "silent",
        /// Evicted a connection with an incomplete request head or TLS handshake.
        Unfinished = "unfinished",
        /// Evicted a connection without progress for a while.
        Still = "still",
        /// Refused a stream of HTTP/2.
        Stream = "stream",
    }
);

/// The memory of the process, and its connection slots.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    pool: Pool,
    places: usize,
    taken: AtomicUsize,
    eviction: Mutex<EvictionIndex>,
    /// Bytes of connections that were asked to end and have not ended yet.
    leaving: AtomicUsize,
    freed: Notify,
    is_quiet: AtomicBool,
    shortages: Counters<1>,
}

impl Memory {
    /// Returns the budget of a process with so many threads: the system's limit, or the configured one if that is
    /// lower.
    pub(crate) fn new(
        settings: &ProxySettings,
        descriptors: Option<NonZero<u32>>,
        registry: &mut Registry,
    ) -> Arc<Self> {
        let system = limit::of_system();
        let limit =
            settings.memory_limit.map_or(system, |told| u64::from(told.mebibytes()).saturating_mul(MIB).min(system));
        let places = descriptors.map_or(u32::MAX, NonZero::get).min(settings.max_connections.get());
        Self::with(limit, pool_within(limit, settings.shared.threads.get()), places as usize, registry)
    }

    pub(crate) fn with(limit: u64, pool: usize, places: usize, registry: &mut Registry) -> Arc<Self> {
        let shortages = Counters::register(
            registry,
            "shortages",
            "Actions taken because the memory budget or the connection limit was used up, by action",
            ["action"],
        );
        let memory = Arc::new(Self {
            limit,
            pool: Pool::new(pool),
            places,
            taken: AtomicUsize::new(0),
            eviction: Mutex::default(),
            leaving: AtomicUsize::new(0),
            freed: Notify::new(),
            is_quiet: AtomicBool::new(false),
            shortages: shortages.zeroed(Shortage::ALL.iter().map(|action| [action.label()])),
        });
        let budget = Arc::clone(&memory);
        Gauge::register(
            registry,
            "memory_budget_bytes",
            "Memory that all client connections may use, derived from the container's limit",
            move || budget.pool.size() as u64,
        );
        let budget = Arc::clone(&memory);
        Gauge::register(
            registry,
            "memory_budget_used_bytes",
            "Memory of that budget that is in use: by connections, buffers, handshakes and streams",
            move || budget.pool.taken() as u64,
        );
        memory
    }

    /// Bytes of the budget that are in use.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.pool.taken()
    }

    /// Returns a slot for an accepted connection, as soon as one is free. If none is, asks another connection to end.
    pub(crate) async fn admit(self: &Arc<Self>) -> Place {
        if let Some(place) = self.place() {
            return place;
        }
        self.note(Shortage::Waiting);
        loop {
            self.make_room(Instant::now());
            // Meanwhile one may have become the least useful.
            let _ = timeout(WAIT, self.freed.notified()).await;
            if let Some(place) = self.place() {
                return place;
            }
        }
    }

    /// Takes memory for a connection that has a slot, until its end.
    pub(crate) async fn keep(&self, account: &Account, bytes: usize) {
        while !account.keep(bytes) {
            self.make_room(Instant::now());
            let _ = timeout(WAIT, self.freed.notified()).await;
        }
    }

    pub(crate) fn place(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken: usize| taken.checked_add(1).filter(|taken| *taken <= self.places);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        if !self.pool.take(OF_A_CONNECTION, Use::Connection) {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place::new(self))
    }

    fn leave_place(&self, account: &Arc<Account>) {
        self.eviction().remove(account);
        self.has_answered(account);
        account.give_rest_back();
        self.pool.give(OF_A_CONNECTION);
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.freed.notify_one();
    }

    /// Asks the least useful connection to end, unless one is about to.
    fn make_room(&self, now: Instant) {
        if self.leaving.load(Ordering::Relaxed) > 0 {
            return;
        }
        let least_useful = self.eviction().least_useful(now);
        if let Some((account, why)) = least_useful {
            self.ask(&account, why);
        }
    }

    /// Evicts the connections with the oldest unfinished messages to free `bytes`.
    fn make_room_for_message(&self, bytes: usize) {
        while self.leaving.load(Ordering::Relaxed) < bytes {
            let oldest = self.eviction().oldest_unfinished();
            let Some(account) = oldest else { return };
            self.ask(&account, Shortage::Unfinished);
        }
    }

    fn ask(&self, account: &Account, why: Shortage) {
        self.note(why);
        self.leaving.fetch_add(account.ask_to_leave(), Ordering::Relaxed);
    }

    /// Notes that the connection has ended, or cannot.
    fn has_answered(&self, account: &Account) {
        self.leaving.fetch_sub(account.asked_for(), Ordering::Relaxed);
    }

    /// Notes that the connection has freed its memory and is in its lingering close. It is the first to be evicted.
    fn lingers(&self, account: &Arc<Account>) {
        self.has_answered(account);
        self.eviction().lingers(account);
        self.freed.notify_one();
    }

    /// Checks which connections make progress, and how much memory the kernel takes for socket buffers; runs until the
    /// process ends.
    pub(crate) async fn watch(&self) {
        let (mut warned, mut looked) = (Instant::now(), Instant::now());
        loop {
            let weighed = limit::socket_buffers();
            self.pool.note_kernel(weighed.unwrap_or_default());
            self.balance(Instant::now());
            if warned.elapsed() >= BETWEEN_WARNINGS {
                warned = Instant::now();
                self.is_quiet.store(false, Ordering::Relaxed);
            }
            if self.is_crowded() && looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.eviction().update_progress(looked);
            }
            // Without what the kernel has taken there is nothing to be in a hurry for.
            sleep(if weighed.is_some() { WEIGH } else { LOOK }).await;
        }
    }

    /// Evicts connections until the pool is no longer overdrawn: the kernel's memory for a connection without progress
    /// is not taken from the pool in advance.
    fn balance(&self, now: Instant) {
        while self.leaving.load(Ordering::Relaxed) < self.pool.overdrawn() {
            let least_useful = self.eviction().least_useful(now);
            let Some((account, why)) = least_useful else { return };
            self.ask(&account, why);
        }
    }

    /// Returns whether slots may run out soon. Then there is time to learn which connections make no progress.
    fn is_crowded(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.places / 2 || self.pool.taken() > self.pool.size() / 2
    }

    fn note(&self, action: Shortage) {
        self.shortages.inc([action.label()]);
        if !self.is_quiet.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                action = action.label(),
                limit = self.limit,
                pool = self.pool.size(),
                used = self.pool.taken(),
                connections = self.taken.load(Ordering::Relaxed),
                "memory or places are short: connections without a useful request are closed, others are read in smaller \
                 steps; a larger limit (evenkeel.dev/proxy-memory-limit) has room for more"
            );
        }
    }

    /// Returns the number of slots.
    pub(crate) fn most_connections(&self) -> usize {
        self.places.min(self.pool.most(Use::Connection) / OF_A_CONNECTION)
    }

    /// Returns the memory limit of the process in bytes, for the log.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    fn eviction(&self) -> MutexGuard<'_, EvictionIndex> {
        self.eviction.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the size of the pool within a memory limit, both in bytes.
fn pool_within(limit: u64, threads: u8) -> usize {
    let program = OF_THE_PROGRAM.saturating_add(OF_A_THREAD.saturating_mul(threads.into()));
    let pool = limit.saturating_sub(program).saturating_sub(limit / SLACK).max(LEAST_POOL);
    usize::try_from(pool).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
