//! Slots for connections and memory for bodies, with eviction where either runs out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

/// A fixed number of slots for connections, and of bytes for the bodies that they send.
///
/// A new connection evicts another if no slot is free. Eviction order: connections without a response so far, oldest
/// first (port scans, slow handshakes, heads and bodies that do not arrive); then the connection whose last response is
/// longest ago. An API server gets its first response within milliseconds, so slow peers cannot keep it out.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    connections: Arc<Mutex<Connections>>,
}

/// A slot in use. It is free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    connection: Connection,
    eviction: oneshot::Receiver<Infallible>,
    evicted: bool,
    _permit: OwnedSemaphorePermit,
}

/// A connection that has a slot, or had one.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    id: u64,
    memory: Arc<Semaphore>,
    connections: Arc<Mutex<Connections>>,
}

/// Memory that the body of a request uses. It is free again once this is dropped.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    connection: Connection,
    bytes: u32,
    permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct Connections {
    /// Counts connections and responses: a clock for [`Activity`].
    events: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    activity: Activity,
    /// Bytes of memory that the connection's bodies use.
    bytes: u32,
    /// Dropped to evict the connection.
    _keep: oneshot::Sender<Infallible>,
}

/// What a connection has done so far, in eviction order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Activity {
    /// It has had no response since it came with this event.
    Unanswered(u64),
    /// Its last response was this event.
    Answered(u64),
}

impl Slots {
    /// Returns slots for `connections` connections and `bytes` bytes of bodies.
    pub(crate) fn new(connections: usize, bytes: u32) -> Self {
        let memory = usize::try_from(bytes).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(connections)),
            memory: Arc::new(Semaphore::new(memory)),
            connections: Arc::default(),
        }
    }

    /// Takes a slot. If none is free, evicts a connection and waits until it has ended.
    pub(crate) async fn acquire(&self) -> Result<Slot, AcquireError> {
        let permit = if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            permit
        } else {
            lock(&self.connections).evict(|_| true);
            Arc::clone(&self.free).acquire_owned().await?
        };
        let (id, eviction) = lock(&self.connections).add();
        let connection =
            Connection { id, memory: Arc::clone(&self.memory), connections: Arc::clone(&self.connections) };
        Ok(Slot { connection, eviction, evicted: false, _permit: permit })
    }
}

impl Slot {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Becomes ready once the connection is evicted. Until then it wakes the task that asked last.
    pub(crate) fn poll_evicted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.evicted {
            // Nothing is ever sent: eviction drops the sender.
            let _dropped = ready!(Pin::new(&mut self.eviction).poll(cx));
            self.evicted = true;
        }
        Poll::Ready(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.connection.connections).entries.remove(&self.connection.id);
    }
}

impl Connection {
    /// Records that a request of this connection has its response.
    pub(crate) fn answered(&self) {
        lock(&self.connections).answered(self.id);
    }

    /// Returns memory for a body, none of it used yet.
    pub(crate) fn memory(&self) -> BodyMemory {
        BodyMemory { connection: self.clone(), bytes: 0, permit: None }
    }
}

impl BodyMemory {
    /// Takes `bytes` bytes more. If too few are free, evicts connections whose bodies use as many, and waits until they
    /// have ended.
    pub(crate) async fn grow(&mut self, bytes: u32) -> Result<(), AcquireError> {
        let memory = &self.connection.memory;
        let more = if let Ok(more) = Arc::clone(memory).try_acquire_many_owned(bytes) {
            more
        } else {
            lock(&self.connection.connections).evict_to_free(bytes);
            Arc::clone(memory).acquire_many_owned(bytes).await?
        };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        self.bytes = self.bytes.saturating_add(bytes);
        lock(&self.connection.connections).update_bytes(self.connection.id, |before| before.saturating_add(bytes));
        Ok(())
    }
}

impl Drop for BodyMemory {
    fn drop(&mut self) {
        let mut connections = lock(&self.connection.connections);
        connections.update_bytes(self.connection.id, |before| before.saturating_sub(self.bytes));
    }
}

