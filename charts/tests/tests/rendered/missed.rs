//! The policy by which API servers warn of workloads that the webhook missed.

use chart_tests::parts::PARTS;
use chart_tests::render::{Rendered, rendered};
use serde_json::{Value, json};

fn spec<'a>(rendered: &'a Rendered, kind: &str) -> &'a Value {
    &rendered.one(kind)["spec"]
}

#[test]
fn it_warns_and_never_refuses() {
    let rendered = rendered(&[]);
    assert_eq!(spec(&rendered, "ValidatingAdmissionPolicy")["failurePolicy"], "Ignore");
    let binding = spec(&rendered, "ValidatingAdmissionPolicyBinding");
    assert_eq!(binding["validationActions"], json!(["Warn"]));
    assert_eq!(binding["policyName"], rendered.one("ValidatingAdmissionPolicy")["metadata"]["name"]);
}

#[test]
fn it_looks_at_what_the_webhook_is_asked_about() {
    for part in PARTS {
        let rendered = rendered(part);
        let Some(policy) = rendered.all("ValidatingAdmissionPolicy").first().copied() else { continue };
        let seen = &policy["spec"]["matchConstraints"];
        let webhook = &rendered.one("MutatingWebhookConfiguration")["webhooks"][0];
        assert_eq!(seen["resourceRules"], webhook["rules"], "{part:?}");
        for key in ["namespaceSelector", "matchPolicy"] {
            assert_eq!(seen[key], webhook[key], "{part:?}");
        }
    }
}

#[test]
fn it_can_be_left_out() {
    let rendered = rendered(&["--set=missedWarning.enabled=false"]);
    for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
        assert!(rendered.all(kind).is_empty(), "{kind}");
    }
}
