//! Pods without a cluster: the containers of a pod template as processes, each pod on its own loopback address.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};
use settings::ProxyOption::{Admin, App, Control, Listen};
use settings::{OptionSpec, ProxyOption};

use super::binaries::Binaries;
use super::pod_spec::{Injected, PodSpec};
use super::probe;
use super::process::Process;

/// A running pod.
#[derive(Debug)]
pub(crate) struct Pod {
    /// The address to which connections to the pod's service port go.
    pub(crate) entry: SocketAddr,
    processes: Vec<Process>,
}

impl Pod {
    /// Starts a pod's containers in the kubelet's order: the sidecar until it is ready, then the app.
    pub(crate) async fn start(
        spec: &PodSpec,
        name: &str,
        address: Ipv4Addr,
        binaries: &Binaries,
        logs: &Path,
    ) -> Result<Self> {
        let started = Self::try_start(spec, name, address, binaries, logs).await;
        started.with_context(|| format!("pod {name} does not start"))
    }

    async fn try_start(
        spec: &PodSpec,
        name: &str,
        address: Ipv4Addr,
        binaries: &Binaries,
        logs: &Path,
    ) -> Result<Self> {
        let app_port = spec.app.port()?;
        let mut processes = Vec::new();
        if let Some(injected) = &spec.injected {
            let mut env = injected.proxy.env();
            let added = from_the_namespace(injected, address, app_port);
            env.extend(added.into_iter().map(|(option, value)| (option.env().to_owned(), value)));
            let process = format!("{name}-proxy");
            let mut proxy = Process::spawn(&process, &binaries.proxy, injected.proxy.args(), &env, logs)?;
            let ready = injected.proxy.ready_at()?;
            probe::until_ready(&mut proxy, SocketAddr::from((address, ready.port)), &ready.path).await?;
            processes.push(proxy);
        }
        let own = ["--listen".to_owned(), format!("{address}:{app_port}"), "--name".to_owned(), name.to_owned()];
        let args: Vec<String> = spec.app.args().iter().cloned().chain(own).collect();
        let mut app = Process::spawn(&format!("{name}-app"), &binaries.app, &args, &spec.app.env(), logs)?;
        let ready = spec.app.ready_at()?;
        probe::until_ready(&mut app, SocketAddr::from((address, ready.port)), &ready.path).await?;
        processes.push(app);
        Ok(Self { entry: SocketAddr::from((address, spec.entered_at()?)), processes })
    }

    /// Fails if one of its programs has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check)
    }

    /// Ends its programs.
    pub(crate) async fn stop(self) -> Result<()> {
        for process in self.processes {
            process.stop().await?;
        }
        Ok(())
    }
}

/// Returns the options that replace a pod's network namespace: the pod's own addresses, the original destination of the
/// redirect, and a name of its own for the abstract socket.
pub(crate) fn from_the_namespace(injected: &Injected, address: Ipv4Addr, app_port: u16) -> [(ProxyOption, String); 4] {
    [
        (Listen, format!("{address}:{}", injected.listens_on)),
        (App, format!("{address}:{app_port}")),
        (Admin, format!("{address}:{}", injected.admin_port)),
        (Control, format!("@recycling-proxy-{address}")),
    ]
}
