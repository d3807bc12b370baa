//! The phases of a client connection that speaks HTTP/1.

/// The phase of a connection.
///
/// ```text
/// accept → Idle ──RequestBegun──▶ Serving ──LastAnnounced──▶ Announced ──ExchangeDone──▶ Lingering ──▶ Closed
///           ▲                      │   │                     (close is in the head)          ▲
///           └────ExchangeDone──────┘   └──Upgraded──▶ Tunnel                                 │
///
/// Idle, Serving, Announced:  AppEnded ────────────────────────────────────────────────────────┘
///                            ClientEnded ──▶ Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no exchange. Neither retirement nor a drain closes a connection in this phase.
    Idle,
    /// A request has begun, and its final response head has not been forwarded.
    Serving,
    /// The response of this exchange announced that it is the last.
    Announced,
    /// Everything was sent; what the client still sends is read and dropped (RFC 9112 §9.6).
    Lingering,
    /// The connection is a tunnel.
    Tunnel,
    /// The connection is closed.
    Closed,
}

/// An event of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request head is complete.
    RequestBegun,
    /// The exchange is the last: the proxy, the client or the app has announced the end of the connection.
    LastAnnounced,
    /// Request and response were forwarded completely.
    ExchangeDone,
    /// The response was 101, or 2xx to CONNECT.
    Upgraded,
    /// The app ended its stream, and no response can follow.
    AppEnded,
    /// The client ended its stream, and no response is awaited.
    ClientEnded,
}

impl Phase {
    /// Returns the phase after an event. An event that is impossible in the phase closes the connection.
    #[must_use]
    pub const fn on(self, event: Event) -> Self {
        match (self, event) {
            (Self::Idle, Event::RequestBegun) => Self::Serving,
            (Self::Idle, Event::AppEnded) => Self::Lingering,
            (Self::Idle, Event::ClientEnded) => Self::Closed,
            (Self::Idle, Event::LastAnnounced | Event::ExchangeDone | Event::Upgraded) => Self::Closed,

            (Self::Serving, Event::LastAnnounced) => Self::Announced,
            (Self::Serving, Event::ExchangeDone) => Self::Idle,
            (Self::Serving, Event::Upgraded) => Self::Tunnel,
            (Self::Serving, Event::AppEnded) => Self::Lingering,
            (Self::Serving, Event::ClientEnded) => Self::Closed,
            (Self::Serving, Event::RequestBegun) => Self::Closed,

            (Self::Announced, Event::ExchangeDone | Event::AppEnded) => Self::Lingering,
            (Self::Announced, Event::ClientEnded) => Self::Closed,
            (Self::Announced, Event::RequestBegun | Event::LastAnnounced | Event::Upgraded) => Self::Closed,

            (Self::Tunnel | Self::Lingering | Self::Closed, _) => Self::Closed,
        }
    }

    /// Returns whether the relay is done.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Idle | Self::Serving | Self::Announced => false,
            Self::Lingering | Self::Tunnel | Self::Closed => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Event::*;
    use super::Phase::*;

    #[test]
    fn every_event_in_every_phase_leads_to_the_documented_phase() {
        let events = [RequestBegun, LastAnnounced, ExchangeDone, Upgraded, AppEnded, ClientEnded];
        for (phase, after) in [
            (Idle, [Serving, Closed, Closed, Closed, Lingering, Closed]),
            (Serving, [Closed, Announced, Idle, Tunnel, Lingering, Closed]),
            (Announced, [Closed, Closed, Lingering, Closed, Lingering, Closed]),
            (Lingering, [Closed; 6]),
            (Tunnel, [Closed; 6]),
            (Closed, [Closed; 6]),
        ] {
            for (event, after) in events.into_iter().zip(after) {
                assert_eq!(phase.on(event), after, "{phase:?} on {event:?}");
            }
        }
    }
}
