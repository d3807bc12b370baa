//! Options come from variables in a pod template, or from flags at a terminal.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use settings::{ADMIN_PORT, OptionSpec as _, PROXY_PORT, ProxyOption};
use test_support::{LoopbackHost, Peer, Process, ScriptedApp, TIMEOUT, TestResult, ensure_eq};
use tokio::time::{Instant, sleep};

use crate::stage::{BINARY, GET, OK};

#[tokio::test]
async fn options_come_from_the_environment_unless_a_flag_is_given() -> TestResult {
    let host = LoopbackHost::reserve()?;
    let app = ScriptedApp::bind(host.port(8080)).await?;
    for (arguments, limit) in [(&["run"][..], 2), (&["run", "--max-requests", "3"], 3)] {
        let mut command = Command::new(BINARY);
        command.args(arguments).env_clear().envs([
            (ProxyOption::Listen.env(), host.port(PROXY_PORT).to_string()),
            (ProxyOption::App.env(), host.port(8080).to_string()),
            (ProxyOption::Admin.env(), host.port(ADMIN_PORT).to_string()),
            (ProxyOption::Control.env(), format!("@evenkeel-test-environment-{limit}-{}", host.port(0).ip())),
            (ProxyOption::MaxRequests.env(), "2".to_owned()),
            (ProxyOption::Jitter.env(), "0%".to_owned()),
            (ProxyOption::DrainTimeout.env(), String::new()),
        ]);
        let process = Process::spawn("recycling-proxy", command)?.repeating_its_output();
        let mut client = connected(host.port(PROXY_PORT)).await?;
        let mut served = app.accept().await?;
        for request in 1..=limit {
            client.send(GET).await?;
            served.expect(GET).await?;
            served.send(OK).await?;
            ensure_eq!(client.read_head().await?.announces_close(), request == limit, "{arguments:?}");
            client.expect("ok").await?;
        }
        drop(process);
    }
    Ok(())
}

/// Connects as soon as the port is open.
async fn connected(to: SocketAddr) -> TestResult<Peer> {
    let start = Instant::now();
    loop {
        match Peer::connect(to).await {
            Ok(peer) => return Ok(peer),
            Err(refused) if start.elapsed() > TIMEOUT => Err(refused)?,
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}
