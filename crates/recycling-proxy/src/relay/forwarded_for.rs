//! `X-Forwarded-For`: the client's address, in every request to the app.

use std::fmt;
use std::net::IpAddr;

/// The field name as HTTP/1 shows it.
pub(crate) const NAME: &str = "X-Forwarded-For";

/// The client's address as the field value: without brackets and port, and never an IPv4-mapped one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedFor(IpAddr);

impl ForwardedFor {
    /// Returns the value for requests of the client with this address.
    pub const fn new(client: IpAddr) -> Self {
        Self(client.to_canonical())
    }
}

impl fmt::Display for ForwardedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_other_proxies_write_them() {
        for (client, shown) in
            [("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("fd00::1", "fd00::1"), ("::1", "::1")]
        {
            assert_eq!(ForwardedFor::new(client.parse().unwrap()).to_string(), shown);
        }
    }
}
