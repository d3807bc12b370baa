//! The log.

use std::io::{self, IsTerminal as _};

use settings::LogLevel;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

/// Libraries that log errors which they also return, and which the caller logs.
const SILENT: [&str; 2] = ["kube_client", "kube_runtime"];

/// The log of this process, whose level can change while it runs.
#[derive(Clone, Debug)]
pub struct Log {
    program: &'static str,
    targets: reload::Handle<Targets, Registry>,
}

impl Log {
    /// Logs at this level from now on.
    pub fn set_level(&self, level: LogLevel) {
        // It fails where the log is gone, which lasts for as long as the process.
        let _ = self.targets.reload(targets(self.program, level));
    }
}

/// Logs to standard error from now on, one line for each event; in colour on a terminal.
///
/// `level` holds for the crate `program`. Of libraries only warnings and errors are logged, unless the level is trace.
///
/// # Panics
/// Panics if the process logs already.
pub fn log(program: &'static str, level: LogLevel) -> Log {
    let (filter, targets) = reload::Layer::new(targets(program, level));
    let lines = tracing_subscriber::fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Log { program, targets }
}

fn targets(program: &'static str, level: LogLevel) -> Targets {
    let level = filter(level);
    if level == LevelFilter::TRACE {
        return Targets::new().with_default(level);
    }
    let silent = SILENT.map(|library| (library, LevelFilter::OFF));
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(silent).with_target(program, level)
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
