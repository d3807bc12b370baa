//! The limit of open descriptors, and the number of connections that it allows.

/// Descriptors that a proxy needs besides its connections, at most.
const RESERVE: u64 = 300;

/// Returns the limit of open descriptors of a process.
pub(crate) fn open_files() -> u64 {
    daemon::descriptor_limit().unwrap_or(1 << 20)
}

/// Returns the client connections that a proxy can relay: each takes two descriptors.
pub(crate) fn relayed_connections() -> u64 {
    open_files().saturating_sub(RESERVE) / 2
}
