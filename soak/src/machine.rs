//! The machine of a run: its cores and its kernel.

use std::thread::available_parallelism;

/// Returns a sentence for the head of a report.
pub(crate) fn description() -> String {
    let cores = available_parallelism().map_or(1, usize::from);
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    // The suffix of the version is the builder's.
    let version = release.split('-').next().unwrap_or_default();
    format!("{cores} cores, {} {version}", system.sysname().to_string_lossy())
}
