//! The connections that can be retired, their request counts, estimated rates and marks.
//!
//! A relay updates the count of its own connection without a lock and without reading the clock. Once a second the
//! counts of all connections are read; nothing else iterates over them, except for a report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use retirement::{Candidate, Elapsed, Excess, RateEstimate, cap, shed};
use slab::Slab;
use tokio::time::Instant;

/// The state that a relay shares with the registry. Only the relay writes the counts.
#[derive(Debug)]
pub(super) struct Handle {
    /// Its number in the registry.
    number: usize,
    /// When it was accepted.
    accepted_at: Instant,
    requests: AtomicU32,
    uncounted: AtomicU32,
    marked: AtomicBool,
    observed: Observed,
    /// Makes an `Arc` of this as large as a gap that the allocator leaves before a task. A smaller one would be
    /// allocated elsewhere, and would take more memory (see the tests of `connection::stage`).
    _filler: [u8; 20],
}

/// The requests of a connection until the registry was last [advanced](Registry::advance), and its estimated rate. The
/// registry alone writes them, under its lock. They are atomic only because they are in the handle.
#[derive(Debug, Default)]
struct Observed {
    /// Requests that are in the estimate.
    seen: AtomicU32,
    /// The numbers of the estimate, as bits.
    estimate: [AtomicU64; 2],
}

impl Observed {
    fn advance(&self, requests: u32, elapsed: Elapsed) {
        let mut estimate = self.estimate();
        estimate.advance(requests.wrapping_sub(self.seen.load(Ordering::Relaxed)), elapsed);
        self.seen.store(requests, Ordering::Relaxed);
        for (bits, number) in self.estimate.iter().zip([estimate.requests(), estimate.seconds()]) {
            bits.store(number.to_bits(), Ordering::Relaxed);
        }
    }

    fn estimate(&self) -> RateEstimate {
        let [requests, seconds] = &self.estimate;
        let [requests, seconds] = [requests, seconds].map(|bits| f64::from_bits(bits.load(Ordering::Relaxed)));
        RateEstimate::remembering(requests, seconds)
    }
}

impl Handle {
    fn new(number: usize, accepted_at: Instant) -> Self {
        Self {
            number,
            accepted_at,
            requests: AtomicU32::new(0),
            uncounted: AtomicU32::new(0),
            marked: AtomicBool::new(false),
            observed: Observed::default(),
            _filler: [0; 20],
        }
    }

    /// Returns when the connection was accepted.
    pub(super) const fn accepted_at(&self) -> Instant {
        self.accepted_at
    }

    /// Counts a request.
    pub(super) fn request(&self) {
        // There is one writer, so that this needs no read-modify-write.
        self.requests.store(self.requests.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Excludes its requests so far from its limit.
    pub(super) fn reset_limit(&self) {
        self.uncounted.store(self.requests.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Returns the number of requests that do not count towards the limit.
    pub(super) fn uncounted(&self) -> u32 {
        self.uncounted.load(Ordering::Relaxed)
    }

    /// Marks it: it is retired with its next response, or already was.
    pub(super) fn mark(&self) {
        self.marked.store(true, Ordering::Relaxed);
    }

    /// Returns whether it is marked.
    pub(super) fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Relaxed)
    }
}

/// The load of the open connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// The sum of the estimated rates, in requests per second.
    pub(crate) all: f64,
    /// The same without marked connections.
    pub(crate) unmarked: f64,
    /// The number of connections.
    pub(crate) connections: usize,
    /// The number of marked connections.
    pub(crate) marked: usize,
    /// The sums of the decayed requests and seconds of the estimates.
    pub(crate) recent: [f64; 2],
}

/// Every connection that can be retired.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Slab<Arc<Handle>>,
    advanced: Option<Instant>,
}

