//! What the first bytes of a connection are, and whether a server could take them for a request.

pub mod first_line;
pub mod protocol;
pub(crate) mod sentry;
