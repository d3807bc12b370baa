//! Apps whose pods are replaced, and what is done so that no request is lost by it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::web::Web;

/// The usual advice is to sleep for so many seconds before an app is stopped.
const ADVISED: i64 = 5;

/// What an app does on SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnTerm {
    /// It exits at once, as most do.
    Exit,
    /// It stops accepting, finishes what is in flight and exits.
    Graceful,
}

/// What is done against the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Care {
    /// Nothing.
    Nothing,
    /// The usual advice: `preStop: sleep`.
    Sleep,
    /// evenkeel, which takes the app's connections by a redirect.
    Redirect,
    /// evenkeel, which takes them by the name of the port.
    NamedPort,
}

/// An app with what is done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Farewell {
    /// What it does by itself.
    pub on_term: OnTerm,
    /// What is done for it.
    pub care: Care,
}

impl OnTerm {
    const fn argument(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Graceful => "graceful",
        }
    }
}

impl Care {
    /// Its name in figures.
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

impl Farewell {
    /// Each kind of app with each of these.
    pub fn each(cares: &[Care]) -> Vec<Self> {
        let apps = [OnTerm::Exit, OnTerm::Graceful];
        apps.into_iter().flat_map(|on_term| cares.iter().map(move |&care| Self { on_term, care })).collect()
    }

    /// The workload of so many pods.
    pub fn web(self, replicas: i32) -> anyhow::Result<Web> {
        Ok(self.care.of(Web::sample()?.replicas(replicas).args(&["--on-term", self.on_term.argument()])))
    }
}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}, {}", self.on_term.argument(), self.care.label()))
    }
}

impl Serialize for Farewell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
