//! The result of the demo, as a table and as a verdict. Pure.

use std::time::Duration;

use super::act::Outcome;

/// The limit of the busiest pod's share, as a multiple of the mean. Recycled connections are distributed at random:
/// with 200 of them in the measured time on 4 pods, the standard deviation of a share is an eighth of it, so this is not
/// exceeded by chance.
const BUSIEST: f64 = 1.5;
/// The least share of a pod, as a fraction of the mean.
const IDLEST: f64 = 0.5;

/// Returns a table of both acts side by side.
pub(crate) fn table(off: &Outcome, on: &Outcome, max_requests: u32) -> String {
    let mut rows = vec![row("", |_| String::new(), off, on)];
    rows[0][1] = "recycling off".into();
    rows[0][2] = format!("every {max_requests} requests");
    rows.push(row("requests", |act| act.tally.requests().to_string(), off, on));
    rows.push(row("failed", |act| act.tally.failures().len().to_string(), off, on));
    for pod in 0..usize::from(on.script.after) {
        let added = if pod < usize::from(on.script.before) { "" } else { ", added" };
        let share = |act: &Outcome| format!("{} %", act.shares().percent(pod));
        rows.push(row(&format!("share of web-{}{added}", pod + 1), share, off, on));
    }
    rows.push(row("busiest pod / mean", |act| format!("{:.2}", act.shares().busiest_to_mean()), off, on));
    rows.push(row("reconnects per connection", |act| format!("{:.1}", act.reconnects_per_connection()), off, on));
    rows.push(row("p50", |act| milliseconds(act.tally.percentile(50)), off, on));
    rows.push(row("p99", |act| milliseconds(act.tally.percentile(99)), off, on));
    let lines: Vec<String> = rows.iter().map(|[what, off, on]| format!("  {what:<26} {off:>14} {on:>20}")).collect();
    lines.join("\n")
}

fn row(what: &str, value: impl Fn(&Outcome) -> String, off: &Outcome, on: &Outcome) -> [String; 3] {
    [what.to_owned(), value(off), value(on)]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Returns the problems; empty if there are none.
pub(crate) fn complaints(off: &Outcome, on: &Outcome, max_requests: u32, rate: u16) -> Vec<String> {
    let mut complaints = Vec::new();
    for (act, name) in [(off, "without recycling"), (on, "with recycling")] {
        if let Some(first) = act.tally.failures().first() {
            let count = act.tally.failures().len();
            complaints.push(format!("{count} requests failed {name}; the first: {first}"));
        }
    }
    let shares = on.shares();
    let (busiest, idlest) = (shares.busiest_to_mean(), shares.idlest_to_mean());
    if busiest > BUSIEST || idlest < IDLEST {
        complaints.push(format!(
            "the shares did not level: the busiest pod has {busiest:.2} times the mean, the idlest {idlest:.2}{}",
            hint(on, max_requests, rate)
        ));
    }
    complaints
}

/// Returns a hint if connections cannot reach the threshold in time, which is not the proxy's fault.
fn hint(on: &Outcome, max_requests: u32, rate: u16) -> String {
    let lasts = f64::from(max_requests) / f64::from(rate);
    let settling = on.script.measured().start.saturating_sub(on.script.scales_at()).as_secs_f64();
    if lasts <= settling {
        return String::new();
    }
    format!(
        ".\nA connection of {rate} requests/s reaches {max_requests} after {lasts:.0} s, but only {settling:.0} s pass \
         before shares are measured: try a lower --max-requests, a higher --rate or more --seconds"
    )
}

#[cfg(test)]
mod tests {
    use super::super::act::Script;
    use super::super::tally::{Answer, Event, Tally};
    use super::*;

    fn outcome(shares: [usize; 4], failures: usize) -> Outcome {
        let mut tally = Tally::default();
        for (pod, count) in shares.into_iter().enumerate() {
            let at = Duration::from_secs(11);
            let answer = Event::Answered(Answer { pod, at, took: Duration::from_micros(250) });
            (0..count).for_each(|_| tally.note(answer.clone()));
        }
        (0..failures).for_each(|_| tally.note(Event::Failed("connection reset".into())));
        (0..10).for_each(|_| tally.note(Event::Connected));
        Outcome { script: Script { before: 2, after: 4, length: Duration::from_secs(12) }, clients: 4, tally }
    }

    #[test]
    fn the_table_has_both_runs_side_by_side() {
        let table = table(&outcome([50, 50, 0, 0], 0), &outcome([24, 26, 25, 25], 0), 20);
        let expected = "
                              recycling off    every 20 requests
  requests                              100                  100
  failed                                  0                    0
  share of web-1                       50 %                 24 %
  share of web-2                       50 %                 26 %
  share of web-3, added                 0 %                 25 %
  share of web-4, added                 0 %                 25 %
  busiest pod / mean                   2.00                 1.04
  reconnects per connection             1.5                  1.5
  p50                               0.25 ms              0.25 ms
  p99                               0.25 ms              0.25 ms";
        assert_eq!(format!("\n{table}"), expected);
    }

    #[test]
    fn the_demo_fails_unless_load_levels_without_failed_requests() {
        let off = outcome([50, 50, 0, 0], 0);
        assert_eq!(complaints(&off, &outcome([25, 25, 25, 25], 0), 20, 25), Vec::<String>::new());
        for (shares, failures, words) in [
            ([25, 25, 25, 25], 1, "1 requests failed with recycling; the first: connection reset"),
            ([40, 20, 20, 20], 0, "did not level: the busiest pod has 1.60 times the mean"),
            ([33, 33, 33, 1], 0, "the idlest 0.04"),
            ([0, 0, 0, 0], 0, "did not level"),
        ] {
            let complaints = complaints(&off, &outcome(shares, failures), 20, 25);
            assert!(complaints.len() == 1 && complaints[0].contains(words), "{complaints:?}");
        }
    }

    #[test]
    fn an_unreachable_threshold_is_reported() {
        let uneven = outcome([50, 50, 0, 0], 0);
        let hint = &complaints(&uneven, &uneven, 1000, 25)[0];
        assert!(hint.contains("reaches 1000 after 40 s, but only 4 s pass"), "{hint}");
        assert!(!complaints(&uneven, &uneven, 20, 25)[0].contains("reaches"));
    }
}
