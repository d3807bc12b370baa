//! The pure core of the HTTP/2 relay: which frames pass (here), and when GOAWAY is sent ([`shutdown`]).

mod shutdown;

use super::addition::Addition;
use super::fault::Fault;
use super::frame::{FrameHeader, Kind, PING_PAYLOAD, goaway, max_frame_size, setting};
use super::frame_parser::{FrameParser, Next};
use super::graceful_shutdown::GracefulShutdown;
use super::profile::Profile;
use super::streams::Streams;
use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
use crate::relay::forwarded_for::ForwardedFor;
use crate::relay::protocol_error;
use crate::transport::buffer::Buffer;
use retirement::{ConnectionState, Limits, RetireReason};

/// One HTTP/2 connection between a client and its app.
#[derive(Debug)]
pub struct Session {
    from_client: FrameParser,
    from_app: FrameParser,
    streams: Streams,
    shutdown: GracefulShutdown,
    /// Where the first GOAWAY fails the fewest requests of the client.
    profile: Profile,
    limits: Limits,
    /// The payloads of the proxy's PINGs.
    pings: Pings,
    /// Streams that clients have opened.
    started: u32,
    /// Frames of the app's that carry a part of a response.
    answers: u32,
    /// The stream with which the limit was reached.
    limit_reached_at: Option<u32>,
    retired: Option<RetireReason>,
    /// Before the app's own SETTINGS has passed, a GOAWAY would be the first frame that the client sees.
    app_sent_settings: bool,
    /// The app has sent a GOAWAY itself.
    app_sent_goaway: bool,
    /// The app's protocol, by its first byte.
    app: AppProtocol,
    /// The client opened a stream after it had time to act on GOAWAY.
    ignored: bool,
    /// Streams that were reset since [`Self::take_broken`] was called.
    broken: Vec<Broken>,
    /// Adds the client's address to requests; boxed, because few connections have it.
    addition: Option<Box<Addition>>,
}

/// The payloads of the proxy's two PINGs.
#[derive(Clone, Copy, Debug)]
struct Pings {
    /// After the GOAWAY that asks for no new streams.
    first: [u8; PING_PAYLOAD],
    /// After the last GOAWAY.
    last: [u8; PING_PAYLOAD],
}

/// The protocol in which an app answers the preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AppProtocol {
    /// It has not sent a byte.
    Unknown,
    /// Frames.
    Http2,
    /// Another protocol, such as an error in HTTP/1.1. It passes unchanged. What the client sends from then on is
    /// dropped, because such an app could only parse it as requests.
    Other,
}

impl AppProtocol {
    /// The first frame is SETTINGS (RFC 9113 §3.4): the highest octet of its length is zero. No text begins with that.
    fn of(self, bytes: &[u8]) -> Self {
        match (self, bytes) {
            (Self::Unknown, [0, ..]) => Self::Http2,
            (Self::Unknown, [_, ..]) => Self::Other,
            (protocol, _) => protocol,
        }
    }
}

/// The fault of a frame, and the side that sent it.
pub type ProtocolError = protocol_error::ProtocolError<Fault>;

impl Session {
    /// Returns a connection on which nothing has passed; `ping` should be random, so that it differs from PINGs of the
    /// app.
    pub fn new(limits: Limits, ping: [u8; PING_PAYLOAD]) -> Self {
        Self {
            from_client: FrameParser::of_client(),
            from_app: FrameParser::of_app(),
            streams: Streams::default(),
            shutdown: GracefulShutdown::None,
            profile: Profile::default(),
            limits,
            pings: Pings { first: ping, last: ping.map(|octet| !octet) },
            started: 0,
            answers: 0,
            limit_reached_at: None,
            retired: None,
            app_sent_settings: false,
            app_sent_goaway: false,
            app: AppProtocol::Unknown,
            ignored: false,
            broken: Vec::new(),
            addition: None,
        }
    }

    /// Returns the same, with the client's address in each request.
    #[must_use]
    pub fn forwarding(self, client: Option<ForwardedFor>) -> Self {
        Self { addition: client.map(|client| Box::new(Addition::of(client))), ..self }
    }

