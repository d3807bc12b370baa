//! The rules about evenkeel itself: webhook, certificates, policy, balancer.

mod balancer;
mod certificates;

use std::fmt;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;

use super::finding::{Finding, FindingId, Severity};

/// The first version of Kubernetes in which native sidecars are stable.
const OLDEST: (u32, u32) = (1, 33);
/// The label by which the chart names the version.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// What is known of an installation. What could not be read is absent here; the report says so elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct InstallationFacts {
    /// Now, in Unix time.
    pub(crate) now: f64,
    pub(crate) release: Release,
    /// Whether the right to look for an installation is missing: then nobody knows whether there is one.
    pub(crate) is_unknown: bool,
    /// Where else evenkeel is installed, if this is where somebody said it is, and it is not.
    pub(crate) elsewhere: Vec<Release>,
    /// Major and minor version of the API server.
    pub(crate) kubernetes: Option<(u32, u32)>,
    pub(crate) configuration: Option<MutatingWebhookConfiguration>,
    pub(crate) webhook: Option<Deployment>,
    pub(crate) webhook_pods: Vec<Pod>,
    /// How many nodes there are; `None` if nodes cannot be listed.
    pub(crate) nodes: Option<usize>,
    /// Whether the policy is there that warns of missed workloads; `None` if that cannot be read.
    pub(crate) policy: Option<bool>,
    pub(crate) balancer: Option<Deployment>,
    pub(crate) lease: Option<Lease>,
    /// The workloads of the leading balancer.
    pub(crate) balanced: Vec<Reports>,
    /// Whether API servers would trust each replica of the webhook that could be reached; if not, why.
    pub(crate) trusted: Vec<(String, Result<(), String>)>,
    pub(crate) probe: Option<Probe>,
    /// When the certificate expires that the webhook serves, in Unix time.
    pub(crate) served_until: Option<f64>,
}

/// Which installation it is: a release of the chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the namespace {}", self.name, self.namespace)
    }
}

/// How many pods of a workload report to the balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reports {
    /// `NAMESPACE/KIND/NAME`.
    pub(crate) workload: String,
    /// Those that take traffic.
    pub(crate) settled: usize,
    pub(crate) reporting: usize,
    /// Whether so many reports are missing that the balancer sends no instruction.
    pub(crate) is_withheld: bool,
}

/// What became of a Deployment that was created without being stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) namespace: String,
    pub(crate) injected: bool,
}

/// Returns the version that is installed.
pub(crate) fn version(facts: &InstallationFacts) -> Option<&str> {
    let labels = facts.webhook.as_ref()?.metadata.labels.as_ref()?;
    labels.get(VERSION_LABEL).map(String::as_str)
}

/// Returns what there is to say about an installation.
pub(crate) fn installation(facts: &InstallationFacts) -> Vec<Finding> {
    let old = kubernetes(facts);
    let (Some(configuration), Some(webhook)) = (&facts.configuration, &facts.webhook) else {
        return old.into_iter().chain((!facts.is_unknown).then(|| not_installed(facts))).collect();
    };
    let mut findings = Vec::from_iter(old);
    findings.extend(replicas(webhook, facts));
    findings.extend(reached(facts));
    findings.extend(certificates::certificates(facts, configuration));
    findings.extend(skew(facts));
    findings.extend(policy(facts));
    findings.extend(balancer::balancer(facts));
    if !findings.iter().any(|finding| finding.severity == Severity::Problem) {
        findings.push(installed(facts, webhook));
    }
    findings
}

fn installed(facts: &InstallationFacts, webhook: &Deployment) -> Finding {
    let (ready, _) = ready(webhook);
    let version = version(facts).unwrap_or("unknown");
    let reached = match &facts.probe {
        Some(probe) => format!(", reached by the API server (dry run in the namespace {})", probe.namespace),
        None => String::new(),
    };
    let until = facts.served_until.map_or(String::new(), |until| {
        let hours = (until - facts.now) / 3600.0;
        format!(", certificate {hours:.0} h left")
    });
    FindingId::Installed.says(format!("webhook: {ready} ready, version {version}{reached}{until}"))
}

fn kubernetes(facts: &InstallationFacts) -> Option<Finding> {
    let (major, minor) = facts.kubernetes.filter(|version| *version < OLDEST)?;
    Some(
        FindingId::ClusterTooOld
            .says(format!(
                "the API server is of version {major}.{minor}, and native sidecars need {}.{}",
                OLDEST.0, OLDEST.1
            ))
            .fix("upgrade the cluster"),
    )
}

fn not_installed(facts: &InstallationFacts) -> Finding {
    let what = match (&facts.configuration, &facts.webhook) {
        (None, None) => "neither the webhook nor its configuration is there",
        (None, Some(_)) => "the webhook runs, and no MutatingWebhookConfiguration names it",
        (Some(_), _) => "there is a MutatingWebhookConfiguration, and no Deployment of the webhook",
    };
    let finding = FindingId::NotInstalled.says(format!("evenkeel is not installed: {what}"));
    let elsewhere = facts.elsewhere.iter().map(|release| format!("it is installed as {release}"));
    let finding = elsewhere.fold(finding, Finding::detail);
    finding.fix(if facts.elsewhere.is_empty() {
        "install the chart (docs/INSTALL.md)"
    } else {
        "name one of these namespaces by --evenkeel-namespace"
    })
}

/// Returns how many replicas are ready, and how many there should be.
fn ready(deployment: &Deployment) -> (i32, i32) {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    (deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0), wanted)
}