impl Registry {
    /// Adds a connection that was accepted at `accepted_at`. Returns its handle.
    pub(super) fn insert(&mut self, accepted_at: Instant) -> Arc<Handle> {
        let vacancy = self.entries.vacant_entry();
        let handle = Arc::new(Handle::new(vacancy.key(), accepted_at));
        vacancy.insert(Arc::clone(&handle));
        handle
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, handle: &Handle) {
        let removed = self.entries.try_remove(handle.number);
        debug_assert!(removed.is_some(), "connection {} is removed twice", handle.number);
    }

    /// Updates the estimate of every connection with its requests since the last call.
    pub(super) fn advance(&mut self, now: Instant) {
        let before = self.advanced.replace(now);
        let since = |start: Instant| Elapsed::new(now.saturating_duration_since(start));
        let since_before = before.map(since);
        for (_, handle) in &self.entries {
            let elapsed = match (before, since_before) {
                (Some(before), Some(elapsed)) if handle.accepted_at <= before => elapsed,
                (_, _) => since(handle.accepted_at),
            };
            handle.observed.advance(handle.requests.load(Ordering::Relaxed), elapsed);
        }
    }

    /// Returns the load of the open connections. `prior` is the mean rate of a connection of the workload; without one,
    /// it is the mean rate of these connections.
    pub(super) fn load(&self, prior: Option<f64>) -> Load {
        let prior = prior.unwrap_or_else(|| self.mean_rate());
        let mut load = Load { connections: self.entries.len(), ..Load::default() };
        for (_, handle) in &self.entries {
            let estimate = handle.observed.estimate();
            let rate = estimate.rate(prior);
            let [requests, seconds] = load.recent;
            load.recent = [requests + estimate.requests(), seconds + estimate.seconds()];
            load.all += rate;
            if handle.is_marked() {
                load.marked = load.marked.saturating_add(1);
            } else {
                load.unmarked += rate;
            }
        }
        load
    }

    /// Returns the observed mean rate of these connections.
    fn mean_rate(&self) -> f64 {
        let estimates = self.entries.iter().map(|(_, handle)| handle.observed.estimate());
        let (requests, seconds) = estimates.fold((0.0, 0.0), |(requests, seconds), estimate| {
            (requests + estimate.requests(), seconds + estimate.seconds())
        });
        if seconds > 0.0 { requests / seconds } else { 0.0 }
    }

