//! The policies by which API servers warn of workloads that the webhook missed, and of annotations that it is not asked
//! about.

use chart_tests::parts::PARTS;
use chart_tests::render::{Rendered, rendered};
use serde_json::{Value, json};

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

/// Returns the object of this kind whose name ends so, where there is one.
fn named<'a>(rendered: &'a Rendered, kind: &str, end: &str) -> Option<&'a Value> {
    let is_it = |object: &&Value| object["metadata"]["name"].as_str().is_some_and(|name| name.ends_with(end));
    rendered.all(kind).into_iter().find(is_it)
}

#[test]
fn the_admission_policies_warn_and_never_deny() {
    let rendered = rendered(&[]);
    for end in ["-missed-workloads", "-misplaced-annotations"] {
        let [policy, binding] = [POLICY, BINDING].map(|kind| named(&rendered, kind, end).unwrap());
        assert_eq!(policy["spec"]["failurePolicy"], "Ignore", "{end}");
        assert_eq!(binding["spec"]["validationActions"], json!(["Warn"]), "{end}");
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"], "{end}");
    }
}

#[test]
fn the_policy_for_missed_workloads_matches_what_the_webhook_reviews() {
    for part in PARTS {
        let rendered = rendered(part);
        let Some(policy) = named(&rendered, POLICY, "-missed-workloads") else { continue };
        let seen = &policy["spec"]["matchConstraints"];
        let webhook = &rendered.one("MutatingWebhookConfiguration")["webhooks"][0];
        assert_eq!(seen["resourceRules"], webhook["rules"], "{part:?}");
        for key in ["namespaceSelector", "matchPolicy"] {
            assert_eq!(seen[key], webhook[key], "{part:?}");
        }
    }
}

#[test]
fn the_admission_policies_can_be_disabled() {
    let rendered = rendered(&["--set=missedWarning.enabled=false"]);
    for kind in [POLICY, BINDING] {
        assert!(rendered.all(kind).is_empty(), "{kind}");
    }
}

/// Of all kinds that could be meant, and in every namespace: it is about what the webhook is not asked about.
#[test]
fn the_policy_for_misplaced_annotations_matches_kinds_beyond_the_webhooks_rules() {
    let rendered =
        rendered(&["--set=webhook.kinds={Deployment,StatefulSet}", "--set=namespaces.matchLabels.evenkeel=on"]);
    let policy = &named(&rendered, POLICY, "-misplaced-annotations").unwrap()["spec"];
    assert!(policy["matchConstraints"].get("namespaceSelector").is_none());
    let rules = policy["matchConstraints"]["resourceRules"].to_string();
    for resource in ["statefulsets", "pods", "services", "horizontalpodautoscalers", "namespaces", "cronjobs"] {
        assert!(rules.contains(resource), "{resource}");
    }
    let told = policy.to_string();
    assert!(
        told.contains("in ['Deployment', 'StatefulSet']") && told.contains("evenkeel injects Deployment, StatefulSet")
    );
    assert!(told.contains("variables.namespaceLabels['evenkeel'] == 'on'"), "{told}");
}
