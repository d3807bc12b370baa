//! Whether network policies let connections through to the proxy.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use settings::{ADMIN_PORT, NAMED_PORTS};

use super::super::finding::{Finding, FindingId};
use super::super::objects::ObjectName;
use super::super::scope::selects;
use super::super::workload::Workload;

/// Returns the findings about the policies that select a workload's pods. Only their ports are checked, not their
/// peers.
pub(super) fn policies(workload: &Workload, policies: &[(ObjectName, NetworkPolicy)]) -> Vec<Finding> {
    let labels = workload.labels();
    let selected = policies.iter().filter(|(name, policy)| {
        let spec = policy.spec.as_ref();
        let about_ingress = |types: &Vec<String>| types.iter().any(|one| one == "Ingress");
        name.namespace == workload.name.namespace
            && spec.is_some_and(|spec| {
                spec.policy_types.as_ref().is_none_or(about_ingress)
                    && spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &labels))
            })
    });
    let selected: Vec<&(ObjectName, NetworkPolicy)> = selected.collect();
    let Some((first, _)) = selected.first() else { return Vec::new() };
    let opened = Opened::of(selected.iter().map(|(_, policy)| policy));
    let mut findings = Vec::new();
    if !opened.number(ADMIN_PORT) {
        let said = format!(
            "{first} leaves no way to port {ADMIN_PORT}: neither Prometheus nor the balancer reaches the proxy"
        );
        findings.push(
            FindingId::AdminPortClosed.says(said).fix(format!("allow TCP port {ADMIN_PORT} from their namespaces")),
        );
    }
    findings.extend(by_number(workload, first, &opened));
    findings
}

/// With named-port, connections come to a port of the proxy's, which has the name that was the app's.
fn by_number(workload: &Workload, policy: &ObjectName, opened: &Opened<'_>) -> Vec<Finding> {
    if !workload.is_by_name() {
        return Vec::new();
    }
    let closed = workload.proxy().into_iter().flat_map(|proxy| proxy.ports.iter().flatten()).filter_map(|port| {
        let number = u16::try_from(port.container_port).ok().filter(|number| NAMED_PORTS.contains(number))?;
        let name = port.name.as_deref()?;
        let of_app = workload.ports().find(|of_app| of_app.name.as_deref() == Some(name))?.container_port;
        let app_is_open = opened.number(u16::try_from(of_app).ok()?);
        (app_is_open && !opened.number(number) && !opened.name(name)).then_some((of_app, number, name))
    });
    let says = |(of_app, number, name): (i32, u16, &str)| {
        FindingId::PolicyByNumber
            .says(format!("{policy} opens port {of_app} by number, and with named-port connections come by {number}"))
            .fix(format!("give the port's name in the policy: port: {name}"))
    };
    closed.map(says).collect()
}

/// The TCP ports that some rule opens, to any peer.
struct Opened<'a> {
    /// A rule without ports opens all.
    all: bool,
    ports: Vec<&'a NetworkPolicyPort>,
}

impl<'a> Opened<'a> {
    fn of(policies: impl Iterator<Item = &'a NetworkPolicy>) -> Self {
        let rules = policies.filter_map(|policy| policy.spec.as_ref()).flat_map(|spec| spec.ingress.iter().flatten());
        let mut opened = Self { all: false, ports: Vec::new() };
        for rule in rules {
            match rule.ports.as_deref() {
                None | Some([]) => opened.all = true,
                Some(ports) => opened.ports.extend(ports),
            }
        }
        opened.ports.retain(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
        opened
    }

    fn number(&self, number: u16) -> bool {
        let number = i32::from(number);
        self.all
            || self.ports.iter().any(|port| match &port.port {
                None => true,
                Some(IntOrString::Int(first)) => (*first..=port.end_port.unwrap_or(*first)).contains(&number),
                Some(IntOrString::String(name)) => name == ADMIN_NAME && number == i32::from(ADMIN_PORT),
            })
    }

    fn name(&self, name: &str) -> bool {
        self.all || self.ports.iter().any(|port| port.port == Some(IntOrString::String(name.to_owned())))
    }
}

/// What the admin port is called in the proxy's container.
const ADMIN_NAME: &str = "evenkeel-admin";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests_support::{deployment, found, object};
    use super::*;

    fn policy(ports: &Value) -> Value {
        let spec = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{"ports": ports}]});
        object("networking.k8s.io/v1", "NetworkPolicy", &spec)
    }

    fn by_name() -> Value {
        deployment(|object| object["metadata"]["annotations"]["evenkeel.dev/interception"] = json!("named-port"))
    }

    #[test]
    fn a_network_policy_that_closes_the_admin_port_has_a_finding() {
        assert_eq!(found(deployment(|_| {}), [policy(&json!([{"port": "http"}]))]), [FindingId::AdminPortClosed]);
        for open in [
            json!([]),
            json!([{"port": 15_211}]),
            json!([{"port": 15_000, "endPort": 16_000}]),
            json!([{"port": "evenkeel-admin"}]),
        ] {
            assert_eq!(found(deployment(|_| {}), [policy(&open)]), [], "{open}");
        }
        let egress =
            object("networking.k8s.io/v1", "NetworkPolicy", &json!({"podSelector": {}, "policyTypes": ["Egress"]}));
        assert_eq!(found(deployment(|_| {}), [egress]), []);
        let of_others =
            object("networking.k8s.io/v1", "NetworkPolicy", &json!({"podSelector": {"matchLabels": {"app": "db"}}}));
        assert_eq!(found(deployment(|_| {}), [of_others]), []);
    }

    #[test]
    fn a_network_policy_by_number_has_a_finding_with_named_port() {
        let by_number = policy(&json!([{"port": 8080}, {"port": 15_211}]));
        assert_eq!(found(by_name(), [by_number.clone()]), [FindingId::PolicyByNumber]);
        assert_eq!(found(deployment(|_| {}), [by_number]), []);
        assert_eq!(found(by_name(), [policy(&json!([{"port": "http"}, {"port": 15_211}]))]), []);
    }
}
