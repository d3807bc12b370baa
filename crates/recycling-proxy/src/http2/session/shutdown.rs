//! The graceful shutdown of a session: when it sends GOAWAY, and the reactions to frames of the client and the app.

use retirement::{ConnectionState, RetireReason};

use super::Session;
use crate::http2::frame::{ErrorCode, FrameHeader, HEADER, Kind, PING_PAYLOAD, first_goaway, goaway, ping};
use crate::http2::frame_parser::Next;
use crate::http2::graceful_shutdown::GracefulShutdown;
use crate::transport::buffer::Buffer;

impl Session {
    /// Returns whether the app's frames are held back until the GOAWAY that is due is sent.
    pub const fn holds_app(&self) -> bool {
        matches!(self.shutdown, GracefulShutdown::Due { .. })
    }

    /// Returns whether the connection is retired with this stream's response, and why.
    ///
    /// Not before the response to the stream that reached the limit: a GOAWAY between a request and its response makes
    /// some clients fail or repeat the request. A pushed response answers no request, and HEADERS after the first are
    /// no new response.
    pub(super) fn verdict(&self, stream: u32, state: impl Fn() -> ConnectionState) -> Option<RetireReason> {
        if !self.may_begin() || stream.is_multiple_of(2) || self.is_awaited(stream) {
            return None;
        }
        let counted = self.limit_reached_at.filter(|at| stream >= *at).map_or(0, |_| self.started);
        self.limits.verdict(counted, state())
    }

    const fn may_begin(&self) -> bool {
        matches!(self.shutdown, GracefulShutdown::None | GracefulShutdown::AtEnd { .. })
            && self.app_sent_settings
            && !self.app_sent_goaway
    }

    /// Returns whether GOAWAY waits for the end of the response on this stream.
    pub(super) const fn is_awaited(&self, stream: u32) -> bool {
        matches!(self.shutdown, GracefulShutdown::AtEnd { stream: awaited, .. } if awaited == stream)
    }

    /// Returns whether the first GOAWAY fails fewer requests after the response on this stream than in front of it.
    fn prefers_goaway_after(&self, stream: u32) -> bool {
        self.profile.abandons_streams() && self.streams.has_none_but(stream)
    }

    /// Returns whether GOAWAY may precede what is next: not frames of the connection, nor `RST_STREAM`, which an app
    /// sends after an early response. Any frame after a GOAWAY makes Python's h2 fail the response.
    pub(super) const fn may_follow(next: Next) -> bool {
        matches!(next, Next::NeedMore)
            || matches!(next, Next::Frame(FrameHeader { kind: Kind::Headers | Kind::PushPromise, .. }))
    }

    /// Sends GOAWAY after the response for which it has waited, unless another stream is open by now.
    pub(super) fn follow_response(&mut self, from_app: &mut Buffer) {
        let GracefulShutdown::AtEnd { stream, reason } = self.shutdown else { return };
        if self.streams.awaits_app(stream) || !self.from_app.is_at_boundary() {
            return;
        }
        if self.streams.awaits_client(stream) {
            self.shutdown = GracefulShutdown::None;
        } else if self.streams.is_empty() {
            from_app.insert_cleared(&first_goaway());
            self.retired = Some(reason);
            self.shutdown = GracefulShutdown::GoawaySent;
        } else {
            // GOAWAY is sent in front of the next response.
            self.profile.forget();
            self.shutdown = GracefulShutdown::None;
        }
    }

    /// Sends GOAWAY for a drain if no response is awaited, or if the drain `is_ending`; otherwise it is sent with the
    /// next response. Returns whether it was sent.
    pub fn drain(&mut self, is_ending: bool, from_app: &mut Buffer) -> bool {
        let may_interrupt = is_ending || self.streams.all_answered();
        let now = self.may_begin() && may_interrupt && self.from_app.is_at_boundary();
        if now {
            self.begin_shutdown(RetireReason::Drain, from_app);
        }
        now
    }

    fn begin_shutdown(&mut self, reason: RetireReason, from_app: &mut Buffer) {
        from_app.insert_cleared(&first_goaway());
        self.retired = Some(reason);
        self.send_ping(from_app);
    }

    fn send_ping(&mut self, from_app: &mut Buffer) {
        from_app.insert_cleared(&ping(self.pings.first));
        self.shutdown = GracefulShutdown::PingSent;
    }

