//! The status as people read it. Pure.

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::balancer::ScaleEvent;
use super::compare::{PodStatus, Source, Status, WorkloadStatus};

/// How many columns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Narrow,
    Wide,
}

/// Returns a paragraph and a table for each workload.
pub(super) fn text(status: &Status, width: Width) -> String {
    if status.workloads.is_empty() {
        return "no pod has the recycling proxy here\n".to_owned();
    }
    status.workloads.iter().map(|workload| of_workload(workload, width)).collect::<Vec<_>>().join("\n")
}

fn of_workload(workload: &WorkloadStatus, width: Width) -> String {
    let WorkloadStatus { namespace, kind, name, .. } = workload;
    let mut text = format!("{}/{name} in namespace {namespace}: {}\n", kind.to_lowercase(), verdict(workload));
    // Writing to a string does not fail.
    let _ = writeln!(text, "  balancing   {}", balancing(workload));
    if let Some(event) = &workload.last_scale_event {
        let _ = writeln!(text, "  last scale  {}", scale(event));
    }
    let _ = writeln!(text, "  measured    {}", measured(workload));
    text += &pods(&workload.pods, width);
    text.push('\n');
    text
}

fn verdict(workload: &WorkloadStatus) -> String {
    let pods = workload.pods.len();
    let without = workload.pods.iter().filter(|pod| !pod.proxy).count();
    let mut verdict = match (workload.level, workload.peak_to_mean, workload.requests_per_second) {
        (_, _, None) => "no figures".to_owned(),
        (_, None, Some(_)) => "no load".to_owned(),
        (Some(false), Some(peak), Some(sum)) => format!("load is uneven, peak/mean {peak:.2}, {sum:.1} requests/s"),
        (_, Some(peak), Some(sum)) => format!("load is level, peak/mean {peak:.2}, {sum:.1} requests/s"),
    };
    if without > 0 {
        let _ = write!(verdict, "; {without} of {pods} pods have no proxy");
    }
    verdict
}

fn balancing(workload: &WorkloadStatus) -> String {
    let with_proxy = workload.pods.iter().filter(|pod| pod.proxy).count();
    let why = match &*workload.balancing.state {
        "off" => return "off: connections are retired at a threshold alone (evenkeel.dev/balance)".to_owned(),
        "in_force" => return format!("in force in {} of {with_proxy} pods", workload.balancing.pods_in_force),
        "starting" => "the balancer waits for the first reports",
        "few_pods" => "fewer than two pods take traffic",
        "reports_missing" => "more than a third of the pods do not report",
        "exhausted" => "the balancer can make no instruction",
        "no_instruction" => "no instruction has come: does the balancer run, and reach port 15211?",
        "expired" => "the last instruction is too old: does the balancer run, and reach port 15211?",
        "draining" => "the pods drain",
        _ => "no pod says whether it is in force",
    };
    format!("not in force ({}): {why}", workload.balancing.state)
}

fn scale(event: &ScaleEvent) -> String {
    let ago = match event.seconds_ago {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    };
    let level = match (&event.level, event.peak_to_mean) {
        (Some(level), _) => format!("level after {} s, at {:.2} of the mean", level.after_seconds, level.peak_to_mean),
        (None, Some(peak)) => format!("not level yet, at most {peak:.2} of the mean"),
        (None, None) => "without load".to_owned(),
    };
    format!("{} to {} pods, {ago}: {level}; {} connections retired", event.before, event.after, event.retired)
}

fn measured(workload: &WorkloadStatus) -> String {
    match workload.source {
        Source::Balancer => {
            format!("by the balancer: estimated load, retired for balance in {:.1} s", workload.seconds)
        }
        Source::Pods => {
            format!("from the pods' proxies in {:.1} s, without probes and scrapes", workload.seconds)
        }
    }
}

fn pods(pods: &[PodStatus], width: Width) -> String {
    let wide = width == Width::Wide;
    let mut columns = vec!["POD", "READY", "REQ/S", "OF MEAN", "CONNS", "RETIRED/S", "BALANCING"];
    if wide {
        columns.extend(["MARKED", "VERSION"]);
    }
    columns.push("NOTE");
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(columns);
    for pod in pods {
        table.add_row(row(pod, wide));
    }
    table.column_iter_mut().skip(2).take(3).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    // Names are what lines begin with.
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

fn row(pod: &PodStatus, wide: bool) -> Vec<String> {
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut row = vec![
        pod.name.clone(),
        format!("{}/{}", pod.ready, pod.containers),
        known(pod.requests_per_second.map(|load| format!("{load:.1}"))),
        known(pod.share.map(|share| format!("{:.0} %", share * 100.0))),
        known(pod.connections.map(|connections| connections.to_string())),
        retired(pod),
        known(pod.balancing.clone().filter(|_| pod.proxy)),
    ];
    if wide {
        row.push(known(pod.marked.map(|marked| marked.to_string())));
        row.push(known(pod.version.clone()));
    }
    row.push(pod.note.clone().unwrap_or_default());
    row
}

/// Each reason that has retired something; 0 if none has.
fn retired(pod: &PodStatus) -> String {
    if pod.requests_per_second.is_none() {
        return "-".to_owned();
    }
    let reasons: Vec<String> =
        pod.retired_per_second.iter().map(|(reason, rate)| format!("{rate:.2} {reason}")).collect();
    if reasons.is_empty() { "0".to_owned() } else { reasons.join(", ") }
}
