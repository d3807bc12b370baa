//! How many descriptors a process may hold here, and what that leaves for connections.

/// Descriptors that a proxy holds besides its connections, generously.
const RESERVE: u64 = 300;

/// Returns the descriptors that a process may hold.
pub(crate) fn open_files() -> u64 {
    daemon::descriptor_limit().unwrap_or(1 << 20)
}

/// Returns the client connections that a proxy can relay: each takes two descriptors.
pub(crate) fn relayed_connections() -> u64 {
    open_files().saturating_sub(RESERVE) / 2
}
