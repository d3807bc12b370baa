//! The containers of a Deployment's pod, read from its object. Pure.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use inject::{PROXY_CONTAINER, REDIRECT_CONTAINER};
use serde::Deserialize;
use serde_json::Value;
use settings::{ProxySettings, RawOptions, RedirectSettings, Routes};

/// The containers of a pod that the demo can start.
#[derive(Clone, Debug)]
pub(crate) struct PodSpec {
    /// The app's container.
    pub(crate) app: Container,
    /// The injected containers, if there are any.
    pub(crate) injected: Option<Injected>,
}

/// The containers that the webhook injected.
#[derive(Clone, Debug)]
pub(crate) struct Injected {
    /// The sidecar as in the manifest.
    pub(crate) proxy: Container,
    /// The port on which the sidecar accepts redirected connections.
    pub(crate) listens_on: u16,
    /// Its admin port.
    pub(crate) admin_port: u16,
    /// The ports that the init container would redirect in the pod's network namespace.
    pub(crate) redirect: RedirectSettings,
}

/// The parts of a container that the demo needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Container {
    name: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<EnvVar>,
    #[serde(default)]
    ports: Vec<ContainerPort>,
    startup_probe: Option<Probe>,
    readiness_probe: Option<Probe>,
}

#[derive(Clone, Debug, Deserialize)]
struct EnvVar {
    name: String,
    /// Absent if the kubelet would set it; there is no kubelet here.
    value: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    container_port: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    http_get: HttpGet,
}

/// The readiness check of a container.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct HttpGet {
    pub(crate) path: String,
    pub(crate) port: u16,
}

impl PodSpec {
    /// Reads the pod template of a Deployment object.
    pub(crate) fn of_deployment(object: &Value) -> Result<Self> {
        let pod = object.pointer("/spec/template/spec").context("the Deployment has no pod template")?;
        let containers = containers(pod, "containers")?;
        let app = containers.into_iter().next().context("the pod template has no container")?;
        let mut init: BTreeMap<String, Container> = containers_by_name(pod)?;
        let injected = match (init.remove(PROXY_CONTAINER), init.remove(REDIRECT_CONTAINER)) {
            (None, None) => None,
            (Some(proxy), Some(redirect)) => Some(Injected::of(proxy, &redirect)?),
            (Some(_), None) | (None, Some(_)) => anyhow::bail!("one of the two injected containers is missing"),
        };
        Ok(Self { app, injected })
    }

    /// Returns the port of a pod to which connections to the app's port go after the redirect.
    pub(crate) fn entered_at(&self) -> Result<u16> {
        let port = self.app.port()?;
        let taken = self.injected.as_ref().filter(|injected| injected.redirect.ports.contains(&port));
        Ok(taken.map_or(port, |injected| injected.redirect.to))
    }
}

impl Injected {
    fn of(proxy: Container, redirect: &Container) -> Result<Self> {
        let settings = ProxySettings::from_raw(&RawOptions::from_env(|name| proxy.variable(name)))
            .context("the injected proxy's settings")?;
        let Routes::OriginalDestination(listen) = &settings.routes else {
            anyhow::bail!("the injected proxy does not ask for the original destination");
        };
        let listens_on = listen.first().context("the injected proxy listens nowhere")?.port();
        let redirect = RedirectSettings::from_raw(&RawOptions::from_env(|name| redirect.variable(name)))
            .context("the injected redirect's settings")?;
        Ok(Self { proxy, listens_on, admin_port: settings.admin.port(), redirect })
    }
}

impl Container {
    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    /// Returns its environment without variables of the image.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        self.env.iter().filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?))).collect()
    }

    /// Returns the one port that it declares.
    pub(crate) fn port(&self) -> Result<u16> {
        let port = self.ports.first().with_context(|| format!("container {} declares no port", self.name))?;
        Ok(port.container_port)
    }

    /// Returns the check by which the kubelet learns that it has started: its startup probe, or else its readiness
    /// probe.
    pub(crate) fn ready_at(&self) -> Result<&HttpGet> {
        let probe = self.startup_probe.as_ref().or(self.readiness_probe.as_ref());
        let probe = probe.with_context(|| format!("container {} has no probe", self.name))?;
        Ok(&probe.http_get)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.env.iter().find(|variable| variable.name == name)?.value.clone()
    }
}

fn containers(pod: &Value, key: &str) -> Result<Vec<Container>> {
    let list = pod.get(key).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    serde_json::from_value(list).with_context(|| format!("{key} of the pod template"))
}

fn containers_by_name(pod: &Value) -> Result<BTreeMap<String, Container>> {
    Ok(containers(pod, "initContainers")?.into_iter().map(|container| (container.name.clone(), container)).collect())
}

#[cfg(test)]
mod tests {
    use inject::{Installation, Outcome, WorkloadKind, inject};
    use settings::Annotation;

    use super::super::manifest::{Manifest, annotated};
    use super::*;

    fn injected(annotations: &[(Annotation, String)]) -> Value {
        let mut object = annotated(&Manifest::new(8081, 2).object().unwrap(), annotations);
        match inject(&object, WorkloadKind::Deployment, None, &Installation::default()) {
            Outcome::Inject { patch, .. } => json_patch::patch(&mut object, &patch).unwrap(),
            other => panic!("{other:?}"),
        }
        object
    }

    #[test]
    fn clients_reach_the_app_of_a_pod_without_the_proxy() {
        let spec = PodSpec::of_deployment(&Manifest::new(8081, 2).object().unwrap()).unwrap();
        assert!(spec.injected.is_none());
        assert_eq!(spec.entered_at().unwrap(), 8081);
        assert_eq!(spec.app.ready_at().unwrap(), &HttpGet { path: "/healthz".into(), port: 8081 });
    }

    #[test]
    fn clients_reach_the_proxy_of_an_injected_pod() {
        let object = injected(&[(Annotation::MaxRequests, "7".into())]);
        let spec = PodSpec::of_deployment(&object).unwrap();
        assert_eq!(spec.entered_at().unwrap(), settings::PROXY_PORT);
        let injected = spec.injected.unwrap();
        assert_eq!((injected.listens_on, injected.admin_port), (settings::PROXY_PORT, settings::ADMIN_PORT));
        assert_eq!(injected.proxy.args(), ["run"]);
        assert_eq!(injected.proxy.variable("EVENKEEL_MAX_REQUESTS"), Some("7".into()));
        assert_eq!(injected.proxy.ready_at().unwrap().port, settings::ADMIN_PORT);
    }

    #[test]
    fn clients_reach_the_app_at_a_port_that_is_not_intercepted() {
        let object = injected(&[(Annotation::MaxRequests, "7".into()), (Annotation::Ports, "9090".into())]);
        assert_eq!(PodSpec::of_deployment(&object).unwrap().entered_at().unwrap(), 8081);
    }

    #[test]
    fn an_incomplete_injection_is_an_error() {
        let mut object = injected(&[(Annotation::MaxRequests, "7".into())]);
        object["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
        let error = PodSpec::of_deployment(&object).unwrap_err().to_string();
        assert!(error.contains("one of the two injected containers is missing"), "{error}");
    }
}
