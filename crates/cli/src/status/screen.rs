//! Where `--watch` shows tables: in place on a terminal, else one after the other.

use std::io::{self, IsTerminal as _, Write as _};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::execute;
use crossterm::style::Print;
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};

/// Standard output. Dropped, the terminal is as it was before, also after Ctrl-C or an error.
pub(super) struct Screen {
    is_terminal: bool,
    /// What a terminal shows.
    shown: String,
}

impl Screen {
    /// Takes the terminal over, if there is one.
    ///
    /// # Errors
    /// It cannot be written to.
    pub(super) fn enter() -> io::Result<Self> {
        let is_terminal = io::stdout().is_terminal();
        if is_terminal {
            execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        }
        Ok(Self { is_terminal, shown: String::new() })
    }

    /// Shows a text in place of the last.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn show(&mut self, text: &str, notes: &[String]) -> io::Result<()> {
        let notes: Vec<String> = notes.iter().map(|note| format!("note: {note}\n")).collect();
        let notes = notes.concat();
        if !self.is_terminal {
            let mut out = io::stdout().lock();
            writeln!(out, "{text}{notes}")?;
            return out.flush();
        }
        self.shown = format!("{text}\n{notes}");
        self.draw()
    }

    /// Shows a text on a terminal, until there is another. In a pipe it would be noise.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn announce(&mut self, text: &str) -> io::Result<()> {
        text.clone_into(&mut self.shown);
        self.draw()
    }

    /// Shows the last text again, as much of it as fits into a terminal now.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn draw(&mut self) -> io::Result<()> {
        if !self.is_terminal {
            return Ok(());
        }
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        let shown = fitted(&self.shown, columns.into(), rows.into());
        // A line is cleared as it is written: nothing flickers.
        execute!(io::stdout(), MoveTo(0, 0), Print(shown), Clear(ClearType::FromCursorDown))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            // A failure to restore the terminal cannot be reported on it.
            let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        }
    }
}

/// Returns what fits, each line cleared behind its text; the last line says how much does not.
fn fitted(text: &str, columns: usize, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1);
    let kept = if lines.len() > room { room.saturating_sub(1) } else { lines.len() };
    let cut = |line: &&str| line.chars().take(columns).collect::<String>() + "\x1b[K\r\n";
    let mut shown: String = lines.iter().take(kept).map(cut).collect();
    if kept < lines.len() {
        shown += &cut(&&*format!("… {} more lines: evenkeel status without --watch, or | less", lines.len() - kept));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_says_how_many_lines_do_not_fit() {
        assert_eq!(fitted("abc\nde", 80, 24), "abc\x1b[K\r\nde\x1b[K\r\n");
        assert_eq!(fitted("abcdef", 3, 24), "abc\x1b[K\r\n");
        let long = fitted("1\n2\n3\n4\n5\n6", 80, 5);
        assert_eq!(long.lines().count(), 4);
        assert!(long.contains("… 3 more lines"), "{long}");
        assert!(long.starts_with("1\x1b[K\r\n2"), "{long}");
    }
}
