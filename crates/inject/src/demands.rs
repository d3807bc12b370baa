//! What a namespace demands of the resources of its pods: its `LimitRange`s and `ResourceQuota`s.

use serde_json::Value;

use crate::amount::{Amount, Ratio, Resource};

/// Scopes of quotas that never match an injected pod: it has requests, and lives until it is deleted.
const FOREIGN_SCOPES: &[&str] = &["BestEffort", "Terminating"];
/// Scopes that match every injected pod.
const COMMON_SCOPES: &[&str] = &["NotBestEffort", "NotTerminating"];

/// What the `LimitRange`s and `ResourceQuota`s of a namespace demand of a pod's CPU and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    cpu: Demand,
    memory: Demand,
}

/// The demands on one resource; of several objects the narrowest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// What each container must keep to.
    pub(crate) container: Bounds,
    /// What the containers of a pod must keep to together.
    pub(crate) pod: Bounds,
    /// The request that a container without one gets.
    pub(crate) default_request: Option<Amount>,
    /// The limit that a container without one gets.
    pub(crate) default_limit: Option<Amount>,
    /// A quota on requests.
    pub(crate) requests: Option<Quota>,
    /// A quota on limits, which refuses pods that have a container without one.
    pub(crate) limits: Option<Quota>,
}

/// Bounds of requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The least request and limit.
    pub(crate) min: Option<Amount>,
    /// The largest request and limit; there must be a limit.
    pub(crate) max: Option<Amount>,
    /// How many times the request the limit can be; there must be both.
    pub(crate) ratio: Option<Ratio>,
}

/// A quota on one amount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    /// What all pods can have together; `None` where it counts some pods alone.
    pub(crate) hard: Option<Amount>,
    /// What is left of it.
    pub(crate) left: Option<Amount>,
}

impl Demands {
    /// Reads objects as an API server has them. What is not of their form demands nothing.
    pub fn read<'a>(
        limit_ranges: impl IntoIterator<Item = &'a Value>,
        quotas: impl IntoIterator<Item = &'a Value>,
    ) -> Self {
        let mut demands = Self::default();
        for item in limit_ranges.into_iter().flat_map(|range| list(range, "/spec/limits")) {
            for (resource, demand) in Resource::ALL.into_iter().zip([&mut demands.cpu, &mut demands.memory]) {
                demand.limit_range(item, resource.name());
            }
        }
        for quota in quotas {
            for (resource, demand) in Resource::ALL.into_iter().zip([&mut demands.cpu, &mut demands.memory]) {
                demand.quota(quota, resource.name());
            }
        }
        demands
    }

    pub(crate) const fn of(&self, resource: Resource) -> &Demand {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
        }
    }
}

impl Demand {
    fn limit_range(&mut self, item: &Value, resource: &str) {
        let amount = |member: &str| Amount::of(item.get(member)?.get(resource)?);
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
        for (key, place) in [(resource, Of::Requests), (&requests, Of::Requests), (&limits, Of::Limits)] {
            let amount = |at: &str| Amount::of(quota.pointer(at)?.get(key)?);
            let Some(hard) = amount("/spec/hard") else { continue };
            let of = match place {
                Of::Requests => &mut self.requests,
                Of::Limits => &mut self.limits,
            };
            let known = of.get_or_insert_default();
            if counts_all {
                lower(&mut known.hard, Some(hard));
                lower(&mut known.left, amount("/status/used").map(|used| hard.minus(used)));
            }
        }
    }
}

/// What a quota is on.
enum Of {
    Requests,
    Limits,
}

fn list<'a>(object: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(at).and_then(Value::as_array).into_iter().flatten()
}

/// The lower of what is known and what is found.
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

    fn amount(text: &str) -> Option<Amount> {
        Amount::of(&json!(text))
    }

    #[test]
    fn of_several_limit_ranges_the_narrowest_holds() {
        let wide = json!({"spec": {"limits": [
            {"type": "Container", "min": {"cpu": "10m"}, "max": {"cpu": "2", "memory": "1Gi"}, "default": {"cpu": "1"}},
            {"type": "Pod", "max": {"cpu": "4"}},
            {"type": "PersistentVolumeClaim", "min": {"cpu": "7"}},
        ]}});
        let narrow = json!({"spec": {"limits": [
            {"type": "Container", "min": {"cpu": "20m"}, "max": {"cpu": "500m"}, "maxLimitRequestRatio": {"cpu": 10}},
        ]}});
        for order in [[&wide, &narrow], [&narrow, &wide]] {
            let demands = Demands::read(order, []);
            let cpu = demands.of(Resource::Cpu);
            let bounds = |min, max, ratio| Bounds { min: amount(min), max: amount(max), ratio };
            assert_eq!(cpu.container, bounds("20m", "500m", amount("10").map(Ratio)));
            assert_eq!(cpu.pod, Bounds { max: amount("4"), ..Bounds::default() });
            assert_eq!(cpu.default_limit, amount("1"));
            let memory = demands.of(Resource::Memory);
            assert_eq!(memory.container, Bounds { max: amount("1Gi"), ..Bounds::default() });
        }
    }

    #[test]
    fn quotas_by_what_they_are_on_and_whom_they_count() {
        let quota = |spec: Value, used: Value| json!({"spec": spec, "status": {"used": used}});
        let hard = json!({"hard": {"cpu": "4", "limits.cpu": "2", "pods": "10"}});
        let used = json!({"cpu": "1", "limits.cpu": "500m"});
        let demands = Demands::read([], [&quota(hard.clone(), used)]);
        let cpu = demands.of(Resource::Cpu);
        assert_eq!(cpu.requests, Some(Quota { hard: amount("4"), left: amount("3") }));
        assert_eq!(cpu.limits, Some(Quota { hard: amount("2"), left: amount("1500m") }));
        assert_eq!(demands.of(Resource::Memory), &Demand::default());
        let scoped = |scopes: Value| {
            let spec = json!({"hard": {"limits.cpu": "2"}, "scopes": scopes});
            Demands::read([], [&quota(spec, json!({}))]).of(Resource::Cpu).limits.clone()
        };
        assert_eq!(scoped(json!(["BestEffort"])), None);
        assert_eq!(scoped(json!(["Terminating"])), None);
        assert_eq!(scoped(json!(["NotTerminating"])), Some(Quota { hard: amount("2"), left: None }));
        assert_eq!(scoped(json!(["PriorityClass"])), Some(Quota::default()), "it may count these pods");
    }

    #[test]
    fn what_is_none_demands_nothing() {
        for odd in [json!(null), json!(7), json!({"spec": {"limits": [7, {"type": "Container", "min": 7}], "hard": 7}})]
        {
            assert_eq!(Demands::read([&odd], [&odd]), Demands::default(), "{odd}");
        }
    }
}
