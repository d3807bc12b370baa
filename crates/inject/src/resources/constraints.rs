//! Constraints of a namespace on the resources of its pods: its `LimitRange`s and `ResourceQuota`s.

use serde_json::Value;

use crate::resources::quantity::{Quantity, Ratio, Resource};

/// Scopes of quotas that never match an injected pod: it has requests, and no deadline.
const FOREIGN_SCOPES: &[&str] = &["BestEffort", "Terminating"];
/// Scopes that match every injected pod.
const COMMON_SCOPES: &[&str] = &["NotBestEffort", "NotTerminating"];

/// The constraints that the `LimitRange`s and `ResourceQuota`s of a namespace put on CPU and memory of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceConstraints {
    cpu: Constraints,
    memory: Constraints,
}

/// The constraints on one resource. If several objects have the same constraint, the strictest counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Constraints {
    /// Bounds for each container.
    pub(crate) container: Bounds,
    /// Bounds for the sum of a pod's containers.
    pub(crate) pod: Bounds,
    /// The request of a container without one.
    pub(crate) default_request: Option<Quantity>,
    /// The limit of a container without one.
    pub(crate) default_limit: Option<Quantity>,
    /// The quota on requests.
    pub(crate) requests: Option<Quota>,
    /// The quota on limits. It refuses pods with a container that has none.
    pub(crate) limits: Option<Quota>,
}

/// Bounds of requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The least request and limit.
    pub(crate) min: Option<Quantity>,
    /// The largest request and limit. It makes a limit mandatory.
    pub(crate) max: Option<Quantity>,
    /// The largest ratio of limit to request. It makes both mandatory.
    pub(crate) ratio: Option<Ratio>,
}

/// A quota on the requests or limits of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    /// The hard limit on the sum of all pods; `None` if the quota counts some pods only.
    pub(crate) hard: Option<Quantity>,
    /// What is left of it; `None` if that is not known.
    pub(crate) left: Option<Quantity>,
}

impl ResourceConstraints {
    /// Reads the objects as an API server returns them. Objects of another form are ignored.
    pub fn read<'a>(
        limit_ranges: impl IntoIterator<Item = &'a Value>,
        quotas: impl IntoIterator<Item = &'a Value>,
    ) -> Self {
        let mut constraints = Self::default();
        for item in limit_ranges.into_iter().flat_map(|range| list(range, "/spec/limits")) {
            for (resource, constraints) in
                Resource::ALL.into_iter().zip([&mut constraints.cpu, &mut constraints.memory])
            {
                constraints.limit_range(item, resource.name());
            }
        }
        for quota in quotas {
            for (resource, constraints) in
                Resource::ALL.into_iter().zip([&mut constraints.cpu, &mut constraints.memory])
            {
                constraints.quota(quota, resource.name());
            }
        }
        constraints
    }

    pub(crate) const fn of(&self, resource: Resource) -> &Constraints {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
        }
    }
}

impl Constraints {
    fn limit_range(&mut self, item: &Value, resource: &str) {
        let amount = |member: &str| Quantity::of(item.get(member)?.get(resource)?);
        let bounds = match item.get("type").and_then(Value::as_str) {
            Some("Container") => &mut self.container,
            Some("Pod") => &mut self.pod,
            Some(_) | None => return,
        };
        bounds.min = bounds.min.max(amount("min"));
        lower(&mut bounds.max, amount("max"));
        lower(&mut bounds.ratio, amount("maxLimitRequestRatio").map(Ratio));
        lower(&mut self.default_request, amount("defaultRequest"));
        lower(&mut self.default_limit, amount("default"));
    }

    fn quota(&mut self, quota: &Value, resource: &str) {
        let expressions = list(quota, "/spec/scopeSelector/matchExpressions");
        let scopes = list(quota, "/spec/scopes").filter_map(Value::as_str);
        let selected = expressions.filter_map(|expression| expression.get("scopeName")?.as_str());
        let scopes: Vec<&str> = scopes.chain(selected).collect();
        if scopes.iter().any(|scope| FOREIGN_SCOPES.contains(scope)) {
            return;
        }
        let counts_all = scopes.iter().all(|scope| COMMON_SCOPES.contains(scope));
        let (requests, limits) = (format!("requests.{resource}"), format!("limits.{resource}"));
        for (key, counted) in
            [(resource, Counted::Requests), (&requests, Counted::Requests), (&limits, Counted::Limits)]
        {
            let amount = |at: &str| Quantity::of(quota.pointer(at)?.get(key)?);
            let Some(hard) = amount("/spec/hard") else { continue };
            let of = match counted {
                Counted::Requests => &mut self.requests,
                Counted::Limits => &mut self.limits,
            };
            let known = of.get_or_insert_default();
            if counts_all {
                lower(&mut known.hard, Some(hard));
                lower(&mut known.left, amount("/status/used").map(|used| hard.minus(used)));
            }
        }
    }
}

