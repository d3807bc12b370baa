//! The two steps in which a connection is retired (RFC 9113 §6.8).

use std::time::Duration;

use retirement::RetireReason;

/// For how long the response that brings the first GOAWAY waits, and with it what the app says behind it. hyper's client asks
/// whether a GOAWAY has come just before and again just after it opens a stream, and fails the request where the second
/// answer differs from the first, be it on its way or not. Between the two lie microseconds, or the time for which its
/// thread is off the processor. A quick response comes in that time, and the client's next request in the same
/// microseconds as the response behind the one that it has waited for. Of 46,000 announcements under load 31 failed a
/// request, with the wait none of 39,000. A connection pays for it once. A short response is whole by then, and leaves in one
/// write with the GOAWAY behind it.
const SENDING_TIME: Duration = Duration::from_millis(5);
/// The time between a GOAWAY behind a response and our PING. To Python's h2 a GOAWAY is the end of the connection, and any frame
/// behind it a fault: httpx fails the response that it has read along with it, one for each connection. Without a frame behind it
/// httpx has its response, and leaves.
const ASK_TIME: Duration = Duration::from_millis(100);
/// The time in which a connection in use hears of a drain with its next response, and a new one with its first. Only
/// after it does a drain speak where nothing is awaited: a GOAWAY fails the request that a client is about to write, and
/// hyper's pool does not repeat one on a connection that was never used. Both steps fit into the shortest drain.
pub const QUIET_TIME: Duration = Duration::from_secs(2);
/// So long before its end a drain speaks even where a response is awaited. Some clients fail that request then; the end fails
/// it anyway, together with all that the client would have sent here in the meantime.
pub const LAST_CALL: Duration = Duration::from_secs(5);
/// The time for a client to answer our PING. It counts only while there is no progress: while the client has acknowledged
/// every byte (TCP) and sends nothing, so that neither the PING nor its answer can be behind something on a slow path. Such a
/// client never answers, and is not waited for.
const ACK_TIME: Duration = Duration::from_secs(10);
/// The answer alone does not prove that no stream is on its way: a client's reader answers while its writer still
/// opens one. Nothing is lost by waiting.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// The bound on streams that outlive GOAWAY: for streaming calls that last. Also on PINGs that are not answered by a client
/// that makes progress, and on the time for which one that has paused is waited for at the end.
const LONGEST_GRACE: Duration = Duration::from_hours(1);
/// The time for a client that has read everything to close by itself; for one that has not shown that it has, the time without
/// progress after which it gets our FIN. A FIN destroys nothing: it comes behind everything else.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How far the graceful shutdown has come.
///
/// ```text
/// None ──a response──▶ Due ──5 ms: GOAWAY(2³¹−1), PING──▶ Asked
///                       └──5 ms, a client that abandons streams, no other is open──▶ AtEnd
/// AtEnd ──the response has ended: GOAWAY(2³¹−1)──▶ Said ──100 ms: PING──▶ Asked
///   ├──it has ended, its request has not──▶ None: the next response is tried
///   ├──it has ended, another stream is open──▶ None: the next response has it in front
///   └──another response comes before its end──▶ Due
/// None, AtEnd ──a drain: GOAWAY(2³¹−1), PING──▶ Asked
/// Asked ──PING's ack──▶ Settling ──200 ms──▶ Finishing
///   └─────────10 s without progress─────────────▶┘
/// Finishing ──no stream is open, or after a jittered hour: GOAWAY(last stream), PING──▶ Told
/// Told ──PING's ack──▶ Told, has read ──1 s, or the client closes──▶ the connection ends, lingering briefly
///   └──1 s without progress, or the client closes──────────────────▶ the connection ends, lingering until it was read
/// any but Told ──GOAWAY of the app's own──▶ None: the app ends the connection
/// ```
///
/// The first GOAWAY has two places, each measured (docs/CLIENTS-AND-GOAWAY.md):
///
/// - In front of a response's fields: the client has just waited, and has read that the connection takes no more streams before
///   it acts on the response. Behind the response Node's http2 would fail the request that it sends on reading it: 68 of 76 GOAWAYs.
/// - Behind the end of the response, for a client that fails what is open when it reads a GOAWAY (`profile`), and if no other
///   stream is open: it has nothing to lose then but a request that it begins in the same microseconds. In front, every GOAWAY
///   costs such a client the response.
///
/// Not behind a response that ends before its request: an app that does not read the rest goes on with `RST_STREAM` (RFC
/// 9113 §8.1) and `WINDOW_UPDATE`, and any frame behind a GOAWAY has Python's h2 fail the response. A client all of whose responses are
/// early is retired by a drain alone.
///
/// With other streams open such a client loses them wherever the GOAWAY stands. So the next response has it in front where another
/// stream was opened before the end that the graceful shutdown waits for: a client whose requests always overlap is retired as well.
///
/// That a response was written does not say that it was received: on a slow path megabytes of it wait in the kernel. The
/// second PING comes behind all of it, and its answer is the evidence.
///
/// The last stream is named only when none is open. A client that opens streams after the first GOAWAY, which it must
/// not, has them served until then. Were its streams refused while earlier ones last, their frames would be missing in
/// what both ends count together: the app's field compression and the connection's flow control (RFC 9113 §6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GracefulShutdown {
    /// The connection stays.
    None,
    /// It is said with the response that is next; the app's frames are held back until the client has sent its newest request.
    Due {
        /// The response's stream.
        stream: u32,
        /// Why it is said.
        reason: RetireReason,
    },
    /// It is said behind the end of the response on the only stream that is open.
    AtEnd {
        /// The response's stream.
        stream: u32,
        /// Why it is said.
        reason: RetireReason,
    },
    /// The client was sent a GOAWAY, and nothing behind it yet.
    Said,
    /// The client knows that no new streams are wanted; it was asked to answer a PING.
    Asked,
    /// It has answered.
    Settling,
    /// Its streams go on to their end.
    Finishing,
    /// It knows the last stream that is served; later ones never reach the app.
    Told {
        /// The number of that stream.
        last: u32,
        /// It has answered the PING behind everything.
        has_read: bool,
    },
}

impl GracefulShutdown {
    /// Returns how long this step may last; `grace` is the connection's own share of the longest.
    pub const fn bound(self, grace: Duration) -> Option<Duration> {
        match self {
            Self::None | Self::AtEnd { .. } => None,
            Self::Due { .. } => Some(SENDING_TIME),
            Self::Said => Some(ASK_TIME),
            Self::Asked => Some(ACK_TIME),
            Self::Settling => Some(SETTLE_TIME),
            Self::Finishing => Some(grace),
            Self::Told { .. } => Some(CLOSE_TIME),
        }
    }

    /// Returns whether this step waits for the answer to a PING, so that its bound counts only while there is no progress.
    pub const fn awaits_answer(self) -> bool {
        matches!(self, Self::Asked | Self::Told { has_read: false, .. })
    }
}

/// Returns a connection's own grace, in [½ h, 1 h]: long calls that began together do not end together. `sample` is uniform.
pub fn draw_grace(sample: u32) -> Duration {
    LONGEST_GRACE.mul_f64(1.0 - 0.5 * f64::from(sample) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graces_fill_their_range() {
        assert_eq!(draw_grace(0), LONGEST_GRACE);
        assert_eq!(draw_grace(u32::MAX), LONGEST_GRACE / 2);
    }
}
