//! HTTP/2 sessions: frames of both sides and the steps of a goodbye, in any order and in any pieces.
//!
//! Input: one byte for the limit, one for the length of pieces, then steps of four bytes: what happens, and three
//! bytes that say how (for a frame: type and flags, stream, length).

use std::time::Duration;

use recycling_proxy::buffer::Buffer;
use recycling_proxy::http2::frame::{first_goaway, ping};
use recycling_proxy::http2::goodbye::Goodbye;
use recycling_proxy::http2::session::{Offence, Session};
use recycling_proxy::recycle::{Limits, Moment, RetireReason};
use settings::{Jitter, MaxRequests};

use crate::wire::{pass, put};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Not what any frame built here can have in it, so that ours can be told apart.
const OUR_PING: [u8; 8] = *b"evenkeel";

/// Pieces change nothing; the app sees a client's bytes verbatim until the last stream is named; the client sees the app's
/// bytes verbatim but for our goodbye, which is said once, GOAWAY and PING together.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let [limit, piece, steps @ ..] = data else { return };
    let steps: Vec<Step> = steps.chunks_exact(4).map(Step::read).take(200).collect();
    let limit = u32::from(*limit).max(1);

    let whole = hold(limit, &steps, usize::MAX);
    for piece in [1, usize::from(*piece).max(2)] {
        assert_eq!(hold(limit, &steps, piece), whole, "in pieces of {piece}");
    }
    let (client, app) = said(&steps);
    if whole.retired.is_none() {
        assert!(client.starts_with(&whole.to_app), "the app saw what the client did not send");
        assert!(app.starts_with(&whole.to_client), "the client saw what the app did not send");
    }
    let first_step = [first_goaway(), ping(OUR_PING)].concat();
    let goodbyes = whole.to_client.windows(first_step.len()).filter(|window| *window == first_step).count();
    assert_eq!(goodbyes, usize::from(whole.retired.is_some()), "the first step of a goodbye");
}

/// What happens next.
enum Step {
    Client(Vec<u8>),
    App(Vec<u8>),
    /// The bound of the goodbye's present step has passed.
    TimeIsUp,
    Drain,
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
            _ => Self::Drain,
        }
    }
}

/// A frame as most are: with the length that its type asks for, unless the last bit says otherwise.
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
    let stream = if of_connection { 0 } else { stream & 0x7f };
    let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    bytes.extend((0..length).map(|index| if kind == 6 { OUR_PING[usize::from(index % 8)] } else { index % 6 }));
    bytes
}

/// What each side says in all.
fn said(steps: &[Step]) -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut app) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Client(bytes) => client.extend_from_slice(bytes),
            Step::App(bytes) => app.extend_from_slice(bytes),
            Step::TimeIsUp | Step::Drain => {}
        }
    }
    (client, app)
}

/// What came of a session.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    to_app: Vec<u8>,
    to_client: Vec<u8>,
    goodbye: Goodbye,
    requests_started: u32,
    retired: Option<RetireReason>,
    offence: Option<Offence>,
}

struct Wire {
    session: Session,
    from_client: Buffer,
    from_app: Buffer,
    to_app: Vec<u8>,
    to_client: Vec<u8>,
    draining: bool,
}

fn hold(limit: u32, steps: &[Step], piece: usize) -> Outcome {
    let max_requests: MaxRequests = limit.to_string().parse().expect("a limit");
    let jitter: Jitter = "0%".parse().expect("a jitter");
    let mut wire = Wire {
        session: Session::new(Limits::draw(max_requests, None, jitter, 0), OUR_PING),
        from_client: Buffer::default(),
        from_app: Buffer::default(),
        to_app: Vec::new(),
        to_client: Vec::new(),
        draining: false,
    };
    let offence = steps.iter().try_for_each(|step| wire.take(step, piece)).err();
    Outcome {
        goodbye: wire.session.goodbye(),
        requests_started: wire.session.requests_started(),
        retired: wire.session.retired(),
        to_app: wire.to_app,
        to_client: wire.to_client,
        offence,
    }
}

impl Wire {
    fn take(&mut self, step: &Step, piece: usize) -> Result<(), Offence> {
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
                for piece in bytes.chunks(piece) {
                    put(&mut self.from_app, piece);
                    let moment = Moment { age: Duration::ZERO, draining: self.draining, marked: false };
                    let examined = self.session.examine_app(&mut self.from_app, || moment);
                    pass(&mut self.from_app, &mut self.to_client);
                    examined?;
                }
            }
            Step::TimeIsUp => {
                self.session.step_is_over(&mut self.from_app);
                self.session.nothing_in_flight(&mut self.from_app);
                pass(&mut self.from_app, &mut self.to_client);
            }
            Step::Drain => {
                self.draining = true;
                self.session.drain(&mut self.from_app);
                pass(&mut self.from_app, &mut self.to_client);
            }
        }
        Ok(())
    }
}
