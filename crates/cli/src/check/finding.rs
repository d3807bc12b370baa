//! What a check finds, under names that do not change.

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It is good.
    Good,
    /// It may be intended, or costs some of the effect.
    Warning,
    /// The proxy is not there, has no effect, or clients meet errors.
    Problem,
}

impl Severity {
    /// Returns its name in JSON.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// Returns its sign before a line.
    pub(crate) const fn sign(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Warning => '!',
            Self::Problem => '✗',
        }
    }
}

/// Defines the findings; identifier, severity and summary are written once.
macro_rules! findings {
    ($($variant:ident: $id:literal, $severity:ident, $summary:literal;)+) => {
        /// What is found; the identifier is public interface.
        #[allow(clippy::doc_markdown, reason = "summaries are read in a document")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum FindingId {
            $(#[doc = $summary] $variant,)+
        }

        impl FindingId {
            /// Every finding, in the order in which they are documented.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the identifier: in the output, in JSON, and the anchor in docs/TROUBLESHOOTING.md.
            pub(crate) const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// Returns how much it matters.
            pub(crate) const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// Returns what it is, for documentation.
            #[cfg(test)]
            pub(crate) const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }
        }
    };
}

findings! {
    Injected: "injected", Good, "the proxy is, or would be, injected";
    ServiceReaches: "service-reaches-proxy", Good, "a Service targets the proxy";
    IngressInFront: "ingress-in-front", Good, "an Ingress routes to the workload; its controller may balance by request already";
    PodsHaveProxy: "pods-have-proxy", Good, "every pod runs the proxy, of the version that is installed";
    Measured: "measured", Good, "what the proxies count: requests/s, connections, retired connections";
    BalancingInForce: "balancing-in-force", Good, "the pods follow instructions of the balancer";
    Installed: "installed", Good, "a part of the installation works";
    InvalidAnnotations: "invalid-annotations", Problem, "annotations have faults: nothing was injected or changed";
    NotInjected: "not-injected", Problem, "the workload asks for the proxy and cannot have it";
    MeshBalances: "mesh-balances", Warning, "a service mesh balances by request already, so nothing is injected";
    NamespaceOptedOut: "namespace-opted-out", Problem, "the webhook does not review workloads of this namespace";
    KindNotReviewed: "kind-not-reviewed", Problem, "the webhook does not review this kind of workload";
    ReviewedTwice: "reviewed-twice", Warning, "more than one release of evenkeel reviews the workload";
    NotReviewed: "not-reviewed", Problem, "the workload asks for the proxy, and its template has none";
    ProxyLeftOver: "proxy-left-over", Warning, "the proxy is injected, and no annotation asks for it any more";
    InjectionOutdated: "injection-outdated", Warning, "the injected proxy has other settings than the annotations and the installation ask for";
    NoOptIn: "no-opt-in", Warning, "annotations are set, and none of them asks for the proxy";
    AnnotationMisplaced: "annotation-misplaced", Problem, "an annotation is in a place where it has no effect";
    AnnotationPrefix: "annotation-prefix", Problem, "an annotation has another prefix than evenkeel.dev/";
    DrainCut: "drain-cut", Warning, "the grace period is too short for the drain that is asked for";
    OwnHook: "own-hook", Warning, "a container has a preStop hook of its own and is not held for the drain";
    NotGuaranteed: "not-guaranteed", Warning, "pods are no longer of the QoS class Guaranteed";
    QuotaShort: "quota-short", Warning, "a quota has no room for the proxies of all replicas";
    NotBalanced: "not-balanced", Warning, "balancing is asked for and is not possible";
    PortUnnamed: "port-unnamed", Warning, "a container port without a name bypasses the proxy";
    ServiceBypasses: "service-bypasses-proxy", Problem, "a Service gives targetPort as a number, which bypasses the proxy with named-port";
    ServicePortNotTaken: "service-port-not-taken", Problem, "a Service targets a port that the proxy does not intercept";
    ServicePortUnknown: "service-port-unknown", Problem, "a Service names a targetPort that no container declares";
    HeadlessService: "headless-service", Warning, "clients of a headless Service choose pods themselves";
    SessionAffinity: "session-affinity", Warning, "retired connections come back to the same pod";
    TrafficPolicy: "traffic-policy", Warning, "reconnects stay on a node or in a zone";
    HpaByPod: "hpa-by-pod", Warning, "an autoscaler counts the proxy as part of the pod";
    ScaledObjectByPod: "scaled-object-by-pod", Warning, "a ScaledObject of KEDA counts the proxy as part of the pod";
    HpaContainer: "hpa-container", Problem, "an autoscaler scales by a container that is not the app";
    CpuRequestMissing: "cpu-request-missing", Problem, "an autoscaler needs a CPU request that a container does not have";
    AdminPortClosed: "admin-port-closed", Warning, "a NetworkPolicy blocks balancer and Prometheus from the proxy's admin port";
    PolicyByNumber: "policy-by-number", Problem, "a NetworkPolicy opens the app's port by number, but with named-port connections arrive at the proxy's port";
    PodWithoutProxy: "pod-without-proxy", Problem, "pods run without the proxy that their template has";
    ProxyVersion: "proxy-version", Warning, "proxies of another version run than is installed";
    ProxyRestarted: "proxy-restarted", Warning, "a proxy was restarted, which breaks the connections of its pod";
    ProxyNotReady: "proxy-not-ready", Problem, "a proxy is not ready";
    AppUnreachable: "app-unreachable", Problem, "the app does not accept connections on the port to which the proxy connects";
    AppNotListening: "app-not-listening", Warning, "nothing listens on a port that the proxy intercepts";
    ConnectionsBypass: "connections-bypass-proxy", Problem, "connections reach the app without the proxy";
    AppFault: "app-fault", Problem, "responses of the app are not forwarded: clients get 502 or a reset";
    AppBreaksOff: "app-breaks-off", Problem, "the app ends exchanges early: clients see a reset";
    ClientFault: "client-fault", Warning, "requests of clients are refused";
    CertificateUnusable: "certificate-unusable", Problem, "the proxy has no usable certificate, though one is asked for: TLS passes through";
    TlsTunnel: "tls-tunnel", Problem, "connections carry TLS that the proxy cannot decrypt: uncounted, never retired";
    LimitNotReached: "limit-not-reached", Warning, "connections take long to reach their limit at the rate that was measured";
    WarningEvents: "warning-events", Warning, "there are Warning Events of the workload, or of the proxy in its pods";
    LoadUneven: "load-uneven", Warning, "the busiest pod has more than 1.5 times the mean load";
    BalancingNotInForce: "balancing-not-in-force", Warning, "pods do not follow the balancer";
    ClusterTooOld: "cluster-too-old", Problem, "the cluster is older than Kubernetes 1.33";
    NotInstalled: "not-installed", Problem, "the webhook is not installed";
    WebhookReplicas: "webhook-replicas", Problem, "replicas of the webhook are not ready";
    WebhookOneNode: "webhook-one-node", Warning, "all replicas of the webhook are on one node";
    WebhookUnreached: "webhook-unreached", Problem, "the API server does not reach the webhook";
    CaBundle: "ca-bundle", Problem, "the webhook configuration has no usable caBundle";
    ReplicaCertificate: "replica-certificate", Problem, "a replica of the webhook serves a certificate that the caBundle does not verify";
    CertificateExpires: "certificate-expires", Problem, "the certificate of the webhook has expired or is about to";
    VersionSkew: "version-skew", Warning, "this program and what is installed are of different versions";
    PolicyAbsent: "policy-absent", Warning, "nothing warns of workloads that are not reviewed";
    BalancerReplicas: "balancer-replicas", Problem, "replicas of the balancer are not ready";
    BalancerNoLeader: "balancer-no-leader", Problem, "no replica of the balancer leads";
    BalancerReports: "balancer-reports-missing", Problem, "pods do not report to the balancer";
}

