//! Moves the frames of an HTTP/2 connection as the [`Session`] allows.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use super::goodbye::Goodbye;
use super::session::{Offence, Session};
use crate::buffer::Buffer;
use crate::connection::Pair;
use crate::flow::{Sink, end, poll_fill, poll_flush};
use crate::metrics::AnyFault;
use crate::observer::Observer;
use crate::patience::{Patience, STALL_TIME};

/// An HTTP/2 connection between a client and its app.
pub(crate) struct Relay<O> {
    pub(crate) client: TcpStream,
    pub(crate) app: TcpStream,
    pub(crate) session: Session,
    pub(crate) from_app: Buffer,
    from_client: Buffer,
    observer: O,
    grace: Duration,
    client_ended: bool,
    app_ended: bool,
    app_sink: Sink,
    drain: Drain,
    stall: Patience<Stalled>,
    step: Patience<Goodbye>,
}

/// A peer takes none of the bytes that it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stalled;

/// What the connection knows of the drain.
enum Drain {
    Awaited(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// It has begun, and the goodbye could not be said yet.
    Begun,
    /// There is nothing more to do for it.
    Noted,
}

/// What the connection comes to when the relay is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client was sent all that there is: close, and let it read.
    Linger,
    /// A frame was not forwarded: say so, close, and let the client read.
    Refuse(Offence),
    /// Both have left.
    Close,
    /// A peer broke off in the middle, and the other must not take it for an end.
    Reset,
}

impl Ending {
    /// The word for it in logs.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Linger => "linger",
            Self::Refuse(_) => "refuse",
            Self::Close => "close",
            Self::Reset => "reset",
        }
    }
}

impl<O: Observer> Relay<O> {
    /// `draining` ends when the drain begins; `grace` bounds streams that outlive the goodbye.
    pub(crate) fn new(
        pair: Pair,
        session: Session,
        observer: O,
        grace: Duration,
        draining: impl Future<Output = ()> + Send + 'static,
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
            client_ended: false,
            app_ended: false,
            app_sink: Sink::Open,
            drain: Drain::Awaited(Box::pin(draining)),
            stall: Patience::default(),
            step: Patience::default(),
        }
    }

    /// Runs until the connection has nothing more to carry.
    pub(crate) async fn run(&mut self) -> Ending {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut progress = false;
        loop {
            match self.advance(cx) {
                Ok(true) => progress = true,
                Ok(false) => {}
                Err(ending) => return Poll::Ready(ending),
            }
            // A step whose time is up puts a frame in, which has to be moved.
            match self.time(progress, cx) {
                Ok(true) => progress = true,
                Ok(false) => return Poll::Pending,
                Err(ending) => return Poll::Ready(ending),
            }
        }
    }

    /// Moves until nothing moves; whether anything did.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let mut any = false;
        loop {
            let mut moved = self.client_to_app(cx)?;
            let retired = self.session.retired();
            moved |= self.app_to_client(cx)?;
            moved |= self.heed_drain(cx);
            if let (None, Some(reason)) = (retired, self.session.retired()) {
                self.observer.retired(reason);
            }
            if !moved {
                moved = self.conclude(cx)?;
            }
            if !moved {
                return Ok(any);
            }
            any = true;
        }
    }

    fn client_to_app(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let mut moved = false;
        if !self.client_ended
            && !self.from_client.is_full()
            && let Poll::Ready(read) = poll_fill(&mut self.client, &mut self.from_client, cx)
        {
            moved = true;
            self.client_ended = read.map_err(|_| Ending::Reset)? == 0;
        }
        let was_full = self.from_client.is_full();
        let before = self.session.requests_started();
        self.session.examine_client(&mut self.from_client).map_err(|offence| self.refuse(offence))?;
        // Room that the examination has made is read into.
        moved |= was_full && !self.from_client.is_full();
        for _ in before..self.session.requests_started() {
            self.observer.request_started();
        }
        match self.app_sink {
            Sink::Deaf => self.from_client.discard(),
            Sink::Open | Sink::Ended => match poll_flush(&mut self.app, &mut self.from_client, cx) {
                Poll::Ready(Ok(wrote)) => moved |= wrote,
                Poll::Ready(Err(_)) => {
                    self.app_sink = Sink::Deaf;
                    moved = true;
                }
                Poll::Pending => {}
            },
        }
        Ok(moved)
    }

    fn app_to_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let mut moved = false;
        if !self.app_ended
            && !self.from_app.is_full()
            && let Poll::Ready(read) = poll_fill(&mut self.app, &mut self.from_app, cx)
        {
            moved = true;
            self.app_ended = match read {
                Ok(count) => count == 0,
                Err(_) if self.session.has_open_streams() => return Err(Ending::Reset),
                Err(_) => true,
            };
        }
        let was_full = self.from_app.is_full();
        let observer = &self.observer;
        let examined = self.session.examine_app(&mut self.from_app, || observer.moment());
        examined.map_err(|offence| self.refuse(offence))?;
        moved |= was_full && !self.from_app.is_full();
        if let Poll::Ready(wrote) = poll_flush(&mut self.client, &mut self.from_app, cx) {
            moved |= wrote.map_err(|_| Ending::Reset)?;
        }
        Ok(moved)
    }

    fn refuse(&self, offence: Offence) -> Ending {
        self.observer.faulted(offence.side, AnyFault::Http2(offence.fault));
        Ending::Refuse(offence)
    }

    fn heed_drain(&mut self, cx: &mut Context<'_>) -> bool {
        if let Drain::Awaited(begun) = &mut self.drain
            && begun.as_mut().poll(cx).is_ready()
        {
            self.drain = Drain::Begun;
        }
        let said = matches!(self.drain, Drain::Begun) && self.session.drain(&mut self.from_app);
        if said {
            self.drain = Drain::Noted;
        }
        said
    }

    /// Draws the conclusions of streams and connections that have ended, once nothing else moves.
    fn conclude(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.app_ended && self.from_app.cleared().is_empty() {
            return Err(if self.client_ended { Ending::Close } else { Ending::Linger });
        }
        if self.client_ended && self.app_sink == Sink::Open && self.from_client.is_empty() {
            self.app_sink = Sink::Ended;
            end(&mut self.app, cx);
            return Ok(true);
        }
        let in_flight = !self.from_client.is_empty() || !self.from_app.is_empty();
        Ok(!in_flight && self.session.may_speak() && self.session.nothing_in_flight())
    }

    /// Whether a step of the goodbye was taken because its time was up.
    fn time(&mut self, progress: bool, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let owed = !self.from_client.cleared().is_empty() || !self.from_app.cleared().is_empty();
        if self.stall.poll(owed.then_some(Stalled), progress, |Stalled| STALL_TIME, cx).is_ready() {
            return Err(Ending::Reset);
        }
        let goodbye = self.session.goodbye();
        let bound = goodbye.bound(self.grace);
        let step = self.step.poll(bound.map(|_| goodbye), false, |_| bound.unwrap_or_default(), cx);
        match step {
            Poll::Pending => Ok(false),
            Poll::Ready(_) if self.session.step_is_over(&mut self.from_app) => Ok(self.session.goodbye() != goodbye),
            Poll::Ready(_) => Err(Ending::Linger),
        }
    }
}
