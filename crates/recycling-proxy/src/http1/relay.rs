//! Moves the bytes of an HTTP/1 connection as the [`Conversation`] allows.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use super::conversation::{Conversation, Offence};
use super::fault::Fault;
use super::phase::{Event, Phase};
use super::refusal::Refusal;
use crate::buffer::Buffer;
use crate::connection::Pair;
use crate::flow::{Sink, end, poll_fill, poll_flush};
use crate::metrics::{AnyFault, Side};
use crate::observer::Observer;
use crate::patience::{Patience, STALL_TIME};

/// The time in which a request head must be complete once it has begun.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// An HTTP/1 connection between a client and its app.
pub(crate) struct Relay<O> {
    pub(crate) client: TcpStream,
    pub(crate) app: TcpStream,
    pub(crate) from_client: Buffer,
    pub(crate) from_app: Buffer,
    pub(crate) conversation: Conversation,
    observer: O,
    client_ended: bool,
    app_ended: bool,
    app_sink: Sink,
    patience: Patience<Awaited>,
}

/// What the connection comes to when the relay is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client was sent all that there is: close, and let it read.
    Linger,
    /// The client's message stopped being one after its answer had passed: the app must not take what it has for the
    /// whole, and the client may read what it has.
    Abandon,
    /// A message was refused: answer, close, and let the client read.
    Refuse(Refusal),
    /// No longer HTTP/1.
    Tunnel,
    /// The client has left.
    Close,
    /// A peer broke off in the middle, and the other must not take it for an end.
    Reset,
}

impl Ending {
    /// The word for it in logs.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Linger => "linger",
            Self::Abandon => "abandon",
            Self::Refuse(_) => "refuse",
            Self::Tunnel => "tunnel",
            Self::Close => "close",
            Self::Reset => "reset",
        }
    }
}

impl<O: Observer> Relay<O> {
    pub(crate) fn new(pair: Pair, conversation: Conversation, observer: O) -> Self {
        let Pair { client, app, from_client, from_app } = pair;
        Self {
            client,
            app,
            from_client,
            from_app,
            conversation,
            observer,
            client_ended: false,
            app_ended: false,
            app_sink: Sink::Open,
            patience: Patience::default(),
        }
    }

    /// Runs until no further request can come on the connection.
    pub(crate) async fn run(&mut self) -> Ending {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut progress = false;
        loop {
            match self.advance(cx) {
                Ok(true) => progress = true,
                Ok(false) => break,
                Err(ending) => return Poll::Ready(ending),
            }
        }
        let awaited = self.awaited();
        let progress = progress && awaited == Some(Awaited::Peer);
        self.patience.poll(awaited, progress, Awaited::bound, cx).map(|awaited| match awaited {
            Awaited::Head { .. } => self.refuse(Offence::Client(Fault::SlowHead)),
            Awaited::Peer => Ending::Reset,
        })
    }

