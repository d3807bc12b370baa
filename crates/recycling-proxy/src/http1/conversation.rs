//! The pure core of the HTTP/1 relay: decides which bytes are forwarded, and when and how the connection ends.
//!
//! It has no I/O and no clock: bytes are in two buffers, and the age of the connection is a parameter.

use super::announce::announced;
use super::body::Body;
use super::fault::Fault;
use super::forwarded::addition;
use super::head::{Method, RequestHead, ResponseHead, without_space_before_colons};
use super::lines::{EmptyLines, HeadEnd};
use super::phase::{Event, Phase};
use super::upgrade::{Offers, without_http};
use crate::relay::broken::ExchangePhase;
use crate::relay::forwarded_for::ForwardedFor;
use crate::relay::protocol_error;
use crate::relay::source::Source;
use crate::transport::buffer::Buffer;
use retirement::{ConnectionState, Limits, RetireReason};

/// How often the announcement is deferred for a client whose pipeline is never empty.
const PIPELINE_GRACE: u8 = 100;

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

/// The state of one direction of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// No message is expected.
    Rest,
    Head(HeadEnd),
    Body(Body),
    Done,
}

impl Half {
    const fn unseen(&self) -> u64 {
        match self {
            Self::Body(body) => body.unseen(),
            Self::Rest | Self::Head(_) | Self::Done => 0,
        }
    }

    const fn passed_unseen(&mut self, count: u64) {
        if let Self::Body(body) = self {
            body.passed_unseen(count);
            if body.is_done() {
                *self = Self::Done;
            }
        } else {
            debug_assert!(count == 0, "bytes have passed where there was no body");
        }
    }
}

