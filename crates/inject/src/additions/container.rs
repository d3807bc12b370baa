//! The containers that are injected, as JSON.

use serde_json::{Map, Value, json};
use settings::{ADMIN_PORT, OptionSpec, PROXY_USER, ProxyOption, RedirectOption, RedirectSettings};

use crate::additions::entry::Entry;
use crate::additions::plan::{InterceptionPlan, Plan};
use crate::additions::volume;
use crate::resources::quantity::Quantity;
use crate::resources::requirements::Resources;

/// The native sidecar: an init container that is ready before the app starts and ends after it.
pub const PROXY_CONTAINER: &str = "recycling-proxy";
/// The init container that redirects inbound connections to the sidecar, and ends.
pub const REDIRECT_CONTAINER: &str = "recycling-proxy-redirect";
/// The name of the admin port; a port name has at most 15 characters.
pub(crate) const ADMIN_PORT_NAME: &str = "evenkeel-admin";

/// Every container that can be injected, in the order in which they run.
pub(crate) const ADDITIONS: &[Entry] = &[
    Entry {
        name: REDIRECT_CONTAINER,
        has_injected_form: |container| runs(container, "redirect"),
        wanted: |plan| match &plan.interception {
            InterceptionPlan::Redirect(settings, _) => Some(redirect(plan, settings)),
            InterceptionPlan::NamedPort(_) => None,
        },
        mount_path: None,
    },
    Entry {
        name: PROXY_CONTAINER,
        has_injected_form: |container| runs(container, "run"),
        wanted: |plan| Some(sidecar(plan)),
        mount_path: None,
    },
];

fn runs(container: &Value, command: &str) -> bool {
    container.get("args") == Some(&json!([command]))
}

fn redirect(plan: &Plan, settings: &RedirectSettings) -> Value {
    let mut redirect = json!({
        "name": REDIRECT_CONTAINER,
        "image": plan.sidecar.image.as_str(),
        "args": ["redirect"],
        "env": env(settings.to_env(), &NETWORK.map(|(option, _, path)| (option.env(), path))),
        "resources": resources(&plan.resources),
        // Only root of the pod's user namespace may change the network namespace.
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    set_app_armor(&mut redirect, plan);
    redirect
}

fn sidecar(plan: &Plan) -> Value {
    let mut sidecar = json!({
        "name": PROXY_CONTAINER,
        "image": plan.sidecar.image.as_str(),
        "args": ["run"],
        "restartPolicy": "Always",
        "env": env(plan.proxy.to_env(), &downward_api(plan)),
        "ports": ports(plan),
        // The proxy starts within milliseconds; this leaves time for a crowded node.
        "startupProbe": {"httpGet": ready(), "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 120},
        // The timeout is long, so that an app that uses all of a node's CPU does not make its pod unready by this
        // probe.
        "readinessProbe": {"httpGet": ready(), "periodSeconds": 5, "timeoutSeconds": 5},
        "lifecycle": {"preStop": {"exec": {"command": ["/recycling-proxy", "drain"]}}},
        "resources": resources(&plan.resources),
        "securityContext": {
            "runAsUser": PROXY_USER,
            "runAsGroup": PROXY_USER,
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        // The proxy prints faulty settings before it exits; `kubectl describe pod` then shows them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if !plan.has_own_user {
        for member in ["runAsUser", "runAsGroup"] {
            sidecar["securityContext"].as_object_mut().map(|context| context.shift_remove(member));
        }
    }
    set_app_armor(&mut sidecar, plan);
    let mounts = volume::mounts(plan);
    if !mounts.is_empty() {
        sidecar["volumeMounts"] = mounts.into();
    }
    sidecar
}

/// Sets an `AppArmor` profile if the pod's own is for the app, because the container might not start under that. It
/// sets none otherwise, because the kubelet refuses a pod with any profile on a node without `AppArmor`.
fn set_app_armor(container: &mut Value, plan: &Plan) {
    if plan.has_own_app_armor {
        container["securityContext"]["appArmorProfile"] = json!({"type": "RuntimeDefault"});
    }
}

/// Returns the proxy's `ports`: the admin port, and its listeners with the names of the app's ports.
fn ports(plan: &Plan) -> Value {
    let admin = (ADMIN_PORT_NAME, ADMIN_PORT);
    let app_port_name = plan.interception.listeners().map(|listener| (listener.name, listener.port));
    let ports = std::iter::once(admin).chain(app_port_name);
    ports.map(|(name, port)| json!({"name": name, "containerPort": port})).collect()
}

fn ready() -> Value {
    json!({"path": "/readyz", "port": ADMIN_PORT, "scheme": "HTTP"})
}

/// The addresses that the kubelet writes into variables (downward API), with the option of each program. The programs
/// compare them to detect `hostNetwork`, which an author may set while the webhook does not answer.
const NETWORK: [(RedirectOption, ProxyOption, &str); 2] = [
    (RedirectOption::PodIp, ProxyOption::PodIp, "status.podIP"),
    (RedirectOption::HostIp, ProxyOption::HostIp, "status.hostIP"),
];

/// Returns the proxy's variables that the kubelet fills in (downward API), each with the field of its pod.
fn downward_api(plan: &Plan) -> Vec<(&'static str, &'static str)> {
    let network = match plan.interception {
        InterceptionPlan::Redirect(..) => NETWORK.as_slice(),
        InterceptionPlan::NamedPort(_) => &[],
    };
    let namespace = plan.proxy.balance.as_ref().map(|_| (ProxyOption::Namespace.env(), "metadata.namespace"));
    network.iter().map(|(_, option, path)| (option.env(), *path)).chain(namespace).collect()
}

fn env(variables: Vec<(&'static str, String)>, downward_api: &[(&'static str, &'static str)]) -> Value {
    let given = variables.into_iter().map(|(name, value)| json!({"name": name, "value": value}));
    let downward_api = downward_api
        .iter()
        .map(|(name, path)| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}));
    given.chain(downward_api).collect()
}

/// Returns the `resources` of an injected container.
///
/// Both requests are always set, if only to zero: one container without a request makes the HorizontalPodAutoscaler
/// ignore the whole pod. There is a CPU limit only if the settings or the namespace require one: a proxy that reaches
/// its limit is throttled for the rest of the 100 ms period, and all its connections with it.
pub(crate) fn resources(resources: &Resources) -> Value {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for (resource, allocation) in resources.allocations() {
        let written = |amount: Quantity| Value::String(amount.written(resource));
        requests.insert(resource.name().to_owned(), written(allocation.request));
        limits.extend(allocation.limit.map(|limit| (resource.name().to_owned(), written(limit))));
    }
    json!({"requests": requests, "limits": limits})
}
