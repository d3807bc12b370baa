//! Who keeps a place when there is not room for everybody.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

/// So many places, and a rule for who gives theirs up when all are taken and somebody comes.
///
/// First goes who never had an answer, and of those who came first: a scan, a slow handshake, a head or a body that does
/// not come. Whoever has something to ask is through with all that in a moment. Then goes who had an answer longest ago.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    room: Arc<Semaphore>,
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
    guests: Arc<Mutex<Guests>>,
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
    pub(crate) fn new(most: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(most)), guests: Arc::default() }
    }

    /// Takes a place. If there is none, somebody is told to leave, and waited for.
    pub(crate) async fn take(&self) -> Result<Place, AcquireError> {
        let room = if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            room
        } else {
            lock(&self.guests).send_somebody_away();
            Arc::clone(&self.room).acquire_owned().await?
        };
        let (number, leave) = lock(&self.guests).seat();
        let guest = Guest { number, guests: Arc::clone(&self.guests) };
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
}

impl Guests {
    fn seat(&mut self) -> (u64, oneshot::Receiver<Infallible>) {
        let number = self.event();
        let (stay, leave) = oneshot::channel();
        self.seated.insert(number, Seat { standing: Standing::Unheard(number), _stay: stay });
        (number, leave)
    }

    fn answered(&mut self, number: u64) {
        let event = self.event();
        if let Some(seat) = self.seated.get_mut(&number) {
            seat.standing = Standing::Answered(event);
        }
    }

    /// Looks at all of them: a microsecond, and only when it is full.
    fn send_somebody_away(&mut self) {
        let first = self.seated.iter().min_by_key(|(_, seat)| seat.standing).map(|(number, _)| *number);
        if let Some(number) = first {
            self.seated.remove(&number);
        }
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
        let places = Places::new(3);
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
            drop(std::mem::replace(&mut seated[next], Places::new(1).take().await.unwrap()));
            let newcomer = newcomer.await.unwrap();
            newcomer.guest().answered();
            newcomers.push(newcomer);
        }
    }

    #[tokio::test]
    async fn where_there_is_room_nobody_is_told_to_leave() {
        let places = Places::new(1);
        let mut only = places.take().await.unwrap();
        assert!(!is_to_leave(&mut only));
        drop(only);
        let mut next = places.take().await.unwrap();
        assert!(!is_to_leave(&mut next));
        assert_eq!(lock(&places.guests).seated.len(), 1);
    }
}
