//! `evenkeel demo` from outside, and the pages that speak of the programs that it runs: all of them real, on this
//! machine's loopback addresses.

mod metrics_page;
mod programs;
mod story;
