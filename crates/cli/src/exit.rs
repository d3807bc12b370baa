//! Exit codes: 0 done, 1 a workload could not be handled, and those of sysexits.h for what the caller can mend.

use std::fmt;
use std::process::ExitCode;

use settings::EXIT_USAGE;

/// An input that is there and cannot be understood (`EX_DATAERR`).
const DATA: u8 = 65;
/// An input file that is not there or cannot be read (`EX_NOINPUT`).
const NO_INPUT: u8 = 66;

/// An error whose exit code is not 1.
#[derive(Debug)]
pub(crate) enum Blame {
    /// The command line is at fault.
    Usage,
    /// An input has another form than it should have.
    Data,
    /// An input is missing.
    Input,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usage => "the command line cannot be used",
            Self::Data => "an input is not what it should be",
            Self::Input => "an input is missing",
        })
    }
}

impl std::error::Error for Blame {}

/// What clap said: help and version on standard output with 0, everything else on standard error with 64.
pub(crate) fn usage(said: &clap::Error) -> ExitCode {
    // A closed output is no reason for another message.
    let _ = said.print();
    if said.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

/// The code for an error that ended a command.
pub(crate) fn of_error(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Blame>() {
        Some(Blame::Usage) => ExitCode::from(EXIT_USAGE),
        Some(Blame::Data) => ExitCode::from(DATA),
        Some(Blame::Input) => ExitCode::from(NO_INPUT),
        None => ExitCode::FAILURE,
    }
}
