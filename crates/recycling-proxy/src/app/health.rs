//! The result of a liveness probe.

use std::{fmt, io};

use hyper::StatusCode;

use crate::app::dial::Unreachable;
use crate::tls::fault::TlsFault;

/// The result of a liveness probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// The probe succeeded.
    Alive,
    /// The probe failed.
    Dead,
    /// There was no response within the probe's timeout: the app hangs, or is short of CPU.
    Slow,
    /// The proxy could not run the probe as the kubelet does.
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
    /// Returns the result for a status code. Redirections count as a success and are not followed.
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

    /// Returns the result for a failed handshake. If there is no common cipher or protocol, the app may be alive: the
    /// kubelet supports more ciphers, and HTTP/2.
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
