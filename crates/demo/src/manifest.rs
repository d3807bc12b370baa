//! The Deployment of the demo: the author's manifest, and the API server's object.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use settings::Annotation;

/// An ordinary manifest without anything of evenkeel.
const DEPLOYMENT: &str = include_str!("deployment.yaml");
/// The app's port in it.
const PORT: &str = "8080";

/// A Deployment manifest.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    yaml: String,
}

impl Manifest {
    /// Returns the manifest with an app on this port, as many replicas, and nothing of evenkeel.
    pub(crate) fn new(port: u16, replicas: u8) -> Self {
        let yaml = DEPLOYMENT.replace(PORT, &port.to_string());
        Self { yaml: yaml.replace("replicas: 2", &format!("replicas: {replicas}")) }
    }

    /// Returns its text.
    pub(crate) fn yaml(&self) -> &str {
        &self.yaml
    }

    /// Returns the object that `kubectl apply` makes of it.
    pub(crate) fn object(&self) -> Result<Value> {
        serde_saphyr::from_str(&self.yaml).context("the demo's own manifest does not parse")
    }
}

/// Returns what `kubectl annotate deployment web KEY=VALUE …` makes of an object.
pub(crate) fn annotated(object: &Value, annotations: &[(Annotation, String)]) -> Value {
    let mut object = object.clone();
    for (annotation, value) in annotations {
        object["metadata"]["annotations"][annotation.key()] = json!(value);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_the_given_port_and_replicas() {
        let object = Manifest::new(8083, 3).object().unwrap();
        assert_eq!(object["spec"]["replicas"], 3);
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["containerPort"], 8083);
        assert_eq!(container["readinessProbe"]["httpGet"]["port"], 8083);
    }

    #[test]
    fn annotations_are_put_on_the_workload() {
        let object = Manifest::new(8080, 2).object().unwrap();
        let annotated = annotated(&object, &[(Annotation::MaxRequests, "20".into())]);
        assert_eq!(annotated["metadata"]["annotations"], json!({"evenkeel.dev/max-requests": "20"}));
        assert_eq!(annotated["spec"], object["spec"]);
    }
}
