//! The rule of retirement: when a client connection is retired.
//!
//! Pure: no clock, no I/O, no metrics library; time and randomness are parameters.

mod limits;
mod reason;

pub use limits::{Limits, Moment, draw_age};
pub use reason::RetireReason;
