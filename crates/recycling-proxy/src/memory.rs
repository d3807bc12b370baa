//! The memory that all connections share.
//!
//! The kernel kills the process, and with it every connection, if it exceeds the limit of its container. Other modules
//! bound the memory of one connection; this one bounds the sum.
//!
//! ```text
//!  limit of the container
//!  ├─ the program itself, and slack for fragmentation
//!  └─ pool ─┬─ connections: sockets, state and small buffers, reserved when they are accepted
//!           ├─ socket buffers that grow with what is sent through them, or else small ones (`socket_memory`)
//!           ├─ buffers of the usual size, or else small ones: reading goes on in smaller steps
//!           ├─ streams of HTTP/2
//!           └─ unfinished heads and handshakes: when the pool is used up, the oldest of them are evicted
//! ```
//!
//! When no slot is free, the eviction of the least useful connection is requested: the oldest without a request, else
//! the one without progress for the longest time (`eviction`). A connection declines if its end would break an
//! exchange.

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

pub(crate) use self::account::{Account, Slot};
use self::eviction::EvictionIndex;
use self::pool::{Pool, Use};
use crate::metrics::{Counters, Gauge};

/// The memory that is reserved for each connection, in bytes: two sockets with their descriptors, its task, and a small
/// buffer. Idle connections were measured at 8.8 to 11.1 kB without the buffer.
pub(crate) const PER_CONNECTION: usize = 16 * 1024;
/// The memory of the process without connections: the program and its libraries, the kernel's part, tables.
const OF_PROGRAM: u64 = 8 * MIB;
/// The memory of a thread: its stack, pooled buffers and pipes.
const PER_THREAD: u64 = 3 * MIB;
/// The divisor of the limit that gives the slack: for fragmentation, and for small buffers beyond the first.
const SLACK: u64 = 8;
/// The smallest pool. With too low a limit, a proxy that serves a few connections slowly is better than none.
const LEAST_POOL: u64 = MIB;
const MIB: u64 = 1 << 20;

/// The interval between two readings of the kernel's socket memory. A fast link fills the buffers of some hundred
/// sockets within it.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// The time between two searches for a connection to evict, while another waits for a slot.
const SEARCH_EVERY: Duration = Duration::from_millis(50);
/// The time between two checks of which connections make progress.
const CHECK_EVERY: Duration = Duration::from_secs(1);
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
        /// Requested the eviction of a connection without progress for a while. A connection with an exchange that waits
        /// for the app stays, and its eviction is requested again after 5 s.
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
    /// The number of connection slots.
    slots: usize,
    used_slots: AtomicUsize,
    eviction: Mutex<EvictionIndex>,
    /// The bytes that requested evictions are expected to free.
    pending: AtomicUsize,
    /// Notified when a connection has freed its slot or its memory.
    freed: Notify,
    /// Whether a warning was logged within [`BETWEEN_WARNINGS`].
    has_warned: AtomicBool,
    shortages: Counters<1>,
}

impl Memory {
    /// Returns the memory of a process within the system's limit, or within the configured one if that is lower.
    /// `descriptors` is the number of connections for which there are file descriptors.
    pub(crate) fn new(
        settings: &ProxySettings,
        descriptors: Option<NonZero<u32>>,
        registry: &mut Registry,
    ) -> Arc<Self> {
        let system = limit::of_system();
        let limit = settings
            .memory_limit
            .map_or(system, |configured| u64::from(configured.mebibytes()).saturating_mul(MIB).min(system));
        let slots = descriptors.map_or(u32::MAX, NonZero::get).min(settings.max_connections.get());
        Self::with(limit, pool_within(limit, settings.shared.threads.get()), slots as usize, registry)
    }

    pub(crate) fn with(limit: u64, pool: usize, slots: usize, registry: &mut Registry) -> Arc<Self> {
        let shortages = Counters::register(
            registry,
            "shortages",
            "Actions taken because the memory budget or the connection limit was used up, by action",
            ["action"],
        );
        let memory = Arc::new(Self {
            limit,
            pool: Pool::new(pool),
            slots,
            used_slots: AtomicUsize::new(0),
            eviction: Mutex::default(),
            pending: AtomicUsize::new(0),
            freed: Notify::new(),
            has_warned: AtomicBool::new(false),
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
            move || budget.pool.used() as u64,
        );
        memory
    }

    /// Returns the bytes of the budget that are in use.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.pool.used()
    }

    /// Waits for a free slot for an accepted connection. If there is none, requests an eviction.
    pub(crate) async fn admit(self: &Arc<Self>) -> Slot {
        if let Some(slot) = self.try_admit() {
            return slot;
        }
        self.record(Shortage::Waiting);
        loop {
            self.wait_for_room().await;
            if let Some(slot) = self.try_admit() {
                return slot;
            }
        }
    }

    /// Waits until `bytes` are free, and charges them to a connection until its end.
    async fn charge_until_end(&self, account: &Account, bytes: usize) {
        while !account.try_charge_until_end(bytes) {
            self.wait_for_room().await;
        }
    }

