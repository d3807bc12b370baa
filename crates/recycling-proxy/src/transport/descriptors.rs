//! The limit of file descriptors, and the number of connections that it allows.

use std::io;
use std::num::NonZero;
use std::time::Duration;

use daemon::descriptor_limit;
use rustix::io::Errno;

/// The pause after a failure for lack of descriptors or memory, which connections free when they end.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The descriptors of a connection: the client's socket and the app's.
const PER_CONNECTION: u64 = 2;
/// The descriptors of the process: listeners, admin and control connections, standard streams, signals.
const OF_PROCESS: u64 = 64;
/// The descriptors of a thread: its runtime, and the most pipes for long bodies.
const PER_THREAD: u64 = 144;

/// Returns the number of connections for which there are descriptors; `None` if there is no limit.
pub(crate) fn room_for_connections(threads: u8) -> Option<NonZero<u32>> {
    descriptor_limit().map(|limit| room_within(limit, threads))
}

/// Returns the number of connections within a limit of descriptors. Descriptors for other uses are reserved, so that
/// the proxy can connect to the app for each accepted connection. If the limit is low, no more than a quarter is
/// reserved, because pipes are optional.
fn room_within(limit: u64, threads: u8) -> NonZero<u32> {
    let others = OF_PROCESS.saturating_add(PER_THREAD.saturating_mul(threads.into()));
    let others = others.min(limit.div_ceil(4).max(OF_PROCESS / 2));
    let room = limit.saturating_sub(others) / PER_CONNECTION;
    u32::try_from(room).map_or(NonZero::<u32>::MAX, |room| NonZero::new(room).unwrap_or(NonZero::<u32>::MIN))
}

/// Returns whether the error is a lack of descriptors or memory, which is temporary and not caused by the connection.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Some);
    shortages.contains(&Errno::from_io_error(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_for_other_uses() {
        for (limit, threads, room) in [
            (1_048_576, 1, (1_048_576 - 64 - 144) / 2),
            (1_048_576, 4, (1_048_576 - 64 - 4 * 144) / 2),
            (1_024, 1, (1_024 - 64 - 144) / 2),
            (256, 1, (256 - 64) / 2),
            (100, 1, (100 - 32) / 2),
            (32, 1, 1),
            (0, 1, 1),
        ] {
            assert_eq!(room_within(limit, threads).get(), room, "{limit} descriptors, {threads} threads");
        }
        assert_eq!(room_within(u64::MAX, 1).get(), u32::MAX);
    }

    #[test]
    fn a_refused_connection_is_not_a_shortage_of_descriptors() {
        assert!(is_shortage(&Errno::MFILE.into()) && is_shortage(&Errno::NOMEM.into()));
        assert!(!is_shortage(&Errno::CONNREFUSED.into()) && !is_shortage(&io::ErrorKind::TimedOut.into()));
    }
}
