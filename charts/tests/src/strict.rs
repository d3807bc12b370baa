//! Objects as the types of the Kubernetes API read them: a field that they do not know, or of another type, is a fault.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Returns what is wrong with the object's form; `None` where this kind is not one of Kubernetes' own.
pub fn judge(object: &Value) -> Option<Result<(), String>> {
    let judge = match (object["apiVersion"].as_str()?, object["kind"].as_str()?) {
        ("v1", "ConfigMap") => as_is::<ConfigMap>,
        ("v1", "Namespace") => as_is::<Namespace>,
        ("v1", "Pod") => as_is::<Pod>,
        ("v1", "Secret") => as_is::<Secret>,
        ("v1", "Service") => as_is::<Service>,
        ("v1", "ServiceAccount") => as_is::<ServiceAccount>,
        ("apps/v1", "Deployment") => as_is::<Deployment>,
        ("apps/v1", "StatefulSet") => as_is::<StatefulSet>,
        ("autoscaling/v2", "HorizontalPodAutoscaler") => as_is::<HorizontalPodAutoscaler>,
        ("coordination.k8s.io/v1", "Lease") => as_is::<Lease>,
        ("policy/v1", "PodDisruptionBudget") => as_is::<PodDisruptionBudget>,
        ("networking.k8s.io/v1", "NetworkPolicy") => as_is::<NetworkPolicy>,
        ("rbac.authorization.k8s.io/v1", "Role") => as_is::<Role>,
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => as_is::<RoleBinding>,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => as_is::<ClusterRole>,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => as_is::<ClusterRoleBinding>,
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration") => as_is::<MutatingWebhookConfiguration>,
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy") => as_is::<ValidatingAdmissionPolicy>,
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding") => {
            as_is::<ValidatingAdmissionPolicyBinding>
        }
        _ => return None,
    };
    Some(judge(object))
}

/// Whether the type gives back what it was given: it drops the fields that it does not know.
fn as_is<T: DeserializeOwned + Serialize>(object: &Value) -> Result<(), String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let back = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    if back == *object { Ok(()) } else { Err(format!("fields are unknown or lost: {object} became {back}")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_and_wrong_types_are_errors() {
        let service = |port: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [port]}});
        assert_eq!(judge(&service(json!({"port": 1}))), Some(Ok(())));
        assert!(judge(&service(json!({"port": 1, "targetport": 2}))).unwrap().is_err());
        assert!(judge(&service(json!({"port": "1"}))).unwrap().is_err());
        assert_eq!(judge(&json!({"apiVersion": "cert-manager.io/v1", "kind": "Issuer"})), None);
    }
}
