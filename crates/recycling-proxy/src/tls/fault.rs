//! Why a handshake came to nothing.

use std::io;

use rustls::Error;

use crate::metrics::label::labels;

labels!(
    /// Why a handshake came to nothing.
    pub(crate) TlsFault {
        /// It was not done after 10 s.
        Slow = "slow",
        /// The peer left in the middle of it.
        Left = "left",
        /// What came is not TLS as it should be.
        Garbled = "garbled",
        /// Both have no version, cipher or key exchange in common.
        Incompatible = "incompatible",
        /// The peer refused it by an alert; it may not trust the certificate.
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
            // rustls adds to its errors over time.
            _ => Self::Other,
        }
    }
}
