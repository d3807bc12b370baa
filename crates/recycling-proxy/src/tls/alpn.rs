//! The protocols for ALPN (RFC 7301).

/// A protocol that the relays support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpn {
    Http1,
    Http2,
}

impl Alpn {
    /// Returns its ALPN name.
    pub(super) const fn name(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }

    /// Returns the protocol with this ALPN name; `None` if the relays do not support it.
    pub(super) fn of_name(name: &[u8]) -> Option<Self> {
        [Self::Http1, Self::Http2].into_iter().find(|known| known.name() == name)
    }
}

/// Returns the protocol to agree on with a client that makes these offers, for an app in plain text. `None` means no
/// ALPN: then the client's first bytes decide.
pub(super) fn of_plain_app(offers: &[Alpn], app_speaks_http2: bool) -> Option<Alpn> {
    let speaks = |offer: &&Alpn| **offer == Alpn::Http1 || app_speaks_http2;
    // HTTP/2 if both support it, as servers prefer it.
    offers.iter().filter(speaks).max_by_key(|offer| **offer == Alpn::Http2).copied()
}

#[cfg(test)]
mod tests {
    use super::Alpn::{Http1, Http2};
    use super::*;

    #[test]
    fn alpn_names_are_matched_exactly() {
        assert_eq!(Alpn::of_name(b"h2"), Some(Http2));
        assert_eq!(Alpn::of_name(b"http/1.1"), Some(Http1));
        for other in [&b"h2c"[..], b"http/1.0", b"HTTP/1.1", b""] {
            assert_eq!(Alpn::of_name(other), None);
        }
    }

    #[test]
    fn alpn_agrees_only_on_protocols_of_the_app() {
        for (offers, http2, told) in [
            (&[][..], true, None),
            (&[Http2], false, None),
            (&[Http2], true, Some(Http2)),
            (&[Http1], true, Some(Http1)),
            (&[Http1, Http2], true, Some(Http2)),
            (&[Http2, Http1], true, Some(Http2)),
            (&[Http2, Http1], false, Some(Http1)),
        ] {
            assert_eq!(of_plain_app(offers, http2), told, "{offers:?} {http2}");
        }
    }
}
