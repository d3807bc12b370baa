//! What a proxy does with an instruction: it verifies before it reads, and takes only what is newer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::instruction::{MAX_INSTRUCTION_BYTES, WorkloadInstruction};
use crate::public_key::PublicKeys;
use crate::refusal::Refusal;
use crate::sequence::Sequence;
use crate::signing_key::HEADER;
use crate::workload::Workload;

/// The sequence number of the last instruction that was received.
///
/// ```text
/// none ──1──▶ 1 ──5──▶ 5 ──6──▶ 6      a number that is not higher is refused
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSequence(Option<Sequence>);

impl LastSequence {
    /// No instruction has come yet.
    pub const NONE: Self = Self(None);

    /// Returns the number; `None` before the first instruction.
    pub const fn get(self) -> Option<Sequence> {
        self.0
    }

    /// Returns the state after an instruction with this number.
    ///
    /// # Errors
    /// A number that is not higher.
    pub fn advance(self, sequence: Sequence) -> Result<Self, Refusal> {
        if self.0.is_none_or(|last| sequence > last) { Ok(Self(Some(sequence))) } else { Err(Refusal::OldSequence) }
    }
}

/// Whose instructions a proxy takes, and for which workload.
#[derive(Clone, Debug)]
pub struct Receiver {
    keys: PublicKeys,
    workload: Workload,
}

impl Receiver {
    /// Returns the receiver of a pod.
    pub const fn new(keys: PublicKeys, workload: Workload) -> Self {
        Self { keys, workload }
    }

    /// Returns the keys that it knows.
    pub const fn keys(&self) -> &PublicKeys {
        &self.keys
    }

    /// Returns the workload of the pod.
    pub const fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Reads a signed instruction; returns it with the sequence number to hold the next one against.
    ///
    /// # Errors
    /// What is malformed, not signed by a known key, for another workload, or not newer than the last, in this order:
    /// nothing of the payload is looked at before its signature is verified.
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
        // There is one header: to read an algorithm from it would let the sender choose.
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
