//! The sample workload of `examples/`, changed as a test needs it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SeccompProfile, SecurityContext,
    Service, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ResourceExt as _;
use settings::Annotation;

/// The Deployment `web` and its Service.
#[derive(Clone, Debug)]
pub struct Web {
    pub(crate) deployment: Deployment,
    pub(crate) service: Service,
}

impl Web {
    /// Returns the objects of `examples/web.yaml`; the Service has a `NodePort` for the test's clients.
    pub fn sample() -> anyhow::Result<Self> {
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(include_str!("../../examples/web.yaml"))
            .context("examples/web.yaml does not parse")?;
        let [deployment, service] = <[_; 2]>::try_from(documents)
            .map_err(|other| anyhow::anyhow!("examples/web.yaml: a Deployment and a Service expected: {other:?}"))?;
        let mut service: Service = serde_json::from_value(service).context("the Service of examples/web.yaml")?;
        service.spec.get_or_insert_default().type_ = Some("NodePort".to_owned());
        let deployment = serde_json::from_value(deployment).context("the Deployment of examples/web.yaml")?;
        Ok(Self { deployment, service })
    }

    /// Returns the autoscaler of `examples/autoscaling.yaml`.
    pub fn autoscaler() -> anyhow::Result<HorizontalPodAutoscaler> {
        serde_saphyr::from_str(include_str!("../../examples/autoscaling.yaml"))
            .context("examples/autoscaling.yaml does not parse")
    }

    /// Sets the number of pods.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.deployment.spec.get_or_insert_default().replicas = Some(replicas);
        self
    }

    /// Renames the Deployment.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.deployment.metadata.name = Some(name.to_owned());
        self
    }

    /// Sets an annotation of the Deployment.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.deployment.annotations_mut().insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the arguments of the app.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.app().args = Some(args.iter().map(|&arg| arg.to_owned()).collect());
        self
    }

    /// Replaces the sample's app by the apps that `make` derives from it.
    pub fn apps(mut self, make: impl FnOnce(&Container) -> anyhow::Result<Vec<Container>>) -> anyhow::Result<Self> {
        let apps = make(self.app())?;
        self.deployment.spec.get_or_insert_default().template.spec.get_or_insert_default().containers = apps;
        Ok(self)
    }

    /// Complies with the Pod Security Standard `restricted`.
    #[must_use]
    pub fn restricted(mut self) -> Self {
        let drop_all = Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() };
        let seccomp = SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() };
        self.app().security_context = Some(SecurityContext {
            run_as_non_root: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(drop_all),
            seccomp_profile: Some(seccomp),
            ..SecurityContext::default()
        });
        self
    }

    /// Uses the node's network, which rules out the proxy.
    #[must_use]
    pub fn host_network(mut self) -> Self {
        self.deployment.spec.get_or_insert_default().template.spec.get_or_insert_default().host_network = Some(true);
        self
    }

    /// Replaces the probes by TCP probes of the app's port.
    #[must_use]
    pub fn tcp_probes(mut self) -> Self {
        let port = IntOrString::String("http".to_owned());
        let probe = Probe {
            tcp_socket: Some(TCPSocketAction { port, ..TCPSocketAction::default() }),
            period_seconds: Some(1),
            ..Probe::default()
        };
        let app = self.app();
        app.readiness_probe = Some(probe.clone());
        app.liveness_probe = Some(Probe { failure_threshold: Some(1000), ..probe });
        self
    }

    /// Lets one failure of the liveness probe restart the app.
    #[must_use]
    pub fn restarted_when_failing(mut self) -> Self {
        let port = IntOrString::String("http".to_owned());
        let action = HTTPGetAction { path: Some("/healthz".to_owned()), port, ..HTTPGetAction::default() };
        self.app().liveness_probe = Some(Probe {
            http_get: Some(action),
            period_seconds: Some(1),
            // So that an app on a busy machine does not fail the probe.
            timeout_seconds: Some(5),
            failure_threshold: Some(1),
            ..Probe::default()
        });
        self
    }

    /// Follows the usual advice: a `preStop` hook that sleeps, so that nodes learn of the pod's end before its app
    /// stops.
    #[must_use]
    pub fn pre_stop_sleep(mut self, seconds: i64) -> Self {
        let handler = LifecycleHandler { sleep: Some(SleepAction { seconds }), ..LifecycleHandler::default() };
        self.app().lifecycle = Some(Lifecycle { pre_stop: Some(handler), ..Lifecycle::default() });
        self
    }

    /// Sets the CPU request and limit of the app.
    #[must_use]
    pub fn cpu(mut self, request: &str, limit: &str) -> Self {
        let resources = self.app().resources.get_or_insert_default();
        set_cpu(&mut resources.requests, request);
        set_cpu(&mut resources.limits, limit);
        self
    }

    /// Returns whether it has an annotation for injection.
    pub(crate) fn wants_sidecar(&self) -> bool {
        [Annotation::MaxRequests, Annotation::Balance]
            .iter()
            .any(|annotation| self.deployment.annotations().contains_key(annotation.key()))
    }

    /// Returns the Service.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Returns the Deployment.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    fn app(&mut self) -> &mut Container {
        let pod = self.deployment.spec.get_or_insert_default().template.spec.get_or_insert_default();
        pod.containers.first_mut().expect("examples/web.yaml has a container")
    }
}

/// Returns the injected proxy's container in a Deployment, if it is there.
pub fn sidecar(deployment: &Deployment) -> Option<&Container> {
    let containers = deployment.spec.as_ref()?.template.spec.as_ref()?.init_containers.as_ref()?;
    containers.iter().find(|container| container.name == "recycling-proxy")
}

fn set_cpu(quantities: &mut Option<BTreeMap<String, Quantity>>, cpu: &str) {
    quantities.get_or_insert_default().insert("cpu".to_owned(), Quantity(cpu.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_manifests_parse_and_agree() {
        let web = Web::sample().unwrap();
        let autoscaler = Web::autoscaler().unwrap();
        let target = autoscaler.spec.scale_target_ref;
        assert_eq!((target.kind.as_str(), target.name), ("Deployment", web.deployment.name_any()));
        assert_eq!(web.service.spec.unwrap().selector, web.deployment.spec.unwrap().selector.match_labels);
    }
}