impl Connections {
    fn add(&mut self) -> (u64, oneshot::Receiver<Infallible>) {
        let id = self.next_event();
        let (keep, eviction) = oneshot::channel();
        self.entries.insert(id, Entry { activity: Activity::Unanswered(id), bytes: 0, _keep: keep });
        (id, eviction)
    }

    fn answered(&mut self, id: u64) {
        let event = self.next_event();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.activity = Activity::Answered(event);
        }
    }

    fn update_bytes(&mut self, id: u64, change: impl FnOnce(u32) -> u32) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.bytes = change(entry.bytes);
        }
    }

    /// Evicts connections until their bodies have used `bytes` bytes.
    fn evict_to_free(&mut self, bytes: u32) {
        let mut freed = 0_u32;
        while freed < bytes {
            let Some(evicted) = self.evict(|entry| entry.bytes > 0) else { return };
            freed = freed.saturating_add(evicted.bytes);
        }
    }

    /// Evicts the first connection in eviction order that is a `candidate`. It compares all of them, which takes
    /// microseconds, and only when no slot or memory is free.
    fn evict(&mut self, candidate: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let candidates = self.entries.iter().filter(|(_, entry)| candidate(entry));
        let first = candidates.min_by_key(|(_, entry)| entry.activity).map(|(id, _)| *id);
        self.entries.remove(&first?)
    }

    fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

fn lock(connections: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    fn is_evicted(slot: &mut Slot) -> bool {
        poll_fn(|cx| slot.poll_evicted(cx)).now_or_never().is_some()
    }

    #[tokio::test]
    async fn unanswered_connections_are_evicted_first_then_those_answered_longest_ago() {
        let slots = Slots::new(3, 0);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(slots.acquire().await.unwrap());
        }
        // The first connection had the latest response; the second had none.
        held[2].connection().answered();
        held[0].connection().answered();
        let mut newcomers = Vec::new();
        for next in [1, 2, 0] {
            let mut newcomer = Box::pin(slots.acquire());
            assert!(newcomer.as_mut().now_or_never().is_none(), "no slot is free yet");
            let evicted: Vec<usize> = (0..3).filter(|&index| is_evicted(&mut held[index])).collect();
            assert_eq!(evicted, [next]);
            // A slot of other slots replaces it in the list, so that the indices stay.
            drop(std::mem::replace(&mut held[next], Slots::new(1, 0).acquire().await.unwrap()));
            let newcomer = newcomer.await.unwrap();
            newcomer.connection().answered();
            newcomers.push(newcomer);
        }
    }

    #[tokio::test]
    async fn memory_is_freed_only_from_connections_that_use_some() {
        let slots = Slots::new(3, 10);
        let [mut silent, mut first, mut second] =
            [(); 3].map(|()| slots.acquire().now_or_never().expect("a slot is free").unwrap());
        let mut memories = [first.connection().memory(), second.connection().memory()];
        memories[0].grow(4).await.unwrap();
        memories[0].grow(2).await.unwrap();
        memories[1].grow(4).await.unwrap();
        let [of_first, mut of_second] = memories;
        {
            let mut growing = Box::pin(of_second.grow(5));
            assert!(growing.as_mut().now_or_never().is_none(), "the memory is not free yet");
            assert_eq!([&mut silent, &mut first, &mut second].map(is_evicted), [false, true, false]);
            drop(of_first);
            growing.await.unwrap();
        }
        drop(of_second);
        assert_eq!(slots.memory.available_permits(), 10);
    }

    #[tokio::test]
    async fn no_connection_is_evicted_while_a_slot_is_free() {
        let slots = Slots::new(1, 0);
        let mut only = slots.acquire().await.unwrap();
        assert!(!is_evicted(&mut only));
        drop(only);
        let mut next = slots.acquire().await.unwrap();
        assert!(!is_evicted(&mut next));
        assert_eq!(lock(&slots.connections).entries.len(), 1);
    }
}
