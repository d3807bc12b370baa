//! Who asks: closed-loop load by wrk and h2load, a fixed rate with exact latencies, and many clients that sit idle.

pub(crate) mod exchange;
pub(crate) mod flood;
pub(crate) mod h2load;
pub(crate) mod http2;
pub(crate) mod idle;
pub(crate) mod paced;
pub(crate) mod reviews;
pub(crate) mod slow_streams;
pub(crate) mod wrk;

/// What a load generator saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Completed {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
}
