//! Whole conversations: what passes, in whatever pieces it arrives.
//!
//! Input: one byte for the limit, one for the length of pieces, then texts that NUL bytes separate: what the client
//! sends all at once, then what the app answers to each request.

mod edits;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use recycling_proxy::fuzzing::Buffer;
use recycling_proxy::fuzzing::ForwardedFor;
use recycling_proxy::fuzzing::http1::Fault;
use recycling_proxy::fuzzing::http1::Phase;
use recycling_proxy::fuzzing::http1::{Conversation, ProtocolError};
use retirement::{ConnectionState, Limits, RetireReason};
use settings::{Jitter, MaxRequests};

use crate::wire::{pass, put};

/// Heads longer than this are refused; small, so that the fuzzer gets there.
const HEAD_LIMIT: usize = 1024;
/// More would not fit a buffer that nobody empties.
const LONGEST: usize = 8 * 1024;

/// An address that no input has in it.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 177));

/// Pieces change nothing; requests and responses pass in order, verbatim but for the edits that [`edits`] names; a
/// conversation has no more exchanges than its limit allows unless the client pipelines. Where the app is told who its
/// client is, each request tells it once, and all else is as it would be.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let [limit, piece, texts @ ..] = data else { return };
    if texts.len() > LONGEST {
        return;
    }
    let mut texts = texts.split(|byte| *byte == 0);
    let client = texts.next().unwrap_or_default();
    let answers: Vec<&[u8]> = texts.collect();
    let limit = u32::from(*limit).max(1);

    let whole = converse(limit, client, &answers, usize::MAX, None);
    let told = converse(limit, client, &answers, usize::MAX, Some(ForwardedFor::new(CLIENT)));
    for piece in [1, usize::from(*piece).max(2)] {
        assert_eq!(converse(limit, client, &answers, piece, None), whole, "in pieces of {piece}");
        let again = converse(limit, client, &answers, piece, Some(ForwardedFor::new(CLIENT)));
        assert_eq!(again, told, "told, in pieces of {piece}");
    }
    // Where the app is told, requests are refused that would hide the address, and more offers are taken out.
    if told.error != Some(ProtocolError::client(Fault::HiddenAddress)) && !client.windows(3).any(is_tls) {
        check_told(&told, &whole);
    }
    let (to_app, to_client): (Vec<usize>, Vec<usize>) = whole.starts.iter().copied().unzip();
    edits::check_requests(client, &whole.to_app, &to_app);
    edits::check_responses(&answers.concat(), &whole.to_client, &to_client, whole.retired.is_some());
}

fn is_tls(window: &[u8]) -> bool {
    window.eq_ignore_ascii_case(b"tls")
}

fn check_told(told: &Outcome, plain: &Outcome) {
    let address = CLIENT.to_string();
    let times = |bytes: &[u8]| bytes.windows(address.len()).filter(|window| *window == address.as_bytes()).count();
    let requests = usize::try_from(plain.requests_started).unwrap_or(usize::MAX);
    assert_eq!(times(&told.to_app) - times(&plain.to_app), requests, "told once by each request");
    let mut rest = told.to_app.iter();
    assert!(plain.to_app.iter().all(|byte| rest.any(|other| other == byte)), "something was taken out");
    assert!(told.to_app.len() - plain.to_app.len() <= requests * (address.len() + 19), "more was put in");
    assert_eq!(Outcome { to_app: plain.to_app.clone(), starts: plain.starts.clone(), ..told.clone() }, *plain);
}

/// What came of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    to_app: Vec<u8>,
    to_client: Vec<u8>,
    /// Where each request and what answers it begin, in what passed.
    starts: Vec<(usize, usize)>,
    phase: Option<Phase>,
    requests_started: u32,
    retired: Option<RetireReason>,
    error: Option<ProtocolError>,
}

struct Wire {
    conversation: Conversation,
    from_client: Buffer,
    from_app: Buffer,
    outcome: Outcome,
}

fn converse(
    limit: u32,
    client: &[u8],
    answers: &[&[u8]],
    piece: usize,
    forwarded_for: Option<ForwardedFor>,
) -> Outcome {
    let max_requests: MaxRequests = limit.to_string().parse().expect("a limit");
    let jitter: Jitter = "0%".parse().expect("a jitter");
    let limits = Limits::draw(max_requests, None, jitter, 0);
    let mut wire = Wire {
        conversation: Conversation::new(limits, HEAD_LIMIT).forwarding(forwarded_for),
        from_client: Buffer::default(),
        from_app: Buffer::default(),
        outcome: Outcome::default(),
    };
    let error = wire.run(client, answers, piece).err();
    wire.outcome.phase = Some(wire.conversation.phase());
    wire.outcome.requests_started = wire.conversation.requests_started();
    wire.outcome.retired = wire.conversation.retired();
    wire.outcome.error = error;
    wire.outcome
}

impl Wire {
    fn run(&mut self, client: &[u8], answers: &[&[u8]], piece: usize) -> Result<(), ProtocolError> {
        for piece in client.chunks(piece.min(client.len().max(1))) {
            put(&mut self.from_client, piece);
            self.request()?;
        }
        let mut answers = answers.iter();
        while !self.is_over() {
            let started = self.conversation.requests_started();
            let Some(answer) = answers.next() else { return Ok(()) };
            for piece in answer.chunks(piece.min(answer.len().max(1))) {
                put(&mut self.from_app, piece);
                self.response()?;
                if self.is_over() {
                    return Ok(());
                }
            }
            // Only now may the next request be looked at: which answer is whose is the app's affair.
            self.request()?;
            if self.conversation.requests_started() == started {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.conversation.phase().is_final()
    }

    fn starts_at(&self) -> (usize, usize) {
        (self.outcome.to_app.len(), self.outcome.to_client.len())
    }

    fn request(&mut self) -> Result<(), ProtocolError> {
        let (start, started) = (self.starts_at(), self.conversation.requests_started());
        let examined = self.conversation.examine_request(&mut self.from_client);
        if self.conversation.requests_started() > started {
            self.outcome.starts.push(start);
        }
        pass(&mut self.from_client, &mut self.outcome.to_app);
        examined
    }

    fn response(&mut self) -> Result<(), ProtocolError> {
        let pipelined = Conversation::is_pipelined(self.from_client.unexamined());
        let state = || ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 };
        let examined = self.conversation.examine_response(&mut self.from_app, pipelined, state);
        pass(&mut self.from_app, &mut self.outcome.to_client);
        examined?;
        self.conversation.exchange_done(&self.from_app)?;
        Ok(())
    }
}
