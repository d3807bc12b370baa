//! Autobahn 25.10.1, the conformance suite of the `WebSocket` protocol. Its fuzzing client tests a server, and its
//! fuzzing server a client; both are from the package `ws`. For the proxy a WebSocket is a request, a 101 and a tunnel,
//! whatever its limit.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use conformance::{node, proxy_in_front_of, run, tool, upgraded};
use serde::Deserialize;
use serde_json::json;
use settings::ProxyOption;
use test_support::Process;

/// Framing, pings and pongs, reserved bits, opcodes, fragments, UTF-8 and close codes whole; of the long messages and
/// of the compressed ones, which take minutes, one or two of every kind.
const CASES: &[&str] = &[
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", //
    "9.1.3", "9.1.5", "9.2.3", "9.3.5", "9.4.5", "9.7.1", //
    "12.1.1", "12.2.1", "12.3.1", "12.4.1", "12.5.1", //
    "13.1.1", "13.2.1", "13.3.1", "13.4.1", "13.5.1", "13.6.1", "13.7.1",
];
/// As many as these are; fewer are a suite that broke off.
const COUNT: usize = 265;
/// Each connection is one request, so that every one is at its limit.
const AT_THE_LIMIT: &str = "1";
/// More than any connection carries.
const UNREACHED: &str = "1000000";
/// How often cases are judged again whose verdicts differ: some have to be done within a second, which a busy machine
/// may not manage.
const RETAKES: usize = 3;
/// Many times what a run takes, which is mostly pauses.
const TIMEOUT: Duration = Duration::from_mins(4);

/// What the suite says of a case.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    behavior: String,
    behavior_close: String,
    remote_close_code: Option<u16>,
}

