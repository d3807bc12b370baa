//! The messages between the balancer and the recycling proxy, and their signatures. Pure: no I/O, no clock.
//!
//! The balancer sends `POST /balance` to the admin port of a proxy. The body is a [signed
//! instruction](SigningKey::sign); the answer is a [`Report`] in JSON, with status 200, or 403 if the proxy
//! [refuses](Refusal) the instruction. `GET /balance` answers with the same report.
//!
//! ```text
//! balancer                                               proxy
//!   WorkloadInstruction ── SigningKey::sign ──▶ bytes ──▶ Receiver::receive ──▶ WorkloadInstruction
//!   Report ◀── Report::from_json ◀──────────── bytes ◀── Report::to_json ◀──── load, connections, state
//! ```
//!
//! The signature authenticates an instruction, not its connection, so a proxy needs public keys and no TLS. Messages
//! are not confidential: `/metrics` of the proxy has the same figures. What a proxy does with an instruction is in
//! crate `retirement`, when the balancer sends one in crate `balancer`.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod instruction;
mod public_key;
mod quantity;
mod receiver;
mod refusal;
mod report;
mod sequence;
mod signing_key;
mod state;
mod workload;

pub use instruction::{Interval, InvalidMessage, MAX_INSTRUCTION_BYTES, WorkloadInstruction};
pub use public_key::{InvalidKeys, KeyId, PublicKey, PublicKeys};
pub use quantity::{InvalidQuantity, Quantity};
pub use receiver::{LastSequence, Receiver};
pub use refusal::Refusal;
pub use report::{InvalidReport, MAX_REPORT_BYTES, Recent, Report};
pub use retirement::PodChange;
pub use sequence::{InvalidSequence, Sequence};
pub use signing_key::{SigningKey, SigningKeyError};
pub use state::BalanceState;
pub use workload::{InvalidWorkload, Workload};

/// The path of the endpoint on the proxy's admin port.
pub const PATH: &str = "/balance";
