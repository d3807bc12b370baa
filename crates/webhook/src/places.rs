//! Who keeps a place, and what was read from him, when there is not room for everybody.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

/// So many places and so much memory for what is being read, and a rule for who gives theirs up when there is no more.
///
/// First goes who never had an answer, and of those who came first: a scan, a slow handshake, a head or a body that does
/// not come. Whoever has something to ask is through with all that in a moment. Then goes who had an answer longest ago.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    room: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    guests: Arc<Mutex<Guests>>,
}

/// A place that is taken; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Place {
    guest: Guest,
    leave: oneshot::Receiver<Infallible>,
    told_to_leave: bool,
    _room: OwnedSemaphorePermit,
}

/// Somebody who has a place, or had one.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    number: u64,
    memory: Arc<Semaphore>,
    guests: Arc<Mutex<Guests>>,
}

/// Memory that a guest fills; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Memory {
    guest: Guest,
    bytes: u32,
    permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct Guests {
    /// Counts arrivals and answers.
    events: u64,
    seated: HashMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    standing: Standing,
    /// Bytes of memory that the guest fills.
    bytes: u32,
    /// Dropped to tell the guest to leave.
    _stay: oneshot::Sender<Infallible>,
}

/// In the order in which they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Since this event.
    Unheard(u64),
    /// Last at this event.
    Answered(u64),
}

impl Places {
    /// For so many, and so many bytes of theirs.
    pub(crate) fn new(most: usize, bytes: u32) -> Self {
        let memory = usize::try_from(bytes).unwrap_or(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(most)), memory: Arc::new(Semaphore::new(memory)), guests: Arc::default() }
    }

    /// Takes a place. If there is none, somebody is told to leave, and waited for.
    pub(crate) async fn take(&self) -> Result<Place, AcquireError> {
        let room = if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            room
        } else {
            lock(&self.guests).send_somebody_away(|_| true);
            Arc::clone(&self.room).acquire_owned().await?
        };
        let (number, leave) = lock(&self.guests).seat();
        let guest = Guest { number, memory: Arc::clone(&self.memory), guests: Arc::clone(&self.guests) };
        Ok(Place { guest, leave, told_to_leave: false, _room: room })
    }
}

impl Place {
    pub(crate) fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Is ready once the guest is to leave; until then it wakes the task that asked last.
    pub(crate) fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.told_to_leave {
            // Nothing is ever sent: the end of the sender is what is waited for.
            let _gone = ready!(Pin::new(&mut self.leave).poll(cx));
            self.told_to_leave = true;
        }
        Poll::Ready(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.guest.guests).seated.remove(&self.guest.number);
    }
}

impl Guest {
    /// Notes that the guest's question was answered.
    pub(crate) fn answered(&self) {
        lock(&self.guests).answered(self.number);
    }

    /// None at first.
    pub(crate) fn memory(&self) -> Memory {
        Memory { guest: self.clone(), bytes: 0, permit: None }
    }
}

impl Memory {
    /// Takes so many bytes more. If there are none, those who fill some are told to leave, until there will be enough, and
    /// are waited for.
    pub(crate) async fn grow(&mut self, bytes: u32) -> Result<(), AcquireError> {
        let memory = &self.guest.memory;
        let more = if let Ok(more) = Arc::clone(memory).try_acquire_many_owned(bytes) {
            more
        } else {
            lock(&self.guest.guests).free(bytes);
            Arc::clone(memory).acquire_many_owned(bytes).await?
        };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        self.bytes = self.bytes.saturating_add(bytes);
        lock(&self.guest.guests).fills(self.guest.number, |before| before.saturating_add(bytes));
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        lock(&self.guest.guests).fills(self.guest.number, |before| before.saturating_sub(self.bytes));
    }
}

impl Guests {
    fn seat(&mut self) -> (u64, oneshot::Receiver<Infallible>) {
        let number = self.event();
        let (stay, leave) = oneshot::channel();
        self.seated.insert(number, Seat { standing: Standing::Unheard(number), bytes: 0, _stay: stay });
        (number, leave)
    }

