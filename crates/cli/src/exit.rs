//! Exit codes: 0 success, 1 a workload could not be handled, and those of sysexits.h for what the caller can correct.
//! `check` also has 2: there are problems.

use std::fmt;
use std::io;
use std::process::ExitCode;

use daemon::in_one_sentence;
use settings::EXIT_USAGE;

/// An input that cannot be understood (`EX_DATAERR`).
const DATA: u8 = 65;
/// An input file that is missing or cannot be read (`EX_NOINPUT`).
const NO_INPUT: u8 = 66;
/// The cluster cannot be reached (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;

/// The cause of an error whose exit code is not 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blame {
    /// The command line is at fault.
    Usage,
    /// An input has another form than it should have.
    Data,
    /// An input is missing.
    Input,
    /// The cluster does not answer.
    Cluster,
}

/// An error and whose fault it is. It reads as the error alone.
#[derive(Debug)]
struct Blamed {
    blame: Blame,
    error: anyhow::Error,
}

impl fmt::Display for Blamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_one_sentence(&*self.error))
    }
}

impl std::error::Error for Blamed {}

/// Gives the error of a result its exit code.
pub(crate) trait OrBlame<T> {
    /// Returns the value, or the error with whose fault it is.
    fn or_blame(self, blame: Blame) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrBlame<T> for Result<T, E> {
    fn or_blame(self, blame: Blame) -> anyhow::Result<T> {
        self.map_err(|error| Blamed { blame, error: error.into() }.into())
    }
}

/// Prints an error that ended a command, as clap prints its own, and returns its exit code.
///
/// If the reader closes its end of the pipe, as `head` does, that is no error (exit code 0, no message).
pub(crate) fn of_error(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", in_one_sentence(&**error));
    match error.downcast_ref::<Blamed>().map(|blamed| blamed.blame) {
        Some(Blame::Usage) => ExitCode::from(EXIT_USAGE),
        Some(Blame::Data) => ExitCode::from(DATA),
        Some(Blame::Input) => ExitCode::from(NO_INPUT),
        Some(Blame::Cluster) => ExitCode::from(UNAVAILABLE),
        None => ExitCode::FAILURE,
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
