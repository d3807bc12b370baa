//! The picture of both acts as SVG: each pod's share of the requests over time; pure.

use std::fmt::Write;
use std::time::Duration;

use super::act::{Outcome, Script};
use super::tally::Shares;

/// Requests are counted over this time for one point.
const SLOT: Duration = Duration::from_millis(500);
const PANEL: (f64, f64) = (340.0, 210.0);
const LEFT: [f64; 2] = [20.0, 400.0];
const TOP: f64 = 64.0;
/// Bands thinner than this have no room for a name.
const LEGIBLE: f64 = 16.0;
const BEFORE: [&str; 2] = ["#2f6690", "#5b8fb9"];
const ADDED: [&str; 2] = ["#d9822b", "#e9a85c"];
/// Legible on a white page and on GitHub's dark one.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#6a737d}.title{font-weight:600;font-size:15px}\
                     .band{fill:#fff;text-anchor:middle}.mark{stroke:#fff;stroke-dasharray:4 3}.axis{text-anchor:middle}.idle{text-anchor:end}";

/// Draws both acts side by side.
pub(crate) fn picture(off: &Outcome, on: &Outcome, titles: [&str; 2], footer: &[String]) -> String {
    let mut svg = String::from(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 366" role="img">"#);
    svg += "\n<title>Each pod's share of the requests, without and with recycling</title>\n";
    add(&mut svg, format_args!("<style>{STYLE}</style>"));
    text(&mut svg, (LEFT[0], 20.0), "", "Each pod's share of the requests of keep-alive clients");
    for ((act, title), left) in [off, on].into_iter().zip(titles).zip(LEFT) {
        panel(&mut svg, act, title, left);
    }
    for (line, height) in footer.iter().zip([332.0, 352.0]) {
        text(&mut svg, (LEFT[0], height), "", line);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, act: &Outcome, title: &str, left: f64) {
    text(svg, (left, 50.0), "title", title);
    let columns = columns(act);
    let x = |time: Duration| left + PANEL.0 * time.as_secs_f64() / act.script.length.as_secs_f64();
    for pod in 0..usize::from(act.script.after) {
        let lower = columns.iter().map(|(time, heights)| (x(*time), heights[pod]));
        let upper = columns.iter().map(|(time, heights)| (x(*time), heights[pod + 1]));
        let points: Vec<String> =
            lower.chain(upper.rev()).map(|(x, share)| format!("{x:.1},{:.1}", y(share))).collect();
        add(svg, format_args!(r#"<polygon fill="{}" points="{}"/>"#, fill(&act.script, pod), points.join(" ")));
    }
    names(svg, act, left);
    let scaled = x(act.script.scales_at());
    let bottom = TOP + PANEL.1;
    add(svg, format_args!(r#"<line class="mark" x1="{scaled:.1}" x2="{scaled:.1}" y1="{TOP}" y2="{bottom}"/>"#));
    let moment = format!("{} → {} pods", act.script.before, act.script.after);
    text(svg, (scaled, bottom + 18.0), "axis", &moment);
    text(svg, (left + 8.0, bottom + 18.0), "axis", "0 s");
    text(svg, (left + PANEL.0 - 12.0, bottom + 18.0), "axis", &format!("{} s", act.script.length.as_secs()));
}

/// Adds each pod's name and its measured share: in its band if there is room, otherwise above the panel.
fn names(svg: &mut String, act: &Outcome, left: f64) {
    let shares = act.shares();
    let heights = stacked(&shares);
    let mut idle = Vec::new();
    for pod in 0..usize::from(act.script.after) {
        let (low, high) = (heights[pod], heights[pod + 1]);
        let name = format!("web-{} {} %", pod + 1, shares.percent(pod));
        if (high - low) * PANEL.1 < LEGIBLE {
            idle.push(name);
        } else {
            text(svg, (left + PANEL.0 * 5.0 / 6.0, y(f64::midpoint(low, high)) + 4.0), "band", &name);
        }
    }
    text(svg, (left + PANEL.0, 50.0), "idle", &idle.join(", "));
}

/// Returns the middle of each slot with the heights of the bands' borders. The outer slots reach to the panel's edges.
fn columns(act: &Outcome) -> Vec<(Duration, Vec<f64>)> {
    let mut columns = Vec::new();
    let mut begins = Duration::ZERO;
    while begins < act.script.length {
        let shares = act.tally.shares(act.script.after.into(), &(begins..begins + SLOT));
        if shares.total() > 0 {
            columns.push((begins + SLOT / 2, stacked(&shares)));
        }
        begins += SLOT;
    }
    if let Some(first) = columns.first_mut() {
        first.0 = Duration::ZERO;
    }
    if let Some(last) = columns.last_mut() {
        last.0 = act.script.length;
    }
    columns
}

/// Returns the borders between the pods' parts, from 0 to 1.
fn stacked(shares: &Shares) -> Vec<f64> {
    let total = f64::from(shares.total().max(1));
    let mut sum = 0;
    let mut borders = vec![0.0];
    for count in &shares.0 {
        sum += count;
        borders.push(f64::from(sum) / total);
    }
    borders
}

fn y(share: f64) -> f64 {
    TOP + PANEL.1 * (1.0 - share)
}

/// Returns the colour of a pod; pods that were added have another one.
fn fill(script: &Script, pod: usize) -> &'static str {
    let before = usize::from(script.before);
    if pod < before { BEFORE[pod % 2] } else { ADDED[(pod - before) % 2] }
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    add(svg, format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{content}</text>"#));
}

fn add(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    _ = writeln!(svg, "{line}");
}

#[cfg(test)]
mod tests {
    use super::super::tally::{Answer, Event, Tally};
    use super::*;

    /// Returns an act with two pods of equal shares, and then four (as with recycling) or still two.
    fn outcome(levels: bool) -> Outcome {
        let mut tally = Tally::default();
        for request in 0..1200 {
            let at = Duration::from_millis(request * 10);
            let pods = if levels && request >= 400 { 4 } else { 2 };
            let pod = usize::try_from(request).unwrap() % pods;
            tally.note(Event::Answered(Answer { pod, at, took: Duration::ZERO }));
        }
        Outcome { script: Script { before: 2, after: 4, length: Duration::from_secs(12) }, clients: 4, tally }
    }

    #[test]
    fn the_bands_of_the_picture_are_the_shares() {
        let columns = columns(&outcome(true));
        assert_eq!(columns.len(), 24);
        assert_eq!(columns[0], (Duration::ZERO, vec![0.0, 0.5, 1.0, 1.0, 1.0]));
        let last = columns.last().unwrap();
        assert_eq!(last.0, Duration::from_secs(12));
        assert!(
            last.1.iter().zip([0.0, 0.25, 0.5, 0.75, 1.0]).all(|(is, right)| (is - right).abs() < 0.03),
            "{last:?}"
        );
    }

    #[test]
    fn the_picture_names_every_pod_with_its_share() {
        let svg = picture(&outcome(false), &outcome(true), ["off", "on"], &["a < b".to_owned()]);
        for name in [">web-1 50 %<", ">web-3 0 %, web-4 0 %<", ">web-1 25 %<", ">web-4 25 %<"] {
            assert_eq!(svg.matches(name).count(), 1, "{name} in {svg}");
        }
        assert_eq!(svg.matches("<polygon").count(), 8);
        assert!(svg.contains("a &lt; b") && svg.trim_end().ends_with("</svg>"));
    }
}
