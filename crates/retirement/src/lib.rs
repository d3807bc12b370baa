//! The rule of retirement: when a client connection is retired, and which connections leave a pod that has more than its
//! share of the load.
//!
//! Pure: no clock, no I/O, no metrics library; time and randomness are parameters. The recycling proxy and
//! `evenkeel simulate` call the same functions.
//!
//! - [`Limits`]: the limits of one connection, asked once per request.
//! - [`RateEstimate`]: the rate of one connection, updated at an interval.
//! - [`Instruction`] and [`shed()`]: whether a pod is above the mean of its workload, and whom it retires for it.

mod instruction;
mod limits;
mod rate;
mod reason;
mod shed;

pub use instruction::{Instruction, InvalidInstruction, Tolerance};
pub use limits::{Limits, Moment, draw_age};
pub use rate::{Elapsed, RateEstimate};
pub use reason::RetireReason;
pub use shed::{Candidate, Excess, cap, shed};
