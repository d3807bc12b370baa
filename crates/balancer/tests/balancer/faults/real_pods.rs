//! Pods with real proxies, each with a client that sends ten requests per second on one connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use balancing::{BalanceState, Report};
use settings::ProxyOption;
use test_support::{Peer, RecyclingProxy, Unexpected};
use tokio::time::interval;

use crate::api_server::ApiServer;
use crate::fleet::{app, proxy_program};
use crate::proxies::{pod, slice};
use crate::running::until_some;

const EVERY: Duration = Duration::from_millis(100);

/// The pods of `shop/Deployment/web`, by name.
pub(crate) struct RealPods {
    pub(crate) api: ApiServer,
    pub(crate) proxies: BTreeMap<String, RecyclingProxy>,
    program: PathBuf,
    app: SocketAddr,
}

impl RealPods {
    /// Returns a cluster without pods.
    pub(crate) async fn none() -> Self {
        let (api, program, app) = (ApiServer::start(), proxy_program(), app().await);
        Self { api, proxies: BTreeMap::new(), program, app }
    }

    /// Adds pods that know these keys.
    pub(crate) async fn add(&mut self, names: &[&str], keys: &str) {
        for name in names {
            let options = [
                (ProxyOption::BalanceKeys, keys),
                (ProxyOption::Workload, "Deployment/web"),
                (ProxyOption::Namespace, "shop"),
            ];
            let proxy = RecyclingProxy::start(&self.program, self.app, &options).await.unwrap();
            self.api.put("pods", &pod(name, proxy.admin_address().ip()));
            tokio::spawn(client(proxy.address()));
            self.proxies.insert((*name).to_owned(), proxy);
        }
        self.publish();
    }

    /// Removes a pod.
    pub(crate) fn remove(&mut self, name: &str) {
        self.proxies.remove(name).unwrap();
        self.api.delete("pods", name);
        self.publish();
    }

    fn publish(&self) {
        let names: Vec<&str> = self.proxies.keys().map(String::as_str).collect();
        self.api.put("endpointslices", &slice(&names));
    }

    /// Waits until each of these pods reports so. Returns the reports.
    pub(crate) async fn report(&self, names: &[&str], is_so: impl Fn(&Report) -> bool) -> Vec<Report> {
        let mut reports = Vec::new();
        for name in names {
            let proxy = &self.proxies[*name];
            let report = until_some(async || {
                let (_, report) = proxy.admin("/balance").await.ok()?;
                Report::from_json(report.as_bytes()).ok().filter(&is_so)
            });
            reports.push(report.await);
        }
        reports
    }

    /// Waits until each of these pods has taken an instruction above a number. Returns the highest number then.
    pub(crate) async fn told_above(&self, names: &[&str], number: u64) -> u64 {
        let reports = self.report(names, |report| is_in_force(report) && sequence(report) > number).await;
        reports.iter().map(sequence).max().unwrap()
    }

    /// Returns the value of a sample, such as `balance_state{state="expired"}`, of a pod.
    pub(crate) async fn count(&self, name: &str, sample: &str) -> u64 {
        let (_, metrics) = self.proxies[name].admin("/metrics").await.unwrap();
        let sample = format!("evenkeel_proxy_{sample} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&sample));
        value.unwrap_or_else(|| panic!("{sample} is not in {metrics}")).parse().unwrap()
    }

    /// Returns how many instructions a pod has refused for any of these reasons.
    pub(crate) async fn refused(&self, name: &str, reasons: &[balancing::Refusal]) -> u64 {
        let mut refused = 0;
        for reason in reasons {
            refused += self.count(name, &format!("balance_refusals_total{{reason=\"{reason}\"}}")).await;
        }
        refused
    }
}

/// Returns whether balancing is in force.
pub(crate) fn is_in_force(report: &Report) -> bool {
    report.state == BalanceState::InForce
}

/// Returns the number of the last instruction, in milliseconds of the clock of who led; 0 before the first.
pub(crate) fn sequence(report: &Report) -> u64 {
    report.sequence.map_or(0, balancing::Sequence::get)
}

async fn client(address: SocketAddr) {
    let mut times = interval(EVERY);
    loop {
        times.tick().await;
        // The pod may be gone, or stopped.
        let _: Result<(), Unexpected> = async {
            let mut peer = Peer::connect(address).await?;
            loop {
                times.tick().await;
                peer.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await?;
                let head = peer.read_head().await?;
                peer.expect("ok").await?;
                if head.announces_close() {
                    return Ok(());
                }
            }
        }
        .await;
    }
}
