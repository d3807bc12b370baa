//! The admin port reports state and changes none.

use settings::ProxyOption;
use test_support::{Peer, RecyclingProxy, ScriptedApp, TestResult, ensure, ensure_eq};

use crate::stage::{BINARY, Stage, close, exchange};

#[tokio::test]
async fn readyz_and_livez_answer_200() -> TestResult {
    let stage = Stage::with(&[]).await?;
    ensure_eq!(stage.proxy.admin("/readyz").await?.0, 200);
    ensure_eq!(stage.proxy.admin("/livez").await?.0, 200);
    ensure_eq!(stage.proxy.admin("/").await?.0, 404);
    ensure_eq!(stage.proxy.admin("/readyz/x").await?.0, 404);
    Ok(())
}

/// The response says whether the app accepts connections, as the kubelet's own TCP probe would.
#[tokio::test]
async fn the_tcp_probe_path_answers_for_the_app() -> TestResult {
    let app = ScriptedApp::bind("127.0.0.1:0".parse()?).await?;
    let proxy = RecyclingProxy::start(BINARY, app.address(), &[]).await?;
    let path = format!("/probe/tcp/{}", app.address().port());
    ensure_eq!(proxy.admin(&path).await?.0, 200);
    drop(app);
    ensure_eq!(proxy.admin(&path).await?.0, 503);
    Ok(())
}

/// The kubelet probes the pod's address. The app may listen there and not on loopback.
#[tokio::test]
async fn the_tcp_probe_path_finds_an_app_at_the_address_of_the_pod() -> TestResult {
    let port = ScriptedApp::bind("127.0.0.1:0".parse()?).await?.address().port();
    let options = [(ProxyOption::ProbePorts, &*port.to_string())];
    let proxy = RecyclingProxy::start(BINARY, "127.0.0.1:9".parse()?, &options).await?;
    let path = format!("/probe/tcp/{port}");
    ensure_eq!(proxy.admin(&path).await?.0, 503);
    let _app = ScriptedApp::bind((proxy.admin_address().ip(), port).into()).await?;
    ensure_eq!(proxy.admin(&path).await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn the_tcp_probe_path_without_a_valid_port_is_a_client_error() -> TestResult {
    let stage = Stage::with(&[]).await?;
    for port in ["0", "65536", "-1", "http", "", "80/x", "080"] {
        let (status, _) = stage.proxy.admin(&format!("/probe/tcp/{port}")).await?;
        ensure!([400, 404].contains(&status), "{port:?}: {status}");
    }
    Ok(())
}

/// Commands that change state go over the control socket. A drain over TCP would let anybody in the cluster drain pods.
#[tokio::test]
async fn no_admin_path_changes_state() -> TestResult {
    let stage = Stage::with_limit(1000).await?;
    for path in ["/drain", "/drained", "/quitquitquit", "/readyz", "/metrics", "/log-level"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let mut client = Peer::connect(stage.proxy.admin_address()).await?;
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            client.send(request).await?;
            let status = client.read_head().await?.status();
            ensure!(status.is_some_and(|status| status == 404 || status == 405), "{method} {path}: {status:?}");
        }
        if path == "/drain" {
            ensure_eq!(stage.proxy.admin(path).await?.0, 404);
        }
    }
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    close(client, app).await
}
