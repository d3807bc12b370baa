//! The decisions of the balancer, without I/O: changes of the cluster, reports and time in; requests to pods and instructions out.

mod backoff;
mod balancer;
mod group;
mod numbering;
mod pace;
mod pod;
mod roster;
mod schedule;
mod siblings;
mod token_bucket;

pub use balancer::{Asked, Balancer, Round, Taken};
pub use group::{Group, Summary, Withheld};
pub use pod::{Change, Controller, Pod, Slice, Uid};
