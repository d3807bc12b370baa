//! Custom kinds of programs that are not in the cluster.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;

use crate::namespace::TestNamespace;
use crate::program;

/// A custom kind that exists until this value is dropped. It accepts any object and has no controller. A kind that the
/// cluster has already is left unchanged.
#[derive(Debug)]
pub struct CustomKind(Option<String>);

impl CustomKind {
    /// Defines a kind in the version `v1alpha1` of its group.
    pub async fn define(namespace: &TestNamespace, kind: &str, group: &str, plural: &str) -> anyhow::Result<Self> {
        let definitions = Api::<CustomResourceDefinition>::all(namespace.client());
        let name = format!("{plural}.{group}");
        if definitions.get_opt(&name).await?.is_some() {
            return Ok(Self(None));
        }
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let version = json!({"name": "v1alpha1", "served": true, "storage": true, "schema": schema});
        let names = json!({"kind": kind, "plural": plural, "singular": kind.to_lowercase()});
        let definition = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        }))?;
        definitions.create(&PostParams::default(), &definition).await?;
        let defined = Self(Some(name.clone()));
        await_condition(definitions, &name, conditions::is_crd_established()).await?;
        Ok(defined)
    }
}

impl Drop for CustomKind {
    fn drop(&mut self) {
        let Some(name) = &self.0 else { return };
        if let Err(error) = program::fed("kubectl", &["delete", "customresourcedefinition", name], "") {
            println!("{name} could not be deleted and is left in the cluster: {error}");
        }
    }
}