    /// Marks connections for an excess of load. Returns how many. `below(n)` is a random number, uniform over `0..n`.
    pub(super) fn shed(&self, excess: Excess, prior: f64, below: impl FnMut(usize) -> usize) -> usize {
        let unmarked = self.entries.iter().map(|(_, handle)| handle).filter(|handle| !handle.is_marked());
        // Candidates have their index among the unmarked ones, so that no number is looked up.
        let handles: Vec<&Arc<Handle>> = unmarked.collect();
        let candidate =
            |(id, handle): (usize, &&Arc<Handle>)| Candidate { id, rate: handle.observed.estimate().rate(prior) };
        let mut candidates: Vec<_> = handles.iter().enumerate().map(candidate).collect();
        let drawn = shed(&mut candidates, excess, cap(self.entries.len()), below);
        drawn.iter().filter_map(|id| handles.get(*id)).for_each(|handle| handle.mark());
        drawn.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use retirement::{Instruction, PodChange, Tolerance};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The tests of `connection::stage` check the other two gaps.
    #[test]
    fn a_handle_fills_a_gap_between_tasks() {
        let counts_of_an_arc = 2 * size_of::<usize>();
        let size = counts_of_an_arc + size_of::<Handle>();
        assert!((89..=104).contains(&size), "{size}");
    }

    struct Stage {
        registry: Registry,
        handles: Vec<Arc<Handle>>,
        now: Instant,
    }

    impl Stage {
        fn with(connections: usize) -> Self {
            let (mut registry, now) = (Registry::default(), Instant::now());
            let handles = (0..connections).map(|_| registry.insert(now)).collect();
            Self { registry, handles, now }
        }

        /// Lets each connection carry this many requests within a second.
        fn second(&mut self, requests: impl Fn(usize) -> u32) {
            for (i, handle) in self.handles.iter().enumerate() {
                (0..requests(i)).for_each(|_| handle.request());
            }
            self.now += SECOND;
            self.registry.advance(self.now);
        }

        fn marked(&self) -> usize {
            self.handles.iter().filter(|handle| handle.is_marked()).count()
        }
    }

    fn excess(own: f64, mean: f64) -> Excess {
        Excess::of(own, &Instruction::new(mean, 1.0, Tolerance::after(PodChange::default(), 1.0)).unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_load_is_the_sum_of_open_connections() {
        let mut stage = Stage::with(4);
        (0..120).for_each(|_| stage.second(|_| 10));
        let load = stage.registry.load(Some(10.0));
        assert!((load.all - 40.0).abs() < 1.0, "{load:?}");
        assert_eq!((load.connections, load.marked), (4, 0));
        stage.registry.remove(&stage.handles[0]);
        assert!((stage.registry.load(Some(10.0)).all - 30.0).abs() < 1.0, "at once when one ends");
        stage.registry.insert(stage.now);
        assert!((stage.registry.load(Some(10.0)).all - 40.0).abs() < 1.0, "at once when one begins");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_prior_the_load_is_estimated_from_these_connections_alone() {
        let mut stage = Stage::with(3);
        assert!(stage.registry.load(None).all.abs() < f64::EPSILON, "there was no request");
        (0..60).for_each(|_| stage.second(|i| [1, 2, 6][i]));
        let load = stage.registry.load(None);
        let [requests, seconds] = load.recent;
        assert!((requests / seconds - 3.0).abs() < 0.1, "{load:?}");
        assert!((load.all - 9.0).abs() < 0.5, "{load:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_counts_from_its_opening() {
        let mut stage = Stage::with(0);
        stage.second(|_| 0);
        stage.now += SECOND / 2;
        let handle = stage.registry.insert(stage.now);
        (0..5).for_each(|_| handle.request());
        stage.now += SECOND / 2;
        stage.registry.advance(stage.now);
        let [requests, seconds] = stage.registry.load(None).recent;
        assert!((requests - 5.0).abs() < 1e-9 && (seconds - 0.5).abs() < 1e-9, "{requests} in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn marked_connections_count_until_they_close_and_are_not_marked_again() {
        let mut stage = Stage::with(10);
        (0..60).for_each(|_| stage.second(|_| 1));
        let before = stage.registry.load(Some(1.0));
        let marked = stage.registry.shed(excess(before.unmarked, 5.0), 1.0, |_| 0);
        assert_eq!((marked, stage.marked()), (5, 5));
        let after = stage.registry.load(Some(1.0));
        assert!((after.all - before.all).abs() < 1e-9);
        assert!((after.unmarked - before.unmarked / 2.0).abs() < 0.1, "{after:?}");
        assert_eq!(after.marked, 5);
        stage.registry.shed(excess(after.unmarked, 3.0), 1.0, |_| 0);
        assert_eq!(stage.marked(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn forgiven_requests_are_those_served_so_far() {
        let handle = Handle::new(0, Instant::now());
        assert_eq!(handle.uncounted(), 0);
        (0..3).for_each(|_| handle.request());
        handle.reset_limit();
        handle.request();
        assert_eq!(handle.uncounted(), 3);
    }

    proptest! {
        #[test]
        fn request_counters_may_wrap(start in any::<u32>(), more in 0u32..1000) {
            let (mut registry, now) = (Registry::default(), Instant::now());
            let handle = registry.insert(now);
            handle.requests.store(start, Ordering::Relaxed);
            registry.advance(now);
            let before = registry.load(None).recent[0];
            (0..more).for_each(|_| handle.request());
            registry.advance(now);
            prop_assert!((registry.load(None).recent[0] - before - f64::from(more)).abs() < 1e-3);
        }
    }
}
