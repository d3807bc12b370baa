//! What an answer to a liveness probe says.

use std::{fmt, io};

use hyper::StatusCode;

use crate::app::dial::Unreachable;
use crate::tls::fault::TlsFault;

/// What an app's answer to its liveness probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It passes.
    Alive,
    /// It fails.
    Dead,
    /// There was none within the probe's own time: it hangs, or lacks CPU.
    Slow,
    /// It could not be asked as the kubelet asks.
    Unknown,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Slow => "slow",
            Self::Unknown => "unknown",
        })
    }
}

impl Health {
    /// Redirections are not followed.
    pub(super) const fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=399 => Self::Alive,
            _ => Self::Dead,
        }
    }

    pub(super) fn of_refusal(error: &io::Error) -> Self {
        match Unreachable::of(error) {
            Unreachable::Refused | Unreachable::Reset | Unreachable::Other => Self::Dead,
            Unreachable::Timeout => Self::Slow,
            Unreachable::NoPort | Unreachable::NoResources => Self::Unknown,
        }
    }

    /// The kubelet's TLS has more ciphers, and speaks HTTP/2: where an app and ours have nothing in common, it may be well.
    pub(super) const fn of_handshake(fault: TlsFault) -> Self {
        match fault {
            TlsFault::Slow => Self::Slow,
            TlsFault::Left => Self::Dead,
            TlsFault::Garbled | TlsFault::Incompatible | TlsFault::Refused | TlsFault::Other => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_statuses_pass_or_fail_as_for_the_kubelet() {
        for (status, health) in [
            (100, Health::Dead),
            (199, Health::Dead),
            (200, Health::Alive),
            (201, Health::Alive),
            (302, Health::Alive),
            (398, Health::Alive),
            (399, Health::Alive),
            (400, Health::Dead),
            (401, Health::Dead),
            (503, Health::Dead),
        ] {
            assert_eq!(Health::of_status(StatusCode::from_u16(status).unwrap()), health, "{status}");
        }
    }

    #[test]
    fn errors_that_are_not_the_apps_leave_its_health_unknown() {
        for (kind, health) in [
            (io::ErrorKind::ConnectionRefused, Health::Dead),
            (io::ErrorKind::TimedOut, Health::Slow),
            (io::ErrorKind::ConnectionReset, Health::Dead),
        ] {
            assert_eq!(Health::of_refusal(&kind.into()), health, "{kind}");
        }
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::ADDRNOTAVAIL] {
            assert_eq!(Health::of_refusal(&errno.into()), Health::Unknown, "{errno}");
        }
    }
}
