//! The interoperability tests of gRPC, by the client and the server of grpc-go: the 18 cases that its own script runs,
//! through a proxy that retires connections after few calls.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use conformance::{proxy_in_front_of, retired, run, tool};
use settings::ProxyOption;
use test_support::{LoopbackHost, Process};

const CASES: [&str; 18] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "orca_per_rpc",
    "orca_oob",
    "rpc_soak",
    "channel_soak",
];
/// The balancer with which the client looks at reports of load, as that script sets it.
const BALANCER: &str = r#"{ "loadBalancingConfig": [{ "test_backend_metrics_load_balancer": {} }] }"#;
/// Calls of the two soaks: connections are retired at every limit here.
const SOAK_CALLS: &str = "300";
/// Many times what a case takes.
const TIMEOUT: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn every_case_passes_at_every_limit() -> anyhow::Result<()> {
    let (address, _server) = server().await?;
    let mut failures = Vec::new();
    for limit in ["2", "10", "100"] {
        let proxy = proxy_in_front_of(address, &[(ProxyOption::MaxRequests, limit)]).await?;
        for case in CASES {
            if let Err(failure) = passes(case, proxy.address()).await {
                failures.push(format!("limit {limit}, {case}: {failure:#}"));
            }
        }
        let retired = retired(&proxy).await?;
        println!("limit {limit}: {} cases, {retired} connections retired", CASES.len());
        ensure!(retired >= 2, "limit {limit}: {retired} connections retired");
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

async fn passes(case: &str, server: SocketAddr) -> anyhow::Result<()> {
    let mut command = tool("grpc-interop-client")?;
    command.args(["-use_tls=false", "-server_host", &server.ip().to_string()]);
    command.args(["-server_port", &server.port().to_string(), "-test_case", case]);
    command.args(["-service_config_json", BALANCER]);
    command.args(["-soak_iterations", SOAK_CALLS, "-soak_num_threads", "5"]);
    // A busy machine is slow; that is not what is judged here.
    command.args(["-soak_per_iteration_max_acceptable_latency_ms", "20000", "-soak_overall_timeout_seconds", "50"]);
    let ended = run(command, TIMEOUT).await?;
    ensure!(ended.success, "{}{}", ended.output, ended.errors);
    Ok(())
}

/// The server listens on every address, so its port has to be free on all of them: one that was a moment ago.
async fn server() -> anyhow::Result<(SocketAddr, Process)> {
    let host = LoopbackHost::reserve()?;
    let port = std::net::TcpListener::bind("[::]:0")?.local_addr()?.port();
    let mut command = tool("grpc-interop-server")?;
    command.args(["-port", &port.to_string()]).env("GRPC_GO_LOG_SEVERITY_LEVEL", "info");
    let mut server = Process::spawn("grpc-interop-server", command)?;
    server.line_with("listening on").await?;
    Ok((host.port(port), server))
}