    fn answered(&mut self, number: u64) {
        let event = self.event();
        if let Some(seat) = self.seated.get_mut(&number) {
            seat.standing = Standing::Answered(event);
        }
    }

    fn fills(&mut self, number: u64, change: impl FnOnce(u32) -> u32) {
        if let Some(seat) = self.seated.get_mut(&number) {
            seat.bytes = change(seat.bytes);
        }
    }

    /// Sends away as many as fill so many bytes.
    fn free(&mut self, bytes: u32) {
        let mut freed = 0_u32;
        while freed < bytes {
            let Some(gone) = self.send_somebody_away(|seat| seat.bytes > 0) else { return };
            freed = freed.saturating_add(gone.bytes);
        }
    }

    /// Looks at all of them: microseconds, and only when it is full.
    fn send_somebody_away(&mut self, whom: impl Fn(&Seat) -> bool) -> Option<Seat> {
        let candidates = self.seated.iter().filter(|(_, seat)| whom(seat));
        let first = candidates.min_by_key(|(_, seat)| seat.standing).map(|(number, _)| *number);
        self.seated.remove(&first?)
    }

    fn event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

fn lock(guests: &Mutex<Guests>) -> MutexGuard<'_, Guests> {
    guests.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    fn is_to_leave(place: &mut Place) -> bool {
        poll_fn(|cx| place.poll_leave(cx)).now_or_never().is_some()
    }

    #[tokio::test]
    async fn who_never_had_an_answer_goes_first_then_who_had_it_longest_ago() {
        let places = Places::new(3, 0);
        let mut seated = Vec::new();
        for _ in 0..3 {
            seated.push(places.take().await.unwrap());
        }
        // The first to come had the last answer; the second had none.
        seated[2].guest().answered();
        seated[0].guest().answered();
        let mut newcomers = Vec::new();
        for next in [1, 2, 0] {
            let mut newcomer = Box::pin(places.take());
            assert!(newcomer.as_mut().now_or_never().is_none(), "nobody has left yet");
            let leaving: Vec<usize> = (0..3).filter(|&index| is_to_leave(&mut seated[index])).collect();
            assert_eq!(leaving, [next]);
            // Another takes its turn in the list, so that the others keep theirs.
            drop(std::mem::replace(&mut seated[next], Places::new(1, 0).take().await.unwrap()));
            let newcomer = newcomer.await.unwrap();
            newcomer.guest().answered();
            newcomers.push(newcomer);
        }
    }

    #[tokio::test]
    async fn memory_is_given_up_by_those_who_fill_some() {
        let places = Places::new(3, 10);
        let [mut silent, mut first, mut second] =
            [(); 3].map(|()| places.take().now_or_never().expect("there is room").unwrap());
        let mut memories = [first.guest().memory(), second.guest().memory()];
        memories[0].grow(4).await.unwrap();
        memories[0].grow(2).await.unwrap();
        memories[1].grow(4).await.unwrap();
        let [of_first, mut of_second] = memories;
        {
            let mut growing = Box::pin(of_second.grow(5));
            assert!(growing.as_mut().now_or_never().is_none(), "the memory is not free yet");
            assert_eq!([&mut silent, &mut first, &mut second].map(is_to_leave), [false, true, false]);
            drop(of_first);
            growing.await.unwrap();
        }
        drop(of_second);
        assert_eq!(places.memory.available_permits(), 10);
    }

    #[tokio::test]
    async fn where_there_is_room_nobody_is_told_to_leave() {
        let places = Places::new(1, 0);
        let mut only = places.take().await.unwrap();
        assert!(!is_to_leave(&mut only));
        drop(only);
        let mut next = places.take().await.unwrap();
        assert!(!is_to_leave(&mut next));
        assert_eq!(lock(&places.guests).seated.len(), 1);
    }
}