    /// Returns how far the graceful shutdown has come.
    pub const fn shutdown(&self) -> GracefulShutdown {
        self.shutdown
    }

    /// Returns why the connection was retired, if it was.
    pub const fn retired(&self) -> Option<RetireReason> {
        self.retired
    }

    /// Returns how many streams the client has opened.
    pub const fn requests_started(&self) -> u32 {
        self.started
    }

    /// Returns how many frames of the app carried a part of a response, modulo 2³².
    pub const fn answers(&self) -> u32 {
        self.answers
    }

    /// Returns whether the client has opened a stream after it had time to act on GOAWAY. Before that, one may have
    /// been in flight.
    pub const fn was_ignored(&self) -> bool {
        self.ignored
    }

    /// Clears what may pass of the client's bytes.
    pub fn examine_client(&mut self, buffer: &mut Buffer) -> Result<(), ProtocolError> {
        self.parse_client(buffer).map_err(ProtocolError::client)
    }

    fn parse_client(&mut self, buffer: &mut Buffer) -> Result<(), Fault> {
        if self.app == AppProtocol::Other {
            buffer.remove(buffer.unexamined().len());
            return Ok(());
        }
        loop {
            let next = self.from_client.advance(buffer)?;
            if matches!(next, Next::Frame(_)) {
                self.profile.frame_begins();
            }
            match next {
                Next::NeedMore => return Ok(()),
                Next::Setting => {
                    if let Some((identifier, value)) = setting(first_entry(buffer)) {
                        self.profile.setting(identifier, value);
                    }
                    if let Some(size) = max_frame_size(first_entry(buffer)) {
                        self.from_app.allow(size);
                    }
                    self.from_client.pass_setting(buffer);
                }
                Next::Frame(header) if self.is_answer_to_ping(header, buffer) => {
                    self.from_client.drop_frame(header, buffer);
                }
                Next::Frame(header) if self.is_after_last_stream(header) => {
                    self.ignored |= header.kind == Kind::Headers;
                    self.from_client.drop_frame(header, buffer);
                }
                Next::Frame(header) => {
                    let begins = self.addition.is_some() && self.begins_request(header);
                    self.note_client(header)?;
                    match &mut self.addition {
                        Some(addition) if addition.concerns(header, begins) => {
                            addition.enter(header, &mut self.from_client, buffer)?;
                        }
                        Some(_) | None => self.from_client.pass(header, buffer),
                    }
                }
                Next::Fields(count) => {
                    if let Some(addition) = &mut self.addition {
                        addition.read(count, &mut self.from_client, buffer)?;
                    }
                }
                Next::EndOfFields => {
                    if let Some(addition) = &mut self.addition {
                        addition.end(&mut self.from_client, buffer)?;
                    }
                }
            }
        }
    }

    /// Returns whether a recipient could parse the frame as the beginning of a request: trailers arrive on open
    /// streams.
    fn begins_request(&self, header: FrameHeader) -> bool {
        header.kind == Kind::Headers && !self.streams.is_open(header.stream)
    }

    fn note_client(&mut self, header: FrameHeader) -> Result<(), Fault> {
        let stream = header.stream;
        match header.kind {
            Kind::Headers if stream.is_multiple_of(2) => return Err(Fault::BadStreamNumber),
            // Lower numbers are trailers. On a stream that is not open, the app decides about them.
            Kind::Headers if stream > self.streams.last() => {
                if self.streams.is_full() {
                    return Err(Fault::TooManyStreams);
                }
                self.ignored |= self.shutdown == GracefulShutdown::Finishing;
                self.streams.open(stream);
                self.started = self.started.saturating_add(1);
                if self.started >= self.limits.requests() && self.limit_reached_at.is_none() {
                    self.limit_reached_at = Some(stream);
                }
            }
            Kind::RstStream => self.reset(stream, BrokenBy::Client),
            Kind::Data
            | Kind::Headers
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::Continuation
            | Kind::Other => {}
        }
        if header.ends_stream() {
            self.streams.client_ended(stream);
        }
        Ok(())
    }

