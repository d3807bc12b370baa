//! Removes offers of HTTP/2 from a request (`Upgrade: h2c`).
//!
//! If the app accepted one with 101, the connection would become a tunnel: its requests would not be counted, it would
//! never be retired, and requests would lack the client's address. Removing the offer is allowed, because `Upgrade` is
//! a hop-by-hop field (RFC 9110 §7.8); a server may always ignore it, and no client in use depends on it.

use super::announce::name_and_value;
use super::fields::{is_token, list};

/// Returns the head without such offers, and whether it has others; `None` if there are none to remove. The head must
/// be complete and well-formed.
///
/// It removes the offers, `HTTP2-Settings` and its connection option, and the connection option `upgrade` if no other
/// offer is left. All other bytes stay.
pub(super) fn without_http(head: &[u8], offers: Offers) -> Option<Declined> {
    let lines = || head.split_inclusive(|b| *b == b'\n');
    let upgrades = || lines().map(name_and_value).filter(|(name, _)| name.eq_ignore_ascii_case(b"upgrade"));
    if !upgrades().any(|(_, value)| value.split(|b| *b == b',').any(|offer| offers.have(offer))) {
        return None;
    }
    let offers_others = upgrades().any(|(_, value)| list(value).any(|offer| !offers.have(offer)));
    let mut rest = Vec::with_capacity(head.len());
    for line in lines() {
        let (name, value) = name_and_value(line);
        if name.eq_ignore_ascii_case(b"upgrade") {
            push_without(&mut rest, line, (name, value), |offer| offers.have(offer));
        } else if name.eq_ignore_ascii_case(b"connection") {
            push_without(&mut rest, line, (name, value), |token| {
                let is_upgrade = token.eq_ignore_ascii_case(b"upgrade");
                token.eq_ignore_ascii_case(SETTINGS) || (is_upgrade && !offers_others)
            });
        } else if !name.eq_ignore_ascii_case(SETTINGS) {
            rest.extend_from_slice(line);
        }
    }
    Some(Declined { head: rest, offers_others })
}

const SETTINGS: &[u8] = b"http2-settings";

/// A head without the offers that are removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declined {
    pub(super) head: Vec<u8>,
    /// Whether it has other offers.
    pub(super) offers_others: bool,
}

/// The offers that are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offers {
    /// HTTP in plain text: `h2c`, its drafts, and tokens that begin with `HTTP/`.
    Plain,
    /// These, and TLS (RFC 2817). With `forwarded-for`, no request may be tunnelled.
    OrInTls,
}

impl Offers {
    fn have(self, offer: &[u8]) -> bool {
        // Some servers ignore white space and quotes within an offer.
        let name: Vec<u8> = offer.iter().filter(|b| is_token(**b) || **b == b'/').map(u8::to_ascii_lowercase).collect();
        let of = |protocol: &[u8]| {
            let version = name.strip_prefix(protocol);
            version.is_some_and(|version| matches!(version, [] | [b'/' | b'-', ..]))
        };
        of(b"h2c") || of(b"h2") || of(b"http") || (self == Self::OrInTls && of(b"tls"))
    }
}

/// Appends the line without some elements of its list and their commas; nothing if no element is left.
fn push_without(rest: &mut Vec<u8>, line: &[u8], (name, value): (&[u8], &[u8]), taken: impl Fn(&[u8]) -> bool) {
    let elements = || value.split(|b| *b == b',');
    let is_taken = |element: &[u8]| taken(element.trim_ascii());
    if !elements().any(is_taken) {
        rest.extend_from_slice(line);
        return;
    }
    let left: Vec<&[u8]> = elements().filter(|element| !is_taken(element)).collect();
    if left.iter().any(|element| !element.trim_ascii().is_empty()) {
        rest.extend_from_slice(name);
        rest.push(b':');
        // If the first element was removed, the white space before it stays before the next.
        rest.extend_from_slice(&left.join(&b','));
        rest.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(fields: &str, offers: Offers) -> Option<(String, bool)> {
        let head = format!("GET /h2c HTTP/1.1\nHost: a\n{fields}X: h2c\n\n").replace('\n', "\r\n");
        without_http(head.as_bytes(), offers).map(|declined| {
            let head = String::from_utf8(declined.head).unwrap().replace("\r\n", "\n");
            let fields = head.strip_prefix("GET /h2c HTTP/1.1\nHost: a\n").unwrap().strip_suffix("X: h2c\n\n").unwrap();
            (fields.to_owned(), declined.offers_others)
        })
    }

    #[test]
    fn only_upgrade_offers_of_http_are_removed() {
        for (fields, left, others) in [
            ("Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n", "", false),
            ("upgrade:H2C\nhttp2-settings:\nCONNECTION:http2-SETTINGS,UPGRADE\n", "", false),
            (
                "Connection: keep-alive, Upgrade, HTTP2-Settings, X\nUpgrade: h2c\n",
                "Connection: keep-alive, X\n",
                false,
            ),
            ("Connection: Upgrade ,HTTP2-Settings , X-a\nUpgrade: h2c\n", "Connection: X-a\n", false),
            (
                "Connection: Upgrade, HTTP2-Settings\nUpgrade: websocket, h2c\nHTTP2-Settings: A\n",
                "Connection: Upgrade\nUpgrade: websocket\n",
                true,
            ),
            ("Upgrade: h2c, websocket\n", "Upgrade: websocket\n", true),
            ("Upgrade: foo/2 ,\th2c,  websocket \n", "Upgrade: foo/2 ,  websocket \n", true),
            (
                "Upgrade: websocket\nConnection: upgrade\nUpgrade: h2c\n",
                "Upgrade: websocket\nConnection: upgrade\n",
                true,
            ),
            ("Upgrade: h2c\nUpgrade: h2c-14, HTTP/2.0\nUpgrade: \nY: z\n", "Upgrade: \nY: z\n", false),
            ("Upgrade: h2c\nConnection: keep-alive\nConnection: Upgrade\n", "Connection: keep-alive\n", false),
            ("Upgrade: \"h2c\"\n", "", false),
            ("Upgrade: h 2c,,\n", "", false),
            ("Upgrade: h2c\nUpgraded: h2c\n", "Upgraded: h2c\n", false),
        ] {
            assert_eq!(edit(fields, Offers::Plain), Some((left.to_owned(), others)), "{fields:?}");
        }
    }

    #[test]
    fn heads_without_an_upgrade_offer_of_http_are_not_edited() {
        for fields in [
            "",
            "Connection: Upgrade\nUpgrade: websocket\n",
            "Connection: Upgrade, HTTP2-Settings\nHTTP2-Settings: A\n",
            "Upgrade: xh2c, h2cx, httpx, tls/1.2, IRC/6.9\n",
        ] {
            assert_eq!(edit(fields, Offers::Plain), None, "{fields:?}");
        }
    }

    #[test]
    fn an_upgrade_offer_of_tls_is_removed_only_with_forwarded_for() {
        let fields = "Connection: Upgrade\nUpgrade: TLS/1.2, websocket\n";
        let left = "Connection: Upgrade\nUpgrade: websocket\n".to_owned();
        assert_eq!(edit(fields, Offers::Plain), None);
        assert_eq!(edit(fields, Offers::OrInTls), Some((left, true)));
    }
}
