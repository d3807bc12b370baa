//! The responses of a conversation: which bytes of the app are forwarded, and which response is the last.

use retirement::ConnectionState;

use super::half::{Half, complete_head, front};
use super::{Conversation, ProtocolError};
use crate::http1::announce::announced;
use crate::http1::fault::Fault;
use crate::http1::head::{Method, ResponseHead, without_space_before_colons};
use crate::http1::lines::HeadEnd;
use crate::http1::phase::Event;
use crate::transport::buffer::Buffer;

/// How often the announcement is deferred for a client whose pipeline is never empty.
pub(super) const PIPELINE_GRACE: u8 = 100;

impl Conversation {
    /// Clears the app's bytes that may be forwarded, and inserts the announcement if the connection is retired.
    ///
    /// `pipelined` is true if another request of the client has arrived. `state` is called at most once per request.
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
