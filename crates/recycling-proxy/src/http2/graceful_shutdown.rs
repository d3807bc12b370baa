//! The two steps in which a connection is retired (RFC 9113 §6.8).

use std::time::Duration;

use retirement::RetireReason;

/// How long the response with the first GOAWAY is held back, and with it the app's later frames. hyper's client checks
/// for a GOAWAY just before and just after it opens a stream, and fails the request if the answers differ, sent or not.
/// Between the two are microseconds, or the time for which its thread is descheduled. A quick response arrives in that
/// time, and so does the client's next request, which it sends in the same microseconds as it reads the response that
/// it waited for. Of 46,000 announcements under load 31 failed a request, with the delay none of 39,000. A connection
/// pays for it once. A short response is complete by then, and is sent in one write with the GOAWAY.
const GOAWAY_DELAY: Duration = Duration::from_millis(5);
/// The time between a GOAWAY after a response and the proxy's PING. Python's h2 takes a GOAWAY for the end of the
/// connection, and any frame after it for an error: httpx then fails the response that it has read along with it, one
/// for each connection. Without a frame after it httpx has its response, and closes the connection.
const PING_DELAY: Duration = Duration::from_millis(100);
/// The time after the start of a drain in which GOAWAY is sent only with a response. Afterwards it is also sent to idle
/// connections, where it fails a request that a client is about to write, and hyper's pool does not repeat one on a
/// connection that was never used. The shortest drain (5 s) is longer.
pub(crate) const IDLE_GOAWAY_DELAY: Duration = Duration::from_secs(2);
/// How long before its end a drain sends GOAWAY even while a response is awaited. Some clients fail that request then;
/// the end of the drain fails it anyway, together with all that the client would have sent here in the meantime.
pub(crate) const FORCED_GOAWAY_TIME: Duration = Duration::from_secs(5);
/// The time for a client to answer the proxy's PING. It counts only while the client has acknowledged every byte (TCP)
/// and sends nothing, so that a slow path delays neither the PING nor its answer. A client that has not answered by
/// then never does.
const ACK_TIME: Duration = Duration::from_secs(10);
/// The time between the answer to the PING and the last GOAWAY. The answer does not prove that no new stream is in
/// flight: a client's reading task may answer while its writing task opens one. Waiting has no cost.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// The bound on open streams after GOAWAY, for long streaming calls. It also bounds the wait for the answer to a PING
/// from a client that makes progress, and the lingering close of a client that has paused.
const LONGEST_GRACE: Duration = Duration::from_hours(1);
/// The time in which a client that has read everything may close the connection. A client that has not shown that it
/// has gets the proxy's FIN after this time without progress. A FIN destroys no data, because it follows all of it.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// The state of the graceful shutdown.
///
/// ```text
/// None ──a response──▶ Due ──5 ms: GOAWAY(2³¹−1), PING──▶ PingSent
///                       └──5 ms, a client that abandons streams, no other is open──▶ AtEnd
/// AtEnd ──the response has ended: GOAWAY(2³¹−1)──▶ GoawaySent ──100 ms: PING──▶ PingSent
///   ├──it has ended, its request has not──▶ None: the next response is tried
///   ├──it has ended, another stream is open──▶ None: GOAWAY is sent in front of the next response
///   └──another response comes before its end──▶ Due
/// None, AtEnd ──a drain: GOAWAY(2³¹−1), PING──▶ PingSent
/// PingSent ──PING's ack──▶ Settling ──200 ms──▶ Finishing
///   └──────────10 s without progress──────────────▶┘
/// Finishing ──no stream is open, or after a jittered hour: GOAWAY(last stream), PING──▶ LastGoawaySent
/// LastGoawaySent ──PING's ack──▶ has_read ──1 s, or the client closes──▶ the connection ends, lingering briefly
///   └──1 s without progress, or the client closes──────────────────────▶ the connection ends, lingering until it was read
/// any but LastGoawaySent ──GOAWAY of the app's own──▶ None: the app ends the connection
/// ```
///
/// The first GOAWAY has two places, each measured (docs/CLIENTS-AND-GOAWAY.md):
///
/// - In front of a response's fields: the client has just waited, and reads that the connection takes no more streams
///   before it acts on the response. After the response, Node's http2 would fail the request that it sends on reading
///   it: 68 of 76 GOAWAYs.
/// - After the end of the response, for a client that fails open streams when it reads a GOAWAY (`profile`), and if no
///   other stream is open: then only a request that it begins in the same microseconds can fail. In front, every GOAWAY
///   fails the response of such a client.
///
/// Not after a response that ends before its request: an app that does not read the rest sends `RST_STREAM` (RFC 9113
/// §8.1) and `WINDOW_UPDATE` next, and any frame after a GOAWAY makes Python's h2 fail the response. A client with
/// early responses only is retired by a drain alone.
///
/// With other streams open such a client fails them wherever the GOAWAY is. So it is sent in front of the next response
/// if another stream was opened before the end that the graceful shutdown waits for: a client whose requests always
/// overlap is retired as well.
///
/// A response that was written was not necessarily received: on a slow path megabytes of it wait in the kernel. The
/// answer to the second PING, which follows it, proves that.
///
/// The last GOAWAY is sent only when no stream is open. Until then, streams are served that a client opens after the
/// first GOAWAY, which it must not. If they were refused while earlier ones are open, their frames would be missing in
/// state that client and app share: field compression and the connection's flow control (RFC 9113 §6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GracefulShutdown {
    /// The connection stays.
    None,
    /// GOAWAY is to be sent with the next response; the app's frames are held back until the client has sent its newest
    /// request.
    Due {
        /// The response's stream.
        stream: u32,
        /// Why the connection is retired.
        reason: RetireReason,
    },
    /// GOAWAY is to be sent after the end of the response on the only open stream.
    AtEnd {
        /// The response's stream.
        stream: u32,
        /// Why the connection is retired.
        reason: RetireReason,
    },
    /// GOAWAY was sent, and nothing after it.
    GoawaySent,
    /// GOAWAY and a PING were sent; the client has not answered.
    PingSent,
    /// The client has answered the PING.
    Settling,
    /// Open streams are served to their end.
    Finishing,
    /// The last GOAWAY was sent; later streams never reach the app.
    LastGoawaySent {
        /// The last stream that is served.
        last: u32,
        /// The client has answered the last PING.
        has_read: bool,
    },
}

