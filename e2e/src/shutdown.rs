//! How apps shut down, and what prevents the loss of requests meanwhile.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::web::Web;

/// The usual advice: the seconds of a `preStop` sleep before an app is stopped.
const ADVISED: i64 = 5;

/// What an app does on SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnTerm {
    /// It exits at once, as most apps do.
    Exit,
    /// It stops accepting, finishes the requests in flight, and exits.
    Graceful,
}

/// What prevents the loss of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mitigation {
    /// Nothing.
    Nothing,
    /// The usual advice: `preStop: sleep`.
    Sleep,
    /// evenkeel with `interception: redirect`.
    Redirect,
    /// evenkeel with `interception: named-port`.
    NamedPort,
}

/// How an app shuts down, and what prevents losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShutdownCase {
    /// What the app does on SIGTERM.
    pub on_term: OnTerm,
    /// What prevents losses.
    pub mitigation: Mitigation,
}

impl OnTerm {
    const fn argument(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Graceful => "graceful",
        }
    }
}

impl Mitigation {
    /// Returns its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Sleep => "preStop: sleep 5",
            Self::Redirect => "evenkeel, redirect",
            Self::NamedPort => "evenkeel, named-port",
        }
    }

    fn of(self, web: Web) -> Web {
        let with_evenkeel = |web: Web, interception| {
            web.annotation("evenkeel.dev/max-requests", "1000").annotation("evenkeel.dev/interception", interception)
        };
        match self {
            Self::Nothing => web,
            Self::Sleep => web.pre_stop_sleep(ADVISED),
            Self::Redirect => with_evenkeel(web, "redirect"),
            Self::NamedPort => with_evenkeel(web, "named-port"),
        }
    }
}

impl ShutdownCase {
    /// Returns each kind of app with each of `mitigations`.
    pub fn with_each(mitigations: &[Mitigation]) -> Vec<Self> {
        let apps = [OnTerm::Exit, OnTerm::Graceful];
        apps.into_iter()
            .flat_map(|on_term| mitigations.iter().map(move |&mitigation| Self { on_term, mitigation }))
            .collect()
    }

    /// Returns the workload with this number of pods.
    pub fn web(self, replicas: i32) -> anyhow::Result<Web> {
        Ok(self.mitigation.of(Web::sample()?.replicas(replicas).args(&["--on-term", self.on_term.argument()])))
    }
}

impl fmt::Display for ShutdownCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}, {}", self.on_term.argument(), self.mitigation.label()))
    }
}

impl Serialize for ShutdownCase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
