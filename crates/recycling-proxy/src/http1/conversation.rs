//! The pure core of the HTTP/1 relay: decides which bytes are forwarded, and when and how the connection ends.
//!
//! It has no I/O and no clock: bytes are in two buffers, and the age of the connection is a parameter.

mod half;
mod request;
mod response;

use self::half::Half;
use super::fault::Fault;
use super::head::Method;
use super::lines::{EmptyLines, HeadEnd};
use super::phase::{Event, Phase};
use crate::relay::broken::ExchangePhase;
use crate::relay::forwarded_for::ForwardedFor;
use crate::relay::protocol_error;
use crate::relay::source::Source;
use crate::transport::buffer::Buffer;
use retirement::{Limits, RetireReason};

/// The exchanges of one client connection.
#[derive(Debug)]
pub struct Conversation {
    phase: Phase,
    /// The empty lines before the next request.
    empty_lines: EmptyLines,
    request: Half,
    response: Half,
    method: Method,
    source: Source,
    client_persists: bool,
    limits: Limits,
    head_limit: u32,
    /// Boxed, because most connections have none.
    forwarded_for: Option<Box<ForwardedFor>>,
    /// Whether the request offered HTTP/2 and no other protocol, so that the app got no offer.
    upgrade_declined: bool,
    requests_started: u32,
    retired: Option<RetireReason>,
    /// How often the announcement was deferred.
    deferrals: u8,
}

/// The fault of an HTTP/1 message, and the side that sent it.
pub type ProtocolError = protocol_error::ProtocolError<Fault>;

impl Conversation {
    /// Returns a connection without an exchange. `head_limit` is the longest head that is forwarded, in bytes, less
    /// than 4 GiB.
    pub fn new(limits: Limits, head_limit: usize) -> Self {
        Self {
            phase: Phase::Idle,
            empty_lines: EmptyLines::new(),
            request: Half::Head(HeadEnd::new()),
            response: Half::Rest,
            method: Method::Other,
            source: Source::Client,
            client_persists: true,
            limits,
            head_limit: u32::try_from(head_limit).unwrap_or(u32::MAX),
            forwarded_for: None,
            upgrade_declined: false,
            requests_started: 0,
            retired: None,
            deferrals: 0,
        }
    }

    /// Returns the same connection, with the client's address added to each request. The address does not count towards
    /// the head limit.
    #[must_use]
    pub fn forwarding(self, forwarded_for: Option<ForwardedFor>) -> Self {
        Self { forwarded_for: forwarded_for.map(Box::new), ..self }
    }

    const fn head_limit(&self) -> usize {
        self.head_limit as usize
    }

    /// Returns the phase.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the number of requests whose head was forwarded.
    pub const fn requests_started(&self) -> u32 {
        self.requests_started
    }

    /// Returns the source of the last request.
    pub const fn source(&self) -> Source {
        self.source
    }

    /// Returns why the proxy announced the end of the connection; `None` if it did not.
    pub const fn retired(&self) -> Option<RetireReason> {
        self.retired
    }

    /// Returns whether the final response has begun and is not complete.
    pub const fn response_is_open(&self) -> bool {
        matches!(self.response, Half::Body(_))
    }

    /// Returns whether the body of either message has begun and is not complete.
    pub const fn body_is_open(&self) -> bool {
        self.request_is_open() || self.response_is_open()
    }

    /// Returns whether the final response was forwarded completely.
    pub const fn response_is_done(&self) -> bool {
        matches!(self.response, Half::Done)
    }

    /// Returns whether the request's body has begun and is not complete.
    pub const fn request_is_open(&self) -> bool {
        matches!(self.request, Half::Body(_))
    }

    /// Returns whether the request was forwarded completely.
    pub const fn request_is_done(&self) -> bool {
        matches!(self.request, Half::Done)
    }

    /// Returns the phase of the exchange; `None` if there is none, or if its response is complete.
    pub const fn unfinished(&self) -> Option<ExchangePhase> {
        match (self.request, self.response) {
            (_, Half::Rest | Half::Done) => None,
            (_, Half::Body(_)) => Some(ExchangePhase::ResponseBody),
            (Half::Body(_), Half::Head(_)) => Some(ExchangePhase::RequestBody),
            (Half::Rest | Half::Head(_) | Half::Done, Half::Head(_)) => Some(ExchangePhase::ResponseHead),
        }
    }

    /// Applies an event outside of the messages.
    pub const fn note(&mut self, event: Event) {
        self.phase = self.phase.on(event);
    }

    /// Returns how many bytes of the request need no examination, once those before them are examined.
    pub const fn request_unseen(&self) -> u64 {
        self.request.unseen()
    }

    /// Returns how many bytes of the response need no examination, once those before them are examined.
    pub const fn response_unseen(&self) -> u64 {
        self.response.unseen()
    }

    /// Records that `count` bytes of the request were forwarded without examination; at most
    /// [`Conversation::request_unseen`].
    pub const fn request_passed_unseen(&mut self, count: u64) {
        self.request.passed_unseen(count);
    }

    /// Records that `count` bytes of the response were forwarded without examination; at most
    /// [`Conversation::response_unseen`].
    pub const fn response_passed_unseen(&mut self, count: u64) {
        self.response.passed_unseen(count);
    }

    /// Ends the exchange if both messages were forwarded completely, and returns whether they were. Call it while no
    /// cleared bytes are in flight. `from_app` has the bytes that the app sent after the response.
    ///
    /// # Errors
    /// If there are such bytes.
    pub fn exchange_done(&mut self, from_app: &Buffer) -> Result<bool, ProtocolError> {
        if self.request != Half::Done || self.response != Half::Done {
            return Ok(false);
        }
        let trailing = !from_app.is_empty();
        self.phase = self.phase.on(Event::ExchangeDone);
        self.empty_lines = EmptyLines::new();
        self.request = Half::Head(HeadEnd::new());
        self.response = Half::Rest;
        if trailing && !self.phase.is_final() {
            return Err(ProtocolError::app(Fault::Unsolicited));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
