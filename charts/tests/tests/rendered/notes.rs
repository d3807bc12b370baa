//! What `helm install` prints: the next commands, and warnings about risky values.

use chart_tests::parts::PARTS;
use chart_tests::render::notes;

#[test]
fn the_notes_of_a_default_release_have_next_commands_and_no_warning() {
    let notes = notes(&[]);
    for command in ["helm test evenkeel --namespace evenkeel", "kubectl annotate deployment NAME", "logs --selector"] {
        assert!(notes.contains(command), "{command} is not in {notes}");
    }
    assert!(notes.contains("but kube-system, kube-node-lease and this one:"), "{notes}");
    assert!(!notes.contains("WARNING"), "{notes}");
}

#[test]
fn the_notes_warn_of_each_risk() {
    for (flag, warning) in [
        ("--set=webhook.replicas=1", "with one replica"),
        ("--set=webhook.timeoutSeconds=6", "takes that long"),
        ("--set=webhook.logLevel=debug", "many lines per review"),
        ("--set=metrics.prometheusRule.enabled=true", "alerts stay silent"),
    ] {
        let notes = notes(&[flag]);
        assert!(notes.contains("WARNING") && notes.contains(warning), "{flag}: {notes}");
    }
}

#[test]
fn the_notes_name_the_host_of_a_given_certificate() {
    let notes = notes(PARTS[3]);
    assert!(
        notes.contains("Secret mine must have a certificate for the name evenkeel-webhook.evenkeel.svc"),
        "{notes}"
    );
}
