//! Values that change what is rendered, for tests that try them alone and together.

/// An authority that `tls.mode=existing` is given; what it says is nobody's business here.
pub const AUTHORITY: &str = "tls.existing.caBundle=-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

/// Every group of values that changes what is rendered, one at a time.
pub const PARTS: &[&[&str]] = &[
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
    &["--set=webhook.kinds={Deployment,StatefulSet,DaemonSet,ReplicaSet,Pod,Rollout}"],
    &["--set=balancer.enabled=false"],
    &["--set=balancer.replicas=1", "--set=balancer.logLevel=debug", "--set=balancer.priorityClassName=high"],
    &["--set-json=balancer.tolerations=[{\"key\": \"infra\", \"operator\": \"Exists\"}]"],
    &["--set-string=balancer.podAnnotations.a\\.b/c=1", "--set-string=balancer.podLabels.team=x"],
    &["--set=missedWarning.enabled=false"],
    &["--set=events.enabled=false"],
    &["--set=networkPolicy.enabled=true"],
    &["--set=networkPolicy.enabled=true", "--set-json=networkPolicy.metricsFrom=[{\"podSelector\": {}}]"],
    &["--set=networkPolicy.enabled=true,networkPolicy.apiServerPorts={443,16443}"],
    &[
        "--set=metrics.serviceMonitor.enabled=true",
        "--set=metrics.podMonitor.enabled=true",
        "--set=metrics.prometheusRule.enabled=true",
        "--set=metrics.dashboard.enabled=true",
        "--set=metrics.serviceMonitor.labels.release=p,metrics.podMonitor.labels.release=p",
        "--set=metrics.prometheusRule.labels.release=p,metrics.dashboard.annotations.folder=f",
    ],
];
