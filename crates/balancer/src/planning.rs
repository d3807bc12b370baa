//! The decisions of the balancer, without I/O: from changes of the cluster, reports and time to requests and
//! instructions.

mod backoff;
mod balancer;
mod controllers;
mod group;
mod numbering;
mod pace;
mod pod;
mod roster;
mod schedule;
mod token_bucket;

pub use balancer::{Balancer, ReportOutcome, Round, Target};
pub use group::{Group, Summary, Withheld};
pub use pod::{Change, Controller, Pod, Slice, Uid};
