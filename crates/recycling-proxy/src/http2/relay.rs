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

/// The number of frames after which a turn is over, which take about a tenth of a millisecond. A flood of small frames
/// would otherwise delay all other connections of the thread.
const FRAMES_PER_TURN: u64 = 1000;
/// How often both directions are moved in one turn: at most 1 MiB of long frames each.
const ROUNDS_PER_TURN: u32 = 16;

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
    /// The deadline of the present step of the graceful shutdown.
    step: Deadline<GracefulShutdown>,
    progress: Progress,
    background: Background,
}

/// The client's progress while the proxy waits for its answer to a PING.
#[derive(Debug, Default)]
struct Progress {
    /// Whether the client has sent bytes since the last check.
    client_sent: bool,
    /// The sum of the times by which deadlines were extended.
    extended: Duration,
}

/// The state of the pod's drain, as far as it concerns the connection.
///
/// ```text
/// Awaited ──a drain may send GOAWAY──▶ Begun ──deadline──▶ Ending
///                                        └──GOAWAY is sent──┴──▶ Announced
/// ```
enum Drain {
    Awaited(Pin<Box<dyn Future<Output = Instant> + Send>>),
    /// GOAWAY could not be sent yet. Until the deadline the proxy waits for responses.
    Begun(Pin<Box<Sleep>>),
    /// The deadline is over: GOAWAY is sent even while a response is awaited.
    Ending,
    Announced,
}

/// The parts of a relay that has ended.
pub(crate) struct Parts<O> {
    pub(crate) pair: Pair,
    pub(crate) session: Session,
    pub(crate) observer: O,
    /// The longest wait for the client to close.
    pub(crate) grace: Duration,
}

/// How an HTTP/2 connection ends.
pub(crate) type Ending = ending::Ending<ProtocolError>;

impl<O: Observer> Relay<O> {
    /// Returns a relay that has moved nothing. `draining` is ready once a drain may send GOAWAY, with the time at which
    /// it must. `grace` bounds streams that are still open after GOAWAY.
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

    /// Returns the parts that are needed to close the connection.
    pub(crate) fn into_parts(self) -> Parts<O> {
        let Self { client, app, session, from_client, from_app, observer, grace, .. } = self;
        Parts { pair: Pair { client, app, from_client, from_app }, session, observer, grace }
    }

    /// Returns the observer of the connection.
    pub(crate) const fn observer(&self) -> &O {
        &self.observer
    }

    /// Runs until the connection ends.
    #[cfg(test)]
    pub(crate) fn run(&mut self) -> impl Future<Output = Ending> + Unpin {
        poll_fn(|cx| self.poll(cx))
    }

    /// Returns how the connection ends if it is evicted; `None` if that would break off streams that wait for the app
    /// alone.
    pub(crate) fn ending_if_evicted(&self) -> Option<Ending> {
        if self.from_client.has_unwritten() || self.from_app.has_unwritten() {
            self.break_off(BrokenBy::Proxy, false);
            Some(Ending::Reset)
        } else {
            (!self.session.has_open_streams()).then_some(Ending::Close)
        }
    }

