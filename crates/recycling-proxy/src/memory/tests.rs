//! Which connections get memory and which are evicted, without a socket.

use std::future::poll_fn;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, task};

use super::eviction::{GRACE, STILL};
use super::*;

/// Returns memory for `slots` connections, and as many bytes again.
fn memory(slots: usize) -> Arc<Memory> {
    Memory::with(0, slots * PER_CONNECTION * 2, slots, &mut Registry::default())
}

fn slots(memory: &Arc<Memory>, count: usize) -> Vec<Slot> {
    (0..count).map(|_| memory.try_admit().expect("a free slot")).collect()
}

fn is_to_be_evicted(slot: &Slot) -> bool {
    task::spawn(poll_fn(|cx| slot.account().poll_eviction_requested(cx))).poll().is_ready()
}

#[test]
fn the_size_of_the_pool_follows_the_memory_limit() {
    for (limit, threads, pool) in [
        (128 * MIB, 1, 101 * MIB),
        (128 * MIB, 4, 92 * MIB),
        (1024 * MIB, 1, 885 * MIB),
        (16 * MIB, 1, 3 * MIB),
        // Less than the program needs.
        (8 * MIB, 1, MIB),
        (0, 1, MIB),
    ] {
        assert_eq!(pool_within(limit, threads) as u64, pool, "{limit} {threads}");
    }
    assert_eq!(pool_within(u64::MAX, 64), usize::MAX - usize::MAX / 8 - 200 * (1 << 20));
}

#[test]
fn the_defaults_fit_into_the_default_memory_limit() {
    let limit = 128 * MIB;
    let memory = Memory::with(limit, pool_within(limit, 1), 16_384, &mut Registry::default());
    let most = memory.most_connections();
    assert!((most * PER_CONNECTION) as u64 <= limit - OF_PROGRAM - PER_THREAD);
    let memory = Arc::new(memory);
    let slots: Vec<Slot> = std::iter::from_fn(|| memory.try_admit()).collect();
    assert_eq!(slots.len(), most);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_free_again_when_its_connection_ends() {
    let memory = memory(2);
    let mut held = slots(&memory, 2);
    assert!(memory.try_admit().is_none());
    let mut waiting = task::spawn(memory.admit());
    assert_pending!(waiting.poll());
    held.pop();
    assert!(waiting.is_woken());
    assert_ready!(waiting.poll());
    drop(held);
    assert_eq!(memory.pool.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_connection_without_a_request_is_evicted() {
    let memory = memory(3);
    let mut held = slots(&memory, 3);
    held[0].account().record_useful();
    let mut waiting = task::spawn(memory.admit());
    advance(GRACE.saturating_sub(SEARCH_EVERY)).await;
    assert_pending!(waiting.poll());
    assert!(!held.iter().any(is_to_be_evicted), "before their grace period is over");
    advance(SEARCH_EVERY).await;
    assert_pending!(waiting.poll());
    assert_eq!(held.iter().map(is_to_be_evicted).collect::<Vec<_>>(), [false, true, false]);
    // One eviction is enough for one connection.
    advance(CHECK_EVERY).await;
    assert_pending!(waiting.poll());
    assert!(!is_to_be_evicted(&held[2]));
    held.remove(1);
    assert_ready!(waiting.poll());
}

#[tokio::test(start_paused = true)]
async fn stalled_connections_are_evicted_when_all_have_had_requests() {
    let memory = memory(3);
    let held = slots(&memory, 3);
    for slot in &held {
        slot.account().record_useful();
    }
    memory.evict_least_useful(Instant::now());
    advance(STILL.saturating_sub(CHECK_EVERY)).await;
    held[0].account().record_progress();
    memory.evict_least_useful(Instant::now());
    assert!(!held.iter().any(is_to_be_evicted), "before any has stalled for long");
    advance(CHECK_EVERY).await;
    memory.evict_least_useful(Instant::now());
    assert_eq!(held.iter().map(is_to_be_evicted).collect::<Vec<_>>(), [false, true, false]);
    // It declines, so the other one is next.
    held[1].account().decline_eviction();
    memory.evict_least_useful(Instant::now());
    assert_eq!(held.iter().map(is_to_be_evicted).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn the_oldest_unfinished_messages_are_evicted_for_others() {
    let memory = memory(4);
    let held = slots(&memory, 4);
    let most = 4 * PER_CONNECTION;
    assert!(held[2].account().charge_unfinished(most / 2));
    assert!(held[0].account().charge_unfinished(most / 2));
    assert!(!held[1].account().charge_unfinished(PER_CONNECTION));
    assert_eq!(held.iter().map(is_to_be_evicted).collect::<Vec<_>>(), [false, false, true, false]);
    // The pending eviction is enough.
    assert!(!held[1].account().charge_unfinished(PER_CONNECTION));
    assert!(!held.iter().any(is_to_be_evicted));
    held[2].account().uncharge(most / 2);
    assert!(held[1].account().charge_unfinished(PER_CONNECTION));
    // A connection whose message is complete is not evicted for this.
    held[2].account().decline_eviction();
    held[0].account().record_useful();
    assert!(!held[3].account().charge_unfinished(most));
    assert_eq!(held.iter().map(is_to_be_evicted).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn an_ended_connection_returns_all_its_memory() {
    let memory = memory(8);
    let slot = memory.try_admit().unwrap();
    assert!(slot.account().try_charge_until_end(10));
    assert!(slot.account().charge_streams(1000));
    assert!(slot.account().charge(10, Use::Buffer));
    slot.account().uncharge(10);
    drop(slot);
    assert_eq!(memory.pool.used(), 0);
    assert!(memory.eviction().oldest_unfinished().is_none());
    assert!(memory.eviction().least_useful(Instant::now()).is_none());
}

#[test]
fn lingering_connections_are_evicted_first() {
    let memory = memory(3);
    let held = slots(&memory, 3);
    held[2].account().record_useful();
    memory.evict(held[1].account(), Shortage::Silent);
    assert!(is_to_be_evicted(&held[1]));
    held[1].account().begin_lingering();
    held[0].account().begin_lingering();
    memory.evict_least_useful(Instant::now());
    assert_eq!(held.iter().map(is_to_be_evicted).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn streams_take_memory_beyond_the_number_included_in_a_connection() {
    let memory = memory(8);
    let slot = memory.try_admit().unwrap();
    let used = || memory.pool.used() - PER_CONNECTION;
    for (open, bytes) in [(0, 0), (128, 0), (129, 4096), (298, 4096), (299, 8192), (1000, 24576), (129, 4096), (7, 0)] {
        assert!(slot.account().charge_streams(open));
        assert_eq!(used(), bytes, "{open} open");
    }
    // Streams get at most half of the pool.
    assert!(!slot.account().charge_streams(65_000));
    assert_eq!(used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_connection_returns_its_socket_memory() {
    let memory = memory(4);
    let held = slots(&memory, 4);
    for slot in &held {
        slot.account().record_useful();
    }
    memory.evict_excess(Instant::now());
    memory.eviction().update_progress(Instant::now());
    advance(STILL).await;
    held[0].account().record_progress();
    memory.pool.set_kernel_use(memory.pool.size() - 4 * PER_CONNECTION);
    memory.evict_excess(Instant::now());
    assert!(!held.iter().any(is_to_be_evicted), "the pool is not exceeded");
    memory.pool.set_kernel_use(memory.pool.size() - 3 * PER_CONNECTION);
    memory.evict_excess(Instant::now());
    assert_eq!(held.iter().map(is_to_be_evicted).collect::<Vec<_>>(), [false, true, false, false]);
}
