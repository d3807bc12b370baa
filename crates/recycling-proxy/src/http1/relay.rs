//! Moves the bytes of an HTTP/1 connection, as far as the [`Conversation`] clears them.

#[cfg(test)]
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::conversation::{Conversation, ProtocolError};
use super::fault::Fault;
use super::phase::{Event, Phase};
use super::refusal::Refusal;
use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
use crate::relay::ending;
use crate::relay::observer::Observer;
use crate::relay::side::Side;
use crate::transport::background::Background;
use crate::transport::deadline::Deadline;
use crate::transport::flow::Flow;
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;

/// The time in which a request head must be complete once it has begun.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The interval of keepalive probes to an app that has sent a FIN and may read on. If it has closed its socket, its
/// kernel answers with a reset after a minute (`net.ipv4.tcp_fin_timeout`).
const APP_PROBED_EVERY: Duration = Duration::from_secs(20);

/// How often both directions are moved in one turn: 2 MiB of a body, or a few pipelined exchanges.
const ROUNDS_PER_TURN: usize = 8;

/// An HTTP/1 connection between a client and its app.
pub(crate) struct Relay<O> {
    pub(crate) client: Wire,
    pub(crate) app: Wire,
    pub(crate) from_client: Flow,
    pub(crate) from_app: Flow,
    /// Boxed, so that the task of an idle connection is small.
    pub(crate) conversation: Box<Conversation>,
    pub(crate) observer: O,
    deadline: Deadline<Awaited>,
    background: Background,
}

/// How an HTTP/1 connection ends.
pub(crate) type Ending = ending::Ending<Refusal>;

impl<O: Observer> Relay<O> {
    pub(crate) fn new(pair: Pair, conversation: Conversation, observer: O) -> Self {
        let Pair { client, app, from_client, from_app } = pair;
        Self {
            client,
            app,
            from_client,
            from_app,
            conversation: Box::new(conversation),
            observer,
            deadline: Deadline::default(),
            background: Background::default(),
        }
    }

    /// Runs until no further request can arrive on the connection.
    #[cfg(test)]
    pub(crate) fn run(&mut self) -> impl Future<Output = Ending> + Unpin {
        poll_fn(|cx| self.poll(cx))
    }

    /// Returns how the connection ends if it is evicted; `None` if that would break off an exchange that waits for the
    /// app alone.
    pub(crate) fn ending_if_evicted(&self) -> Option<Ending> {
        let conversation = &self.conversation;
        if self.from_client.has_unwritten() || self.from_app.has_unwritten() || conversation.response_is_open() {
            let waits_for_app = !self.from_app.has_unwritten() && conversation.request_is_done();
            (!waits_for_app).then(|| {
                self.break_off(BrokenBy::Proxy);
                Ending::Reset
            })
        } else if conversation.phase() == Phase::Idle && self.from_client.is_empty() {
            Some(Ending::Close)
        } else {
            (!conversation.request_is_done()).then(|| {
                self.break_off(BrokenBy::Proxy);
                Ending::Refuse(Refusal::NoRoom)
            })
        }
    }

