//! The reasons of failed handshakes.

use std::io;

use labels::labels;
use rustls::Error;

labels!(
    /// Why a handshake failed.
    pub(crate) TlsFault {
        /// It took longer than 10 s.
        Slow = "slow",
        /// The peer closed the connection during the handshake.
        Left = "left",
        /// The peer sent invalid TLS.
        Garbled = "garbled",
        /// The peers have no version, cipher or key exchange in common.
        Incompatible = "incompatible",
        /// The peer sent an alert; it may not trust the certificate.
        Refused = "refused",
        /// Anything else.
        Other = "other",
    }
);

impl TlsFault {
    pub(super) fn of_io(error: &io::Error) -> Self {
        match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
            Some(error) => Self::of_tls(error),
            None => Self::Left,
        }
    }

    pub(super) fn of_tls(error: &Error) -> Self {
        match error {
            Error::AlertReceived(_) => Self::Refused,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerMisbehaved(_)
            | Error::DecryptError
            | Error::PeerSentOversizedRecord => Self::Garbled,
            // rustls' enum of errors is non-exhaustive.
            _ => Self::Other,
        }
    }
}
