//! Values in many combinations, each rendered by all Helms and checked against the types of the Kubernetes API.

use std::collections::BTreeSet;

use chart_tests::parts::PARTS;
use chart_tests::render::{NAMESPACE, Rendered, rendered};
use chart_tests::strict;

#[test]
fn every_part_renders_with_every_certificate_mode() {
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
        let of_cluster = [
            "ClusterRole",
            "ClusterRoleBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ];
        if !of_cluster.contains(&kind.as_str().unwrap()) {
            assert_eq!(metadata["namespace"], NAMESPACE, "{what}");
        }
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], NAMESPACE, "{what}");
    }
}
