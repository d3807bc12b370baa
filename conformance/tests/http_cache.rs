//! http-cache-tests 0.4.5, the suite of cache-tests.fyi. It tests what happens to header fields, methods, status codes,
//! bodies and connections between a client and a server. Most of its cases are about caches and fail without one;
//! through the proxy they must fail with the same message.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use conformance::{node, proxy_in_front_of, retired, run};
use serde::Deserialize;
use settings::ProxyOption;
use test_support::Process;

/// What the suite has; fewer are a suite that broke off.
const CASES: usize = 350;
/// At this limit every response is its connection's last.
const RECYCLING: &str = "1";
/// More than the suite asks on any connection.
const UNREACHED: &str = "1000000";
/// How often cases are judged again whose verdicts differ: some depend on a second more or less, which a busy machine
/// may take.
const RETAKES: usize = 3;
/// Many times what a run takes, which is mostly pauses.
const TIMEOUT: Duration = Duration::from_mins(4);

/// The cases whose verdict may differ, and why.
const EXCEPTIONS: &[(&str, &str)] = &[(
    "headers-store-Transfer-Encoding",
    "its server sends a transfer coding that nobody knows, without chunked: the end of such a response is anyone's guess \
     (RFC 9112 §6.3), so it becomes a 502 here, and a wait without end there",
)];

/// What the suite says of a case.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum Verdict {
    /// True, always.
    Passed(bool),
    /// What kind of failure it is, and the suite's words for it.
    Failed(String, String),
}

type Verdicts = BTreeMap<String, Verdict>;

/// Side by side: a run is mostly pauses. Each has a server of its own, for servers remember what they were asked.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_has_the_same_verdict_direct_and_through_the_proxy() -> anyhow::Result<()> {
    let none = BTreeSet::new();
    let (direct, recycled, through) =
        tokio::try_join!(direct(&none), through(&none, RECYCLING), through(&none, UNREACHED))?;
    ensure!(direct.len() >= CASES, "only {} cases", direct.len());
    ensure!(direct.values().any(|verdict| *verdict == Verdict::Passed(true)), "no case passes");
    ensure!(recycled.1 > 0, "no connection was retired at limit {RECYCLING}");
    ensure!(through.1 == 0, "{} connections were retired at limit {UNREACHED}", through.1);
    same(&direct, &recycled.0, RECYCLING).await?;
    same(&direct, &through.0, UNREACHED).await?;
    println!("http-cache-tests: {} cases, {} connections retired at limit {RECYCLING}", direct.len(), recycled.1);
    Ok(())
}

/// Returns the verdicts of these cases, or of all where there are none.
async fn direct(cases: &BTreeSet<String>) -> anyhow::Result<Verdicts> {
    let (_app, address) = app().await?;
    verdicts(address, cases).await
}

/// Returns the same through the proxy, and how many connections were retired meanwhile.
async fn through(cases: &BTreeSet<String>, max_requests: &str) -> anyhow::Result<(Verdicts, u64)> {
    let (_app, address) = app().await?;
    let proxy = proxy_in_front_of(address, &[(ProxyOption::MaxRequests, max_requests)]).await?;
    let verdicts = verdicts(proxy.address(), cases).await?;
    Ok((verdicts, retired(&proxy).await?))
}

/// Returns the suite's server.
async fn app() -> anyhow::Result<(Process, SocketAddr)> {
    let mut app = Process::spawn("http-cache-tests", node("http-cache-tests/app.mjs")?)?;
    let line = app.line_with("Listening on").await?;
    let port = line.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    let port: u16 = port.with_context(|| format!("no port in {line:?}"))?;
    Ok((app, (Ipv4Addr::LOCALHOST, port).into()))
}

async fn verdicts(server: SocketAddr, cases: &BTreeSet<String>) -> anyhow::Result<Verdicts> {
    let mut command = node("http-cache-tests/run.mjs")?;
    command.arg(format!("http://{server}")).args(cases);
    let ended = run(command, TIMEOUT).await?;
    ensure!(ended.success, "{}", ended.errors);
    serde_json::from_str(&ended.output).with_context(|| ended.errors)
}

/// What differs is judged again, both ways.
async fn same(direct: &Verdicts, through: &Verdicts, max_requests: &str) -> anyhow::Result<()> {
    ensure!(direct.keys().eq(through.keys()), "limit {max_requests}: other cases");
    let mut differing = differing(direct, through);
    for _ in 0..RETAKES {
        if differing.is_empty() {
            return Ok(());
        }
        println!("limit {max_requests}: verdicts differ, so these cases run again: {differing:#?}");
        let cases = differing.into_keys().collect();
        let (direct, through) = tokio::try_join!(self::direct(&cases), self::through(&cases, max_requests))?;
        differing = self::differing(&direct, &through.0);
    }
    ensure!(differing.is_empty(), "limit {max_requests}: {differing:#?}");
    Ok(())
}

/// Returns the cases whose verdicts differ: what it is direct, and through the proxy.
fn differing(direct: &Verdicts, through: &Verdicts) -> BTreeMap<String, String> {
    let pairs = direct.iter().zip(through.values());
    let differing = pairs.filter(|((case, direct), through)| {
        let excepted = EXCEPTIONS.iter().any(|(exception, _)| exception == case);
        !excepted && direct.without_values() != through.without_values()
    });
    differing.map(|((case, direct), through)| (case.clone(), format!("{direct:?}, but {through:?}"))).collect()
}

impl Verdict {
    /// Without what is another in every run: dates, counts and names drawn at random are words with digits in them.
    fn without_values(&self) -> Self {
        match self {
            Self::Passed(passed) => Self::Passed(*passed),
            Self::Failed(kind, words) => {
                let plain =
                    words.split(' ').map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "…" } else { word });
                Self::Failed(kind.clone(), plain.collect::<Vec<_>>().join(" "))
            }
        }
    }
}
