//! The pure core of the HTTP/2 relay: which frames pass, and when GOAWAY is sent.

use super::addition::Addition;
use super::fault::Fault;
use super::frame::{
    ErrorCode, FrameHeader, HEADER, Kind, PING_PAYLOAD, first_goaway, goaway, max_frame_size, ping, setting,
};
use super::graceful_shutdown::GracefulShutdown;
use super::profile::Profile;
use super::streams::Streams;
use super::walk::{Next, Walk};
use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
use crate::relay::forwarded_for::ForwardedFor;
use crate::relay::protocol_error;
use crate::transport::buffer::Buffer;
use retirement::{Limits, Moment, RetireReason};

/// One HTTP/2 connection between a client and its app.
#[derive(Debug)]
pub struct Session {
    from_client: Walk,
    from_app: Walk,
    streams: Streams,
    shutdown: GracefulShutdown,
    /// Says which place of the first GOAWAY costs the client least.
    profile: Profile,
    limits: Limits,
    /// Tells our PINGs from the app's.
    pings: Pings,
    /// Streams that clients have opened.
    started: u32,
    /// Frames of the app's that carry a part of a response.
    answers: u32,
    /// The stream with which the limit was reached.
    limit_reached_at: Option<u32>,
    retired: Option<RetireReason>,
    /// Before the app's own SETTINGS has passed, a GOAWAY would be the first frame that the client sees.
    app_has_spoken: bool,
    /// The app sends a GOAWAY itself.
    app_leaves: bool,
    /// What the app speaks, by its first byte.
    app: Tongue,
    /// The client opens streams all the same.
    ignored: bool,
    /// Streams that were reset and of which nobody was told.
    broken: Vec<Broken>,
    /// What is put into requests; boxed, for few want it.
    addition: Option<Box<Addition>>,
}

/// What our two PINGs carry.
#[derive(Clone, Copy, Debug)]
struct Pings {
    /// Behind the GOAWAY that asks for no new streams.
    first: [u8; PING_PAYLOAD],
    /// Behind everything.
    last: [u8; PING_PAYLOAD],
}

/// What an app speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tongue {
    /// It has not said a byte.
    Unheard,
    /// Frames.
    Http2,
    /// An answer to the preface in HTTP/1.1, as a rule. It passes as it is, and what the client goes on to say is dropped, which
    /// such an app could only take for requests.
    Other,
}

impl Tongue {
    /// The first frame is SETTINGS (RFC 9113 §3.4): the highest octet of its length is zero. No text begins with that.
    fn of(self, bytes: &[u8]) -> Self {
        match (self, bytes) {
            (Self::Unheard, [0, ..]) => Self::Http2,
            (Self::Unheard, [_, ..]) => Self::Other,
            (tongue, _) => tongue,
        }
    }
}

/// What is wrong with a frame, and whose it is.
pub type ProtocolError = protocol_error::ProtocolError<Fault>;

