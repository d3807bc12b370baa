//! Verifies and parses instructions in a proxy. It accepts only instructions that are newer than the last.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::instruction::{MAX_INSTRUCTION_BYTES, WorkloadInstruction};
use crate::public_key::PublicKeys;
use crate::refusal::Refusal;
use crate::sequence::Sequence;
use crate::signing_key::HEADER;
use crate::workload::Workload;

/// The sequence number of the last accepted instruction. It only rises, which prevents replays.
///
/// ```text
/// none ──1──▶ 1 ──5──▶ 5 ──6──▶ 6      a number that is not higher is refused
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSequence(Option<Sequence>);

impl LastSequence {
    /// The state before the first instruction.
    pub const NONE: Self = Self(None);

    /// Returns the number; `None` before the first instruction.
    pub const fn get(self) -> Option<Sequence> {
        self.0
    }

    /// Returns the state after an instruction with this number.
    ///
    /// # Errors
    /// If the number is not higher than the last.
    pub fn advance(self, sequence: Sequence) -> Result<Self, Refusal> {
        if self.0.is_none_or(|last| sequence > last) { Ok(Self(Some(sequence))) } else { Err(Refusal::OldSequence) }
    }
}

/// Accepts the instructions for one workload that are signed by one of several keys.
#[derive(Clone, Debug)]
pub struct Receiver {
    keys: PublicKeys,
    workload: Workload,
}

impl Receiver {
    /// Returns the receiver of a pod of `workload`.
    pub const fn new(keys: PublicKeys, workload: Workload) -> Self {
        Self { keys, workload }
    }

    /// Returns its keys.
    pub const fn keys(&self) -> &PublicKeys {
        &self.keys
    }

    /// Returns the workload of the pod.
    pub const fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Verifies and parses a signed instruction. Returns it with its sequence number, which is `last` for the next
    /// call.
    ///
    /// # Errors
    /// If it is malformed, not signed by one of the keys, for another workload, or not newer than the last. The checks
    /// are in this order, so that the payload is not parsed before its signature is verified.
    pub fn receive(&self, body: &[u8], last: LastSequence) -> Result<(LastSequence, WorkloadInstruction), Refusal> {
        let instruction = self.open(body)?;
        if *instruction.workload() != self.workload {
            return Err(Refusal::ForeignWorkload);
        }
        Ok((last.advance(instruction.sequence())?, instruction))
    }

    fn open(&self, body: &[u8]) -> Result<WorkloadInstruction, Refusal> {
        if body.len() > MAX_INSTRUCTION_BYTES {
            return Err(Refusal::Malformed);
        }
        let text = str::from_utf8(body).map_err(|_| Refusal::Malformed)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        // The header is a constant. Reading the algorithm from it would let the sender choose one (RFC 8725 §3.1).
        if header != HEADER {
            return Err(Refusal::Malformed);
        }
        if !self.keys.verify(signed.as_bytes(), &signature) {
            return Err(Refusal::BadSignature);
        }
        WorkloadInstruction::from_payload(&payload).map_err(|_| Refusal::Malformed)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed)
}
