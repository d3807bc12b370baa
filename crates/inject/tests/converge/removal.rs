//! Workloads that are no longer to have the proxy, or can no longer have it.

use inject::{Decision, Outcome, remove};
use serde_json::json;

use crate::workload::{DEPLOYMENT, applied, assert_sound, client_side_apply, injected, original, outcome};

#[test]
fn opting_out_by_applying_a_manifest_removes_the_proxy() {
    let mut author = original();
    author["metadata"].as_object_mut().unwrap().remove("annotations");
    let mut arrived = client_side_apply(&injected(&original()), &original());
    arrived["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(outcome(&arrived).decision(), Decision::Removed);
    assert_eq!(applied(&arrived, &outcome(&arrived)), author);
}

#[test]
fn a_workload_that_can_no_longer_have_the_proxy_is_restored() {
    let mut arrived = injected(&original());
    let mut author = original();
    for object in [&mut arrived, &mut author] {
        object["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    }
    assert_eq!(outcome(&arrived).decision(), Decision::Skipped);
    assert_eq!(applied(&arrived, &outcome(&arrived)), author);
}

#[test]
fn a_workload_that_would_become_too_large_is_left_unchanged() {
    let annotated = |length: usize| {
        let mut object = original();
        object["spec"]["template"]["metadata"]["annotations"] = json!({"k": "x".repeat(length - 1)});
        object
    };
    // The most that an API server accepts; too much with our status.
    let full = outcome(&annotated(262_144));
    assert_eq!((full.skip_reason(), full.patch()), (Some(inject::SkipReason::TooLarge), None));
    let fitting = annotated(261_000);
    let injected = applied(&fitting, &outcome(&fitting));
    assert_sound(&injected);
    // A workload that has grown since is restored.
    let mut grown = injected;
    grown["spec"]["template"]["metadata"]["annotations"]["k"] = json!("x".repeat(262_143));
    assert_eq!(applied(&grown, &outcome(&grown)), annotated(262_144));
}

#[test]
fn a_proxy_written_by_hand_is_not_removed() {
    let mut by_hand = injected(&original());
    by_hand["metadata"].as_object_mut().unwrap().remove("annotations");
    by_hand["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(outcome(&by_hand), Outcome::NotAsked);
    let mut unfit = by_hand.clone();
    unfit["metadata"]["annotations"] = json!({"evenkeel.dev/max-requests": "10"});
    unfit["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    assert_eq!((outcome(&unfit).decision(), outcome(&unfit).patch()), (Decision::Skipped, None));
    let mut faulty = unfit.clone();
    faulty["metadata"]["annotations"] = json!({"evenkeel.dev/max-requests": "none"});
    assert_eq!((outcome(&faulty).decision(), outcome(&faulty).patch()), (Decision::Invalid, None));
    // A command may remove it.
    assert_eq!(remove(&by_hand, DEPLOYMENT).decision(), Decision::Removed);
}
