//! The phases of a client connection that speaks HTTP/1.

/// Where a connection stands.
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
    /// No request is under way. Neither recycling nor a drain ever closes a connection here.
    Idle,
    /// A request has begun, its response has not been decided upon.
    Serving,
    /// The response of this exchange says that it is the last.
    Announced,
    /// Everything is sent; what the client still sends is read and dropped (RFC 9112 §9.6).
    Lingering,
    /// No longer HTTP/1: bytes both ways.
    Tunnel,
    /// Over.
    Closed,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request head is complete.
    RequestBegun,
    /// The final response head of this exchange leaves no room for another exchange, by our word or a peer's.
    LastAnnounced,
    /// Request and response have passed whole.
    ExchangeDone,
    /// 101, or 2xx to CONNECT.
    Upgraded,
    /// The app ended its stream where no more responses can follow.
    AppEnded,
    /// The client ended its stream and nothing is left to answer.
    ClientEnded,
}

impl Phase {
    /// Returns the phase after an event. What cannot happen closes the connection.
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

    /// Returns whether the relay has nothing more to do with it.
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
