//! Quotas that have too little left for the proxies of a workload.

use crate::outcome::report::Note;
use crate::planning::fit::unless_set;
use crate::pod::Pod;
use crate::resources::constraints::{Quota, ResourceConstraints};
use crate::resources::quantity::Quantity;
use crate::resources::requirements::Resources;

/// Returns a note for each quota that has less left than the proxies of this many `replicas` need.
pub(crate) fn short_quotas<'a>(
    resources: &Resources,
    pod: &'a Pod,
    constraints: &'a ResourceConstraints,
    replicas: u64,
) -> impl Iterator<Item = Note> + use<'a> {
    resources.allocations().into_iter().flat_map(move |(resource, allocation)| {
        let (constraints, of_pod) = (constraints.of(resource), pod.resources(resource));
        let requests = unless_set(of_pod.request, constraints.requests.as_ref()).zip(Some(allocation.request));
        let limits = unless_set(of_pod.limit, constraints.limits.as_ref()).zip(allocation.limit);
        let short = move |(name, quota): (&str, Option<(&Quota, Quantity)>)| {
            let (quota, each) = quota?;
            let (needed, left) = (each.of_all(replicas), quota.left?);
            (needed > left).then(|| Note::QuotaShort {
                quota: format!("{name}.{resource}"),
                needed: needed.written(resource),
                left: left.written(resource),
            })
        };
        [("requests", requests), ("limits", limits)].into_iter().filter_map(short)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use settings::{Layer, WorkloadSettings};

    use super::*;
    use crate::additions::entry::Origin;
    use crate::json::node::Node;
    use crate::planning::fit::fitted;
    use crate::proxy_ports::port_names::PortNames;

    fn spec() -> Value {
        let resources =
            json!({"requests": {"cpu": "300m", "memory": "100Mi"}, "limits": {"cpu": "1", "memory": "200Mi"}});
        json!({"containers": [{"name": "web", "resources": resources}]})
    }

    fn pod(spec: &Value) -> Pod {
        let template = json!({"spec": spec});
        Pod::read(&Node::root(&template), Origin::Guessed, &PortNames::default()).unwrap()
    }

    #[test]
    fn a_quota_that_is_nearly_used_up_gives_a_note() {
        let quota = json!({
            "spec": {"hard": {"limits.cpu": "6", "requests.memory": "1Gi"}},
            "status": {"used": {"limits.cpu": "5750m", "requests.memory": "500Mi"}},
        });
        let constraints = ResourceConstraints::read([], [&quota]);
        let short = |replicas, spec: &Value| {
            let pod = pod(spec);
            let own = [("evenkeel.dev/max-requests".to_owned(), "1".to_owned())].into();
            let sidecar = WorkloadSettings::resolve(&[Layer::Workload(&own)]).unwrap().unwrap().sidecar;
            let resources = fitted(&sidecar, &pod, &constraints, &mut Vec::new()).unwrap();
            short_quotas(&resources, &pod, &constraints, replicas).collect::<Vec<_>>()
        };
        assert_eq!(short(2, &spec()), []);
        let [needed, left] = ["300m", "250m"].map(str::to_owned);
        assert_eq!(short(3, &spec()), [Note::QuotaShort { quota: "limits.cpu".to_owned(), needed, left }]);
        assert_eq!(short(u64::MAX, &spec()).len(), 2);
        let mut as_a_whole = spec();
        as_a_whole["resources"] = json!({"limits": {"cpu": "2"}, "requests": {"memory": "1Gi"}});
        assert_eq!(short(1000, &as_a_whole), [], "the containers of such a pod are not counted");
    }
}
