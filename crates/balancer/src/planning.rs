//! What the balancer decides, without I/O: changes of the cluster, reports and time in; whom to ask, and with which instruction, out.

mod allowance;
mod balancer;
mod group;
mod numbering;
mod pace;
mod patience;
mod pod;
mod roster;
mod schedule;
mod siblings;

pub use balancer::{Asked, Balancer, Round, Taken};
pub use group::{Group, Summary, Withheld};
pub use pod::{Change, Controller, Pod, Slice, Uid};