fn replicas(webhook: &Deployment, facts: &InstallationFacts) -> Option<Finding> {
    let (ready, wanted) = ready(webhook);
    let namespace = webhook.metadata.namespace.as_deref().unwrap_or_default();
    if ready < wanted {
        let said =
            FindingId::WebhookReplicas.says(format!("{ready} of {wanted} replicas of the webhook are ready")).command(
                format!("kubectl --namespace {namespace} describe pods --selector app.kubernetes.io/component=webhook"),
            );
        return Some(if ready == 0 { said } else { said.lowered() });
    }
    let mut nodes: Vec<&str> =
        facts.webhook_pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    let pods = nodes.len();
    nodes.sort_unstable();
    nodes.dedup();
    let together = pods > 1 && nodes.len() == 1 && facts.nodes.is_some_and(|nodes| nodes > 1);
    together.then(|| {
        FindingId::WebhookOneNode
            .says(format!("all replicas of the webhook are on the node {}", nodes.concat()))
            .fix("delete one of its pods: it is scheduled elsewhere, if there is room")
    })
}

fn reached(facts: &InstallationFacts) -> Option<Finding> {
    let probe = facts.probe.as_ref().filter(|probe| !probe.injected)?;
    Some(
        FindingId::WebhookUnreached
            .says(format!(
                "the API server does not reach the webhook: a Deployment in the namespace {} (dry run) was not injected",
                probe.namespace
            ))
            .detail("objects are admitted as they are, so new pods come without the proxy")
            .fix("its pods, their log, and network policies in front of port 8443"),
    )
}

fn skew(facts: &InstallationFacts) -> Option<Finding> {
    let installed = version(facts)?;
    let own = env!("CARGO_PKG_VERSION");
    (installed != own).then(|| {
        FindingId::VersionSkew
            .says(format!("this program is of version {own}, and {installed} is installed: rules may differ"))
            .fix("use the program of the version that is installed")
    })
}

fn policy(facts: &InstallationFacts) -> Option<Finding> {
    (facts.policy == Some(false)).then(|| {
        FindingId::PolicyAbsent
            .says("no ValidatingAdmissionPolicy warns of workloads that are applied while the webhook is unavailable")
            .fix("missedWarning.enabled=true in the chart")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Returns an installation of which nothing is to be said.
    pub(super) fn sound() -> InstallationFacts {
        let deployment = |component: &str| {
            let labels = json!({VERSION_LABEL: env!("CARGO_PKG_VERSION"), "app.kubernetes.io/component": component});
            let metadata = json!({"name": component, "namespace": "evenkeel", "labels": labels});
            from(json!({"metadata": metadata, "spec": {"replicas": 2}, "status": {"readyReplicas": 2}}))
        };
        let mut facts = InstallationFacts {
            kubernetes: Some((1, 36)),
            configuration: Some(MutatingWebhookConfiguration::default()),
            webhook: Some(deployment("webhook")),
            webhook_pods: vec![on("a"), on("b")],
            nodes: Some(2),
            policy: Some(true),
            balancer: None,
            probe: Some(Probe { namespace: "shop".to_owned(), injected: true }),
            ..InstallationFacts::default()
        };
        certificates::tests::make_sound(&mut facts);
        facts
    }

    pub(super) fn from<T: serde::de::DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).unwrap()
    }

    fn on(node: &str) -> Pod {
        from(json!({"spec": {"nodeName": node, "containers": []}}))
    }

    pub(super) fn found(change: impl FnOnce(&mut InstallationFacts)) -> Vec<FindingId> {
        let mut facts = sound();
        change(&mut facts);
        let found = installation(&facts).into_iter().filter(|finding| finding.severity > Severity::Good);
        found.map(|finding| finding.id).collect()
    }

    #[test]
    fn a_sound_installation_has_no_finding() {
        assert_eq!(found(|_| {}), []);
        assert!(installation(&sound())[0].message.contains("2 ready"));
    }

    #[test]
    fn each_missing_part_of_an_installation_has_its_finding() {
        assert_eq!(found(|facts| facts.kubernetes = Some((1, 32))), [FindingId::ClusterTooOld]);
        assert_eq!(found(|facts| facts.configuration = None), [FindingId::NotInstalled]);
        assert_eq!(found(|facts| facts.webhook = None), [FindingId::NotInstalled]);
        let forbidden = |facts: &mut InstallationFacts| (facts.webhook, facts.is_unknown) = (None, true);
        assert_eq!(found(forbidden), [], "nobody knows");
        assert_eq!(found(|facts| facts.policy = Some(false)), [FindingId::PolicyAbsent]);
        assert_eq!(found(|facts| facts.policy = None), []);
        let unreached = Probe { namespace: "shop".to_owned(), injected: false };
        assert_eq!(found(|facts| facts.probe = Some(unreached)), [FindingId::WebhookUnreached]);
        let older = |facts: &mut InstallationFacts| {
            let labels = facts.webhook.as_mut().unwrap().metadata.labels.as_mut().unwrap();
            labels.insert(VERSION_LABEL.to_owned(), "0.0.1".to_owned());
        };
        assert_eq!(found(older), [FindingId::VersionSkew]);
    }

    #[test]
    fn unready_or_co_located_replicas_have_a_finding() {
        let ready = |ready: i32| {
            found(|facts| facts.webhook.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(ready))
        };
        assert_eq!((ready(0), ready(1)), (vec![FindingId::WebhookReplicas], vec![FindingId::WebhookReplicas]));
        assert_eq!(found(|facts| facts.webhook_pods = vec![on("a"), on("a")]), [FindingId::WebhookOneNode]);
        let one_node = |facts: &mut InstallationFacts| {
            facts.webhook_pods = vec![on("a"), on("a")];
            facts.nodes = Some(1);
        };
        assert_eq!(found(one_node), []);
    }
}
