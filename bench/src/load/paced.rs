//! Open-loop load: requests are sent at a fixed rate, whether or not the earlier ones have been answered.
//!
//! Latency counts from the instant at which a request was due, not from when it could be sent, so that a stall counts
//! for every request that it delays. (wrk is closed-loop and would send fewer requests.)

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::clock;
use crate::load::exchange::{self, ANSWER_LIMIT, REQUEST};

/// A response that is later than this fails the run: the rate was too high for the subject.
const LATEST: Duration = Duration::from_secs(5);

/// Sends `rate` requests per second over `connections` for the given time and returns each request's latency.
pub(crate) fn run(port: u16, connections: u16, rate: f64, time: Duration) -> Result<Vec<Duration>> {
    // By default the kernel lets sleeps last up to 50 µs longer, to save energy.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).context("asking for exact timers")?;
    let mut clients = Clients::connect(port, connections)?;
    let start = clock::now();
    let total = (rate * time.as_secs_f64()).floor();
    let mut sent = 0.0;
    let mut latencies = Vec::new();
    loop {
        let next = start + Duration::from_secs_f64(sent / rate);
        let now = clock::now();
        if sent < total && next <= now {
            clients.backlog.push_back(next);
            sent += 1.0;
            continue;
        }
        clients.send()?;
        if sent >= total && clients.is_quiet() {
            return Ok(latencies);
        }
        let wait = if sent < total { next.saturating_duration_since(clock::now()) } else { LATEST };
        clients.receive(wait, &mut latencies)?;
    }
}

struct Clients {
    epoll: OwnedFd,
    all: Vec<Client>,
    /// Clients without a request in flight; the one that has been idle longest is next.
    free: VecDeque<usize>,
    /// The instants at which requests that have not been sent yet were due.
    backlog: VecDeque<Instant>,
}

struct Client {
    stream: TcpStream,
    due: Instant,
    answer: [u8; ANSWER_LIMIT],
    length: usize,
}

impl Clients {
    fn connect(port: u16, connections: u16) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut all = Vec::new();
        for index in 0..u64::from(connections) {
            let mut stream = exchange::connect(port)?;
            // The first exchange takes longer, because connections and pools are created on demand.
            exchange::exchange(&mut stream)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(index), EventFlags::IN)?;
            all.push(Client { stream, due: clock::now(), answer: [0; ANSWER_LIMIT], length: 0 });
        }
        Ok(Self { epoll, free: (0..all.len()).collect(), all, backlog: VecDeque::new() })
    }

    fn is_quiet(&self) -> bool {
        self.backlog.is_empty() && self.free.len() == self.all.len()
    }

    fn send(&mut self) -> Result<()> {
        while let Some(due) = self.backlog.front().copied() {
            let Some(index) = self.free.pop_front() else { return Ok(()) };
            self.backlog.pop_front();
            let client = &mut self.all[index];
            client.due = due;
            client.length = 0;
            client.stream.write_all(REQUEST).context("a request that the socket does not take at once")?;
        }
        Ok(())
    }

    fn receive(&mut self, wait: Duration, latencies: &mut Vec<Duration>) -> Result<()> {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 64];
        let timeout = Timespec::try_from(wait).context("a wait out of range")?;
        let count = epoll::wait(&self.epoll, &mut events[..], Some(&timeout))?;
        if count == 0 && wait == LATEST {
            bail!("a response is missing for {LATEST:?}");
        }
        for event in &events[..count] {
            let index = usize::try_from(event.data.u64()).expect("tokens are indices");
            let client = &mut self.all[index];
            if client.receive()? {
                latencies.push(client.due.elapsed());
                self.free.push_back(index);
            }
        }
        Ok(())
    }
}

impl Client {
    /// Reads what is there. Returns whether the response is complete.
    fn receive(&mut self) -> Result<bool> {
        match self.stream.read(&mut self.answer[self.length..]) {
            Ok(0) => bail!("the connection was closed under load"),
            Ok(more) => self.length += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("reading a response"),
        }
        exchange::is_complete(&self.answer[..self.length])
    }
}
