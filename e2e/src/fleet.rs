//! Many clients at once, under load for as long as a test lasts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::caller::{Caller, Protocol};
use crate::client::{Answer, Failure};
use crate::figures::Figures;

/// How much a fleet asks for.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients, each with one request under way at most.
    pub clients: u32,
    /// From the start of a client's request to the start of its next one. A client that waits longer for an answer
    /// sends the next request at once: it never has two under way.
    pub interval: Duration,
}

/// Clients that keep their connections alive and send requests until they are told to stop.
#[derive(Debug)]
pub struct Fleet {
    started: Instant,
    log: Arc<Mutex<Vec<Event>>>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

/// A request that was answered or failed.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When it ended.
    pub(crate) at: Instant,
    pub(crate) outcome: Result<Answer, Failure>,
}

impl Fleet {
    /// Starts HTTP/1.1 clients, spread evenly over the first interval.
    pub fn start(address: SocketAddr, load: Load) -> Self {
        Self::speaking(Protocol::Http1, &[address], load)
    }

    /// Starts clients that come in by these addresses in turn.
    pub fn speaking(protocol: Protocol, addresses: &[SocketAddr], load: Load) -> Self {
        let started = Instant::now();
        let log = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        let callers = Caller::several(protocol, addresses, load.clients as usize);
        for (number, caller) in (0..load.clients).zip(callers) {
            let first = started + load.interval * number / load.clients;
            clients.spawn(work(caller, first, load.interval, Arc::clone(&log), stopped.clone()));
        }
        Self { started, log, stop, clients }
    }

    /// Lets the clients work for a while; what they saw in that time.
    pub async fn observe(&self, time: Duration) -> Figures {
        let from = Instant::now();
        tokio::time::sleep(time).await;
        figures_since(&self.log, from)
    }

    /// Stops the clients after their current requests; what they saw in all.
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
    Figures::of(events.iter().filter(|event| event.at >= from).map(|event| &event.outcome), from.elapsed())
}

fn locked(log: &Mutex<Vec<Event>>) -> MutexGuard<'_, Vec<Event>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
