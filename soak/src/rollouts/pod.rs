//! A pod of two processes, which are ended in the kubelet's order.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use settings::ProxyOption;
use test_support::RecyclingProxy;
use tokio::time::{Instant, sleep};

use crate::lane::App;
use crate::programs::Programs;

/// Less than the 20 s that injection sets with a grace period of 30 s, so that the harness does not time out.
const DRAIN_TIMEOUT: &str = "15s";
/// The kubelet starts the hooks of a pod together; either may be first.
const HOOKS_APART: Duration = Duration::from_millis(200);

/// An app and its sidecar.
pub(crate) struct Pod {
    app: App,
    proxy: RecyclingProxy,
}

/// How a pod ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodShutdown {
    /// Requests that its app has served.
    pub(crate) served: u64,
    /// How long the hooks took.
    pub(crate) drain: Duration,
    /// Whether the drain ended because no connection was left.
    pub(crate) drained: bool,
}

impl Pod {
    /// Starts both and waits until the pod is ready.
    pub(crate) async fn start(programs: &Programs) -> Result<Self> {
        let app = App::start(&programs.app).await?;
        // Connections are also recycled by their number of requests.
        let options = [
            (ProxyOption::MaxRequests, "100"),
            (ProxyOption::Jitter, "10%"),
            (ProxyOption::DrainTimeout, DRAIN_TIMEOUT),
            (ProxyOption::LogLevel, "error"),
        ];
        let proxy = RecyclingProxy::start(&programs.proxy, app.address(), &options).await?;
        Ok(Self { app, proxy })
    }

    /// Returns the address to which clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Returns the number of requests that its app has served so far.
    pub(crate) async fn served(&self) -> Result<u64> {
        Ok(self.app.served().await?.requests)
    }

    /// Ends the pod in the kubelet's order: it runs both hooks together, sends SIGTERM to the app when the app's hook
    /// has ended, and SIGTERM to the sidecar last.
    pub(crate) async fn end(self) -> Result<PodShutdown> {
        let Self { mut app, mut proxy } = self;
        let begun = Instant::now();
        let [of_app, of_proxy] = [(); 2].map(|()| HOOKS_APART.mul_f64(fastrand::f64()));
        let hook_of_proxy = async {
            sleep(of_proxy).await;
            let (status, output) = proxy.drain()?.keeping_its_output().end().await?;
            ensure!(status.success(), "the drain failed ({status}): {output}");
            Ok(output.contains("no connection is left"))
        };
        let hook_of_app = async {
            sleep(of_app).await;
            let (status, body) = proxy.admin("/drained").await?;
            ensure!(status == 200, "/drained answered {status}: {body}");
            let drain = begun.elapsed();
            let served = app.served().await?.requests;
            app.process.signal(Signal::TERM)?;
            let (status, output) = app.process.end().await?;
            ensure!(status.success(), "the app failed ({status}): {output}");
            Ok((drain, served))
        };
        let (drained, (drain, served)) = tokio::try_join!(hook_of_proxy, hook_of_app)?;
        proxy.terminate()?;
        let (status, output) = proxy.process().end().await.context("the sidecar after its SIGTERM")?;
        ensure!(status.success(), "the sidecar failed ({status}): {output}");
        Ok(PodShutdown { served, drain, drained })
    }
}