    /// Ready once the connection ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        ready!(self.background.poll_turn(cx));
        self.from_client.begin_poll();
        self.from_app.begin_poll();
        let mut turn = Turn::begin(&self.session);
        loop {
            if let Err(ending) = self.advance(&mut turn, cx) {
                return Poll::Ready(ending);
            }
            // A step of the graceful shutdown may insert a frame, which has to be moved.
            match self.poll_shutdown(cx) {
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

    /// Moves bytes until none can be moved, or the turn is over.
    fn advance(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> Result<(), Ending> {
        while !turn.is_over(&self.session) {
            turn.rounds = turn.rounds.saturating_add(1);
            let mut moved = self.client_to_app(cx)?;
            moved |= self.app_to_client(cx)?;
            moved |= self.announce_drain(cx);
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
        self.progress.client_sent |= moved && self.session.shutdown().awaits_answer();
        let before = self.session.requests_started();
        let examined = self.from_client.examine(|bytes| self.session.examine_client(bytes));
        self.report_broken();
        let made_room = examined.map_err(|error| self.refuse(error))?;
        for number in before..self.session.requests_started() {
            self.observer.request_started(number.saturating_add(1), None);
        }
        if !self.observer.charge_streams(self.session.open_streams()) {
            return Err(self.refuse(ProtocolError::client(Fault::TooManyStreams)));
        }
        let flushed = self.from_client.flush_or_drop(&mut self.app, cx);
        Ok(moved || made_room || flushed)
    }

    fn app_to_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.session.holds_app() {
            // The app is not read either: its FIN must not overtake frames that are held back.
            return self.from_app.flush(&mut self.client, cx).map_err(|error| self.client_failed(&error));
        }
        // A reset counts as a FIN: a client sees by the missing END_STREAM which streams are incomplete, and a reset
        // towards it would destroy complete ones.
        let moved = self.from_app.fill(&mut self.app, &self.client, 0, cx).unwrap_or(true);
        let (answers, was_retired) = (self.session.answers(), self.session.retired().is_some());
        let (session, observer) = (&mut self.session, &self.observer);
        let examined = self.from_app.examine(|bytes| session.examine_app(bytes, || observer.state()));
        self.report_broken();
        let made_room = examined.map_err(|error| self.refuse(error))?;
        if self.session.answers() != answers {
            self.observer.app_answered();
        }
        if !was_retired {
            self.report_retirement();
        }
        let flushed = self.from_app.flush(&mut self.client, cx).map_err(|error| self.client_failed(&error))?;
        Ok(moved || made_room || flushed)
    }

    fn client_failed(&self, error: &io::Error) -> Ending {
        self.observer.client_failed(error);
        self.break_off(BrokenBy::Client, false);
        Ending::Reset
    }

    /// Reports exchanges whose streams were reset.
    fn report_broken(&mut self) {
        let retired = self.session.retired().is_some();
        for broken in self.session.take_broken() {
            self.observer.broken(broken, retired);
        }
    }

    /// Reports that all incomplete exchanges are broken off. `refused` is true if the cause is a message that is not
    /// forwarded.
    fn break_off(&self, by: BrokenBy, refused: bool) {
        let retired = self.session.retired().is_some();
        for phase in self.session.unfinished() {
            self.observer.broken(Broken { by, phase, refused }, retired);
        }
    }

    /// Reports the error, and returns how the connection ends.
    fn refuse(&self, error: ProtocolError) -> Ending {
        self.observer.faulted(error.side, error.fault.label());
        self.break_off(error.side.into(), true);
        Ending::Refuse(error)
    }

    /// Sends GOAWAY for a drain as soon as it may be sent. Returns whether it was sent now.
    fn announce_drain(&mut self, cx: &mut Context<'_>) -> bool {
        if let Drain::Awaited(begun) = &mut self.drain
            && let Poll::Ready(deadline) = begun.as_mut().poll(cx)
        {
            self.drain = Drain::Begun(Box::pin(sleep_until(deadline)));
        }
        if let Drain::Begun(deadline) = &mut self.drain
            && deadline.as_mut().poll(cx).is_ready()
        {
            self.drain = Drain::Ending;
        }
        let sent = match self.drain {
            Drain::Begun(_) => self.session.drain(false, &mut self.from_app.buffer),
            Drain::Ending => self.session.drain(true, &mut self.from_app.buffer),
            Drain::Awaited(_) | Drain::Announced => false,
        };
        if sent {
            self.drain = Drain::Announced;
            self.report_retirement();
        }
        sent
    }

    fn report_retirement(&self) {
        if let Some(reason) = self.session.retired() {
            self.observer.retired(reason);
        }
    }

    /// Acts on streams and connections that have ended, once no bytes can be moved. Returns whether it has done
    /// something.
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

    /// Takes the next step of the graceful shutdown at the deadline of the present one. Returns whether it was taken.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
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
            self.report_retirement();
        }
        Ok(self.session.shutdown() != shutdown)
    }

    /// Returns whether the proxy waits for the client for another `bound`, because the client has sent bytes since the
    /// last check, or has not acknowledged all that was sent to it. A client that has gone is detected by the kernel.
    fn client_makes_progress(&mut self, bound: Duration) -> bool {
        let client_sent = std::mem::replace(&mut self.progress.client_sent, false);
        let makes_progress = client_sent
            || self.from_app.has_unwritten()
            || SendQueue::of(self.client.socket()).is_some_and(SendQueue::has_unacknowledged);
        self.progress.extended = self.progress.extended.saturating_add(bound);
        makes_progress && self.progress.extended < self.grace
    }
}

/// The work that is done before other connections of the thread are polled.
struct Turn {
    rounds: u32,
    last_frame: u64,
}

impl Turn {
    /// Returns a turn that begins now.
    const fn begin(session: &Session) -> Self {
        Self { rounds: 0, last_frame: session.frames().saturating_add(FRAMES_PER_TURN) }
    }

    fn is_over(&self, session: &Session) -> bool {
        self.rounds >= ROUNDS_PER_TURN || session.frames() >= self.last_frame
    }
}

#[cfg(test)]
mod tests;