    /// Takes the next step after the bound of the present one. Returns `false` if the connection ends.
    pub fn step_is_over(&mut self, from_app: &mut Buffer) -> bool {
        match self.shutdown {
            GracefulShutdown::None | GracefulShutdown::AtEnd { .. } => true,
            GracefulShutdown::Due { stream, reason } if self.prefers_goaway_after(stream) => {
                self.shutdown = GracefulShutdown::AtEnd { stream, reason };
                true
            }
            GracefulShutdown::Due { reason, .. } => {
                self.begin_shutdown(reason, from_app);
                true
            }
            GracefulShutdown::GoawaySent => {
                // Within a frame, the PING waits for its end: the app's next bytes lead here again.
                if self.from_app.is_at_boundary() {
                    self.send_ping(from_app);
                }
                true
            }
            GracefulShutdown::PingSent | GracefulShutdown::Settling => {
                self.shutdown = GracefulShutdown::Finishing;
                true
            }
            GracefulShutdown::Finishing => {
                // Within a frame that the app does not finish, no further frame can be sent.
                let may_insert = self.from_app.is_at_boundary();
                if may_insert {
                    self.send_last_goaway(from_app);
                }
                may_insert
            }
            GracefulShutdown::LastGoawaySent { .. } => false,
        }
    }

    /// Sends the last GOAWAY if the session waits for open streams and none is left, while nothing is in flight.
    /// Returns whether it was sent.
    pub fn nothing_in_flight(&mut self, from_app: &mut Buffer) -> bool {
        let now =
            self.shutdown == GracefulShutdown::Finishing && self.streams.is_empty() && self.from_app.is_at_boundary();
        if now {
            self.send_last_goaway(from_app);
        }
        now
    }

    fn send_last_goaway(&mut self, from_app: &mut Buffer) {
        let last = self.streams.last();
        from_app.insert_cleared(&[goaway(last, ErrorCode::NoError), ping(self.pings.last)].concat());
        self.shutdown = GracefulShutdown::LastGoawaySent { last, has_read: false };
    }

    /// Returns whether the client has read everything, as its answer to the last PING shows.
    pub const fn has_been_read(&self) -> bool {
        matches!(self.shutdown, GracefulShutdown::LastGoawaySent { has_read: true, .. })
    }

    /// Gives up the graceful shutdown: the app's GOAWAY ends the connection, and a later one must not name a higher
    /// stream (RFC 9113 §6.8).
    pub(super) const fn app_sends_goaway(&mut self) {
        self.app_sent_goaway = true;
        match self.shutdown {
            GracefulShutdown::AtEnd { .. }
            | GracefulShutdown::GoawaySent
            | GracefulShutdown::PingSent
            | GracefulShutdown::Settling
            | GracefulShutdown::Finishing => {
                self.shutdown = GracefulShutdown::None;
            }
            GracefulShutdown::None | GracefulShutdown::Due { .. } | GracefulShutdown::LastGoawaySent { .. } => {}
        }
    }

    /// Returns whether the frame answers a PING of the proxy, which the app must not see, and takes the step that
    /// follows from it.
    pub(super) fn is_answer_to_ping(&mut self, header: FrameHeader, buffer: &Buffer) -> bool {
        let Some(payload) = buffer.unexamined().get(HEADER..HEADER.saturating_add(PING_PAYLOAD)) else { return false };
        if header.kind != Kind::Ping || !header.is_ack() || self.retired.is_none() {
            return false;
        }
        let (first, last) = (payload == self.pings.first, payload == self.pings.last);
        match &mut self.shutdown {
            GracefulShutdown::PingSent if first => self.shutdown = GracefulShutdown::Settling,
            GracefulShutdown::LastGoawaySent { has_read, .. } => *has_read |= last,
            GracefulShutdown::None
            | GracefulShutdown::Due { .. }
            | GracefulShutdown::AtEnd { .. }
            | GracefulShutdown::GoawaySent
            | GracefulShutdown::PingSent
            | GracefulShutdown::Settling
            | GracefulShutdown::Finishing => {}
        }
        first || last
    }

    /// Returns whether the stream comes after the last one that GOAWAY named. The client repeats it on another
    /// connection (RFC 9113 §6.8), so the app must not see it. Nor may it see any later field block, which it could no
    /// longer decode.
    pub(super) const fn is_after_last_stream(&self, header: FrameHeader) -> bool {
        match self.shutdown {
            GracefulShutdown::LastGoawaySent { last, .. } => {
                header.stream > last || matches!(header.kind, Kind::Headers | Kind::Continuation)
            }
            GracefulShutdown::None
            | GracefulShutdown::Due { .. }
            | GracefulShutdown::AtEnd { .. }
            | GracefulShutdown::GoawaySent
            | GracefulShutdown::PingSent
            | GracefulShutdown::Settling
            | GracefulShutdown::Finishing => false,
        }
    }
}
