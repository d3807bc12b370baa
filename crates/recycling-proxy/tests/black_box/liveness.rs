//! The hook that holds an app. The proxy sends the kubelet's liveness probe to the app. An app that passes is held
//! however late its drain begins; one that fails is not held, although it answers clients.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use settings::ProxyOption;
use test_support::{
    Cases, Head, LoopbackHost, RecyclingProxy, Responder, ScriptedApp, TestResult, ensure, ensure_eq, within_timeout,
};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use crate::stage::{BINARY, GET, OK, WITHOUT_WAITING};

const HOOK: &str = "/drained/web";
/// An app that answers clients and has no probe is held for longer than this.
const HELD_SHORTLY: Duration = WITHOUT_WAITING;
/// When a late drain begins, after the hook. Without a probe, the hook does not wait for it.
const LATE: Duration = Duration::from_secs(4);
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// A proxy in front of an app that answers clients with 200, and probes as the test says.
pub(crate) struct Answering {
    pub(crate) proxy: RecyclingProxy,
    pub(crate) app: Responder,
    _host: LoopbackHost,
}

impl Answering {
    /// Starts both, with this response to probes.
    async fn with(to_probes: &'static str) -> TestResult<Self> {
        Self::with_probe(to_probes, |app| format!(r#"{{"httpGet":{{"path":"/healthz","port":{}}}}}"#, app.port()), &[])
            .await
    }

    /// Starts both, with a probe of another port.
    pub(crate) async fn probed_at(probe: &str, options: &[(ProxyOption, &str)]) -> TestResult<Self> {
        Self::with_probe(OK, |_| probe.to_owned(), options).await
    }

    async fn with_probe(
        to_probes: &'static str,
        probe: impl FnOnce(SocketAddr) -> String,
        options: &[(ProxyOption, &str)],
    ) -> TestResult<Self> {
        let host = LoopbackHost::reserve()?;
        let app = ScriptedApp::bind(host.port(8080)).await?;
        let liveness = format!(r#"{{"web":{}}}"#, probe(app.address()));
        let options = [options, &[(ProxyOption::Liveness, &liveness)]].concat();
        let proxy = RecyclingProxy::start(BINARY, app.address(), &options).await?;
        let answer = move |head: &Head| {
            let answer = if is_probe(head) { to_probes } else { OK };
            answer.as_bytes().to_vec()
        };
        Ok(Self { proxy, app: Responder::start(app, answer), _host: host })
    }

    /// Returns how long the app is held while it answers a client.
    pub(crate) async fn time_held(&self) -> TestResult<Duration> {
        let mut client = self.proxy.connect().await?;
        let begun = Instant::now();
        let mut held = pin!(self.proxy.admin(HOOK));
        loop {
            client.send(GET).await?;
            client.expect(OK).await?;
            if let Ok(answer) = timeout(Duration::from_millis(200), &mut held).await {
                ensure_eq!(answer?.0, 200);
                return Ok(begun.elapsed());
            }
        }
    }

    /// Returns whether the hook waits for a drain that begins late, without any client.
    pub(crate) async fn is_held_for_a_late_drain(&self) -> TestResult<bool> {
        let hook = async {
            let begun = Instant::now();
            ensure_eq!(self.proxy.admin(HOOK).await?.0, 200);
            TestResult::Ok(begun.elapsed() >= LATE)
        };
        let drain = async {
            sleep(LATE).await;
            ensure!(self.proxy.drain()?.end().await?.0.success());
            TestResult::Ok(())
        };
        let (is_held, ()) = tokio::try_join!(hook, drain)?;
        Ok(is_held)
    }
}

fn is_probe(head: &Head) -> bool {
    head.start_line().starts_with("GET /healthz ")
}

/// Returns whether an app was held only as long as a failing one: in a pod that is being terminated, the drain mostly
/// begins within this time.
fn is_released(held: Duration) -> bool {
    (Duration::from_millis(490)..HELD_SHORTLY).contains(&held)
}

#[tokio::test]
async fn an_app_that_fails_its_probe_is_not_held_although_it_answers_clients() -> TestResult {
    let mut cases = Cases::default();
    for (what, answer) in [
        ("unavailable", UNAVAILABLE),
        ("not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ("no HTTP", "\0\0\0\0\0\0\0\0\0\r\n\r\n"),
    ] {
        let outcome = async {
            let app = Answering::with(answer).await?;
            let held = app.time_held().await?;
            ensure!(is_released(held), "{held:?}");
            let requests = app.app.connections().concat();
            ensure_eq!(requests.iter().filter(|head| is_probe(head)).count(), 1);
            Ok(())
        };
        cases.note(what, outcome.await);
    }
    for probe in [r#"{"httpGet":{"port":1}}"#, r#"{"tcpSocket":{"port":1}}"#] {
        let outcome = async {
            let held = Answering::probed_at(probe, &[]).await?.time_held().await?;
            ensure!(is_released(held), "{held:?}");
            Ok(())
        };
        cases.note(format!("refused: {probe}"), outcome.await);
    }
    cases.verdict()
}

#[tokio::test]
async fn an_app_that_is_alive_is_held_however_late_its_drain_begins() -> TestResult {
    let alive = Answering::with("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n").await?;
    ensure!(alive.is_held_for_a_late_drain().await?, "by its probe");
    let requests = alive.app.connections().concat();
    ensure_eq!(requests.len(), 1);
    ensure_eq!(requests[0].tokens("host").len(), 1);
    ensure!(requests[0].announces_close());
    Ok(())
}

#[tokio::test]
async fn an_app_with_a_tcp_probe_is_held_if_it_accepts_connections() -> TestResult {
    // It listens at loopback, which the probe tries before the pod's address.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let probe = format!(r#"{{"tcpSocket":{{"port":{}}}}}"#, listener.local_addr()?.port());
    ensure!(Answering::probed_at(&probe, &[]).await?.is_held_for_a_late_drain().await?);
    Ok(())
}

/// The proxy has no probe for the container, which has answered no client either.
#[tokio::test]
async fn a_container_without_a_known_probe_is_held_by_signs_of_life() -> TestResult {
    let app = Answering::with(UNAVAILABLE).await?;
    let begun = Instant::now();
    ensure_eq!(app.proxy.admin("/drained/another").await?.0, 200);
    let held = begun.elapsed();
    ensure!((Duration::from_millis(1_500)..HELD_SHORTLY).contains(&held), "{held:?}");
    ensure_eq!(app.app.requests(), 0);
    Ok(())
}

/// Without the header the app would fail the probe, as it would fail the kubelet's.
#[tokio::test]
async fn the_probe_has_the_proxy_header_that_the_app_expects() -> TestResult {
    let app = ScriptedApp::bind("127.0.0.1:0".parse()?).await?;
    let port = app.address().port();
    for (with_header, header) in [(true, "PROXY TCP4 "), (false, "GET /healthz ")] {
        let probe = format!(
            r#"{{"httpGet":{{"path":"/healthz","port":{port},"httpHeaders":[{{"name":"Host","value":"web"}}]}},"proxyProtocol":{with_header}}}"#
        );
        let answering = Answering::probed_at(&probe, &[(ProxyOption::ProxyProtocol, "v1")]).await?;
        let probed_app = async {
            let mut probed = app.accept().await?;
            probed.expect(header).await?;
            let pod = answering.proxy.admin_address().ip();
            if with_header {
                let rest = String::from_utf8(probed.split().0.read_until(b"\r\n").await?)?;
                ensure!(rest.starts_with("127.0.0.1 ") || rest.starts_with(&format!("{pod} ")), "{rest}");
                ensure!(rest.contains(&format!(" {pod} ")) && rest.ends_with(&format!(" {port}\r\n")), "{rest}");
            }
            let head = probed.read_head().await?;
            ensure_eq!(head.tokens("host"), ["web"]);
            probed.send(UNAVAILABLE).await?;
            TestResult::Ok(())
        };
        let hook = async {
            ensure_eq!(answering.proxy.admin(HOOK).await?.0, 200);
            TestResult::Ok(())
        };
        within_timeout("test", "the hook", async { tokio::try_join!(probed_app, hook) }).await??;
    }
    Ok(())
}

/// An injected hook requests Kubernetes' default path. Its port identifies the container.
#[tokio::test]
async fn a_hold_port_identifies_the_container_of_the_hook() -> TestResult {
    let options = [(ProxyOption::Hold, "15212=web,15219")];
    let app = Answering::with_probe(
        UNAVAILABLE,
        |app| format!(r#"{{"httpGet":{{"path":"/healthz","port":{}}}}}"#, app.port()),
        &options,
    )
    .await?;
    for (port, hook, shortest) in [(15_212, "the failing app's", 0), (15_219, "an unknown container's", 1500)] {
        let begun = Instant::now();
        ensure_eq!(app.proxy.hook(port, "/").await?.0, 200);
        let shortest = Duration::from_millis(shortest);
        ensure!((shortest..shortest + HELD_SHORTLY).contains(&begun.elapsed()), "{hook} hook: {:?}", begun.elapsed());
        for path in ["/drained", "/metrics", "/readyz", "/probe/tcp/8080"] {
            ensure_eq!(app.proxy.hook(port, path).await?.0, 404);
        }
    }
    ensure_eq!(app.proxy.admin("/").await?.0, 404);
    Ok(())
}
