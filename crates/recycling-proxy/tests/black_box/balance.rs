//! Balancing, with a balancer and clients that the test plays: real signatures over real sockets.

use std::time::Duration;

use balancing::{BalanceState, Interval, PodChange, Refusal, Report, Sequence, SigningKey, WorkloadInstruction};
use ring::rand::SystemRandom;
use settings::ProxyOption;
use test_support::{
    Failure, Head, LoopbackHost, Peer, RecyclingProxy, Responder, ScriptedApp, TIMEOUT, TestResult,
    answer_everything_with, ensure, ensure_eq,
};
use tokio::time::{Instant, sleep};

use crate::metrics::sum;
use crate::stage::{BINARY, GET, OK};

const WEB: &str = "shop/Deployment/web";
/// A mean rate of a connection that is so small that the duration of a test hardly matters beside the prior of the
/// estimate. All connections then have nearly equal rates.
const RARE: f64 = 0.0001;
/// The estimated rate of a connection with one request: this one, and the three of the prior.
const RATE: f64 = RARE * 4.0 / 3.0;

/// A proxy, and the key of the balancer whose instructions it accepts.
struct Pod {
    key: SigningKey,
    proxy: RecyclingProxy,
    _app: Responder,
    _app_host: LoopbackHost,
}

/// The contents of an instruction that tests vary.
struct Instruction {
    workload: &'static str,
    sequence: u64,
    mean: f64,
    connection_rate: f64,
    interval: Duration,
}

impl Default for Instruction {
    fn default() -> Self {
        Self { workload: WEB, sequence: 1, mean: 1.0, connection_rate: 1.0, interval: Duration::from_secs(20) }
    }
}

impl Instruction {
    fn signed(&self, key: &SigningKey) -> TestResult<String> {
        Ok(key.sign(&WorkloadInstruction::new(
            self.workload.parse()?,
            Sequence::new(self.sequence)?,
            [self.mean, self.connection_rate],
            PodChange::default(),
            Interval::new(self.interval).ok_or_else(|| Failure::new("no interval"))?,
        )?))
    }
}

fn key() -> TestResult<SigningKey> {
    Ok(SigningKey::from_pem(&SigningKey::generate(&SystemRandom::new())?)?)
}

impl Pod {
    async fn start(options: &[(ProxyOption, &str)]) -> TestResult<Self> {
        let (key, app_host) = (key()?, LoopbackHost::reserve()?);
        let app = ScriptedApp::bind(app_host.port(8080)).await?;
        let keys = key.public().to_string();
        let balancing = [
            (ProxyOption::BalanceKeys, keys.as_str()),
            (ProxyOption::Workload, "Deployment/web"),
            (ProxyOption::Namespace, "shop"),
        ];
        let proxy = RecyclingProxy::start(BINARY, app.address(), &[&balancing, options].concat()).await?;
        Ok(Self { key, proxy, _app: Responder::start(app, answer_everything_with(OK)), _app_host: app_host })
    }

