//! Who asks: closed-loop load by wrk, a fixed rate with exact latencies, and many clients that sit idle.

pub(crate) mod exchange;
pub(crate) mod idle;
pub(crate) mod paced;
pub(crate) mod wrk;