type Verdicts = BTreeMap<String, Verdict>;

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_server_has_the_same_verdicts_through_the_proxy() -> anyhow::Result<()> {
    let mut server = Process::spawn("echo-server", node("autobahn/echo-server.mjs")?)?;
    let line = server.line_with("listening on ").await?;
    let port = line.rsplit(' ').next().and_then(|port| port.parse::<u16>().ok());
    let app = (Ipv4Addr::LOCALHOST, port.with_context(|| format!("no port in {line:?}"))?).into();
    same_verdicts(Judge::Client, app).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_client_has_the_same_verdicts_through_the_proxy() -> anyhow::Result<()> {
    // The suite listens on a port that it is given, and on every address.
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port();
    same_verdicts(Judge::Server, (Ipv4Addr::LOCALHOST, free).into()).await
}

/// Which end of a connection the suite plays.
#[derive(Clone, Copy)]
enum Judge {
    Client,
    Server,
}

async fn same_verdicts(judge: Judge, app: SocketAddr) -> anyhow::Result<()> {
    let recycling = proxy_in_front_of(app, &[(ProxyOption::MaxRequests, AT_THE_LIMIT)]).await?;
    let keeping = proxy_in_front_of(app, &[(ProxyOption::MaxRequests, UNREACHED)]).await?;
    let mut cases: Vec<String> = CASES.iter().map(ToString::to_string).collect();
    for take in 0..=RETAKES {
        let ways = [app, recycling.address(), keeping.address()];
        let [direct, at_the_limit, unreached] = judge.verdicts(ways, &cases).await?;
        ensure!(take > 0 || direct.len() >= COUNT, "only {} cases", direct.len());
        if take == 0 {
            println!("Autobahn: {} cases", direct.len());
            let good = direct.values().filter(|verdict| verdict.behavior == "OK").count();
            ensure!(good * 2 > direct.len(), "only {good} of {} cases pass directly", direct.len());
            for (proxy, limit) in [(&recycling, AT_THE_LIMIT), (&keeping, UNREACHED)] {
                let upgraded = upgraded(proxy).await?;
                ensure!(upgraded >= u64::try_from(COUNT * 9 / 10)?, "{upgraded} upgrades at limit {limit}");
            }
        }
        let mut differing = differing(&direct, &at_the_limit)?;
        differing.extend(self::differing(&direct, &unreached)?);
        if differing.is_empty() {
            return Ok(());
        }
        println!("verdicts differ, so these cases run again: {differing:#?}");
        cases = differing.into_keys().collect();
    }
    anyhow::bail!("verdicts differ in every run: {cases:?}")
}

/// Returns the cases whose verdicts differ: what it is direct, and through the proxy.
fn differing(direct: &Verdicts, through: &Verdicts) -> anyhow::Result<BTreeMap<String, String>> {
    ensure!(direct.keys().eq(through.keys()), "other cases: {} direct, {} through", direct.len(), through.len());
    let pairs = direct.iter().zip(through.values()).filter(|((_, direct), through)| direct != through);
    Ok(pairs.map(|((case, direct), through)| (case.clone(), format!("{direct:?}, but {through:?}"))).collect())
}

impl Judge {
    /// Returns the verdicts on all ways at the same time: most of a run is waiting.
    async fn verdicts(self, ways: [SocketAddr; 3], cases: &[String]) -> anyhow::Result<[Verdicts; 3]> {
        match self {
            Self::Client => {
                let [direct, at_the_limit, unreached] = ways;
                let judged = tokio::try_join!(
                    of_server(direct, cases),
                    of_server(at_the_limit, cases),
                    of_server(unreached, cases)
                )?;
                Ok(judged.into())
            }
            Self::Server => of_clients(ways, cases).await,
        }
    }
}

/// Returns the fuzzing client's verdicts on the server behind an address.
async fn of_server(address: SocketAddr, cases: &[String]) -> anyhow::Result<Verdicts> {
    let folder = tempfile::tempdir()?;
    let reports = folder.path().join("reports");
    let servers = [json!({"agent": "ws", "url": format!("ws://{address}")})];
    let task =
        json!({"servers": servers, "outdir": reports, "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}});
    let ended = run(wstest("fuzzingclient", folder.path(), &task)?, TIMEOUT).await?;
    ensure!(ended.success, "{}", ended.errors);
    report(&reports, "ws")
}

/// Returns the fuzzing server's verdicts on three clients: it listens where the first way leads, and at the end of all
/// others.
async fn of_clients(ways: [SocketAddr; 3], cases: &[String]) -> anyhow::Result<[Verdicts; 3]> {
    let folder = tempfile::tempdir()?;
    let reports = folder.path().join("reports");
    let url = format!("ws://{}", ways[0]);
    let task = json!({"url": url, "outdir": reports, "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}});
    let mut server = Process::spawn("fuzzingserver", wstest("fuzzingserver", folder.path(), &task)?)?;
    server.line_with("Cases = ").await?;
    let [direct, at_the_limit, unreached] = ways;
    tokio::try_join!(
        client(direct, direct, "direct"),
        client(at_the_limit, direct, "at-the-limit"),
        client(unreached, direct, "unreached")
    )?;
    Ok([report(&reports, "direct")?, report(&reports, "at-the-limit")?, report(&reports, "unreached")?])
}

async fn client(address: SocketAddr, server: SocketAddr, agent: &str) -> anyhow::Result<()> {
    let mut command = node("autobahn/echo-client.mjs")?;
    command.args([&address.to_string(), &server.to_string(), agent]);
    let ended = run(command, TIMEOUT).await?;
    ensure!(ended.success, "{}", ended.errors);
    Ok(())
}

fn wstest(mode: &str, folder: &Path, task: &serde_json::Value) -> anyhow::Result<std::process::Command> {
    let file = folder.join("task.json");
    std::fs::write(&file, task.to_string())?;
    let mut command = tool("wstest")?;
    command.args(["--mode", mode, "--webport", "0", "--spec"]).arg(file);
    Ok(command)
}

fn report(reports: &Path, agent: &str) -> anyhow::Result<Verdicts> {
    let text = std::fs::read_to_string(reports.join("index.json")).context("the suite's report")?;
    let mut agents: BTreeMap<String, Verdicts> = serde_json::from_str(&text).context("the suite's report")?;
    agents.remove(agent).with_context(|| format!("no report on {agent}"))
}
