//! The lingering close (RFC 9112 §9.6).
//!
//! Closing a socket that holds unread bytes sends a reset, and a reset can destroy a last response that the client
//! has not read yet. So: FIN first, then read and drop what still comes, within bounds.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::wire::Wire;

/// The time in which TLS must have sent what goes before our end.
const TLS_END_TIME: Duration = Duration::from_mins(1);
/// Silence after which the client is taken to have read everything.
const SILENCE: Duration = Duration::from_secs(5);
/// The whole time that a client can take.
const ALTOGETHER: Duration = Duration::from_secs(30);
/// What a client can still send before it is taken to be one that does not read.
const MOST_BYTES: usize = 1024 * 1024;

/// The time in which a client must take an answer of ours.
const LAST_WORD_TIME: Duration = Duration::from_secs(5);

/// Writes an answer of ours, and ends the connection without destroying it.
pub(crate) async fn last_word(mut client: Wire, answer: &[u8]) {
    if let Ok(Ok(())) = timeout(LAST_WORD_TIME, client.write_all(answer)).await {
        linger(client).await;
    }
}

/// Ends the connection without destroying what the client has yet to read; the bytes that it still sent.
pub(crate) async fn linger(mut client: Wire) -> usize {
    // Over TLS, what it has yet to send goes first.
    if !matches!(timeout(TLS_END_TIME, client.shutdown()).await, Ok(Ok(()))) {
        return 0;
    }
    let deadline = Instant::now() + ALTOGETHER;
    let mut dropped: usize = 0;
    // Small, so that ten thousand lingering connections cost little.
    let mut sink = [0; 512];
    while dropped < MOST_BYTES {
        let until = deadline.min(Instant::now() + SILENCE);
        match timeout_at(until, client.read(&mut sink)).await {
            Ok(Ok(count)) if count > 0 => dropped = dropped.saturating_add(count),
            Ok(Ok(_) | Err(_)) | Err(_) => break,
        }
    }
    dropped
}