impl GracefulShutdown {
    /// Returns how long this step may last; `None` is unbounded. `grace` is the result of [`draw_grace`] for the
    /// connection.
    pub const fn bound(self, grace: Duration) -> Option<Duration> {
        match self {
            Self::None | Self::AtEnd { .. } => None,
            Self::Due { .. } => Some(GOAWAY_DELAY),
            Self::GoawaySent => Some(PING_DELAY),
            Self::PingSent => Some(ACK_TIME),
            Self::Settling => Some(SETTLE_TIME),
            Self::Finishing => Some(grace),
            Self::LastGoawaySent { .. } => Some(CLOSE_TIME),
        }
    }

    /// Returns whether this step waits for the answer to a PING, so that its bound counts only while there is no
    /// progress.
    pub const fn awaits_answer(self) -> bool {
        matches!(self, Self::PingSent | Self::LastGoawaySent { has_read: false, .. })
    }
}

/// Returns the grace of a connection, drawn from [½ h, 1 h], so that long calls that began together do not end
/// together. `sample` is uniform over all of `u32`.
pub(crate) fn draw_grace(sample: u32) -> Duration {
    LONGEST_GRACE.mul_f64(1.0 - 0.5 * f64::from(sample) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_periods_are_drawn_from_their_whole_range() {
        assert_eq!(draw_grace(0), LONGEST_GRACE);
        assert_eq!(draw_grace(u32::MAX), LONGEST_GRACE / 2);
    }
}
