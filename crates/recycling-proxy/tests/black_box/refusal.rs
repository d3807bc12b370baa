//! Messages that the proxy refuses, and what the client receives.

use std::time::Duration;

use test_support::{End, Peer, TestResult, ensure, ensure_eq};

use crate::framing::bad_chunks;

/// Checks that the client receives a response of the proxy's own, with one of these statuses, that announces close, and
/// then a FIN.
pub(crate) async fn refused(client: &mut Peer, status: &[u16]) -> TestResult {
    let head = client.read_head().await?;
    ensure!(head.status().is_some_and(|seen| status.contains(&seen)), "{}", head.start_line());
    ensure!(head.announces_close());
    let (_explanation, end) = client.read_to_end().await?;
    ensure_eq!(end, End::Fin);
    Ok(())
}

/// Sends the 900,000 bytes of a body without reading.
pub(crate) async fn send_long_body(client: &mut Peer) -> TestResult {
    for _ in 0..9 {
        client.send(vec![b'b'; 100_000]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A chunked body with an error in it, and how it arrives.
pub(crate) struct BadBody {
    pub(crate) name: String,
    /// The bytes before the error, which may be forwarded.
    pub(crate) good: Vec<u8>,
    /// The error, and bytes that a lenient recipient would take for the end of the message.
    pub(crate) bad: Vec<u8>,
    /// Whether the error comes in a segment of its own.
    pub(crate) is_split: bool,
}

/// Returns each kind of bad chunks as the first chunk and as the second, in one segment and in two.
pub(crate) fn bad_bodies() -> Vec<BadBody> {
    let mut bodies = Vec::new();
    for chunks in bad_chunks() {
        for before in ["", "3\r\nabc\r\n"] {
            for is_split in [false, true] {
                bodies.push(BadBody {
                    name: format!("{} after {before:?}, split: {is_split}", chunks.name),
                    good: [before.as_bytes(), &chunks.good].concat(),
                    bad: chunks.bad.clone(),
                    is_split,
                });
            }
        }
    }
    bodies
}
