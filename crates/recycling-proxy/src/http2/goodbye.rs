//! The two steps in which a connection is retired (RFC 9113 §6.8).

use std::time::Duration;

/// The time in which a connection in use hears of a drain with its next response, and a new one with its first. Only
/// after it does a drain speak where nothing is awaited: a GOAWAY fails the request that a client is about to write, and
/// hyper's pool does not repeat one on a connection that was never used.
pub const QUIET_TIME: Duration = Duration::from_secs(1);
/// The time for a client to answer our PING; a client that never does is not waited for.
const ACK_TIME: Duration = Duration::from_secs(10);
/// The answer alone does not prove that no stream is on its way: a client's reader answers while its writer still
/// opens one. Nothing is lost by waiting.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// The time for a client that has been told everything to close by itself.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// The bound on streams that outlive the second step: for streaming calls that last.
const LONGEST_GRACE: Duration = Duration::from_hours(1);

/// How far the goodbye has come.
///
/// ```text
/// None ──begin: GOAWAY(2³¹−1), PING──▶ Asked ──PING's ack──▶ Settling ──200 ms: GOAWAY(last stream)──▶ Told
///                                        └──────10 s: GOAWAY(last stream)────────────────────────────▶ Told
/// Told ──its streams are done──▶ Done ──1 s, or the client closes──▶ the connection ends, lingering
///   └────a jittered hour──▶ the connection ends
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The connection stays.
    None,
    /// The client knows that no new streams are wanted; it was asked to answer a PING.
    Asked,
    /// It has answered.
    Settling,
    /// It knows the last stream that is served.
    Told {
        /// The highest stream that is served; later ones never reach the app.
        last: u32,
    },
    /// Every stream that is served is done.
    Done {
        /// As in [`Goodbye::Told`].
        last: u32,
    },
}

impl Goodbye {
    /// How long this step may last; `grace` is the connection's own share of the longest.
    pub const fn bound(self, grace: Duration) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Asked => Some(ACK_TIME),
            Self::Settling => Some(SETTLE_TIME),
            Self::Told { .. } => Some(grace),
            Self::Done { .. } => Some(CLOSE_TIME),
        }
    }

    /// The last stream that is served, where that was said.
    pub const fn last(self) -> Option<u32> {
        match self {
            Self::None | Self::Asked | Self::Settling => None,
            Self::Told { last } | Self::Done { last } => Some(last),
        }
    }
}

/// A connection's own grace, in [½ h, 1 h]: long calls that began together do not end together. `sample` is uniform.
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