impl Session {
    /// Returns a connection on which nothing has passed; `ping` should be random, so that it is nobody else's.
    pub fn new(limits: Limits, ping: [u8; PING_PAYLOAD]) -> Self {
        Self {
            from_client: Walk::of_client(),
            from_app: Walk::of_app(),
            streams: Streams::default(),
            shutdown: GracefulShutdown::None,
            profile: Profile::default(),
            limits,
            pings: Pings { first: ping, last: ping.map(|octet| !octet) },
            started: 0,
            answers: 0,
            limit_reached_at: None,
            retired: None,
            app_has_spoken: false,
            app_leaves: false,
            app: Tongue::Unheard,
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

    /// Why the connection was retired, if it was.
    pub const fn retired(&self) -> Option<RetireReason> {
        self.retired
    }

    /// Streams that the client has opened.
    pub const fn requests_started(&self) -> u32 {
        self.started
    }

    /// Frames of the app's that carry a part of a response, modulo 2³².
    pub const fn answers(&self) -> u32 {
        self.answers
    }

    /// Returns whether the client has opened a stream after it has had the time to heed GOAWAY. Before that, one may have
    /// been on its way.
    pub const fn was_ignored(&self) -> bool {
        self.ignored
    }

    /// Clears what may pass of the client's bytes.
    pub fn examine_client(&mut self, buffer: &mut Buffer) -> Result<(), ProtocolError> {
        self.walk_client(buffer).map_err(ProtocolError::client)
    }

    fn walk_client(&mut self, buffer: &mut Buffer) -> Result<(), Fault> {
        if self.app == Tongue::Other {
            buffer.take_out(buffer.unexamined().len());
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
                Next::Frame(header) if self.answers_us(header, buffer) => {
                    self.from_client.drop_frame(header, buffer);
                }
                Next::Frame(header) if self.comes_too_late(header) => {
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

    /// Returns whether anybody could take the frame for the beginning of a request: trailers come on open streams.
    fn begins_request(&self, header: FrameHeader) -> bool {
        header.kind == Kind::Headers && !self.streams.is_open(header.stream)
    }

    fn note_client(&mut self, header: FrameHeader) -> Result<(), Fault> {
        let stream = header.stream;
        match header.kind {
            Kind::Headers if stream.is_multiple_of(2) => return Err(Fault::BadStreamNumber),
            // Lower numbers are trailers; on a stream that was never open, or is no longer, they are the app's to judge.
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

    /// Returns the exchanges that were broken off since this was last asked: their streams were reset.
    pub fn take_broken(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.broken)
    }

    /// Returns how far the exchanges have come whose responses have not passed whole.
    pub fn unfinished(&self) -> impl Iterator<Item = ExchangePhase> {
        self.streams.unfinished()
    }

    /// Returns whether it is the answer to a PING of ours, which the app must not see; notes what it means.
    fn answers_us(&mut self, header: FrameHeader, buffer: &Buffer) -> bool {
        let Some(payload) = buffer.unexamined().get(HEADER..HEADER.saturating_add(PING_PAYLOAD)) else { return false };
        if header.kind != Kind::Ping || !header.is_ack() || self.retired.is_none() {
            return false;
        }
        let (first, last) = (payload == self.pings.first, payload == self.pings.last);
        match &mut self.shutdown {
            GracefulShutdown::Asked if first => self.shutdown = GracefulShutdown::Settling,
            GracefulShutdown::Told { has_read, .. } => *has_read |= last,
            GracefulShutdown::None
            | GracefulShutdown::Due { .. }
            | GracefulShutdown::AtEnd { .. }
            | GracefulShutdown::Said
            | GracefulShutdown::Asked
            | GracefulShutdown::Settling
            | GracefulShutdown::Finishing => {}
        }
        first || last
    }

    /// A stream behind the last one that we promised to serve: the client repeats it elsewhere (RFC 9113 §6.8), so the
    /// app must not see it. Nor any other field block then, for the app could no longer read it.
    const fn comes_too_late(&self, header: FrameHeader) -> bool {
        match self.shutdown {
            GracefulShutdown::Told { last, .. } => {
                header.stream > last || matches!(header.kind, Kind::Headers | Kind::Continuation)
            }
            GracefulShutdown::None
            | GracefulShutdown::Due { .. }
            | GracefulShutdown::AtEnd { .. }
            | GracefulShutdown::Said
            | GracefulShutdown::Asked
            | GracefulShutdown::Settling
            | GracefulShutdown::Finishing => false,
        }
    }

    /// Clears what may pass of the app's bytes, and inserts GOAWAY where its time has come.
    pub fn examine_app(&mut self, buffer: &mut Buffer, moment: impl Fn() -> Moment) -> Result<(), ProtocolError> {
        self.walk_app(buffer, moment).map_err(ProtocolError::app)
    }

    fn walk_app(&mut self, buffer: &mut Buffer, moment: impl Fn() -> Moment) -> Result<(), Fault> {
        self.app = self.app.of(buffer.unexamined());
        if self.app == Tongue::Other {
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
                        && let Some(reason) = self.verdict(header.stream, &moment)
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

    /// Returns whether what comes from the app waits for the GOAWAY that is due.
    pub const fn holds_app(&self) -> bool {
        matches!(self.shutdown, GracefulShutdown::Due { .. })
    }

    fn note_app(&mut self, header: FrameHeader, buffer: &Buffer) {
        if matches!(header.kind, Kind::Headers | Kind::Data) {
            self.answers = self.answers.wrapping_add(1);
        }
        match header.kind {
            Kind::Headers => self.streams.answered(header.stream),
            Kind::RstStream => self.reset(header.stream, BrokenBy::App),
            Kind::Settings => self.app_has_spoken = true,
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

    /// It ends the connection, and ours must not name a later stream than its own does (RFC 9113 §6.8).
    const fn app_sends_goaway(&mut self) {
        self.app_leaves = true;
        match self.shutdown {
            GracefulShutdown::AtEnd { .. }
            | GracefulShutdown::Said
            | GracefulShutdown::Asked
            | GracefulShutdown::Settling
            | GracefulShutdown::Finishing => {
                self.shutdown = GracefulShutdown::None;
            }
            GracefulShutdown::None | GracefulShutdown::Due { .. } | GracefulShutdown::Told { .. } => {}
        }
    }

    /// Returns whether the connection is retired with this stream's response, and why.
    ///
    /// Not before that of the stream that reached the limit: a GOAWAY between a request and its response makes some clients
    /// lose or repeat it. What the app pushes is no response to a request, and what follows a response's first fields is
    /// none that is new.
    fn verdict(&self, stream: u32, moment: impl Fn() -> Moment) -> Option<RetireReason> {
        if !self.may_begin() || stream.is_multiple_of(2) || self.is_awaited(stream) {
            return None;
        }
        let counted = self.limit_reached_at.filter(|at| stream >= *at).map_or(0, |_| self.started);
        self.limits.verdict(counted, moment())
    }

    const fn may_begin(&self) -> bool {
        matches!(self.shutdown, GracefulShutdown::None | GracefulShutdown::AtEnd { .. })
            && self.app_has_spoken
            && !self.app_leaves
    }

    /// Returns whether GOAWAY waits for the end of the response on this stream.
    const fn is_awaited(&self, stream: u32) -> bool {
        matches!(self.shutdown, GracefulShutdown::AtEnd { stream: awaited, .. } if awaited == stream)
    }

    /// Returns whether the first GOAWAY stands better behind the response on this stream than in front of it.
    fn is_better_told_at_the_end_of(&self, stream: u32) -> bool {
        self.profile.abandons_streams() && self.streams.has_none_but(stream)
    }

    /// Returns whether GOAWAY stands well in front of what is next: not in front of frames of the connection, nor of `RST_STREAM`, which an
    /// app sends behind an early response. Any frame behind a GOAWAY has Python's h2 fail the response.
    const fn may_follow(next: Next) -> bool {
        matches!(next, Next::NeedMore)
            || matches!(next, Next::Frame(FrameHeader { kind: Kind::Headers | Kind::PushPromise, .. }))
    }

    /// Sends GOAWAY behind the response for which it has waited, or gives that up where another stream is open by now.
    fn follow_response(&mut self, from_app: &mut Buffer) {
        let GracefulShutdown::AtEnd { stream, reason } = self.shutdown else { return };
        if self.streams.awaits_app(stream) || !self.from_app.is_at_boundary() {
            return;
        }
        if self.streams.awaits_client(stream) {
            self.shutdown = GracefulShutdown::None;
        } else if self.streams.is_empty() {
            from_app.put_in(&first_goaway());
            self.retired = Some(reason);
            self.shutdown = GracefulShutdown::Said;
        } else {
            // The next response has it in front.
            self.profile.forget();
            self.shutdown = GracefulShutdown::None;
        }
    }

    /// The pod drains: sends GOAWAY now, where no response is awaited; otherwise the next one does it, unless the drain
    /// `is_ending`.
    pub fn drain(&mut self, is_ending: bool, from_app: &mut Buffer) -> bool {
        let may_interrupt = is_ending || self.streams.all_answered();
        let now = self.may_begin() && may_interrupt && self.from_app.is_at_boundary();
        if now {
            self.begin_shutdown(RetireReason::Drain, from_app);
        }
        now
    }

    fn begin_shutdown(&mut self, reason: RetireReason, from_app: &mut Buffer) {
        from_app.put_in(&first_goaway());
        self.retired = Some(reason);
        self.ask(from_app);
    }

    fn ask(&mut self, from_app: &mut Buffer) {
        from_app.put_in(&ping(self.pings.first));
        self.shutdown = GracefulShutdown::Asked;
    }

    /// The bound of the present step has passed; `false` where the connection ends with it.
    pub fn step_is_over(&mut self, from_app: &mut Buffer) -> bool {
        match self.shutdown {
            GracefulShutdown::None | GracefulShutdown::AtEnd { .. } => true,
            GracefulShutdown::Due { stream, reason } if self.is_better_told_at_the_end_of(stream) => {
                self.shutdown = GracefulShutdown::AtEnd { stream, reason };
                true
            }
            GracefulShutdown::Due { reason, .. } => {
                self.begin_shutdown(reason, from_app);
                true
            }
            GracefulShutdown::Said => {
                // In the middle of a frame, the PING waits for its end: the app's next bytes come here again.
                if self.from_app.is_at_boundary() {
                    self.ask(from_app);
                }
                true
            }
            GracefulShutdown::Asked | GracefulShutdown::Settling => {
                self.shutdown = GracefulShutdown::Finishing;
                true
            }
            GracefulShutdown::Finishing => {
                // In the middle of a frame that the app does not finish, nothing more can be said.
                let may_speak = self.from_app.is_at_boundary();
                if may_speak {
                    self.tell_last_stream(from_app);
                }
                may_speak
            }
            GracefulShutdown::Told { .. } => false,
        }
    }

    /// Notes that nothing is in flight; whether that is the moment to name the last stream.
    pub fn nothing_in_flight(&mut self, from_app: &mut Buffer) -> bool {
        let now =
            self.shutdown == GracefulShutdown::Finishing && self.streams.is_empty() && self.from_app.is_at_boundary();
        if now {
            self.tell_last_stream(from_app);
        }
        now
    }

    fn tell_last_stream(&mut self, from_app: &mut Buffer) {
        let last = self.streams.last();
        from_app.put_in(&[goaway(last, ErrorCode::NoError), ping(self.pings.last)].concat());
        self.shutdown = GracefulShutdown::Told { last, has_read: false };
    }

    /// Returns whether the client has read everything, as its answer to the PING behind it shows.
    pub const fn has_been_read(&self) -> bool {
        matches!(self.shutdown, GracefulShutdown::Told { has_read: true, .. })
    }

    /// Frames that have passed or were taken out so far.
    pub const fn frames(&self) -> u64 {
        self.from_client.frames().saturating_add(self.from_app.frames())
    }

    /// Returns the number of open streams.
    pub fn open_streams(&self) -> usize {
        self.streams.open_now()
    }

    /// Returns whether a stream is open, so that an end of the connection loses something.
    pub fn has_open_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Returns the frame that ends the connection for this fault.
    pub fn final_goaway(&self, fault: Fault) -> [u8; 17] {
        goaway(self.streams.last(), fault.code())
    }

    /// Returns whether a frame of ours may be written behind what was cleared.
    pub fn may_speak(&self) -> bool {
        self.from_app.is_at_boundary()
    }
}

/// Returns the SETTINGS entry that is next.
fn first_entry(buffer: &Buffer) -> &[u8] {
    buffer.unexamined().get(..super::frame::SETTING).unwrap_or_default()
}

#[cfg(test)]
mod tests;
