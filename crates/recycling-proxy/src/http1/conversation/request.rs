//! The requests of a conversation: which bytes of the client are forwarded.

use super::half::{Half, complete_head, front};
use super::{Conversation, ProtocolError};
use crate::http1::fault::Fault;
use crate::http1::forwarded::addition;
use crate::http1::head::RequestHead;
use crate::http1::lines::{EmptyLines, HeadEnd};
use crate::http1::phase::Event;
use crate::http1::upgrade::{Offers, without_http};
use crate::transport::buffer::Buffer;

impl Conversation {
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
}
