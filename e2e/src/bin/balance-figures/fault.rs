//! Faults that happen while connections move.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::TestNamespace;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use settings::ADMIN_PORT;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// The namespace and the Lease of the balancer that `make install` installs.
const NAMESPACE: &str = "evenkeel";
const LEASE: &str = "evenkeel-balancer";
/// The interval at which the Lease is polled for another leader, and the time limit.
const POLL: Duration = Duration::from_millis(100);
const LED_WITHIN: Duration = Duration::from_secs(30);

/// A fault.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The pod of the balancer that leads is deleted without grace, so that the other replica has to lead.
    LeaderDeleted,
    /// Packets to the admin port of one pod are dropped, as by a network policy.
    AdminPortShut,
    /// A shell command.
    Command(String),
}

impl FromStr for Fault {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "leader-deleted" => Self::LeaderDeleted,
            "admin-port-shut" => Self::AdminPortShut,
            command => Self::Command(command.to_owned()),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaderDeleted => f.write_str("leader-deleted"),
            Self::AdminPortShut => f.write_str("admin-port-shut"),
            Self::Command(command) => f.write_str(command),
        }
    }
}

impl Fault {
    /// Returns the pod that the balancer cannot reach because of the fault, so that it keeps its connections.
    pub(crate) async fn leaves_out(&self, namespace: &TestNamespace) -> Result<Option<String>> {
        match self {
            Self::AdminPortShut => Ok(Some(victim(namespace).await?.name_any())),
            Self::LeaderDeleted | Self::Command(_) => Ok(None),
        }
    }

    /// Causes the fault.
    pub(crate) async fn happen(&self, namespace: &TestNamespace) -> Result<()> {
        match self {
            Self::LeaderDeleted => delete_leader(namespace).await,
            Self::AdminPortShut => shut_admin_port(&victim(namespace).await?).await,
            Self::Command(command) => run(Command::new("sh").args(["-c", command]), "").await,
        }
    }
}

/// Deletes the leader's pod without grace, and waits until another replica leads.
async fn delete_leader(namespace: &TestNamespace) -> Result<()> {
    let leader = leader(namespace).await?;
    let since = Instant::now();
    let pods: Api<Pod> = Api::namespaced(namespace.client(), NAMESPACE);
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete(&leader, &at_once).await.with_context(|| format!("the pod {leader} cannot be deleted"))?;
    loop {
        let now = self::leader(namespace).await?;
        if !now.is_empty() && now != leader {
            println!("{leader} was deleted; {now} leads after {:.1} s", since.elapsed().as_secs_f64());
            return Ok(());
        }
        ensure!(since.elapsed() < LED_WITHIN, "{leader} was deleted, and no other replica leads after {LED_WITHIN:?}");
        sleep(POLL).await;
    }
}

/// Returns the pod that holds the Lease; it is empty between two holders.
async fn leader(namespace: &TestNamespace) -> Result<String> {
    let lease = Api::<Lease>::namespaced(namespace.client(), NAMESPACE).get(LEASE).await?;
    Ok(lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
}

/// Returns the oldest pod, the first by name of several of the same second. It exists before and after the scale-out.
async fn victim(namespace: &TestNamespace) -> Result<Pod> {
    let pods = namespace.pods().await?.into_iter();
    pods.min_by_key(|pod| (pod.creation_timestamp(), pod.name_any())).context("the workload has no pod")
}

/// Drops packets to the admin port in the network namespace of the pod.
async fn shut_admin_port(pod: &Pod) -> Result<()> {
    let uid = pod.uid().context("a pod without a uid")?;
    let process = process_of(&uid)?;
    let rules = format!(
        "table inet shut {{ chain input {{ type filter hook input priority -10; tcp dport {ADMIN_PORT} drop; }}; }}\n"
    );
    let net = format!("--net={}", process.join("ns/net").display());
    run(Command::new("nsenter").args([&net, "nft", "--file", "-"]), &rules).await?;
    println!("{} is shut", pod.name_any());
    Ok(())
}

/// Returns the folder in `/proc` of a process of the pod with this uid, which is a part of the cgroup's name (with `_`
/// for systemd).
fn process_of(uid: &str) -> Result<PathBuf> {
    let ids = [uid.to_owned(), uid.replace('-', "_")];
    let is_of_pod = |folder: &Path| {
        let cgroup = std::fs::read_to_string(folder.join("cgroup"));
        cgroup.is_ok_and(|cgroup| ids.iter().any(|id| cgroup.contains(id.as_str())))
    };
    let mut folders = std::fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path()));
    folders.find(|folder| is_of_pod(folder)).context("no process of the pod is on this machine, where its node must be")
}

async fn run(command: &mut Command, input: &str) -> Result<()> {
    let shown = format!("{:?}", command.as_std());
    let mut child = command.stdin(Stdio::piped()).kill_on_drop(true).spawn().with_context(|| shown.clone())?;
    child.stdin.take().context("its input")?.write_all(input.as_bytes()).await?;
    let status = child.wait().await?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}