    /// Returns `Ready` once no further request can arrive on the connection.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        ready!(self.background.poll_turn(cx));
        self.from_client.begin_poll();
        self.from_app.begin_poll();
        for _ in 0..ROUNDS_PER_TURN {
            match self.advance(cx) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(ending) => return Poll::Ready(ending),
            }
            self.background.note(self.conversation.body_is_open().then(|| self.conversation.requests_started()));
            match ready!(self.deadline.poll(self.awaited(), Awaited::bound, cx)) {
                Awaited::Head { .. } => return Poll::Ready(self.refuse(ProtocolError::client(Fault::SlowHead))),
                Awaited::App => self.probe_app(),
            }
        }
        self.background.yield_turn(cx);
        Poll::Pending
    }

    /// Moves bytes once in both directions. Returns whether any were moved.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let mut moved = self.client_to_app(cx)?;
        moved |= self.app_to_client(cx)?;
        moved |= self.end_exchange()?;
        if !moved {
            moved = self.conclude(cx);
        }
        match self.conversation.phase() {
            Phase::Idle | Phase::Serving | Phase::Announced => Ok(moved),
            Phase::Lingering => Err(Ending::Linger),
            Phase::Tunnel => Err(Ending::Tunnel),
            Phase::Closed => Err(Ending::Close),
        }
    }

    fn client_to_app(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let unseen = self.conversation.request_unseen();
        let read = self.from_client.fill(&mut self.client, &self.app, unseen, cx);
        let mut moved = read.map_err(|error| self.client_failed(&error))?;
        let before = self.conversation.requests_started();
        let examined = self.from_client.examine(|bytes| self.conversation.examine_request(bytes));
        moved |= examined.map_err(|error| self.refuse(error))?;
        if self.conversation.requests_started() != before {
            self.observer.request_started(self.conversation.requests_started(), Some(self.conversation.source()));
        }
        let unseen = self.conversation.request_unseen();
        let read = self.from_client.fill_unseen(&self.client, &self.app, unseen, cx);
        moved |= read.map_err(|error| self.client_failed(&error))?;
        self.conversation.request_passed_unseen(self.from_client.take_passed_unseen());
        moved |= self.from_client.flush_or_drop(&mut self.app, cx);
        Ok(moved)
    }

    fn app_to_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let unseen = self.conversation.response_unseen();
        let read = self.from_app.fill(&mut self.app, &self.client, unseen, cx);
        let mut moved = self.unless_cut(&read)?;
        if moved && !self.from_app.source_ended() {
            self.observer.app_answered();
        }
        let pipelined = Conversation::is_pipelined(self.from_client.buffer.unexamined());
        let before = self.conversation.retired();
        let (conversation, observer) = (&mut self.conversation, &self.observer);
        let examined =
            self.from_app.examine(|bytes| conversation.examine_response(bytes, pipelined, || observer.state()));
        moved |= examined.map_err(|error| self.refuse(error))?;
        if let (None, Some(reason)) = (before, self.conversation.retired()) {
            self.observer.retired(reason);
        }
        let unseen = self.conversation.response_unseen();
        let read = self.from_app.fill_unseen(&self.app, &self.client, unseen, cx);
        moved |= self.unless_cut(&read)?;
        self.conversation.response_passed_unseen(self.from_app.take_passed_unseen());
        moved |= self.from_app.flush(&mut self.client, cx).map_err(|error| self.client_failed(&error))?;
        Ok(moved)
    }

    /// Returns the result of a read from the app. A reset within a response becomes [`Ending::Reset`], so that the
    /// client does not take the truncated response for a complete one.
    fn unless_cut(&mut self, read: &io::Result<bool>) -> Result<bool, Ending> {
        match read {
            Ok(moved) => Ok(*moved),
            Err(_) if self.conversation.response_is_open() => {
                self.break_off(BrokenBy::App);
                Err(Ending::Reset)
            }
            Err(_) => {
                self.from_client.give_up_sink();
                Ok(true)
            }
        }
    }

    fn end_exchange(&mut self) -> Result<bool, Ending> {
        if self.from_client.has_unwritten() || self.from_app.has_unwritten() {
            return Ok(false);
        }
        self.conversation.exchange_done(&self.from_app.buffer).map_err(|error| self.refuse(error))
    }

    /// Handles streams that have ended, once no bytes move. Returns whether the state has changed.
    fn conclude(&mut self, cx: &mut Context<'_>) -> bool {
        if self.from_app.is_ending() {
            return self.pass_ends(cx);
        }
        let answered = !self.from_app.has_unwritten();
        if self.from_app.source_ended() && answered {
            let is_whole = self.conversation.end_response();
            if self.app_may_read() {
                return self.pass_ends(cx);
            }
            if !is_whole {
                self.app_ended();
            }
            if !is_whole || !self.conversation.request_is_done() {
                self.conversation.note(Event::AppEnded);
            }
            return true;
        }
        if self.from_client.is_write_closed() && answered && self.conversation.response_is_done() {
            self.conversation.note(Event::AppEnded);
            return true;
        }
        if self.from_client.source_ended() && self.conversation.phase() == Phase::Idle {
            self.conversation.note(Event::ClientEnded);
            return true;
        }
        self.from_client.pass_end(&mut self.app, cx)
    }

    /// Returns whether an app that has sent its response and a FIN may still read the request: servers that reject a
    /// long body do that, so that no reset destroys their response (RFC 9112 §9.6).
    fn app_may_read(&self) -> bool {
        let is_under_way = self.conversation.request_is_open() || self.from_client.has_unwritten();
        let has_ended = self.from_app.source_ended() && self.from_app.is_empty();
        has_ended && is_under_way && !self.from_client.is_write_closed() && !self.from_client.has_passed_end()
    }

    /// Forwards the FIN of each direction that has ended. Returns whether one was forwarded now.
    fn pass_ends(&mut self, cx: &mut Context<'_>) -> bool {
        let to_client = self.from_app.pass_end(&mut self.client, cx);
        if to_client {
            self.app.probe_every(APP_PROBED_EVERY);
        }
        let to_app = self.from_client.pass_end(&mut self.app, cx);
        to_client || to_app
    }

    fn probe_app(&mut self) {
        // Restarts the interval.
        self.deadline = Deadline::default();
        if self.app.has_failed() {
            self.from_client.give_up_sink();
        }
    }

    /// Reports an exchange whose response the app did not complete. If the client sent a FIN before the response began,
    /// it counts as having left, because servers close the connection then.
    fn app_ended(&self) {
        let by = match self.conversation.unfinished() {
            Some(ExchangePhase::RequestBody | ExchangePhase::ResponseHead) if self.from_client.source_ended() => {
                BrokenBy::Client
            }
            Some(_) | None => BrokenBy::App,
        };
        self.break_off(by);
    }

    /// Reports that the current exchange, if there is one, is broken off. Its response may be complete but not written
    /// yet.
    fn break_off(&self, by: BrokenBy) {
        let waits = || self.from_app.has_unwritten().then_some(ExchangePhase::ResponseBody);
        if let Some(phase) = self.conversation.unfinished().or_else(waits) {
            self.report(Broken::ended(by, phase));
        }
    }

    fn report(&self, broken: Broken) {
        self.observer.broken(broken, self.conversation.retired().is_some());
    }

    /// Reports the error, and returns how the connection ends.
    fn refuse(&self, error: ProtocolError) -> Ending {
        self.observer.faulted(error.side, error.fault.label());
        if let Some(phase) = self.conversation.unfinished() {
            self.report(Broken { by: error.side.into(), phase, refused: true });
        }
        match (error.side, error.fault) {
            (Side::App, Fault::Unsolicited) => Ending::Linger,
            (Side::Client | Side::App, _) if self.conversation.response_is_open() => Ending::Reset,
            (Side::Client, _) if self.conversation.response_is_done() => Ending::Abandon,
            (Side::Client, fault) => Ending::Refuse(Refusal::Client(fault)),
            (Side::App, fault) => Ending::Refuse(Refusal::App(fault)),
        }
    }

    /// Returns what is awaited with a deadline. There is no deadline for responses, idle clients and peers that do not
    /// read. The kernel sends window probes to such a peer, and ends the connection once they are no longer answered
    /// (RFC 9293 §3.8.6.1).
    fn awaited(&self) -> Option<Awaited> {
        if self.from_client.has_unwritten() || self.from_app.has_unwritten() {
            None
        } else if self.conversation.phase() == Phase::Idle && !self.from_client.is_empty() {
            Some(Awaited::Head { request: self.conversation.requests_started() })
        } else if self.app_may_read() {
            Some(Awaited::App)
        } else {
            None
        }
    }

    fn client_failed(&self, error: &io::Error) -> Ending {
        self.observer.client_failed(error);
        self.break_off(BrokenBy::Client);
        Ending::Reset
    }
}

/// What the relay awaits with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The rest of a request head that has begun. Further bytes do not extend the deadline.
    Head {
        /// The number of requests before it.
        request: u32,
    },
    /// The rest of a request body, for an app that may have closed its socket.
    App,
}

impl Awaited {
    const fn bound(self) -> Duration {
        match self {
            Self::Head { .. } => HEAD_TIME,
            Self::App => APP_PROBED_EVERY,
        }
    }
}

#[cfg(test)]
mod tests;
