//! The order in which connections are evicted.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use super::Shortage;
use super::account::Account;

/// The time without progress after which a connection may be evicted. It is the default idle timeout of Apache httpd
/// and Node.js.
pub(super) const STILL: Duration = Duration::from_secs(5);

/// The time in which a new connection is not evicted, so that it can send a request.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// All connections, in the order of eviction.
#[derive(Debug, Default)]
pub(super) struct EvictionIndex {
    /// The number of arrivals of connections and of unfinished messages so far.
    arrivals: u64,
    /// Refused connections in their lingering close, by arrival.
    lingering: BTreeMap<u64, Arc<Account>>,
    /// Connections without a complete request so far, by arrival.
    new: BTreeMap<u64, New>,
    /// Connections with an unfinished message that holds memory, by its arrival.
    unfinished: BTreeMap<u64, Arc<Account>>,
    /// The keys in `unfinished`, by the number of the connection.
    begun: BTreeMap<usize, u64>,
    /// The progress of every connection, by number. Numbers of ended connections are reused, so that the table stays
    /// small.
    all: Slab<Progress>,
    /// The time of the first connection, from which [`Tick`]s count.
    first: Option<Instant>,
}

/// A connection without a complete request so far.
#[derive(Debug)]
struct New {
    account: Arc<Account>,
    arrived: Instant,
}

/// The last observed progress of a connection.
#[derive(Debug)]
struct Progress {
    account: Arc<Account>,
    arrival: u64,
    moved: u32,
    /// The time since which there was no progress; `None` before the first check.
    since: Option<Tick>,
}

/// A time since the first connection, rounded up to a tenth of a second. It takes a quarter of the memory of an
/// `Instant`, which every connection would need. The last tick is 13 years after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(NonZero<u32>);

impl Tick {
    const LENGTH: Duration = Duration::from_millis(100);

    fn not_before(time: Duration) -> Self {
        let ticks = time.as_millis().div_ceil(Self::LENGTH.as_millis());
        Self(u32::try_from(ticks).map_or(NonZero::<u32>::MAX, |ticks| NonZero::<u32>::MIN.saturating_add(ticks)))
    }

    const fn time(self) -> Duration {
        Self::LENGTH.saturating_mul(self.0.get().saturating_sub(1))
    }
}

impl EvictionIndex {
    const fn next_arrival(&mut self) -> u64 {
        self.arrivals = self.arrivals.saturating_add(1);
        self.arrivals
    }

    /// Adds the connection that `of_number` returns, which keeps this number until it is removed.
    pub(super) fn insert(&mut self, now: Instant, of_number: impl FnOnce(usize) -> Account) -> Arc<Account> {
        self.first.get_or_insert(now);
        let arrival = self.next_arrival();
        let vacancy = self.all.vacant_entry();
        let account = Arc::new(of_number(vacancy.key()));
        vacancy.insert(Progress { account: Arc::clone(&account), arrival, moved: 0, since: None });
        self.new.insert(arrival, New { account: Arc::clone(&account), arrived: now });
        account
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&mut self, account: &Account) {
        if let Some(arrival) = self.arrival(account) {
            self.record_useful(account);
            self.lingering.remove(&arrival);
            self.all.remove(account.number());
        }
    }

    /// Returns the arrival of the connection; `None` if it was removed.
    fn arrival(&self, account: &Account) -> Option<u64> {
        let progress = self.all.get(account.number())?;
        std::ptr::eq(Arc::as_ptr(&progress.account), account).then_some(progress.arrival)
    }

    /// Records that the connection is in its lingering close.
    pub(super) fn begin_lingering(&mut self, account: &Arc<Account>) {
        self.record_useful(account);
        if let Some(arrival) = self.arrival(account) {
            self.lingering.insert(arrival, Arc::clone(account));
        }
    }

    /// Records that the connection has an unfinished message that needs memory.
    pub(super) fn begin_message(&mut self, account: &Arc<Account>) {
        if self.arrival(account).is_some() && !self.begun.contains_key(&account.number()) {
            let key = self.next_arrival();
            self.begun.insert(account.number(), key);
            self.unfinished.insert(key, Arc::clone(account));
        }
    }

    /// Records that a message of the connection is complete.
    pub(super) fn record_useful(&mut self, account: &Account) {
        let Some(arrival) = self.arrival(account) else { return };
        self.new.remove(&arrival);
        if let Some(key) = self.begun.remove(&account.number()) {
            self.unfinished.remove(&key);
        }
    }

    /// Returns the connection to evict: the oldest in its lingering close; else the oldest without a request, after
    /// [`GRACE`]; else the one with the oldest unfinished message; else the one without progress for the longest time,
    /// and at least for [`STILL`]. It is not returned again before it has made progress.
    pub(super) fn least_useful(&mut self, now: Instant) -> Option<(Arc<Account>, Shortage)> {
        if let Some((_, account)) = self.lingering.pop_first() {
            return Some((account, Shortage::Lingering));
        }
        if let Some(account) = self.oldest_new(now) {
            return Some((account, Shortage::Silent));
        }
        if let Some(account) = self.oldest_unfinished() {
            return Some((account, Shortage::Unfinished));
        }
        self.update_progress(now);
        let now = self.time(now);
        let still = self.all.iter_mut().filter_map(|(_, progress)| Some((progress.since?, progress)));
        let (since, progress) = still.min_by_key(|(since, _)| *since)?;
        if now.saturating_sub(since.time()) < STILL {
            return None;
        }
        progress.since = Some(Tick::not_before(now));
        Some((Arc::clone(&progress.account), Shortage::Still))
    }

    fn oldest_new(&mut self, now: Instant) -> Option<Arc<Account>> {
        let oldest = self.new.first_entry()?;
        let had_time = now.duration_since(oldest.get().arrived) >= GRACE;
        had_time.then(|| oldest.remove().account)
    }

    /// Returns the connection with the oldest unfinished message, and removes it from this order.
    pub(super) fn oldest_unfinished(&mut self) -> Option<Arc<Account>> {
        self.unfinished.pop_first().map(|(_, account)| account)
    }

    /// Updates the progress of all connections.
    pub(super) fn update_progress(&mut self, now: Instant) {
        let now = Tick::not_before(self.time(now));
        for (_, progress) in &mut self.all {
            let moved = progress.account.progress();
            if progress.since.is_none() || moved != progress.moved {
                (progress.moved, progress.since) = (moved, Some(now));
            }
        }
    }

    /// Returns the time since the first connection.
    fn time(&self, now: Instant) -> Duration {
        self.first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_a_connection_is_small() {
        assert!(size_of::<Progress>() <= 24, "{}", size_of::<Progress>());
    }

    #[test]
    fn ticks_are_rounded_up_so_that_time_without_progress_is_never_overstated() {
        let year = Duration::from_hours(365 * 24);
        for (time, tick) in [(0, 0), (1, 100), (100, 100), (101, 200), (4_999, 5_000)] {
            let [time, tick] = [time, tick].map(Duration::from_millis);
            assert_eq!(Tick::not_before(time).time(), tick);
        }
        assert_eq!(Tick::not_before(year * 13).time(), year * 13);
        assert!(Tick::not_before(year * 20) > Tick::not_before(year * 13), "the last tick");
    }
}
