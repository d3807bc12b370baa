//! Moves the frames of an HTTP/2 connection as the [`Session`] allows.

use std::future::Future;
#[cfg(test)]
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::fault::Fault;
use super::graceful_shutdown::GracefulShutdown;
use super::session::{ProtocolError, Session};
use crate::relay::broken::{Broken, BrokenBy};
use crate::relay::ending;
use crate::relay::observer::Observer;
use crate::transport::background::Background;
use crate::transport::deadline::Deadline;
use crate::transport::flow::Flow;
use crate::transport::pair::Pair;
use crate::transport::send_queue::SendQueue;
use crate::transport::wire::Wire;

/// Frames that are moved in one turn, or so: a tenth of a millisecond's work. A flood of small ones would keep
/// everybody else on the thread waiting.
const FRAMES_OF_A_TURN: u64 = 1000;
/// How often each direction is moved in one turn: a mebibyte of long frames each.
const ROUNDS_OF_A_TURN: u32 = 16;

/// An HTTP/2 connection between a client and its app.
pub(crate) struct Relay<O> {
    client: Wire,
    app: Wire,
    session: Session,
    from_app: Flow,
    from_client: Flow,
    observer: O,
    grace: Duration,
    drain: Drain,
    step: Deadline<GracefulShutdown>,
    progress: Progress,
    background: Background,
}

/// What the client does while an answer to a PING is awaited.
#[derive(Debug, Default)]
struct Progress {
    /// It has sent something since this was last asked.
    heard: bool,
    /// The time for which the bounds of such steps were prolonged.
    waited: Duration,
}

/// What the connection knows of the drain.
enum Drain {
    Awaited(Pin<Box<dyn Future<Output = Instant> + Send>>),
    /// It has begun, and GOAWAY could not be sent yet; for how long responses are waited for.
    Begun(Pin<Box<Sleep>>),
    /// It is about to end.
    Ending,
    /// There is nothing more to do for it.
    Noted,
}

/// What is left of a relay that is done.
pub(crate) struct Parts<O> {
    pub(crate) pair: Pair,
    pub(crate) session: Session,
    pub(crate) observer: O,
    /// How long the client may be waited for.
    pub(crate) grace: Duration,
}

/// What an HTTP/2 connection comes to.
pub(crate) type Ending = ending::Ending<ProtocolError>;

impl<O: Observer> Relay<O> {
    /// `draining` ends when a drain may speak, with the time at which it must; `grace` bounds streams that outlive
    /// GOAWAY.
    pub(crate) fn new(
        pair: Pair,
        session: Session,
        observer: O,
        grace: Duration,
        draining: impl Future<Output = Instant> + Send + 'static,
    ) -> Self {
        let Pair { client, app, from_client, from_app } = pair;
        Self {
            client,
            app,
            session,
            from_client,
            from_app,
            observer,
            grace,
            drain: Drain::Awaited(Box::pin(draining)),
            step: Deadline::default(),
            progress: Progress::default(),
            background: Background::default(),
        }
    }

    /// Returns what is left to end the connection with.
    pub(crate) fn into_parts(self) -> Parts<O> {
        let Self { client, app, session, from_client, from_app, observer, grace, .. } = self;
        Parts { pair: Pair { client, app, from_client, from_app }, session, observer, grace }
    }

    /// Returns what observes the connection.
    pub(crate) const fn observer(&self) -> &O {
        &self.observer
    }

    /// Runs until the connection has nothing more to carry.
    #[cfg(test)]
    pub(crate) fn run(&mut self) -> impl Future<Output = Ending> + Unpin {
        poll_fn(|cx| self.poll(cx))
    }

    /// Returns how the connection ends where its memory or its place is needed for others; `None` where that would
    /// break streams off in which nobody but the app is waited for.
    pub(crate) fn ending_if_evicted(&self) -> Option<Ending> {
        if self.from_client.has_unwritten() || self.from_app.has_unwritten() {
            self.break_off(BrokenBy::Proxy, false);
            Some(Ending::Reset)
        } else {
            (!self.session.has_open_streams()).then_some(Ending::Close)
        }
    }

