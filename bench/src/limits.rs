//! How many descriptors a process may hold here, and what that leaves for connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a proxy holds besides its connections, generously.
const RESERVE: u64 = 300;

/// Lifts this process's limit, and so that of all it starts, as far as it is allowed to.
pub(crate) fn lift() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where even this is refused, the limit stays as it is, and the report says what could not be measured.
    _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The descriptors that a process may hold.
pub(crate) fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// The client connections that a proxy can relay: each takes two descriptors.
pub(crate) fn relayed_connections() -> u64 {
    open_files().saturating_sub(RESERVE) / 2
}
