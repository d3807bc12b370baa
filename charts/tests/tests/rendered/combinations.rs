//! Values in many combinations, each rendered by all Helms and judged by the types of the Kubernetes API.

use std::collections::BTreeSet;

use chart_tests::render::{NAMESPACE, Rendered, rendered};
use chart_tests::strict;

/// An authority that `tls.mode=existing` is given; what it says is nobody's business here.
pub(crate) const AUTHORITY: &str =
    "tls.existing.caBundle=-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

/// Every group of values that changes what is rendered, one at a time.
pub(crate) const PARTS: &[&[&str]] = &[
    &[],
    &["--set=tls.mode=certManager"],
    &["--set=tls.mode=certManager", "--set=tls.certManager.issuerRef.name=internal"],
    &["--set=tls.mode=existing", "--set=tls.existing.secretName=mine", "--set", AUTHORITY],
    &["--set=webhook.replicas=1"],
    &["--set=webhook.replicas=3", "--set=webhook.timeoutSeconds=30", "--set=webhook.logLevel=trace"],
    &["--set=fullnameOverride=other", "--set-string=webhook.image.tag=7,proxy.image.tag=8"],
    &["--set-json=imagePullSecrets=[{\"name\": \"registry\"}]"],
    &["--set-json=webhook.tolerations=[{\"key\": \"infra\", \"operator\": \"Exists\"}]"],
    &["--set-json=webhook.affinity={\"nodeAffinity\": {}}", "--set=webhook.priorityClassName=high"],
    &["--set-string=webhook.podAnnotations.a\\.b/c=1", "--set-string=webhook.podLabels.team=x"],
    &["--set=defaults.jitter=20%", "--set-string=defaults.hold-app=off", "--set=defaults.proxy-threads=2"],
    &["--set=namespaces.excluded={kube-system,other}", "--set-string=namespaces.matchLabels.team=x"],
    &["--set=networkPolicy.enabled=true"],
    &["--set=networkPolicy.enabled=true", "--set-json=networkPolicy.metricsFrom=[{\"podSelector\": {}}]"],
    &[
        "--set=metrics.serviceMonitor.enabled=true",
        "--set=metrics.podMonitor.enabled=true",
        "--set=metrics.prometheusRule.enabled=true",
        "--set=metrics.dashboard.enabled=true",
        "--set=metrics.serviceMonitor.labels.release=p,metrics.podMonitor.labels.release=p",
        "--set=metrics.prometheusRule.labels.release=p,metrics.dashboard.annotations.folder=f",
    ],
];

#[test]
fn each_part_alone_and_each_with_each_certificate() {
    let certificates = &PARTS[..4];
    let mut kinds = BTreeSet::new();
    for part in PARTS {
        for certificate in certificates {
            if certificate.is_empty() || !PARTS[..4].contains(part) {
                let flags = [*part, *certificate].concat();
                let rendered = rendered(&flags);
                judge(&rendered, &flags);
                kinds.extend(rendered.kinds().into_iter().map(str::to_owned));
            }
        }
    }
    for kind in ["Certificate", "Issuer", "NetworkPolicy", "PodMonitor", "PrometheusRule", "ServiceMonitor"] {
        assert!(kinds.contains(kind), "no combination renders the kind {kind}");
    }
}

fn judge(rendered: &Rendered, flags: &[&str]) {
    let mut names = BTreeSet::new();
    for object in rendered.objects() {
        let (kind, metadata) = (&object["kind"], &object["metadata"]);
        let what = format!("{kind} {} with {flags:?}", metadata["name"]);
        let of_others = ["cert-manager.io/v1", "monitoring.coreos.com/v1"];
        match strict::judge(object) {
            Some(judged) => assert_eq!(judged, Ok(()), "{what}"),
            None => assert!(of_others.contains(&object["apiVersion"].as_str().unwrap()), "{what}: an unknown kind"),
        }
        assert!(names.insert((kind.to_string(), metadata["name"].to_string())), "{what} is there twice");
        let of_cluster = ["ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration"];
        if !of_cluster.contains(&kind.as_str().unwrap()) {
            assert_eq!(metadata["namespace"], NAMESPACE, "{what}");
        }
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], NAMESPACE, "{what}");
    }
}
