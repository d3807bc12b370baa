//! Many clients that send requests for the duration of a test.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::caller::{Caller, Protocol};
use crate::client::{Answer, Failure};
use crate::figures::Figures;

/// The number of clients that share an HTTP/2 or gRPC connection.
const SHARING: usize = 4;

/// The load of a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients, each with one request in flight at most.
    pub clients: u32,
    /// The time from the start of a client's request to the start of its next one. A client whose response takes longer
    /// sends the next request right after it.
    pub interval: Duration,
}

/// Clients that keep their connections alive and send requests until they are stopped.
#[derive(Debug)]
pub struct Fleet {
    started: Instant,
    log: Arc<Mutex<Vec<Event>>>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

/// A request that was answered or failed.
#[derive(Clone, Debug)]
pub struct Event {
    /// The time of its end.
    pub at: Instant,
    /// Its outcome.
    pub outcome: Result<Answer, Failure>,
}

impl Event {
    /// Returns how long after `from` the request ended, and what came of it.
    pub fn since(&self, from: Instant) -> (Duration, &Result<Answer, Failure>) {
        (self.at - from, &self.outcome)
    }
}

impl Fleet {
    /// Starts HTTP/1.1 clients, spread evenly over the first interval.
    pub fn start(address: SocketAddr, load: Load) -> Self {
        Self::speaking(Protocol::Http1, &[address], load)
    }

    /// Starts clients that connect to these addresses in turn. Over HTTP/2 and gRPC four share a connection.
    pub fn speaking(protocol: Protocol, addresses: &[SocketAddr], load: Load) -> Self {
        let callers = Caller::several(protocol, addresses, load.clients as usize, SHARING);
        Self::of(callers.into_iter().map(|caller| (caller, load.interval)).collect())
    }

    /// Starts a client for each of these intervals, with a connection of its own.
    pub fn at_intervals(protocol: Protocol, address: SocketAddr, intervals: &[Duration]) -> Self {
        let callers = Caller::several(protocol, &[address], intervals.len(), 1);
        Self::of(callers.into_iter().zip(intervals.iter().copied()).collect())
    }

    /// Starts these clients, each at another point of its interval.
    fn of(callers: Vec<(Caller, Duration)>) -> Self {
        let started = Instant::now();
        let log = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        let all = u32::try_from(callers.len()).unwrap_or(u32::MAX);
        for (number, (caller, interval)) in (0..all).zip(callers) {
            let first = started + interval * number / all;
            clients.spawn(work(caller, first, interval, Arc::clone(&log), stopped.clone()));
        }
        Self { started, log, stop, clients }
    }

    /// Returns the requests that have ended so far, in the order in which they ended.
    pub fn events(&self) -> Vec<Event> {
        locked(&self.log).clone()
    }

    /// Waits for `time`. Returns the figures of the clients in this period.
    pub async fn observe(&self, time: Duration) -> Figures {
        let from = Instant::now();
        tokio::time::sleep(time).await;
        figures_since(&self.log, from)
    }

    /// Stops the clients after their current requests. Returns the figures of the whole time.
    pub async fn finish(self) -> Figures {
        self.stop.send_replace(true);
        self.clients.join_all().await;
        figures_since(&self.log, self.started)
    }
}

async fn work(
    mut caller: Caller,
    first: Instant,
    interval: Duration,
    log: Arc<Mutex<Vec<Event>>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut due = first;
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = sleep_until(due) => {}
        }
        let outcome = caller.call().await;
        let at = Instant::now();
        locked(&log).push(Event { at, outcome });
        due = (due + interval).max(at);
    }
}

fn figures_since(log: &Mutex<Vec<Event>>, from: Instant) -> Figures {
    let events = locked(log);
    Figures::of(events.iter().filter(|event| event.at >= from).map(|event| event.since(from)), from.elapsed())
}

fn locked(log: &Mutex<Vec<Event>>) -> MutexGuard<'_, Vec<Event>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
