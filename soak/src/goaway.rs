//! Real HTTP/2 clients while evenkeel, nginx and Envoy retire their connections.

mod client;
mod front;
mod matrix;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use tokio::time::Instant;

use self::client::{Client, Job};
use self::front::Server;
use self::matrix::{Case, Tallies};
use crate::programs::Programs;
use crate::report::{Report, Verdict, count};

/// HTTP/2 clients at limits 1, 10 and 100, beside nginx and Envoy: how many requests each loses at a GOAWAY.
///
/// Every request is a POST of 64 bytes, or a unary call with a message of 64 bytes, that the app echoes. A request is
/// lost if the client reports no response or a wrong one.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Requests of each case; 30000 show a loss of one in 10000
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,
    /// Each case ends after about this time, even if it has sent fewer requests
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Only these clients
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Client>,
    /// Servers that retire the connections
    #[arg(long, value_enum, value_delimiter = ',', default_value = "evenkeel,nginx,envoy")]
    servers: Vec<Server>,
    /// Requests after which a connection is retired
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    limits: Vec<u64>,
    /// Concurrent requests of a client
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    concurrency: Vec<u64>,
    /// Replace the table in docs/CLIENTS-AND-GOAWAY.md
    #[arg(long)]
    record: bool,
}

pub(crate) async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let clients = if options.only.is_empty() { Client::value_variants().to_vec() } else { options.only.clone() };
    let body = programs.results().join("body");
    std::fs::write(&body, [b'x'; 64])?;
    front::make_certificate(&programs.results().join("goaway"))?;
    // Before the first case: a missing client should not fail a run after an hour.
    for client in &clients {
        client.command(programs, Job { origin: "", body: &body, requests: 1, concurrency: 1, limit: 1 })?;
    }
    let cases = cases(&clients, options);
    let (mut tallies, mut broken) = (Tallies::new(), Vec::new());
    for (done, case) in cases.iter().enumerate() {
        let outcome = match case.run(programs, options.requests, options.time).await {
            Ok(tally) => {
                let (lost, sent) = (count(tally.seen.failed()), count(tally.sent()));
                tallies.insert(*case, tally);
                format!("{case}: {lost} lost of {sent}")
            }
            Err(error) => {
                broken.push(format!("{case}: {error:#}"));
                format!("{case}: {error:#}")
            }
        };
        eprintln!("{}/{} {outcome}", done + 1, cases.len());
    }
    let report = report(&tallies, broken, begun);
    if options.record {
        record(&report)?;
    }
    Ok(report)
}

fn cases(clients: &[Client], options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    for &client in clients {
        for &concurrency in &options.concurrency {
            for &limit in &options.limits {
                let case = |server: &Server| Case { client, concurrency, server: *server, limit };
                cases.extend(options.servers.iter().map(case));
            }
        }
    }
    cases
}

fn report(tallies: &Tallies, broken: Vec<String>, begun: Instant) -> Report {
    let how = "HTTP/2 clients POST 64 bytes, or call with as many, to an app that echoes them; their connections are \
               retired after a number of requests. A cell says how many were lost of how many that were sent.";
    let mut report = Report::of("goaway", begun, how.to_owned());
    report.verdicts =
        vec![Verdict::new("every case completes", format!("{} did not", broken.len()), broken.is_empty())];
    report.table = matrix::table(tallies);
    report.notes = matrix::notes(tallies).into_iter().chain(broken).collect();
    report
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CLIENTS-AND-GOAWAY.md");
const BEGIN: &str = "<!-- begin: make goaway -->\n";
const END: &str = "<!-- end: make goaway -->";

fn record(report: &Report) -> Result<()> {
    let page = std::fs::read_to_string(PAGE).context("reading the page of clients")?;
    // The page has its own heading.
    let text = report.to_string();
    let (_, text) = text.split_once("\n\n").context("a heading")?;
    let page = with_section(&page, text).with_context(|| format!("{PAGE} lacks the markers of the table"))?;
    std::fs::write(PAGE, page).context("writing the page of clients")
}

/// Returns the page with another text between its markers.
fn with_section(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, text, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_goaway_md_has_a_place_for_the_table() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let written = with_section(&page, "a table\n").unwrap();
        assert_eq!(with_section(&written, "a table\n"), Some(written.clone()));
        assert!(written.contains("<!-- begin: make goaway -->\na table\n<!-- end"), "{written}");
        assert_eq!(with_section("no marks", "a table"), None);
    }
}
