//! Whether pods run the proxy, and which.

use super::super::finding::{Finding, FindingId};
use super::super::workload::Workload;
use super::{LivePod, listed};

const BUILD_INFO: &str = "evenkeel_proxy_build_info";

/// Returns what there is to say about the proxies' containers.
pub(super) fn pods(workload: &Workload, pods: &[LivePod], installed: Option<&str>) -> Vec<Finding> {
    let restart = format!("kubectl rollout restart {} {}", workload.name, workload.in_namespace());
    let found: Vec<Finding> = [
        without(pods).map(|found| found.command(&restart)),
        not_ready(workload, pods),
        restarted(workload, pods),
        versions(pods, installed).map(|found| found.command(&restart)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if found.is_empty() {
        let version = installed.map_or(String::new(), |version| format!(", version {version}"));
        return vec![FindingId::PodsHaveProxy.says(format!("the proxy runs in {0} of {0} pods{version}", pods.len()))];
    }
    found
}

fn without(pods: &[LivePod]) -> Option<Finding> {
    let without: Vec<&str> = pods.iter().filter(|pod| pod.proxy.is_none()).map(|pod| pod.name.as_str()).collect();
    (!without.is_empty()).then(|| {
        FindingId::PodWithoutProxy
            .says(format!("{} of {} pods run without the proxy that the template has", without.len(), pods.len()))
            .detail(listed(without))
            .fix("wait for the rollout; if there is none, restart the workload")
    })
}

fn not_ready(workload: &Workload, pods: &[LivePod]) -> Option<Finding> {
    let waiting: Vec<&str> = proxies(pods).filter(|(_, proxy)| !proxy.ready).map(|(name, _)| name).collect();
    let first = *waiting.first()?;
    Some(
        FindingId::ProxyNotReady
            .says(format!("the proxy is not ready in {} of {} pods", waiting.len(), pods.len()))
            .detail(listed(waiting))
            .fix("its log, and that of recycling-proxy-redirect, say why")
            .command(format!("kubectl logs {first} {} --container recycling-proxy", workload.in_namespace())),
    )
}

fn restarted(workload: &Workload, pods: &[LivePod]) -> Option<Finding> {
    let restarted: Vec<_> = proxies(pods).filter(|(_, proxy)| proxy.restarts > 0).collect();
    let (first, _) = *restarted.first()?;
    let lines = restarted.iter().map(|(name, proxy)| {
        let why = proxy.last_end.as_deref().unwrap_or("unknown");
        format!("{name}: {} times, last {why}", proxy.restarts)
    });
    let said = format!(
        "the proxy was restarted in {} of {} pods, which breaks their connections",
        restarted.len(),
        pods.len()
    );
    let command = format!("kubectl logs {first} {} --container recycling-proxy --previous", workload.in_namespace());
    Some(lines.take(5).fold(FindingId::ProxyRestarted.says(said), Finding::detail).command(command))
}

fn versions(pods: &[LivePod], installed: Option<&str>) -> Option<Finding> {
    let installed = installed?;
    let runs = |pod: &LivePod| pod.reading().and_then(|it| it.after.current(BUILD_INFO, "version").map(str::to_owned));
    let other: Vec<(&str, String)> = pods
        .iter()
        .filter_map(|pod| Some((pod.name.as_str(), runs(pod)?)))
        .filter(|(_, version)| version != installed)
        .collect();
    let (_, version) = other.first()?;
    Some(
        FindingId::ProxyVersion
            .says(format!(
                "{} of {} pods run the proxy of version {version}, installed is {installed}",
                other.len(),
                pods.len()
            ))
            .detail(listed(other.iter().map(|(name, _)| *name)))
            .fix("restart the workload"),
    )
}

fn proxies(pods: &[LivePod]) -> impl Iterator<Item = (&str, &super::LiveProxy)> {
    pods.iter().filter_map(|pod| Some((pod.name.as_str(), pod.proxy.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{ids, pod, workload};
    use super::*;

    const METRICS: &str = "evenkeel_proxy_build_info{version=\"0.1.0\"} 1";

    fn found(pods: &[LivePod], installed: Option<&str>) -> Vec<FindingId> {
        ids(&super::pods(&workload(), pods, installed))
    }

    #[test]
    fn pods_without_a_ready_proxy_of_the_version_have_a_finding() {
        let good = || pod("a", METRICS, METRICS);
        assert_eq!(found(&[good(), good()], Some("0.1.0")), []);
        assert_eq!(found(&[good()], Some("0.2.0")), [FindingId::ProxyVersion]);
        assert_eq!(found(&[good()], None), []);
        let without = LivePod { proxy: None, ..good() };
        assert_eq!(found(&[good(), without], None), [FindingId::PodWithoutProxy]);
        let changed = |change: fn(&mut super::super::LiveProxy)| {
            let mut pod = good();
            change(pod.proxy.as_mut().unwrap());
            pod
        };
        assert_eq!(found(&[changed(|proxy| proxy.ready = false)], None), [FindingId::ProxyNotReady]);
        assert_eq!(found(&[changed(|proxy| proxy.restarts = 2)], None), [FindingId::ProxyRestarted]);
    }
}
