//! Hostile clients, and a legitimate one beside them.

mod attack;
mod legitimate;
mod silence;
mod slowhttptest;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum as _;
use settings::ProxyOption;
use tokio::time::Instant;

use self::attack::{Attack, Strength};
use self::legitimate::{Window, against_baseline};
use self::slowhttptest::Slowhttptest;
use crate::lane::{Lane, OPEN};
use crate::programs::Programs;
use crate::report::{Report, Table, Verdict, count};

/// The factor within which the legitimate client's p99 must stay.
const FACTOR: f64 = 2.0;
/// Below this p99, a factor of two is not noticeable, and the scheduler alone can cause it.
const UNNOTICED: Duration = Duration::from_millis(5);

/// Slow, silent and greedy clients: the p99 of a legitimate client at most doubles.
///
/// The attacks are the four modes of slowhttptest (slow heads, slow bodies, overlapping ranges, slow reading) and
/// thousands of clients that connect and send nothing. A legitimate client with 8 connections is measured in windows
/// that alternate between without and with the attack. Its p99 with the attack must be at most twice that without, or
/// below 5 ms. The quietest window of each kind counts, because other work on the machine can only add latency. The
/// same is then measured directly at the app, to show what an attack costs without a proxy.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these attacks
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ATTACK")]
    only: Vec<Attack>,
    /// Rounds of each attack
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Length of a window
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    window: Duration,
    /// Requests per second of the legitimate client
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
    /// Connections of slowhttptest
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    attackers: u32,
    /// Clients that connect and send nothing; fewer if descriptors do not suffice
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    silent: u32,
}

pub(crate) async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let strength = Strength {
        // A missing program fails the run before anything is measured.
        slowhttptest: Slowhttptest { program: Programs::on_path("slowhttptest")?, connections: options.attackers },
        silent: silence::affordable(options.silent),
    };
    let attacks = if options.only.is_empty() { Attack::value_variants() } else { &options.only };
    let never = [(ProxyOption::MaxRequests, "4294967295"), (ProxyOption::LogLevel, "error")];
    let lane = Lane::start(programs, &never).await?;
    let window = Window { length: options.window, rate: options.rate };

    let mut rows = Vec::new();
    for attack in attacks {
        let name = attack.label(&strength);
        let seen =
            against_baseline(&lane, window, options.rounds, |target| attack.begin(&lane, target, &strength)).await?;
        eprintln!("{name}: {seen}");
        rows.push((name, seen));
    }

    let how = format!(
        "slowhttptest with {} connections, then silent clients, beside a legitimate client at {} requests a second; {} \
         rounds of four windows of {:?}.",
        count(options.attackers.into()),
        count(options.rate),
        options.rounds,
        options.window
    );
    let mut report = Report::of("hostile", begun, how);
    report.verdicts = rows.iter().map(|(name, seen)| verdict(name, seen)).collect();
    report.verdicts.push(left_over(&lane).await?);
    let columns = [
        "attack",
        "p99 without",
        "p99 with",
        "ratios",
        "at the app itself",
        "connections held",
        "proxy's CPU",
        "proxy's memory",
    ];
    report.table = Table::new(columns, rows.iter().map(|(name, seen)| seen.row(name)).collect());
    if attacks.contains(&Attack::Silence) && strength.silent < options.silent {
        report.notes.push(format!(
            "{} silent connections were requested; the proxy needs two descriptors for each, and this system gives a \
             process {} at most",
            count(options.silent.into()),
            count(silence::descriptors())
        ));
    }
    Ok(report)
}

fn verdict(name: &str, seen: &legitimate::Comparison) -> Verdict {
    let goal = format!("{name}: p99 at most {FACTOR} × its baseline, or {UNNOTICED:?}; no request failed");
    // `begin` has waited until the attack had its effect.
    let met = seen.failed == 0 && (seen.ratio() <= FACTOR || seen.with() <= UNNOTICED);
    Verdict::new(goal, format!("{:.2} ×, {:.1?}; {} failed", seen.ratio(), seen.with(), seen.failed), met)
}

/// Checks that no connection is left open after the attack.
async fn left_over(lane: &Lane) -> Result<Verdict> {
    let gone = Instant::now();
    // An incomplete head times out after 10 s. Other connections end with their clients' sockets.
    let left = loop {
        let left = lane.metric(OPEN).await?;
        if left == 0 || gone.elapsed() > Duration::from_secs(90) {
            break left;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let measured = format!("{left} after {:.1} s", gone.elapsed().as_secs_f64());
    Ok(Verdict::new("no connection is left when they have gone", measured, left == 0))
}
