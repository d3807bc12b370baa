//! Why new pods may get no load in spite of the annotation: what the proxies of two pods log and count for each cause,
//! and which alerts fire. `crates/webhook/tests/webhook/no_load.rs` tests what the webhook reports, and the causes
//! without a proxy.
//!
//! | cause | kubectl | Event | log | metric | alert |
//! |---|---|---|---|---|---|
//! | `named-port`, and a Service with a number | warns | webhook | webhook | webhook; [`pods_without_connections_raise_an_alert`] | webhook; [`pods_without_connections_raise_an_alert`] |
//! | `sessionAffinity: ClientIP` | warns | webhook | webhook | [`an_idle_pod_raises_alerts_though_connections_are_retired`] | the same |
//! | the port carries TLS | – | –: it sees no traffic | [`tls_that_is_not_terminated_raises_an_alert`] | the same | the same |
//! | the limit is never reached | – | `ProxyInjected` names it | names it at the start | [`an_idle_pod_raises_alerts_if_the_limit_is_not_reached`] | the same |
//! | a Service whose target port is not intercepted | warns | webhook | webhook | as the first | as the first |
//! | an opted-out namespace | warns (policy: `e2e/tests/warnings_and_events.rs`) | webhook | webhook | webhook | webhook |
//! | applied without a review, then scaled | warns (policy) | webhook | webhook | webhook | webhook |

use settings::ProxyOption;
use test_support::{
    LoopbackHost, Peer, RecyclingProxy, Responder, Scraped, ScriptedApp, TIMEOUT, TestResult, answer_everything_with,
    ensure, expect_alerts,
};
use tokio::time::{Instant, sleep};

use super::metrics::sum;
use crate::stage::{BINARY, GET, OK};

/// Alerts look back for an hour, and some wait (`for`) for another.
const MINUTES: u32 = 150;
/// More than ten requests/s for a minute: with fewer, the alerts ignore the distribution.
const REQUESTS: usize = 900;

/// Two pods of a workload: the proxies, their apps, and the first scrape of their metrics.
struct Pods {
    proxies: [RecyclingProxy; 2],
    _apps: [Responder; 2],
    before: [String; 2],
}

impl Pods {
    async fn start(max_requests: &str) -> TestResult<Self> {
        let (a, b) = (pod(max_requests).await?, pod(max_requests).await?);
        let before = [metrics(&a.0).await?, metrics(&b.0).await?];
        Ok(Self { proxies: [a.0, b.0], _apps: [a.1, b.1], before })
    }

    /// Sends requests to the first pod alone, on each connection until it is retired.
    async fn load(&self) -> TestResult {
        let mut client = self.proxies[0].connect().await?;
        for _ in 0..REQUESTS {
            client.send(GET).await?;
            let head = client.read_head().await?;
            client.expect("ok").await?;
            if head.announces_close() {
                client = self.proxies[0].connect().await?;
            }
        }
        Ok(())
    }

    async fn expect_alerts(self, expected: &[(&str, u32)]) -> TestResult {
        let [before_a, before_b] = self.before;
        let labels = |pod| [("namespace", "shop"), ("workload", "web"), ("pod", pod)];
        let a = Scraped { labels: &labels("a"), before: before_a, after: metrics(&self.proxies[0]).await? };
        let b = Scraped { labels: &labels("b"), before: before_b, after: metrics(&self.proxies[1]).await? };
        expect_alerts(&[a, b], MINUTES, expected)
    }
}

async fn pod(max_requests: &str) -> TestResult<(RecyclingProxy, Responder)> {
    let app = ScriptedApp::bind(LoopbackHost::reserve()?.port(8080)).await?;
    let proxy = RecyclingProxy::start(BINARY, app.address(), &[(ProxyOption::MaxRequests, max_requests)]).await?;
    Ok((proxy, Responder::start(app, answer_everything_with(OK))))
}

async fn metrics(proxy: &RecyclingProxy) -> TestResult<String> {
    Ok(proxy.admin("/metrics").await?.1)
}

#[tokio::test]
#[ignore = "needs promtool: make alerts"]
async fn pods_without_connections_raise_an_alert() -> TestResult {
    Pods::start("1000").await?.expect_alerts(&[("EvenkeelNoConnections", 1)]).await
}

#[tokio::test]
#[ignore = "needs promtool: make alerts"]
async fn an_idle_pod_raises_alerts_though_connections_are_retired() -> TestResult {
    let pods = Pods::start("10").await?;
    pods.load().await?;
    ensure!(sum(&pods.proxies[0], "evenkeel_proxy_connections_retired_total").await? > 50.0);
    ensure!(sum(&pods.proxies[1], "evenkeel_proxy_requests_total").await? == 0.0);
    pods.expect_alerts(&[("EvenkeelLoadUneven", 1), ("EvenkeelPodIdle", 1)]).await
}

#[tokio::test]
#[ignore = "needs promtool: make alerts"]
async fn an_idle_pod_raises_alerts_if_the_limit_is_not_reached() -> TestResult {
    let mut pods = Pods::start("100000").await?;
    pods.proxies[0].process().line_with("max_requests=100000").await?;
    pods.load().await?;
    ensure!(sum(&pods.proxies[0], "evenkeel_proxy_connections_retired_total").await? == 0.0);
    let shown = metrics(&pods.proxies[0]).await?;
    ensure!(shown.lines().any(|line| line == "evenkeel_proxy_max_requests{port=\"8080\"} 100000"), "{shown}");
    pods.expect_alerts(&[("EvenkeelLoadUneven", 1), ("EvenkeelPodIdle", 1)]).await
}

#[tokio::test]
#[ignore = "needs promtool: make alerts"]
async fn tls_that_is_not_terminated_raises_an_alert() -> TestResult {
    const CLIENTS: u8 = 10;
    const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let mut pods = Pods::start("1000").await?;
    let mut clients: Vec<Peer> = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = pods.proxies[0].connect().await?;
        client.send(CLIENT_HELLO).await?;
        clients.push(client);
    }
    let line = pods.proxies[0].process().line_with("clients speak TLS").await?;
    ensure!(line.contains(" WARN ") && line.contains("app_port=8080"), "{line}");
    ensure!(line.contains("evenkeel.dev/tls-secret"), "{line}");
    let (started, tunnels) = (Instant::now(), "evenkeel_proxy_tunnels_total{kind=\"tls\",source=\"client\"");
    while sum(&pods.proxies[0], tunnels).await? < f64::from(CLIENTS) {
        ensure!(started.elapsed() < TIMEOUT, "they are not counted");
        sleep(std::time::Duration::from_millis(20)).await;
    }
    pods.expect_alerts(&[("EvenkeelTlsTunnels", 1)]).await
}
