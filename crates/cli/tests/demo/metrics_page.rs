//! The metrics that docs/METRICS.md has are those that the programs show.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use settings::ProxyOption;
use test_support::{LoopbackHost, Peer, Process, RecyclingProxy};

use crate::programs::built;

/// Compares the table of a program, or rewrites it with `UPDATE_DOCS=1`.
fn compare(program: &str, metrics: &str) {
    let table = generated_docs::metrics(metrics);
    assert!(table.lines().count() > 3, "{metrics}");
    let part = format!("metrics of {program}");
    generated_docs::part("docs/METRICS.md", &part, &table, "cargo test -p cli --test demo metrics");
}

#[tokio::test]
async fn metrics_md_has_every_metric_of_proxy_and_webhook() {
    let app = TcpListener::bind(LoopbackHost::reserve().unwrap().port(8080)).unwrap();
    let balancing = [
        // Of RFC 8410 §10.1.
        (ProxyOption::BalanceKeys, "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="),
        (ProxyOption::Workload, "Deployment/web"),
        (ProxyOption::Namespace, "shop"),
    ];
    let proxy = RecyclingProxy::start(built("recycling-proxy"), app.local_addr().unwrap(), &balancing).await.unwrap();
    // Faults are shown from the first one on.
    let mut client = proxy.connect().await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await.unwrap();
    assert_eq!(client.read_head().await.unwrap().status(), Some(400));
    let (status, metrics) = proxy.admin("/metrics").await.unwrap();
    assert_eq!(status, 200);
    compare("recycling-proxy", &metrics);
    compare("evenkeel-webhook", &metrics_of_webhook().await);
}

async fn metrics_of_webhook() -> String {
    let (host, folder) = (LoopbackHost::reserve().unwrap(), tempfile::tempdir().unwrap());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut command = Command::new(built("evenkeel-webhook"));
    command.args(["run", "--tls", "files", "--listen", &host.port(8443).to_string()]);
    command.args(["--admin", &host.port(8081).to_string()]);
    command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
    let mut webhook = Process::spawn("evenkeel-webhook", command).unwrap();
    webhook.line_with("8443").await.unwrap();

    let mut peer = Peer::connect(host.port(8081)).await.unwrap();
    peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let head = peer.read_head().await.unwrap();
    assert_eq!(head.status(), Some(200));
    let (body, _) = peer.read_to_end().await.unwrap();
    String::from_utf8(body).unwrap()
}
