//! Latencies of a window, and their 99th percentile.

use std::time::Duration;

/// Returns the latency that 99 of 100 requests did not exceed; `None` without requests.
pub(crate) fn p99(latencies: &mut [Duration]) -> Option<Duration> {
    latencies.sort_unstable();
    let rank = (latencies.len() * 99).div_ceil(100);
    latencies.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_ignores_one_in_a_hundred() {
        let mut latencies: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(p99(&mut latencies), Some(Duration::from_millis(99)));
        assert_eq!(p99(&mut [Duration::from_millis(7)]), Some(Duration::from_millis(7)));
        assert_eq!(p99(&mut []), None);
    }
}