/// The pods that a quota counts.
enum Counted {
    Requests,
    Limits,
}

fn list<'a>(object: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(at).and_then(Value::as_array).into_iter().flatten()
}

/// Lowers `known` to `found`, if that is lower or the first.
fn lower<T: Ord>(known: &mut Option<T>, found: Option<T>) {
    *known = match (known.take(), found) {
        (Some(known), Some(found)) => Some(known.min(found)),
        (known, found) => known.or(found),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn amount(text: &str) -> Option<Quantity> {
        Quantity::of(&json!(text))
    }

    #[test]
    fn of_several_limit_ranges_the_narrowest_applies() {
        let wide = json!({"spec": {"limits": [
            {"type": "Container", "min": {"cpu": "10m"}, "max": {"cpu": "2", "memory": "1Gi"}, "default": {"cpu": "1"}},
            {"type": "Pod", "max": {"cpu": "4"}},
            {"type": "PersistentVolumeClaim", "min": {"cpu": "7"}},
        ]}});
        let narrow = json!({"spec": {"limits": [
            {"type": "Container", "min": {"cpu": "20m"}, "max": {"cpu": "500m"}, "maxLimitRequestRatio": {"cpu": 10}},
        ]}});
        for order in [[&wide, &narrow], [&narrow, &wide]] {
            let constraints = ResourceConstraints::read(order, []);
            let cpu = constraints.of(Resource::Cpu);
            let bounds = |min, max, ratio| Bounds { min: amount(min), max: amount(max), ratio };
            assert_eq!(cpu.container, bounds("20m", "500m", amount("10").map(Ratio)));
            assert_eq!(cpu.pod, Bounds { max: amount("4"), ..Bounds::default() });
            assert_eq!(cpu.default_limit, amount("1"));
            let memory = constraints.of(Resource::Memory);
            assert_eq!(memory.container, Bounds { max: amount("1Gi"), ..Bounds::default() });
        }
    }

    #[test]
    fn quotas_apply_by_resource_and_scope() {
        let quota = |spec: Value, used: Value| json!({"spec": spec, "status": {"used": used}});
        let hard = json!({"hard": {"cpu": "4", "limits.cpu": "2", "pods": "10"}});
        let used = json!({"cpu": "1", "limits.cpu": "500m"});
        let constraints = ResourceConstraints::read([], [&quota(hard.clone(), used)]);
        let cpu = constraints.of(Resource::Cpu);
        assert_eq!(cpu.requests, Some(Quota { hard: amount("4"), left: amount("3") }));
        assert_eq!(cpu.limits, Some(Quota { hard: amount("2"), left: amount("1500m") }));
        assert_eq!(constraints.of(Resource::Memory), &Constraints::default());
        let scoped = |scopes: Value| {
            let spec = json!({"hard": {"limits.cpu": "2"}, "scopes": scopes});
            ResourceConstraints::read([], [&quota(spec, json!({}))]).of(Resource::Cpu).limits.clone()
        };
        assert_eq!(scoped(json!(["BestEffort"])), None);
        assert_eq!(scoped(json!(["Terminating"])), None);
        assert_eq!(scoped(json!(["NotTerminating"])), Some(Quota { hard: amount("2"), left: None }));
        assert_eq!(scoped(json!(["PriorityClass"])), Some(Quota::default()), "it may count these pods");
    }

    #[test]
    fn other_objects_are_ignored() {
        for odd in [json!(null), json!(7), json!({"spec": {"limits": [7, {"type": "Container", "min": 7}], "hard": 7}})]
        {
            assert_eq!(ResourceConstraints::read([&odd], [&odd]), ResourceConstraints::default(), "{odd}");
        }
    }
}
