//! The cost of following a balancer's instructions.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use balancing::{Interval, PodChange, Sequence, SigningKey, WorkloadInstruction};
use ring::rand::SystemRandom;

use crate::bench::Bench;
use crate::load::idle::Idle;
use crate::load::wrk::Request;
use crate::peer::Protocol;
use crate::process::Running;
use crate::report::{Section, Table, Verdict};
use crate::scenario::cell;
use crate::scenario::cpu::{self, Turn};
use crate::summary::Summary;
use crate::{limits, lineup};

const CONNECTIONS: u16 = 64;
/// The idle clients of each proxy, which every report includes.
const IDLE: usize = 10_000;
/// The limit of the cost with balancing, as a multiple of the cost without.
const GOAL: f64 = 1.01;
const WORKLOAD: [&str; 3] = ["bench", "Deployment", "bench"];
/// The interval of the balancer while a workload is uneven.
const INTERVAL: Duration = Duration::from_secs(1);

/// Measures short responses without a balancer and with one that sends an instruction every second, with the same idle
/// connections.
pub(crate) fn measure(bench: &Bench, app: u16) -> Result<Section> {
    let idle = IDLE.min(usize::try_from(limits::open_files().saturating_sub(1000) / 2).unwrap_or(IDLE));
    eprintln!("balancing with {idle} connections …");
    let key = SigningKey::from_pem(&SigningKey::generate(&SystemRandom::new())?)?;
    let admin = lineup::free_port()?;
    let without = lineup::start_ours(bench, [app, 0], &[])?;
    let with = with_balancing(bench, app, admin, &key)?;
    let mut clients = [&without, &with].map(|running| Idle::new(Protocol::Http1, running.port()));
    clients.iter_mut().try_for_each(|clients| clients.grow_to(idle))?;
    let is_over = AtomicBool::new(false);
    let rounds = thread::scope(|scope| -> Result<Vec<[Turn; 2]>> {
        let balancer = scope.spawn(|| instruct(admin, &key, &is_over));
        let turn = |running: &Running| cpu::turn(bench, running, Request::Get("/"), CONNECTIONS);
        let rounds = (0..bench.rounds).map(|_| Ok([turn(&without)?, turn(&with)?])).collect();
        is_over.store(true, Ordering::Relaxed);
        balancer.join().expect("the balancer does not panic").context("the balancer")?;
        rounds
    })?;
    Ok(section(&rounds, idle))
}

fn with_balancing(bench: &Bench, app: u16, admin: u16, key: &SigningKey) -> Result<Running> {
    let [namespace, kind, name] = WORKLOAD;
    let (keys, workload) = (key.public().to_string(), format!("{kind}/{name}"));
    let options = ["--balance-keys", &keys, "--workload", &workload, "--namespace", namespace];
    lineup::start_ours(bench, [app, admin], &options)
}

/// Sends an instruction every second, with a mean above the load, so that the proxy applies the rule and retires
/// nothing.
fn instruct(admin: u16, key: &SigningKey, is_over: &AtomicBool) -> Result<()> {
    let [namespace, kind, name] = WORKLOAD;
    let mut sequence = 0;
    while !is_over.load(Ordering::Relaxed) {
        sequence += 1;
        let instruction = WorkloadInstruction::new(
            format!("{namespace}/{kind}/{name}").parse()?,
            Sequence::new(sequence)?,
            [1e9, 1.0],
            PodChange::default(),
            Interval::new(INTERVAL).context("an interval")?,
        )?;
        let body = key.sign(&instruction);
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin))?;
        let length = body.len();
        let head =
            format!("POST /balance HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + &body).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "an instruction was refused: {answer}");
        thread::sleep(INTERVAL);
    }
    Ok(())
}

fn section(rounds: &[[Turn; 2]], idle: usize) -> Section {
    let of = |index: usize, figure: fn(&Turn) -> f64| Summary::of(rounds.iter().map(|round| figure(&round[index])));
    let ratio = Summary::of(rounds.iter().map(|[without, with]| with.micros / without.micros));
    let rows = ["without", "with"].iter().enumerate().map(|(index, case)| {
        let ratio = if index == 0 { Summary::of([1.0]) } else { ratio };
        vec![
            (*case).to_owned(),
            cell(of(index, |turn| turn.micros), "µs"),
            cell(ratio, ""),
            cell(of(index, |turn| turn.per_second), ""),
        ]
    });
    Section {
        title: format!("CPU per request with a balancer: {CONNECTIONS} connections beside {idle} idle ones"),
        how: "128-byte answers. The balancer sends a signed instruction each second, and is sent the report of all connections. \
              No connection is retired."
            .to_owned(),
        table: Table { columns: vec!["", "CPU per request", "× without", "requests/s"], rows: rows.collect() },
        verdicts: vec![Verdict::at_most(format!("≤ {GOAL} × without"), GOAL, ratio, "×")],
    }
}