    /// Requests an eviction, and waits until a slot or memory is freed, or for the time between two searches.
    async fn wait_for_room(&self) {
        self.evict_least_useful(Instant::now());
        // A connection that could not be evicted before may be evictable after the timeout.
        let _ = timeout(SEARCH_EVERY, self.freed.notified()).await;
    }

    /// Returns a slot, if one is free and the pool has the memory for a connection.
    pub(crate) fn try_admit(self: &Arc<Self>) -> Option<Slot> {
        let one_more = |used: usize| used.checked_add(1).filter(|used| *used <= self.slots);
        self.used_slots.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        if !self.pool.reserve(PER_CONNECTION, Use::Connection) {
            self.used_slots.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Slot::new(self))
    }

    /// Frees the slot and the memory of a connection that has ended.
    fn release(&self, account: &Arc<Account>) {
        self.eviction().remove(account);
        self.settle_eviction(account);
        account.uncharge_rest();
        self.pool.release(PER_CONNECTION);
        self.used_slots.fetch_sub(1, Ordering::Relaxed);
        self.freed.notify_one();
    }

    /// Requests the eviction of the least useful connection, unless another eviction is pending.
    fn evict_least_useful(&self, now: Instant) {
        if self.pending.load(Ordering::Relaxed) > 0 {
            return;
        }
        let least_useful = self.eviction().least_useful(now);
        if let Some((account, why)) = least_useful {
            self.evict(&account, why);
        }
    }

    /// Requests the eviction of the connections with the oldest unfinished messages, to free `bytes`.
    fn evict_unfinished(&self, bytes: usize) {
        while self.pending.load(Ordering::Relaxed) < bytes {
            let oldest = self.eviction().oldest_unfinished();
            let Some(account) = oldest else { return };
            self.evict(&account, Shortage::Unfinished);
        }
    }

    fn evict(&self, account: &Account, why: Shortage) {
        self.record(why);
        self.pending.fetch_add(account.request_eviction(), Ordering::Relaxed);
    }

    /// Records that the connection has ended, or has declined its eviction.
    fn settle_eviction(&self, account: &Account) {
        self.pending.fetch_sub(account.settle_eviction(), Ordering::Relaxed);
    }

    /// Records that the connection has freed its memory and is in its lingering close. It is the first to be evicted.
    fn begin_lingering(&self, account: &Arc<Account>) {
        self.settle_eviction(account);
        self.eviction().begin_lingering(account);
        self.freed.notify_one();
    }

    /// Checks which connections make progress, and how much memory the kernel uses for socket buffers. Never returns.
    pub(crate) async fn watch(&self) {
        let (mut warned, mut checked) = (Instant::now(), Instant::now());
        loop {
            let measured = limit::socket_buffers();
            self.pool.set_kernel_use(measured.unwrap_or_default());
            self.evict_excess(Instant::now());
            if warned.elapsed() >= BETWEEN_WARNINGS {
                warned = Instant::now();
                self.has_warned.store(false, Ordering::Relaxed);
            }
            if self.is_crowded() && checked.elapsed() >= CHECK_EVERY {
                checked = Instant::now();
                self.eviction().update_progress(checked);
            }
            // The short interval is for the kernel's memory alone.
            sleep(if measured.is_some() { MEASURE_EVERY } else { CHECK_EVERY }).await;
        }
    }

    /// Requests evictions until they free what exceeds the pool. The kernel's memory for a connection without progress
    /// is not reserved in advance.
    fn evict_excess(&self, now: Instant) {
        while self.pending.load(Ordering::Relaxed) < self.pool.exceeded_by() {
            let least_useful = self.eviction().least_useful(now);
            let Some((account, why)) = least_useful else { return };
            self.evict(&account, why);
        }
    }

    /// Returns whether slots or memory may run out soon, so that the progress of connections has to be known.
    fn is_crowded(&self) -> bool {
        self.used_slots.load(Ordering::Relaxed) > self.slots / 2 || self.pool.used() > self.pool.size() / 2
    }

    /// Counts what was done for lack of memory or slots, and logs a warning once in [`BETWEEN_WARNINGS`].
    fn record(&self, action: Shortage) {
        self.shortages.inc([action.label()]);
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                action = action.label(),
                limit = self.limit,
                pool = self.pool.size(),
                used = self.pool.used(),
                connections = self.used_slots.load(Ordering::Relaxed),
                "memory or connection slots are short: connections without a useful request are closed, others are read in \
                 smaller steps; raise the limit (evenkeel.dev/proxy-memory-limit) to serve more connections"
            );
        }
    }

    /// Returns the greatest number of connections at a time.
    pub(crate) fn most_connections(&self) -> usize {
        self.slots.min(self.pool.ceiling(Use::Connection) / PER_CONNECTION)
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
    let program = OF_PROGRAM.saturating_add(PER_THREAD.saturating_mul(threads.into()));
    let pool = limit.saturating_sub(program).saturating_sub(limit / SLACK).max(LEAST_POOL);
    usize::try_from(pool).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
