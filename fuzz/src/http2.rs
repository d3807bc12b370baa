//! HTTP/2 sessions: frames of both sides and the steps of a graceful shutdown, in any order and in any pieces.
//!
//! Input: one byte for the limit, one for the length of pieces, then steps of four bytes: what happens, and three
//! bytes that say how (for a frame: type and flags, stream, length).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use recycling_proxy::fuzzing::Buffer;
use recycling_proxy::fuzzing::ForwardedFor;
use recycling_proxy::fuzzing::http2::GracefulShutdown;
use recycling_proxy::fuzzing::http2::{ProtocolError, Session};
use recycling_proxy::fuzzing::http2::{first_goaway, ping};
use retirement::{ConnectionState, Limits, RetireReason};
use settings::{Jitter, MaxRequests};

use crate::wire::{pass, put};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Not what any frame built here can have in it, so that ours can be told apart.
const OUR_PING: [u8; 8] = *b"evenkeel";

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// What tells the app its address, in HPACK.
const FIELD: &[u8] = b"\0\x0fx-forwarded-for\x09192.0.2.1";

/// Pieces change nothing; the app sees a client's bytes verbatim until the last stream is named; the client sees the
/// app's bytes verbatim but for ours, GOAWAY and PING together, which are sent once. Where the app is told who its
/// client is, the field block of each request ends with it, and all other frames are as they would be.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let [limit, piece, steps @ ..] = data else { return };
    let steps: Vec<Step> = steps.chunks_exact(4).map(Step::read).take(200).collect();
    let limit = u32::from(*limit).max(1);

    let whole = hold(limit, &steps, usize::MAX, None);
    let told = hold(limit, &steps, usize::MAX, Some(ForwardedFor::new(CLIENT)));
    for piece in [1, usize::from(*piece).max(2)] {
        assert_eq!(hold(limit, &steps, piece, None), whole, "in pieces of {piece}");
        let again = hold(limit, &steps, piece, Some(ForwardedFor::new(CLIENT)));
        assert_eq!(again, told, "told, in pieces of {piece}");
    }
    check_told(&told, &whole);
    let (client, app) = said(&steps);
    if whole.retired.is_none() {
        assert!(client.starts_with(&whole.to_app), "the app saw what the client did not send");
        assert!(app.starts_with(&whole.to_client), "the client saw what the app did not send");
    }
    let first_step = [first_goaway(), ping(OUR_PING)].concat();
    let shutdowns = whole.to_client.windows(first_step.len()).filter(|window| *window == first_step).count();
    assert_eq!(shutdowns, usize::from(whole.retired.is_some()), "the first step of a GOAWAY");
}

/// What happens next.
enum Step {
    Client(Vec<u8>),
    App(Vec<u8>),
    /// The bound of the graceful shutdown's present step has passed.
    TimeIsUp,
    Drain {
        is_ending: bool,
    },
}

impl Step {
    fn read(step: &[u8]) -> Self {
        let [what, how @ ..] = step else { return Self::TimeIsUp };
        match what % 16 {
            0 => Self::Client(PREFACE.to_vec()),
            1..=6 => Self::Client(frame(how)),
            7 => Self::Client(how.to_vec()),
            8..=12 => Self::App(frame(how)),
            13 => Self::App(how.to_vec()),
            14 => Self::TimeIsUp,
            _ => Self::Drain { is_ending: how.first().is_some_and(|how| how % 2 == 1) },
        }
    }
}

/// Returns a frame as most are: with the length that its type asks for, unless the last bit says otherwise.
fn frame(how: &[u8]) -> Vec<u8> {
    let [kind_and_flags, stream, length] = how else { return Vec::new() };
    let (kind, flags) = (kind_and_flags % 12, kind_and_flags / 12);
    // The flags that mean something: END_STREAM or ACK, END_HEADERS.
    let flags = (flags & 1) | ((flags & 2) << 1);
    let length = match (kind, length & 0x80) {
        (4, 0) if flags & 1 == 0 => 6 * (length % 4),
        (4, 0) => 0,
        (3 | 8, 0) => 4,
        (6 | 7, 0) => 8,
        _ => length & 0x7f,
    };
    let of_connection = matches!(kind, 4 | 6 | 7) && stream & 0x80 == 0;
    let last_ping = stream & 1 == 1;
    let stream = if of_connection { 0 } else { stream & 0x7f };
    let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    bytes.extend((0..length).map(|index| match (kind, index) {
        (6, _) if last_ping => !OUR_PING[usize::from(index % 8)],
        (6, _) => OUR_PING[usize::from(index % 8)],
        // The streams that are promised are among those of other frames.
        (5, 0..3) => 0,
        (5, 3) => 2,
        (_, _) => index % 6,
    }));
    bytes
}

/// Returns what each side says in all.
fn said(steps: &[Step]) -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut app) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Client(bytes) => client.extend_from_slice(bytes),
            Step::App(bytes) => app.extend_from_slice(bytes),
            Step::TimeIsUp | Step::Drain { .. } => {}
        }
    }
    (client, app)
}

/// What came of a session.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    to_app: Vec<u8>,
    to_client: Vec<u8>,
    shutdown: GracefulShutdown,
    requests_started: u32,
    retired: Option<RetireReason>,
    error: Option<ProtocolError>,
}

