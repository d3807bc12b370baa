//! Endpoints that answer as proxies do: they verify what they are told, and report a load that never changes.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::get;
use balancing::{BalanceState, LastSequence, PublicKeys, Quantity, Receiver, Recent, Report, Workload};
use serde::{Deserialize, Serialize};
use settings::ADMIN_PORT;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What a process of endpoints is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct EndpointsArguments {
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) pods: usize,
    pub(crate) uneven: usize,
    pub(crate) keys: String,
}

/// What the endpoints of a process have seen since they were asked last.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) questions: u64,
    /// How late instructions were while levelling, in milliseconds: after the one before, beyond the interval that it told.
    pub(crate) late: Vec<u64>,
}

/// A process with some of the endpoints. Dropped, it is killed.
pub(crate) struct Endpoints {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Endpoints {
    /// Starts a process, and waits until it listens.
    pub(crate) fn start(arguments: &EndpointsArguments) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").arg(serde_json::to_string(arguments)?);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().context("a pipe to it")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe from it")?);
        let mut endpoints = Self { child, ask, answers };
        endpoints.seen()?;
        Ok(endpoints)
    }

    /// Returns what they have seen since the last time.
    pub(crate) fn seen(&mut self) -> Result<Seen> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Endpoint {
    receiver: Receiver,
    load: f64,
    seen: Arc<Mutex<Seen>>,
    told: Mutex<Told>,
}

/// What an endpoint has been told last, when, and the interval that it named.
struct Told {
    last: LastSequence,
    at: Option<(Instant, Duration)>,
}

/// Serves, and writes a line of JSON for each line that it reads, until there is none.
pub(crate) async fn serve(arguments: EndpointsArguments) -> Result<()> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let keys: PublicKeys = arguments.keys.parse()?;
    for n in arguments.first..arguments.first + arguments.count {
        let workload = n / arguments.pods;
        let is_busiest = workload.is_multiple_of(arguments.uneven) && n.is_multiple_of(arguments.pods);
        let name: Workload = format!("shop/Deployment/web-{workload}").parse()?;
        let endpoint = Endpoint {
            receiver: Receiver::new(keys.clone(), name),
            load: if is_busiest { 100.0 } else { 10.0 },
            seen: Arc::clone(&seen),
            told: Mutex::new(Told { last: LastSequence::NONE, at: None }),
        };
        let listener = TcpListener::bind((super::address(n), ADMIN_PORT)).await?;
        let routes = Router::new().route(balancing::PATH, get(show).post(receive)).with_state(Arc::new(endpoint));
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
    tokio::task::spawn_blocking(move || {
        for _ in io::stdin().lines() {
            let taken = std::mem::take(&mut *seen.lock().expect("nobody panics"));
            println!("{}", serde_json::to_string(&taken)?);
        }
        Ok(())
    })
    .await?
}

async fn show(State(endpoint): State<Arc<Endpoint>>) -> String {
    endpoint.seen.lock().expect("nobody panics").questions += 1;
    endpoint.report().to_json()
}

async fn receive(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> String {
    endpoint.take(&body, Instant::now());
    endpoint.report().to_json()
}

impl Endpoint {
    fn take(&self, body: &[u8], now: Instant) {
        let mut told = self.told.lock().expect("nobody panics");
        let mut seen = self.seen.lock().expect("nobody panics");
        seen.questions += 1;
        let Ok((last, instruction)) = self.receiver.receive(body, told.last) else { return };
        let interval = instruction.interval().get();
        let before = std::mem::replace(&mut *told, Told { last, at: Some((now, interval)) });
        if let Some((at, due_after)) = before.at.filter(|_| interval < balancing::Interval::AT_REST.get()) {
            let late = now.saturating_duration_since(at + due_after);
            seen.late.push(u64::try_from(late.as_millis()).unwrap_or(u64::MAX));
        }
    }

    fn report(&self) -> Report {
        let quantity = |number| Quantity::new(number).expect("a finite number");
        let mut report = Report::new(self.receiver.workload().clone());
        report.load = quantity(self.load);
        report.connections = 10;
        report.recent = Recent { requests: quantity(self.load * 30.0), seconds: quantity(300.0) };
        report.state = BalanceState::InForce;
        report.sequence = self.told.lock().expect("nobody panics").last.get();
        report.keys = self.receiver.keys().iter().map(balancing::PublicKey::id).collect();
        report
    }
}