    /// One round in both directions; whether anything moved.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let mut moved = self.client_to_app(cx)?;
        moved |= self.app_to_client(cx)?;
        moved |= self.conversation.exchange_done(&self.from_client, &self.from_app).map_err(|it| self.refuse(it))?;
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
        let mut moved = false;
        if !self.client_ended
            && !self.from_client.is_full()
            && let Poll::Ready(read) = poll_fill(&mut self.client, &mut self.from_client, cx)
        {
            moved = true;
            self.client_ended = read.map_err(|_| Ending::Reset)? == 0;
        }
        let was_full = self.from_client.is_full();
        let before = self.conversation.requests_started();
        self.conversation.examine_request(&mut self.from_client).map_err(|offence| self.refuse(offence))?;
        // Room that the examination has made is read into.
        moved |= was_full && !self.from_client.is_full();
        if self.conversation.requests_started() != before {
            self.observer.request_started();
        }
        if self.app_sink == Sink::Deaf {
            // The app has answered early and closed: what the client still sends must not keep it from reading that.
            self.from_client.discard();
            return Ok(moved);
        }
        match poll_flush(&mut self.app, &mut self.from_client, cx) {
            Poll::Ready(Ok(wrote)) => moved |= wrote,
            Poll::Ready(Err(_)) => {
                self.app_sink = Sink::Deaf;
                moved = true;
            }
            Poll::Pending => {}
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
                // A reset in the middle of a response is passed on: its end must not look like one.
                Err(_) if self.conversation.response_is_open() => return Err(Ending::Reset),
                Err(_) => true,
            };
        }
        let was_full = self.from_app.is_full();
        let pipelined = !self.from_client.unexamined().is_empty();
        let before = self.conversation.retired();
        let observer = &self.observer;
        let examined = self.conversation.examine_response(&mut self.from_app, pipelined, || observer.moment());
        examined.map_err(|offence| self.refuse(offence))?;
        moved |= was_full && !self.from_app.is_full();
        if let (None, Some(reason)) = (before, self.conversation.retired()) {
            self.observer.retired(reason);
        }
        if let Poll::Ready(wrote) = poll_flush(&mut self.client, &mut self.from_app, cx) {
            moved |= wrote.map_err(|_| Ending::Reset)?;
        }
        Ok(moved)
    }

    /// Draws the conclusions of streams that have ended, once nothing else moves; whether there was one to draw.
    fn conclude(&mut self, cx: &mut Context<'_>) -> bool {
        let answered = self.from_app.cleared().is_empty();
        if self.app_ended && answered {
            if !self.conversation.end_response() || !self.conversation.request_is_done() {
                self.conversation.note(Event::AppEnded);
            }
            return true;
        }
        if self.app_sink == Sink::Deaf && answered && self.conversation.response_is_done() {
            self.conversation.note(Event::AppEnded);
            return true;
        }
        if self.client_ended && self.conversation.phase() == Phase::Idle {
            self.conversation.note(Event::ClientEnded);
            return true;
        }
        if self.client_ended && self.app_sink == Sink::Open && self.from_client.is_empty() {
            self.app_sink = Sink::Ended;
            end(&mut self.app, cx);
            return true;
        }
        false
    }

    /// Counts the offence, whatever it comes to.
    fn refuse(&self, offence: Offence) -> Ending {
        match offence {
            Offence::Client(fault) => self.observer.faulted(Side::Client, AnyFault::Http1(fault)),
            Offence::App(fault) => self.observer.faulted(Side::App, AnyFault::Http1(fault)),
        }
        match offence {
            Offence::App(Fault::Unsolicited) => Ending::Linger,
            Offence::Client(_) | Offence::App(_) if self.conversation.response_is_open() => Ending::Reset,
            Offence::Client(_) if self.conversation.response_is_done() => Ending::Abandon,
            Offence::Client(fault) => Ending::Refuse(Refusal::Client(fault)),
            Offence::App(fault) => Ending::Refuse(Refusal::App(fault)),
        }
    }

    /// Nothing has a bound while an app thinks, or while a client is idle.
    fn awaited(&self) -> Option<Awaited> {
        let app_owes = !self.from_client.cleared().is_empty();
        let client_owes = !self.from_app.cleared().is_empty();
        if app_owes || client_owes {
            Some(Awaited::Peer)
        } else if self.conversation.phase() == Phase::Idle && !self.from_client.is_empty() {
            Some(Awaited::Head { request: self.conversation.requests_started() })
        } else {
            None
        }
    }
}

/// What the relay waits for that a healthy peer would do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The rest of a request head; dripping bytes do not prolong it.
    Head {
        /// The number of requests before it.
        request: u32,
    },
    /// A peer that takes what it was sent.
    Peer,
}

impl Awaited {
    const fn bound(self) -> Duration {
        match self {
            Self::Head { .. } => HEAD_TIME,
            Self::Peer => STALL_TIME,
        }
    }
}
