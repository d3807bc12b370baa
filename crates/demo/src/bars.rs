//! The live picture of an act as text: a bar for each pod, or one line if nothing can be redrawn. Pure.

use std::time::Duration;

use super::tally::Shares;

/// Columns of the longest bar.
const WIDTH: u32 = 40;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The picture of one moment.
pub(crate) struct Frame<'a> {
    /// Time since the act began.
    pub(crate) at: Duration,
    /// All pods, also those that are not started yet, in order.
    pub(crate) pods: &'a [String],
    /// Pods that accept connections now.
    pub(crate) ready: usize,
    /// Pods at the beginning of the act.
    pub(crate) before: usize,
    /// Requests of the last second, by pod.
    pub(crate) shares: Shares,
    /// Requests that failed since the act began.
    pub(crate) failed: usize,
}

impl Frame<'_> {
    /// Returns the bars, one line for each pod, and a line above them.
    pub(crate) fn bars(&self, colour: bool) -> Vec<String> {
        let head = format!(
            "  {:>3} s   {} pods   {:>5} requests/s   {} failed",
            self.at.as_secs(),
            self.ready,
            self.shares.total(),
            self.failed
        );
        let mut lines = vec![head];
        lines.extend((0..self.pods.len()).map(|pod| self.line_of(pod, colour)));
        lines
    }

    fn line_of(&self, pod: usize, colour: bool) -> String {
        let name = &self.pods[pod];
        if pod >= self.ready {
            return format!("  {name:<8}");
        }
        let count = self.shares.0.get(pod).copied().unwrap_or_default();
        let bar = painted(&bar(count, self.shares.total()), pod >= self.before, colour);
        format!("  {name:<8} {bar} {count:>5}/s {:>3} %", self.shares.percent(pod))
    }

    /// Returns the same in one line, for logs and pipes.
    pub(crate) fn line(&self) -> String {
        let shares = (0..self.ready).map(|pod| format!("{} {:>3} %", self.pods[pod], self.shares.percent(pod)));
        let shares: Vec<String> = shares.collect();
        format!(
            "  {:>3} s   {}   {:>5} requests/s   {} failed",
            self.at.as_secs(),
            shares.join("   "),
            self.shares.total(),
            self.failed
        )
    }
}

/// Returns a bar of `WIDTH` columns for all of `total`, filled up with spaces.
fn bar(count: u32, total: u32) -> String {
    let eighths = (u64::from(count) * u64::from(WIDTH) * 8).checked_div(u64::from(total)).unwrap_or_default();
    let eighths = usize::try_from(eighths).unwrap_or_default();
    let (full, rest) = (eighths / 8, EIGHTHS[eighths % 8]);
    let drawn = "█".repeat(full) + rest;
    format!("{drawn:<width$}", width = WIDTH as usize)
}

/// Highlights pods that were added.
fn painted(text: &str, added: bool, colour: bool) -> String {
    match (colour, added) {
        (false, _) => text.to_owned(),
        (true, false) => format!("\x1b[34m{text}\x1b[0m"),
        (true, true) => format!("\x1b[33m{text}\x1b[0m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        (1..=4).map(|n| format!("web-{n}")).collect()
    }

    fn frame(pods: &[String], ready: usize, counts: Vec<u32>) -> Frame<'_> {
        Frame { at: Duration::from_millis(5_400), pods, ready, before: 2, shares: Shares(counts), failed: 0 }
    }

    #[test]
    fn the_length_of_a_bar_is_the_share() {
        assert_eq!(bar(1, 1), "█".repeat(40));
        assert_eq!(bar(1, 2), "█".repeat(20) + &" ".repeat(20));
        assert_eq!(bar(1, 64), "▋".to_owned() + &" ".repeat(39));
        assert_eq!(bar(0, 7), " ".repeat(40));
        assert_eq!(bar(0, 0), " ".repeat(40));
    }

    #[test]
    fn every_pod_has_a_line_from_the_start() {
        let names = names();
        let lines = frame(&names, 2, vec![500, 501, 0, 0]).bars(false);
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0], "    5 s   2 pods    1001 requests/s   0 failed");
        assert!(lines[1].ends_with("  500/s  50 %"), "{lines:#?}");
        assert_eq!(lines[3].trim(), "web-3", "a pod that is not there yet has no bar");
        let lines = frame(&names, 4, vec![500, 501, 0, 0]).bars(false);
        assert!(lines[3].ends_with("    0/s   0 %"), "{lines:#?}");
    }

    #[test]
    fn output_without_colour_has_no_escape_sequence() {
        let names = names();
        let frame = frame(&names, 4, vec![1, 2, 3, 4]);
        assert!(!frame.bars(false).concat().contains('\x1b'));
        assert!(!frame.line().contains('\x1b'));
        let coloured = frame.bars(true);
        assert!(coloured[1].contains("\x1b[34m") && coloured[3].contains("\x1b[33m"), "{coloured:?}");
    }

    #[test]
    fn output_to_a_file_has_one_line_a_frame() {
        let names = names();
        assert_eq!(
            frame(&names, 2, vec![500, 500, 0, 0]).line(),
            "    5 s   web-1  50 %   web-2  50 %    1000 requests/s   0 failed"
        );
    }
}