struct Wire {
    session: Session,
    from_client: Buffer,
    from_app: Buffer,
    /// What the app has said and nobody has read, since what is before it is held back.
    unread: Vec<u8>,
    to_app: Vec<u8>,
    to_client: Vec<u8>,
    draining: bool,
}

/// A frame, with the CONTINUATIONs that end it.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    kind: u8,
    ends_stream: bool,
    stream: u32,
    /// Without the padding of a field block.
    payload: Vec<u8>,
    padding: Vec<u8>,
}

/// Returns what is padding at the end of a frame's payload.
fn padding(kind: u8, flags: u8, payload: &[u8]) -> usize {
    match payload {
        [pad, rest @ ..] if matches!(kind, 1 | 5) && flags & 8 != 0 => usize::from(*pad).min(rest.len()),
        _ => 0,
    }
}

/// Returns the whole messages behind the preface.
fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut is_open = false;
    bytes = bytes.get(PREFACE.len()..).unwrap_or_default();
    while let [l2, l1, l0, kind, flags, s3, s2, s1, s0, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *l2, *l1, *l0]);
        let Some((payload, rest)) = rest.split_at_checked(length as usize) else { break };
        let (payload, padding) = payload.split_at(payload.len() - padding(*kind, *flags, payload));
        match messages.last_mut() {
            Some(last) if *kind == 9 => last.payload.extend_from_slice(payload),
            Some(_) | None => messages.push(Message {
                kind: *kind,
                ends_stream: flags & 1 != 0,
                stream: u32::from_be_bytes([*s3, *s2, *s1, *s0]),
                payload: payload.to_vec(),
                padding: padding.to_vec(),
            }),
        }
        is_open = matches!(kind, 1 | 5 | 9) && flags & 4 == 0;
        bytes = rest;
    }
    if is_open {
        messages.pop();
    }
    messages
}

fn check_told(told: &Outcome, plain: &Outcome) {
    let (with, without) = (messages(&told.to_app), messages(&plain.to_app));
    // A block that ends within a field is refused where something would be put behind it.
    assert!(with.len() <= without.len() && (told.error.is_some() || with.len() == without.len()));
    let mut last = 0;
    for (with, without) in with.into_iter().zip(without) {
        let begins = with.kind == 1 && with.stream > last;
        last = last.max(if with.kind == 1 { with.stream } else { 0 });
        let payload = match with.payload.strip_suffix(FIELD) {
            Some(own) if with.kind == 1 => own.to_vec(),
            Some(_) | None => {
                assert!(!begins, "a request without the address: {with:?}");
                with.payload
            }
        };
        assert_eq!(Message { payload, ..with }, without);
    }
}

fn hold(limit: u32, steps: &[Step], piece: usize, forwarded_for: Option<ForwardedFor>) -> Outcome {
    let max_requests: MaxRequests = limit.to_string().parse().expect("a limit");
    let jitter: Jitter = "0%".parse().expect("a jitter");
    let mut wire = Wire {
        session: Session::new(Limits::draw(max_requests, None, jitter, 0), OUR_PING).forwarding(forwarded_for),
        from_client: Buffer::default(),
        from_app: Buffer::default(),
        unread: Vec::new(),
        to_app: Vec::new(),
        to_client: Vec::new(),
        draining: false,
    };
    let error = steps.iter().try_for_each(|step| wire.take(step, piece)).err();
    Outcome {
        shutdown: wire.session.shutdown(),
        requests_started: wire.session.requests_started(),
        retired: wire.session.retired(),
        to_app: wire.to_app,
        to_client: wire.to_client,
        error,
    }
}

impl Wire {
    fn take(&mut self, step: &Step, piece: usize) -> Result<(), ProtocolError> {
        match step {
            Step::Client(bytes) => {
                for piece in bytes.chunks(piece) {
                    put(&mut self.from_client, piece);
                    let examined = self.session.examine_client(&mut self.from_client);
                    pass(&mut self.from_client, &mut self.to_app);
                    examined?;
                }
            }
            Step::App(bytes) => {
                self.unread.extend_from_slice(bytes);
                self.read_app(piece)?;
            }
            Step::TimeIsUp => {
                self.session.step_is_over(&mut self.from_app);
                self.examine_app()?;
                self.read_app(piece)?;
                self.session.nothing_in_flight(&mut self.from_app);
                pass(&mut self.from_app, &mut self.to_client);
            }
            Step::Drain { is_ending } => {
                self.draining = true;
                self.session.drain(*is_ending, &mut self.from_app);
                pass(&mut self.from_app, &mut self.to_client);
            }
        }
        Ok(())
    }

    fn read_app(&mut self, piece: usize) -> Result<(), ProtocolError> {
        while !self.session.holds_app() && !self.unread.is_empty() {
            let rest = self.unread.split_off(piece.min(self.unread.len()));
            put(&mut self.from_app, &std::mem::replace(&mut self.unread, rest));
            self.examine_app()?;
        }
        Ok(())
    }

    fn examine_app(&mut self) -> Result<(), ProtocolError> {
        let state = ConnectionState { age: Duration::ZERO, draining: self.draining, marked: false, uncounted: 0 };
        let examined = self.session.examine_app(&mut self.from_app, || state);
        pass(&mut self.from_app, &mut self.to_client);
        examined
    }
}
