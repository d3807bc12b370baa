//! The rule of retirement: decides when a client connection is retired, and which connections a pod retires because its
//! load is above the mean of its workload.
//!
//! Pure: no clock, no I/O, no metrics library; time and randomness are parameters. The recycling proxy and `evenkeel
//! simulate` call the same functions. It does not close connections, and does not know their protocol: that is the
//! proxy's work.
//!
//! - [`Limits`]: the limits of one connection, checked once per request.
//! - [`RateEstimate`]: the estimated request rate of one connection, updated at an interval.
//! - [`Instruction`], [`Excess`] and [`shed()`]: the load of a pod above the mean, and the connections that it retires
//!   for it.

mod instruction;
mod limits;
mod rate;
mod reason;
mod shed;

pub use instruction::{Instruction, InvalidInstruction, PodChange, Tolerance};
pub use limits::{ConnectionState, Limits, draw_age};
pub use rate::{Elapsed, RateEstimate};
pub use reason::RetireReason;
pub use shed::{Candidate, Excess, cap, shed};