    fn reset(&mut self, stream: u32, by: BrokenBy) {
        if by == BrokenBy::App && self.is_awaited(stream) && self.streams.awaits_client(stream) {
            self.shutdown = GracefulShutdown::None;
        }
        let phase = self.streams.reset(stream);
        self.broken.extend(phase.map(|phase| Broken::ended(by, phase)));
    }

    /// Returns the exchanges whose streams were reset since the last call.
    pub fn take_broken(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.broken)
    }

    /// Returns the phases of the exchanges whose responses are incomplete.
    pub fn unfinished(&self) -> impl Iterator<Item = ExchangePhase> {
        self.streams.unfinished()
    }

    /// Clears what may pass of the app's bytes, and inserts GOAWAY where its time has come.
    pub fn examine_app(
        &mut self,
        buffer: &mut Buffer,
        state: impl Fn() -> ConnectionState,
    ) -> Result<(), ProtocolError> {
        self.parse_app(buffer, state).map_err(ProtocolError::app)
    }

    fn parse_app(&mut self, buffer: &mut Buffer, state: impl Fn() -> ConnectionState) -> Result<(), Fault> {
        self.app = self.app.of(buffer.unexamined());
        if self.app == AppProtocol::Other {
            buffer.clear_all();
            return Ok(());
        }
        while !self.holds_app() {
            let next = self.from_app.advance(buffer)?;
            if Self::may_follow(next) {
                self.follow_response(buffer);
            }
            match next {
                Next::NeedMore => return Ok(()),
                Next::Setting => {
                    if let Some(size) = max_frame_size(first_entry(buffer)) {
                        self.from_client.allow(size);
                    }
                    self.from_app.pass_setting(buffer);
                }
                // Of requests alone.
                Next::Fields(_) | Next::EndOfFields => return Ok(()),
                Next::Frame(header) => {
                    if header.kind == Kind::Headers
                        && let Some(reason) = self.verdict(header.stream, &state)
                    {
                        self.shutdown = GracefulShutdown::Due { stream: header.stream, reason };
                        return Ok(());
                    }
                    self.note_app(header, buffer);
                    self.from_app.pass(header, buffer);
                }
            }
        }
        Ok(())
    }

    fn note_app(&mut self, header: FrameHeader, buffer: &Buffer) {
        if matches!(header.kind, Kind::Headers | Kind::Data) {
            self.answers = self.answers.wrapping_add(1);
        }
        match header.kind {
            Kind::Headers => self.streams.answered(header.stream),
            Kind::RstStream => self.reset(header.stream, BrokenBy::App),
            Kind::Settings => self.app_sent_settings = true,
            Kind::GoAway => self.app_sends_goaway(),
            Kind::PushPromise => {
                if let Some(promised) = header.promised(buffer.unexamined()) {
                    self.streams.promised(promised);
                }
            }
            Kind::Data | Kind::Ping | Kind::Continuation | Kind::Other => {}
        }
        if header.ends_stream() {
            self.streams.app_ended(header.stream);
        }
    }

    /// Returns how many frames have passed or were removed.
    pub const fn frames(&self) -> u64 {
        self.from_client.frames().saturating_add(self.from_app.frames())
    }

    /// Returns the number of open streams.
    pub fn open_streams(&self) -> usize {
        self.streams.open_now()
    }

    /// Returns whether a stream is open, which the end of the connection would break.
    pub fn has_open_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Returns the frame that ends the connection for this fault.
    pub fn final_goaway(&self, fault: Fault) -> [u8; 17] {
        goaway(self.streams.last(), fault.code())
    }

    /// Returns whether the proxy may insert a frame after the bytes that were cleared.
    pub fn may_insert_frame(&self) -> bool {
        self.from_app.is_at_boundary()
    }
}

/// Returns the SETTINGS entry that is next.
fn first_entry(buffer: &Buffer) -> &[u8] {
    buffer.unexamined().get(..super::frame::SETTING).unwrap_or_default()
}

#[cfg(test)]
mod tests;