/// Returns the head of `length` bytes at the front of the buffer, which must have as many.
fn front(buffer: &Buffer, length: usize) -> &[u8] {
    let bytes = buffer.unexamined();
    debug_assert!(length <= bytes.len(), "a head of {length} bytes in {buffer:?}");
    bytes.get(..length).unwrap_or_default()
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

    /// Clears the client's bytes that may be forwarded.
    ///
    /// There is one exchange at a time: a pipelined request stays unexamined until the exchange before it is complete.
    ///
    /// # Errors
    /// If the request has a fault.
    pub fn examine_request(&mut self, from_client: &mut Buffer) -> Result<(), ProtocolError> {
        self.advance_request(from_client).map_err(ProtocolError::client)
    }

    fn advance_request(&mut self, from_client: &mut Buffer) -> Result<(), Fault> {
        let head_limit = self.head_limit();
        self.take_empty_lines(from_client)?;
        while !from_client.unexamined().is_empty() {
            match &mut self.request {
                Half::Head(end) => {
                    let Some(length) = complete_head(end, from_client, head_limit)? else { return Ok(()) };
                    let head = front(from_client, length);
                    let head = RequestHead::parse(head)?;
                    let length = self.decline_http(from_client, length, head);
                    let length = length.saturating_add(self.append_forwarded_for(from_client, length)?);
                    from_client.clear(length);
                    self.begin(head);
                }
                Half::Body(body) => {
                    let taken = body.advance(from_client.unexamined())?;
                    from_client.clear(taken);
                    if body.is_done() {
                        self.request = Half::Done;
                    }
                }
                Half::Rest | Half::Done => return Ok(()),
            }
        }
        Ok(())
    }

    /// Removes empty lines before a request. Every server ignores one, many ignore any number, and some close the
    /// connection for them; after the last request, they would turn the app's close into a reset.
    fn take_empty_lines(&mut self, from_client: &mut Buffer) -> Result<(), Fault> {
        if self.request == Half::Head(HeadEnd::new()) {
            let count = self.empty_lines.advance(from_client.unexamined(), self.head_limit())?;
            from_client.remove(count);
        }
        Ok(())
    }

    /// Returns whether `bytes`, which follow the current request, begin another one.
    pub fn is_pipelined(bytes: &[u8]) -> bool {
        EmptyLines::precede_request(bytes)
    }

    /// Removes offers of HTTP/2 from the next head. Returns its new length.
    fn decline_http(&mut self, from_client: &mut Buffer, length: usize, head: RequestHead) -> usize {
        self.upgrade_declined = false;
        if !head.offers_upgrade {
            return length;
        }
        let offers = if self.forwarded_for.is_some() { Offers::OrInTls } else { Offers::Plain };
        let bytes = front(from_client, length);
        let Some(declined) = without_http(bytes, offers) else { return length };
        self.upgrade_declined = !declined.offers_others;
        from_client.replace(length, &declined.head);
        declined.head.len()
    }

    /// Adds the client's address to the next head, if `forwarded-for` is on. Returns the number of added bytes.
    fn append_forwarded_for(&self, from_client: &mut Buffer, length: usize) -> Result<usize, Fault> {
        let Some(client) = self.forwarded_for.as_deref() else { return Ok(0) };
        let head = front(from_client, length);
        let (at, text) = addition(head, *client)?;
        from_client.exchange(at, 0, text.as_bytes());
        Ok(text.len())
    }

    fn begin(&mut self, head: RequestHead) {
        self.phase = self.phase.on(Event::RequestBegun);
        self.requests_started = self.requests_started.saturating_add(1);
        self.method = head.method;
        self.source = head.source;
        self.client_persists = head.persistent;
        self.request = if head.body.is_done() { Half::Done } else { Half::Body(head.body) };
        self.response = Half::Head(HeadEnd::new());
    }

    /// Clears the app's bytes that may be forwarded, and inserts the announcement if the connection is retired.
    ///
    /// `pipelined` returns whether another request of the client has arrived. `state` is called at most once per
    /// request.
    ///
    /// # Errors
    /// If the response has a fault.
    pub fn examine_response(
        &mut self,
        from_app: &mut Buffer,
        pipelined: bool,
        state: impl Fn() -> ConnectionState,
    ) -> Result<(), ProtocolError> {
        self.advance_response(from_app, pipelined, state).map_err(ProtocolError::app)
    }

    fn advance_response(
        &mut self,
        from_app: &mut Buffer,
        pipelined: bool,
        state: impl Fn() -> ConnectionState,
    ) -> Result<(), Fault> {
        let head_limit = self.head_limit();
        while !from_app.unexamined().is_empty() {
            match &mut self.response {
                Half::Head(end) => {
                    let Some(length) = complete_head(end, from_app, head_limit)? else { return Ok(()) };
                    let (head, length) = self.response_head(from_app, length)?;
                    if head == ResponseHead::Tunnel && self.method != Method::Connect && self.upgrade_declined {
                        return Err(Fault::UnaskedUpgrade);
                    }
                    let length = match head {
                        ResponseHead::Final { persistent, .. } => {
                            self.decide(from_app, length, persistent, pipelined, &state)
                        }
                        ResponseHead::Interim | ResponseHead::Tunnel => length,
                    };
                    from_app.clear(length);
                    match head {
                        ResponseHead::Interim => self.response = Half::Head(HeadEnd::new()),
                        ResponseHead::Tunnel => {
                            self.phase = self.phase.on(Event::Upgraded);
                            return Ok(());
                        }
                        ResponseHead::Final { body, .. } => {
                            self.response = if body.is_done() { Half::Done } else { Half::Body(body) };
                        }
                    }
                }
                Half::Body(body) => {
                    let taken = body.advance(from_app.unexamined())?;
                    from_app.clear(taken);
                    if body.is_done() {
                        self.response = Half::Done;
                    }
                }
                // Bytes after a response belong to no request: see `exchange_done`.
                Half::Done => return Ok(()),
                Half::Rest => return Err(Fault::Unsolicited),
            }
        }
        Ok(())
    }

    /// Parses the next head of `length` bytes. Returns it with its length, which may have changed.
    fn response_head(&self, from_app: &mut Buffer, length: usize) -> Result<(ResponseHead, usize), Fault> {
        let bytes = front(from_app, length);
        match ResponseHead::parse(bytes, self.method) {
            Ok(head) => Ok((head, length)),
            Err(fault) => {
                let edited = without_space_before_colons(bytes).ok_or(fault)?;
                let head = ResponseHead::parse(&edited, self.method)?;
                from_app.replace(length, &edited);
                Ok((head, edited.len()))
            }
        }
    }

    /// Decides whether this response is the last of the connection. Returns the length of its head, which may have
    /// changed.
    fn decide(
        &mut self,
        from_app: &mut Buffer,
        length: usize,
        app_persists: bool,
        pipelined: bool,
        state: impl Fn() -> ConnectionState,
    ) -> usize {
        if !app_persists || !self.client_persists {
            self.phase = self.phase.on(Event::LastAnnounced);
            return length;
        }
        let Some(reason) = self.limits.verdict(self.requests_started, state()) else { return length };
        // Pipelined requests are served first, because the client would have to send them again.
        if pipelined && self.request_is_done() && self.deferrals < PIPELINE_GRACE {
            self.deferrals = self.deferrals.saturating_add(1);
            return length;
        }
        let head = front(from_app, length);
        let head = announced(head);
        from_app.replace(length, &head);
        self.retired = Some(reason);
        self.phase = self.phase.on(Event::LastAnnounced);
        head.len()
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

    /// Applies the end of the app's stream. Returns whether it completes the response.
    pub const fn end_response(&mut self) -> bool {
        match self.response {
            Half::Body(body) if body.ends_with_connection() => {
                self.response = Half::Done;
                true
            }
            Half::Done => true,
            Half::Rest | Half::Head(_) | Half::Body(_) => false,
        }
    }
}

/// Returns the length of the head at the front of the buffer, once it is complete.
fn complete_head(end: &mut HeadEnd, buffer: &mut Buffer, head_limit: usize) -> Result<Option<usize>, Fault> {
    let bytes = buffer.unexamined();
    // Bytes beyond the limit are not parsed, so that the result does not depend on how they are split.
    match end.find(bytes.get(..head_limit).unwrap_or(bytes))? {
        Some(length) => Ok(Some(length)),
        None if bytes.len() >= head_limit => Err(Fault::HeadTooLong),
        None => {
            // If the buffer is full of cleared bytes, there is room once they are written, and it need not grow.
            if buffer.has_no_room() {
                buffer.grow();
            }
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
