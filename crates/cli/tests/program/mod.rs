//! The program, run as its users run it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs `evenkeel` with these arguments and this standard input.
pub(crate) fn evenkeel(args: &[&str], input: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it; what it says then is what counts.
    let _ = program.stdin.take().unwrap().write_all(input.as_bytes());
    program.wait_with_output().unwrap()
}
