//! The output of the demo: a terminal whose last lines are redrawn, or plain lines.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::bars::Frame;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Screen {
    colour: bool,
    redraws: bool,
    /// Lines of the last frame, which the next one overwrites.
    drawn: usize,
}

impl Screen {
    /// Returns standard output. Frames are redrawn and coloured only on a terminal, and coloured only if
    /// `colour_wanted`.
    pub(crate) fn of_stdout(colour_wanted: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { colour: terminal && colour_wanted, redraws: terminal, drawn: 0 }
    }

    /// Returns the time between two frames.
    pub(crate) const fn period(&self) -> Duration {
        if self.redraws { Duration::from_millis(200) } else { Duration::from_secs(1) }
    }

    /// Writes text and a line end.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.drawn = 0;
        writeln!(io::stdout().lock(), "{text}")
    }

    /// Writes a heading after an empty line.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        let heading = if self.colour { format!("\n\x1b[1m{text}\x1b[0m") } else { format!("\n{text}") };
        self.line(&heading)
    }

    /// Shows a frame, in place of the last one if it can be redrawn.
    pub(crate) fn show(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.redraws {
            return writeln!(out, "{}", frame.line());
        }
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        let lines = frame.bars(self.colour);
        for line in &lines {
            writeln!(out, "\x1b[2K{line}")?;
        }
        self.drawn = lines.len();
        out.flush()
    }
}
