//! Who gets memory and who is evicted, without a socket.

use std::future::poll_fn;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, task};

use super::eviction::{GRACE, STILL};
use super::*;

/// Room for `places` connections, and for as many bytes besides as they take.
fn memory(places: usize) -> Arc<Memory> {
    Memory::with(0, places * OF_A_CONNECTION * 2, places, &mut Registry::default())
}

fn places(memory: &Arc<Memory>, count: usize) -> Vec<Place> {
    (0..count).map(|_| memory.place().expect("a place")).collect()
}

fn is_asked(place: &Place) -> bool {
    task::spawn(poll_fn(|cx| place.account().poll_asked_to_leave(cx))).poll().is_ready()
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
    assert!((most * OF_A_CONNECTION) as u64 <= limit - OF_THE_PROGRAM - OF_A_THREAD);
    let memory = Arc::new(memory);
    let places: Vec<Place> = std::iter::from_fn(|| memory.place()).collect();
    assert_eq!(places.len(), most);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_free_again_when_its_connection_ends() {
    let memory = memory(2);
    let mut held = places(&memory, 2);
    assert!(memory.place().is_none());
    let mut waiting = task::spawn(memory.admit());
    assert_pending!(waiting.poll());
    held.pop();
    assert!(waiting.is_woken());
    assert_ready!(waiting.poll());
    drop(held);
    assert_eq!(memory.pool.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_connection_without_a_request_is_evicted() {
    let memory = memory(3);
    let mut held = places(&memory, 3);
    held[0].account().is_useful();
    let mut waiting = task::spawn(memory.admit());
    advance(GRACE.saturating_sub(WAIT)).await;
    assert_pending!(waiting.poll());
    assert!(!held.iter().any(is_asked), "before they have had the time");
    advance(WAIT).await;
    assert_pending!(waiting.poll());
    assert_eq!(held.iter().map(is_asked).collect::<Vec<_>>(), [false, true, false]);
    // One is enough for one.
    advance(LOOK).await;
    assert_pending!(waiting.poll());
    assert!(!is_asked(&held[2]));
    held.remove(1);
    assert_ready!(waiting.poll());
}

#[tokio::test(start_paused = true)]
async fn stalled_connections_are_evicted_when_all_have_had_requests() {
    let memory = memory(3);
    let held = places(&memory, 3);
    for place in &held {
        place.account().is_useful();
    }
    memory.make_room(Instant::now());
    advance(STILL.saturating_sub(LOOK)).await;
    held[0].account().has_moved();
    memory.make_room(Instant::now());
    assert!(!held.iter().any(is_asked), "before anybody has stood still for long");
    advance(LOOK).await;
    memory.make_room(Instant::now());
    assert_eq!(held.iter().map(is_asked).collect::<Vec<_>>(), [false, true, false]);
    // It cannot; so the other one is asked.
    held[1].account().stays();
    memory.make_room(Instant::now());
    assert_eq!(held.iter().map(is_asked).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn the_oldest_unfinished_messages_are_evicted_for_others() {
    let memory = memory(4);
    let held = places(&memory, 4);
    let most = 4 * OF_A_CONNECTION;
    assert!(held[2].account().take_unfinished(most / 2));
    assert!(held[0].account().take_unfinished(most / 2));
    assert!(!held[1].account().take_unfinished(OF_A_CONNECTION));
    assert_eq!(held.iter().map(is_asked).collect::<Vec<_>>(), [false, false, true, false]);
    // It goes on waiting for that one, which is enough.
    assert!(!held[1].account().take_unfinished(OF_A_CONNECTION));
    assert!(!held.iter().any(is_asked));
    held[2].account().give(most / 2);
    assert!(held[1].account().take_unfinished(OF_A_CONNECTION));
    // A whole message is not asked to leave.
    held[2].account().stays();
    held[0].account().is_useful();
    assert!(!held[3].account().take_unfinished(most));
    assert_eq!(held.iter().map(is_asked).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn an_ended_connection_returns_all_its_memory() {
    let memory = memory(8);
    let place = memory.place().unwrap();
    assert!(place.account().keep(10));
    assert!(place.account().holds_streams(1000));
    assert!(place.account().take(10, Use::Buffer));
    place.account().give(10);
    drop(place);
    assert_eq!(memory.pool.taken(), 0);
    assert!(memory.eviction().oldest_unfinished().is_none());
    assert!(memory.eviction().least_useful(Instant::now()).is_none());
}

#[test]
fn lingering_connections_are_evicted_first() {
    let memory = memory(3);
    let held = places(&memory, 3);
    held[2].account().is_useful();
    memory.ask(held[1].account(), Shortage::Silent);
    assert!(is_asked(&held[1]));
    held[1].account().lingers();
    held[0].account().lingers();
    memory.make_room(Instant::now());
    assert_eq!(held.iter().map(is_asked).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn streams_take_memory_beyond_the_number_included_in_a_connection() {
    let memory = memory(8);
    let place = memory.place().unwrap();
    let used = || memory.pool.taken() - OF_A_CONNECTION;
    for (open, bytes) in [(0, 0), (128, 0), (129, 4096), (298, 4096), (299, 8192), (1000, 24576), (129, 4096), (7, 0)] {
        assert!(place.account().holds_streams(open));
        assert_eq!(used(), bytes, "{open} open");
    }
    // Half of the pool is not theirs.
    assert!(!place.account().holds_streams(65_000));
    assert_eq!(used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_connection_returns_its_socket_memory() {
    let memory = memory(4);
    let held = places(&memory, 4);
    for place in &held {
        place.account().is_useful();
    }
    memory.balance(Instant::now());
    memory.eviction().update_progress(Instant::now());
    advance(STILL).await;
    held[0].account().has_moved();
    memory.pool.note_kernel(memory.pool.size() - 4 * OF_A_CONNECTION);
    memory.balance(Instant::now());
    assert!(!held.iter().any(is_asked), "nothing is overdrawn");
    memory.pool.note_kernel(memory.pool.size() - 3 * OF_A_CONNECTION);
    memory.balance(Instant::now());
    assert_eq!(held.iter().map(is_asked).collect::<Vec<_>>(), [false, true, false, false]);
}
