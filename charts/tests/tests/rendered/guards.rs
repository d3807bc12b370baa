//! Values that would install and then not work are refused with a sentence; unknown ones by the schema.

use chart_tests::parts::AUTHORITY;
use chart_tests::render::render;

fn said(flags: &[&str]) -> String {
    render(flags).err().unwrap_or_else(|| panic!("{flags:?} is rendered"))
}

#[test]
fn unusable_values_fail_with_a_sentence() {
    let cases: &[(&[&str], &str)] = &[
        (&["--set=webhook.replicas=0"], "webhook.replicas is 0: nobody would answer"),
        (&["--set=webhook.timeoutSeconds=0"], "webhook.timeoutSeconds is 0: Kubernetes allows 1 to 30"),
        (&["--set=webhook.timeoutSeconds=31"], "webhook.timeoutSeconds is 31: Kubernetes allows 1 to 30"),
        (&["--set=webhook.logLevel=loud"], "webhook.logLevel is \"loud\": give error, warn, info, debug or trace"),
        (&["--set=balancer.replicas=0"], "balancer.replicas is 0: nobody would balance"),
        (&["--set=balancer.logLevel=loud"], "balancer.logLevel is \"loud\": give error, warn, info, debug or trace"),
        (&["--set-json=namespaces.excluded=[]"], "namespaces.excluded has no kube-system"),
        (&["--set=namespaces.excluded={other}"], "namespaces.excluded has no kube-system"),
        (&["--set=defaults.max-requests=5"], "each workload asks for the proxy itself"),
        (
            &["--set=defaults.hold-app=false"],
            "defaults.hold-app is false, which is what YAML makes of a bare on or off",
        ),
        (&["--set=tls.mode=none"], "tls.mode is \"none\": give self, certManager or existing"),
        (&["--set=tls.mode=existing", "--set", AUTHORITY], "tls.existing.secretName is empty"),
        (&["--set=tls.mode=existing,tls.existing.secretName=x"], "tls.existing.caBundle has no certificate in PEM"),
        (&["--set=tls.existing.secretName=x"], "tls.mode is self, which does not use it"),
        (&["--set=tls.certManager.issuerRef.name=x"], "tls.mode is self, which does not use it"),
        (&["--set-json=networkPolicy.metricsFrom=[{\"podSelector\": {}}]"], "it would change nothing"),
    ];
    for (flags, sentence) in cases {
        let said = said(&[*flags, &["--skip-schema-validation"]].concat());
        assert!(said.contains(sentence), "{flags:?}: {said}");
    }
}

#[test]
fn the_schema_names_the_value_that_it_refuses() {
    let cases: &[(&str, &str)] = &[
        ("--set=replicas=2", "replicas"),
        ("--set=webhook.replica=2", "replica"),
        ("--set-json=webhook.image.tag=1.5", "tag"),
        ("--set=webhook.replicas=0", "replicas"),
        ("--set=webhook.timeoutSeconds=31", "timeoutSeconds"),
        ("--set=webhook.logLevel=loud", "logLevel"),
        ("--set=webhook.resources.request.cpu=1", "request"),
        ("--set=defaults.jiter=20%", "jiter"),
        ("--set=defaults.hold-app=false", "hold-app"),
        ("--set=tls.certManager.issuerRef.kind=ClusterIssuer", "name"),
        ("--set=metrics.podMonitor.interval=often", "interval"),
        ("--set=metrics.dashboard.enabled=on", "enabled"),
    ];
    for (flag, name) in cases {
        let said = said(&[flag]);
        assert!(said.contains("schema") && said.contains(name), "{flag}: {said}");
    }
}