    /// Opens `count` connections, and plays one exchange on each.
    async fn clients(&self, count: usize) -> TestResult<Vec<Peer>> {
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut client = self.proxy.connect().await?;
            ensure!(!announced_exchange(&mut client).await?, "a connection was retired at once");
            clients.push(client);
        }
        Ok(clients)
    }

    async fn instruct(&self, instruction: &Instruction) -> TestResult<(u16, Report)> {
        self.post(&instruction.signed(&self.key)?).await
    }

    async fn post(&self, body: &str) -> TestResult<(u16, Report)> {
        let (status, body) = request(&self.proxy, "POST", body).await?;
        Ok((status, Report::from_json(body.as_bytes())?))
    }

    async fn report(&self) -> TestResult<Report> {
        let (status, body) = self.proxy.admin("/balance").await?;
        ensure_eq!(status, 200);
        Ok(Report::from_json(body.as_bytes())?)
    }

    /// Waits until the proxy has applied the rule `count` times. Each time it adds the time since the last one to the
    /// history of its connections.
    async fn wait_for_rule(&self, count: usize) -> TestResult {
        for _ in 0..count {
            let before = self.report().await?.recent.seconds;
            self.wait_until("the rule was applied", |report| report.recent.seconds != before).await?;
        }
        Ok(())
    }

    /// Waits for a report that satisfies the condition.
    async fn wait_until(&self, what: &str, is_so: impl Fn(&Report) -> bool) -> TestResult<Report> {
        let begun = Instant::now();
        loop {
            let report = self.report().await?;
            if is_so(&report) {
                return Ok(report);
            }
            ensure!(begun.elapsed() < TIMEOUT, "{what}: {report:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Plays one exchange. Returns whether its response announces the end of the connection.
async fn announced_exchange(client: &mut Peer) -> TestResult<bool> {
    client.send(GET).await?;
    let head = client.read_head().await?;
    client.expect("ok").await?;
    Ok(head.announces_close())
}

async fn request(proxy: &RecyclingProxy, method: &str, body: &str) -> TestResult<(u16, String)> {
    let mut peer = Peer::connect(proxy.admin_address()).await?;
    let length = body.len();
    let head =
        format!("{method} /balance HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    peer.send(head + body).await?;
    let head: Head = peer.read_head().await?;
    let (body, _) = peer.read_to_end().await?;
    Ok((head.status().ok_or_else(|| Failure::new("no status"))?, String::from_utf8(body)?))
}

/// The pod has 20 connections of equal rate, and the mean is that of 10.
#[tokio::test]
async fn a_pod_above_the_mean_retires_as_many_connections_as_its_excess_is_worth() -> TestResult {
    let pod = Pod::start(&[]).await?;
    let mut clients = pod.clients(20).await?;
    let before = pod.wait_until("20 connections", |report| report.connections == 20).await?;
    ensure_eq!((before.requests, before.state), (20, BalanceState::NoInstruction));
    // The pod is below the mean, although a new connection counts more than an average one at first.
    let (status, _) =
        pod.instruct(&Instruction { sequence: 1, mean: 60.0, connection_rate: 2.0, ..Instruction::default() }).await?;
    ensure_eq!(status, 200);
    pod.wait_until("in force", |report| report.state == BalanceState::InForce).await?;
    let instruction = Instruction { sequence: 2, mean: 10.0 * RATE, connection_rate: RARE, ..Instruction::default() };
    pod.instruct(&instruction).await?;
    pod.wait_until("9 or 10 are marked", |report| report.marked >= 9).await?;
    // Applying the rule again marks no more.
    pod.wait_for_rule(2).await?;
    let marked = usize::try_from(pod.report().await?.marked)?;
    ensure!((9..=10).contains(&marked), "{marked}");
    let mut retired = 0;
    for client in &mut clients {
        retired += usize::from(announced_exchange(client).await?);
    }
    ensure_eq!(retired, marked);
    let after = pod.wait_until("the marked connections are retired", |report| report.marked == 0).await?;
    ensure_eq!((after.retired, after.connections), (u64::try_from(marked)?, 20 - u32::try_from(marked)?));
    let counted = sum(&pod.proxy, "evenkeel_proxy_connections_retired_total{reason=\"balance\"").await?;
    ensure_eq!(counted.to_string(), marked.to_string());
    Ok(())
}

#[tokio::test]
async fn a_pod_at_the_mean_retires_none() -> TestResult {
    let pod = Pod::start(&[]).await?;
    let mut clients = pod.clients(20).await?;
    // The pod is above the mean, but within the tolerance of 15 %.
    pod.instruct(&Instruction { mean: 18.0 * RATE, connection_rate: RARE, ..Instruction::default() }).await?;
    pod.wait_for_rule(2).await?;
    ensure_eq!((pod.report().await?.marked, pod.report().await?.state), (0, BalanceState::InForce));
    for client in &mut clients {
        ensure!(!announced_exchange(client).await?);
    }
    Ok(())
}

#[tokio::test]
async fn unsigned_instructions_are_refused_and_change_nothing() -> TestResult {
    let pod = Pod::start(&[]).await?;
    let _clients = pod.clients(20).await?;
    let without_excess = Instruction { sequence: 5, mean: 1000.0, ..Instruction::default() };
    ensure_eq!(pod.instruct(&without_excess).await?.0, 200);
    let large_excess = Instruction { sequence: 9, mean: RATE, connection_rate: RARE, ..Instruction::default() };
    let foreign = Instruction { workload: "shop/Deployment/other", ..large_excess };
    for (body, refusal) in [
        (without_excess.signed(&pod.key)?, Refusal::OldSequence),
        (Instruction { sequence: 4, ..large_excess }.signed(&pod.key)?, Refusal::OldSequence),
        (Instruction { ..large_excess }.signed(&key()?)?, Refusal::BadSignature),
        (foreign.signed(&pod.key)?, Refusal::ForeignWorkload),
        ("x".repeat(100), Refusal::Malformed),
        ("x".repeat(1 << 20), Refusal::Malformed),
        (String::new(), Refusal::Malformed),
    ] {
        let (status, report) = pod.post(&body).await?;
        ensure_eq!((status, report.refused), (403, Some(refusal)));
        ensure_eq!(report.sequence.map(Sequence::get), Some(5));
    }
    pod.wait_for_rule(2).await?;
    ensure_eq!(pod.report().await?.marked, 0);
    for (refusal, count) in
        [(Refusal::OldSequence, 2), (Refusal::BadSignature, 1), (Refusal::ForeignWorkload, 1), (Refusal::Malformed, 3)]
    {
        let samples = format!("evenkeel_proxy_balance_refusals_total{{reason=\"{refusal}\"");
        ensure_eq!(sum(&pod.proxy, &samples).await?.to_string(), count.to_string(), "{refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn an_instruction_expires_after_three_intervals() -> TestResult {
    let pod = Pod::start(&[]).await?;
    pod.instruct(&Instruction { mean: 1000.0, interval: Duration::from_millis(100), ..Instruction::default() }).await?;
    pod.wait_until("it has expired", |report| report.state == BalanceState::Expired).await?;
    for (state, value) in [("expired", "1"), ("in_force", "0")] {
        let shown = sum(&pod.proxy, &format!("evenkeel_proxy_balance_state{{state=\"{state}\"")).await?;
        ensure_eq!(shown.to_string(), value);
    }
    Ok(())
}

/// Without `--max-requests` the limit is 1000, and there is none while an instruction is in force. When balancing ends,
/// the limit counts from then on, so that not all connections are retired at once.
#[tokio::test]
async fn balancing_replaces_the_default_limit() -> TestResult {
    let pod = Pod::start(&[]).await?;
    let [mut unbalanced, mut balanced] =
        <[Peer; 2]>::try_from(pod.clients(2).await?).map_err(|_| Failure::new("two clients"))?;
    for _ in 2..1000 {
        ensure!(!announced_exchange(&mut unbalanced).await?);
    }
    ensure!(announced_exchange(&mut unbalanced).await?, "the thousandth");
    pod.instruct(&Instruction { mean: 1e9, ..Instruction::default() }).await?;
    for _ in 2..1010 {
        ensure!(!announced_exchange(&mut balanced).await?);
    }
    pod.instruct(&Instruction {
        sequence: 2,
        mean: 1e9,
        interval: Duration::from_millis(100),
        ..Instruction::default()
    })
    .await?;
    pod.wait_until("it has expired", |report| report.state == BalanceState::Expired).await?;
    // The limit is restored when the rule is applied.
    pod.wait_for_rule(1).await?;
    for _ in 1..1000 {
        ensure!(!announced_exchange(&mut balanced).await?);
    }
    ensure!(announced_exchange(&mut balanced).await?, "the thousandth since then");
    Ok(())
}

#[tokio::test]
async fn balancing_keeps_a_limit_that_was_set() -> TestResult {
    let pod = Pod::start(&[(ProxyOption::MaxRequests, "3")]).await?;
    pod.instruct(&Instruction { mean: 1e9, ..Instruction::default() }).await?;
    let mut client = pod.clients(1).await?.remove(0);
    ensure_eq!((announced_exchange(&mut client).await?, announced_exchange(&mut client).await?), (false, true));
    Ok(())
}

#[tokio::test]
async fn without_keys_the_balance_path_is_not_found() -> TestResult {
    let app_host = LoopbackHost::reserve()?;
    let proxy = RecyclingProxy::start(BINARY, app_host.port(8080), &[]).await?;
    for (method, body) in [("GET", ""), ("POST", "x"), ("PUT", "x")] {
        ensure_eq!(request(&proxy, method, body).await?.0, 404, "{method}");
    }
    ensure!(!proxy.admin("/metrics").await?.1.contains("evenkeel_proxy_balance_"));
    let pod = Pod::start(&[]).await?;
    ensure_eq!(request(&pod.proxy, "PUT", "x").await?.0, 405);
    Ok(())
}