    /// Ready once the connection has nothing more to carry.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        ready!(self.background.poll_turn(cx));
        self.from_client.begin_poll();
        self.from_app.begin_poll();
        let mut turn = Turn::begin(&self.session);
        loop {
            if let Err(ending) = self.advance(&mut turn, cx) {
                return Poll::Ready(ending);
            }
            // A step whose time is up puts a frame in, which has to be moved.
            match self.time(cx) {
                Ok(true) if !turn.is_over(&self.session) => {}
                Ok(_) => {
                    if turn.is_over(&self.session) {
                        self.background.yield_turn(cx);
                    }
                    return Poll::Pending;
                }
                Err(ending) => return Poll::Ready(ending),
            }
        }
    }

    /// Moves until nothing moves, or the turn is over.
    fn advance(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> Result<(), Ending> {
        while !turn.is_over(&self.session) {
            turn.rounds = turn.rounds.saturating_add(1);
            let mut moved = self.client_to_app(cx)?;
            moved |= self.app_to_client(cx)?;
            moved |= self.heed_drain(cx);
            if !moved {
                moved = self.conclude(cx)?;
            }
            if !moved {
                return Ok(());
            }
        }
        Ok(())
    }

    fn client_to_app(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let moved =
            self.from_client.fill(&mut self.client, &self.app, 0, cx).map_err(|error| self.client_failed(&error))?;
        self.progress.heard |= moved && self.session.shutdown().awaits_answer();
        let before = self.session.requests_started();
        let examined = self.from_client.examine(|bytes| self.session.examine_client(bytes));
        self.tell_broken();
        let made_room = examined.map_err(|error| self.refuse(error))?;
        for number in before..self.session.requests_started() {
            self.observer.request_started(number.saturating_add(1), None);
        }
        if !self.observer.holds_streams(self.session.open_streams()) {
            return Err(self.refuse(ProtocolError::client(Fault::TooManyStreams)));
        }
        let flushed = self.from_client.flush_or_drop(&mut self.app, cx);
        Ok(moved || made_room || flushed)
    }

    fn app_to_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.session.holds_app() {
            // Nor is its end noticed, which must not overtake what is held back.
            return self.from_app.flush(&mut self.client, cx).map_err(|error| self.client_failed(&error));
        }
        // A break is taken for a FIN: without END_STREAM no stream looks whole, and a reset would destroy those that
        // are.
        let moved = self.from_app.fill(&mut self.app, &self.client, 0, cx).unwrap_or(true);
        let (answers, was_retired) = (self.session.answers(), self.session.retired().is_some());
        let (session, observer) = (&mut self.session, &self.observer);
        let examined = self.from_app.examine(|bytes| session.examine_app(bytes, || observer.moment()));
        self.tell_broken();
        let made_room = examined.map_err(|error| self.refuse(error))?;
        if self.session.answers() != answers {
            self.observer.app_answered();
        }
        if !was_retired {
            self.note_retirement();
        }
        let flushed = self.from_app.flush(&mut self.client, cx).map_err(|error| self.client_failed(&error))?;
        Ok(moved || made_room || flushed)
    }

    fn client_failed(&self, error: &io::Error) -> Ending {
        self.observer.client_failed(error);
        self.break_off(BrokenBy::Client, false);
        Ending::Reset
    }

    /// Tells of exchanges whose streams were reset.
    fn tell_broken(&mut self) {
        let retired = self.session.retired().is_some();
        for broken in self.session.take_broken() {
            self.observer.broken(broken, retired);
        }
    }

    /// Tells that the exchanges under way end here, for a message that is not forwarded or not.
    fn break_off(&self, by: BrokenBy, refused: bool) {
        let retired = self.session.retired().is_some();
        for phase in self.session.unfinished() {
            self.observer.broken(Broken { by, phase, refused }, retired);
        }
    }

    fn refuse(&self, error: ProtocolError) -> Ending {
        self.observer.faulted(error.side, error.fault.label());
        self.break_off(error.side.into(), true);
        Ending::Refuse(error)
    }

    fn heed_drain(&mut self, cx: &mut Context<'_>) -> bool {
        if let Drain::Awaited(begun) = &mut self.drain
            && let Poll::Ready(last_call) = begun.as_mut().poll(cx)
        {
            self.drain = Drain::Begun(Box::pin(sleep_until(last_call)));
        }
        if let Drain::Begun(last_call) = &mut self.drain
            && last_call.as_mut().poll(cx).is_ready()
        {
            self.drain = Drain::Ending;
        }
        let said = match self.drain {
            Drain::Begun(_) => self.session.drain(false, &mut self.from_app.buffer),
            Drain::Ending => self.session.drain(true, &mut self.from_app.buffer),
            Drain::Awaited(_) | Drain::Noted => false,
        };
        if said {
            self.drain = Drain::Noted;
            self.note_retirement();
        }
        said
    }

    fn note_retirement(&self) {
        if let Some(reason) = self.session.retired() {
            self.observer.retired(reason);
        }
    }

    /// Draws the conclusions of streams and connections that have ended, once nothing else moves.
    fn conclude(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.from_app.source_ended() && !self.from_app.has_unwritten() && !self.session.holds_app() {
            let client_has_left = self.from_client.source_ended();
            self.break_off(if client_has_left { BrokenBy::Client } else { BrokenBy::App }, false);
            return Err(if client_has_left { Ending::Close } else { Ending::Linger });
        }
        if self.from_client.pass_end(&mut self.app, cx) {
            return Ok(true);
        }
        let in_flight = !self.from_client.is_empty() || !self.from_app.is_empty();
        Ok(!in_flight && self.session.nothing_in_flight(&mut self.from_app.buffer))
    }

    /// Returns whether a step of the graceful shutdown was taken because its time was up.
    fn time(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let shutdown = self.session.shutdown();
        let bound = shutdown.bound(self.grace);
        let awaited = bound.map(|_| shutdown);
        let bound = |_: GracefulShutdown| bound.unwrap_or_default();
        let mut step = self.step.poll(awaited, bound, cx);
        if step.is_ready() && shutdown.awaits_answer() && self.client_makes_progress(bound(shutdown)) {
            self.step = Deadline::default();
            step = self.step.poll(awaited, bound, cx);
        }
        if step.is_pending() {
            return Ok(false);
        }
        let was_retired = self.session.retired().is_some();
        if !self.session.step_is_over(&mut self.from_app.buffer) {
            self.break_off(BrokenBy::Proxy, false);
            return Err(Ending::Linger);
        }
        if !was_retired {
            self.note_retirement();
        }
        Ok(self.session.shutdown() != shutdown)
    }

    /// Returns whether the client is waited for once more, for another `bound`: it has sent something meanwhile, or has
    /// yet to acknowledge something that was sent to it. Whether it is still there at all, its kernel's answers say to
    /// ours.
    fn client_makes_progress(&mut self, bound: Duration) -> bool {
        let heard = std::mem::replace(&mut self.progress.heard, false);
        let goes_on = heard
            || self.from_app.has_unwritten()
            || SendQueue::of(self.client.socket()).is_some_and(SendQueue::has_unacknowledged);
        self.progress.waited = self.progress.waited.saturating_add(bound);
        goes_on && self.progress.waited < self.grace
    }
}

/// The work that is done before others have their turn.
struct Turn {
    rounds: u32,
    last_frame: u64,
}

impl Turn {
    const fn begin(session: &Session) -> Self {
        Self { rounds: 0, last_frame: session.frames().saturating_add(FRAMES_OF_A_TURN) }
    }

    fn is_over(&self, session: &Session) -> bool {
        self.rounds >= ROUNDS_OF_A_TURN || session.frames() >= self.last_frame
    }
}

#[cfg(test)]
mod tests;