/// One line of a report, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) id: FindingId,
    pub(crate) severity: Severity,
    /// One sentence, without a full stop.
    pub(crate) message: String,
    /// What else is known.
    pub(crate) details: Vec<String>,
    /// How to repair it.
    pub(crate) fix: Option<String>,
    /// The command that repairs it.
    pub(crate) command: Option<String>,
}

impl FindingId {
    /// Returns a finding with this sentence.
    pub(crate) fn says(self, message: impl Into<String>) -> Finding {
        let (details, severity) = (Vec::new(), self.severity());
        Finding { id: self, severity, message: message.into(), details, fix: None, command: None }
    }
}

impl Finding {
    /// Adds what else is known.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Adds how to repair it.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds the command that repairs it.
    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// Lowers it to a warning.
    pub(crate) fn lowered(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn troubleshooting_md_has_an_entry_for_every_finding() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/TROUBLESHOOTING.md");
        let page = fs::read_to_string(page).unwrap();
        for finding in FindingId::ALL {
            let (id, sign, summary) = (finding.id(), finding.severity().sign(), finding.summary());
            let entry = format!("| <a id=\"check-{id}\"></a>`{id}` | {sign} | {summary} |");
            assert!(page.contains(&entry), "docs/TROUBLESHOOTING.md lacks: {entry}");
        }
    }

    /// Problems and warnings are not there for the sound workload beside the others; what is good has to be looked for twice.
    #[test]
    fn every_finding_is_met_on_a_real_api_server() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/tests");
        let files = [folder.clone(), folder.join("check")].into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let sources: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
        for finding in FindingId::ALL {
            let least = if finding.severity() == Severity::Good { 2 } else { 1 };
            let id = finding.id();
            // In JSON, and in lines.
            let found: usize =
                [format!("\"{id}\""), format!("[{id}]")].iter().map(|written| sources.matches(written).count()).sum();
            assert!(found >= least, "e2e/tests names {id} {found} times: let it be there, and not there");
        }
    }

    #[test]
    fn identifiers_of_findings_are_distinct() {
        let mut ids: Vec<_> = FindingId::ALL.iter().map(|finding| finding.id()).collect();
        assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), FindingId::ALL.len());
    }
}
