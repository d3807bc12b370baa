//! Fits the sidecar's resources into the constraints of its pod and namespace.
//!
//! If a sidecar requests too little, too much or nothing, the API server refuses every pod of its workload. So its
//! resources are changed as little as admission requires. If no resources fit, the workload is skipped, because pods
//! must start.

use settings::{LEAST_MEMORY_LIMIT, Sidecar};

use crate::outcome::report::Note;
use crate::outcome::skip::SkipReason;
use crate::pod::Pod;
use crate::resources::constraints::{Bounds, Constraints, Quota, ResourceConstraints};
use crate::resources::quantity::{Quantity, Resource};
use crate::resources::requirements::{Allocation, Requirements, Resources};

/// Returns the resources in the settings, fitted into what is allowed; a change adds a note.
pub(crate) fn fitted(
    sidecar: &Sidecar,
    pod: &Pod,
    constraints: &ResourceConstraints,
    notes: &mut Vec<Note>,
) -> Result<Resources, SkipReason> {
    let asked = Resources::configured(sidecar);
    let mut fit = |resource, asked: Allocation| {
        let allocation = Fitting::of(resource, pod, constraints).fitted(asked)?;
        if allocation != asked {
            notes.push(Note::Fitted { resource, request: allocation.request, limit: allocation.limit });
        }
        Ok(allocation)
    };
    Ok(Resources { cpu: fit(Resource::Cpu, asked.cpu)?, memory: fit(Resource::Memory, asked.memory)? })
}

/// Limits for a resource without one in the settings.
struct DefaultLimits {
    /// The least with which the proxy runs.
    min: Quantity,
    /// The limit below which rather the request is raised.
    preferred: Quantity,
    /// The limit if one is mandatory.
    fallback: Quantity,
    /// The limit if a quota counts limits.
    under_quota: Quantity,
}

/// Everything that constrains one resource of one pod.
struct Fitting<'a> {
    resource: Resource,
    default_limits: DefaultLimits,
    constraints: &'a Constraints,
    /// The sum of the containers that were not injected.
    others: Requirements,
    /// The resources of the pod as a whole.
    pod: Requirements,
}

impl<'a> Fitting<'a> {
    fn of(resource: Resource, pod: &Pod, constraints: &'a ResourceConstraints) -> Self {
        let default_limits = match resource {
            Resource::Cpu => DefaultLimits {
                min: Quantity::of_millicpus(1),
                preferred: Quantity::of_millicpus(100),
                fallback: Quantity::of_millicpus(1000),
                under_quota: Quantity::of_millicpus(100),
            },
            Resource::Memory => DefaultLimits {
                min: Quantity::of_mebibytes(LEAST_MEMORY_LIMIT.mebibytes()),
                preferred: Quantity::of_mebibytes(32),
                fallback: Quantity::of_mebibytes(128),
                under_quota: Quantity::of_mebibytes(64),
            },
        };
        let constraints = constraints.of(resource);
        Self {
            resource,
            default_limits,
            constraints,
            others: pod.total(resource, constraints),
            pod: pod.resources(resource),
        }
    }

    fn fitted(&self, asked: Allocation) -> Result<Allocation, SkipReason> {
        let (min_request, max_request, max_limit) = (self.min_request(), self.max_request(), self.max_limit());
        let below = |amount: Quantity, ceiling: &Option<Ceiling>| {
            ceiling.as_ref().map_or(amount, |ceiling| amount.min(ceiling.amount))
        };
        let highest = |request| below(below(request, &max_request), &max_limit);
        let mut request = highest(asked.request.max(min_request));
        let limit =
            asked.limit.or_else(|| self.required_limit(request)).map(|limit| below(limit.max(min_request), &max_limit));
        let limit = limit.map(|asked| {
            if let Some(ratio) = self.constraints.container.ratio {
                let preferred_limit = self.default_limits.preferred.min(asked);
                if request.times(ratio) < preferred_limit {
                    request = highest(preferred_limit.divided(ratio).rounded_up(self.resource));
                }
            }
            self.within_ratios(asked, request).max(request)
        });
        let short = |ceiling: Option<Ceiling>| Err(ceiling.map_or(SkipReason::LimitRange, |ceiling| ceiling.reason));
        if request < min_request {
            let ceiling = [max_request, max_limit].into_iter().flatten().min_by_key(|ceiling| ceiling.amount);
            return short(ceiling);
        }
        if limit.is_some_and(|limit| {
            limit < self.default_limits.min.max(min_request) || self.within_ratios(limit, request) < limit
        }) {
            return short(max_limit);
        }
        Ok(Allocation { request, limit })
    }

    /// Returns the least request.
    fn min_request(&self) -> Quantity {
        let Bounds { min, ratio, .. } = self.constraints.container;
        // A ratio to a request of zero is not defined.
        let positive = ratio.map_or(Quantity::ZERO, |_| self.resource.unit());
        min.unwrap_or_default().max(positive)
    }

    /// Returns the most that the request may be.
    fn max_request(&self) -> Option<Ceiling> {
        // The request of a pod as a whole defaults to the sum of its containers', which its limit must not be below.
        let of_pod = self.pod.request.or(self.pod.limit);
        lowest([
            Ceiling::beside(of_pod, self.others.request, SkipReason::PodResources),
            Ceiling::beside(
                unless_set(self.pod.request, self.constraints.pod.max),
                self.others.request,
                SkipReason::LimitRange,
            ),
            Ceiling::beside(
                unless_set(self.pod.request, hard(self.constraints.requests.as_ref())),
                self.others.request,
                SkipReason::Quota,
            ),
        ])
    }

    /// Returns the most that the limit may be.
    fn max_limit(&self) -> Option<Ceiling> {
        lowest([
            Ceiling::beside(self.constraints.container.max, None, SkipReason::LimitRange),
            // A container cannot start with a higher limit than its pod's.
            Ceiling::beside(self.pod.limit, None, SkipReason::PodResources),
            Ceiling::beside(
                unless_set(self.pod.limit, self.constraints.pod.max),
                self.others.limit,
                SkipReason::LimitRange,
            ),
            Ceiling::beside(
                unless_set(self.pod.limit, hard(self.constraints.limits.as_ref())),
                self.others.limit,
                SkipReason::Quota,
            ),
        ])
    }

    /// Returns the limit, lowered to what the ratios allow beside this request.
    fn within_ratios(&self, limit: Quantity, request: Quantity) -> Quantity {
        let of_container = self.constraints.container.ratio.map(|ratio| request.times(ratio));
        let of_pod = unless_set(self.pod.request.or(self.pod.limit), self.constraints.pod.ratio).and_then(|ratio| {
            let all = |request: Quantity| self.others.request.unwrap_or_default().plus(request).times(ratio);
            let limits = self.others.limit.unwrap_or_default();
            // Pods that the API server refuses without the proxy are refused with it.
            (limits <= all(Quantity::ZERO)).then(|| all(request).minus(limits))
        });
        let most = [of_container, of_pod].into_iter().flatten().min();
        most.map_or(limit, |most| if most < limit { most.rounded_down(self.resource) } else { limit })
    }

    /// Returns the limit if the settings leave it open and it is mandatory.
    fn required_limit(&self, request: Quantity) -> Option<Quantity> {
        let Constraints { container, pod, default_limit, limits, .. } = self.constraints;
        let pod = unless_set(self.pod.limit, Some(pod));
        let is_bounded =
            [Some(container), pod].into_iter().flatten().any(|bounds| bounds.max.is_some() || bounds.ratio.is_some());
        // A container without a limit gets this one.
        let is_below_request = default_limit.is_some_and(|limit| limit < request);
        if limits.is_some() {
            Some(self.default_limits.under_quota)
        } else {
            (is_bounded || is_below_request).then_some(self.default_limits.fallback)
        }
    }
}

/// An upper bound, and the reason if it is too low.
struct Ceiling {
    amount: Quantity,
    reason: SkipReason,
}

impl Ceiling {
    /// Returns what `bound` leaves beside `others`. Returns `None` if the others exceed it: the API server refuses such
    /// pods without the proxy, too.
    fn beside(bound: Option<Quantity>, others: Option<Quantity>, reason: SkipReason) -> Option<Self> {
        let (bound, others) = (bound?, others.unwrap_or_default());
        (others <= bound).then(|| Self { amount: bound.minus(others), reason })
    }
}

fn lowest(ceilings: impl IntoIterator<Item = Option<Ceiling>>) -> Option<Ceiling> {
    ceilings.into_iter().flatten().min_by_key(|ceiling| ceiling.amount)
}

/// Returns a bound on the sum of all containers, unless the pod sets an amount for itself, which replaces the sum.
pub(super) fn unless_set<T>(of_pod: Option<Quantity>, bound: Option<T>) -> Option<T> {
    bound.filter(|_| of_pod.is_none())
}

fn hard(quota: Option<&Quota>) -> Option<Quantity> {
    quota?.hard
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use settings::{Layer, WorkloadSettings};

    use super::*;
    use crate::additions::entry::Origin;
    use crate::json::node::Node;
    use crate::proxy_ports::port_names::PortNames;

    /// Returns a pod with two containers.
    fn spec() -> Value {
        let resources = |request: &str, limit: &str| json!({"requests": {"cpu": request, "memory": "100Mi"}, "limits": {"cpu": limit, "memory": "200Mi"}});
        json!({"containers": [
            {"name": "web", "resources": resources("300m", "1")},
            {"name": "more", "resources": resources("100m", "200m")},
        ]})
    }

    fn pod(spec: &Value) -> Pod {
        let template = json!({"spec": spec});
        Pod::read(&Node::root(&template), Origin::Guessed, &PortNames::default()).unwrap()
    }

    /// Returns the fitted requests and limits, as in a manifest: `10m-1`.
    fn fitted(
        annotations: &[(&str, &str)],
        spec: &Value,
        constraints: &ResourceConstraints,
    ) -> Result<[String; 2], SkipReason> {
        let own = [("max-requests", "1")].iter().chain(annotations);
        let own = own.map(|(name, value)| (format!("evenkeel.dev/{name}"), (*value).to_owned())).collect();
        let settings = WorkloadSettings::resolve(&[Layer::Workload(&own)]).unwrap().unwrap();
        let mut notes = Vec::new();
        let resources = super::fitted(&settings.sidecar, &pod(spec), constraints, &mut notes)?;
        let unchanged = resources == Resources::configured(&settings.sidecar);
        assert_eq!(notes.is_empty(), unchanged, "{notes:?}");
        Ok(resources.allocations().map(|(resource, allocation)| {
            let limit = allocation.limit.map_or_else(|| "off".to_owned(), |limit| limit.written(resource));
            format!("{}-{limit}", allocation.request.written(resource))
        }))
    }

    fn limits(items: &Value) -> ResourceConstraints {
        ResourceConstraints::read([&json!({"spec": {"limits": items}})], [])
    }

    fn quota(hard: &Value) -> ResourceConstraints {
        ResourceConstraints::read([], [&json!({"spec": {"hard": hard}})])
    }

    #[test]
    fn without_constraints_resources_are_those_of_the_settings() {
        let no = ResourceConstraints::default();
        assert_eq!(fitted(&[], &spec(), &no).unwrap(), ["10m-off", "16Mi-128Mi"]);
        let asked = [("proxy-cpu-request", "20m"), ("proxy-cpu-limit", "2"), ("proxy-memory-limit", "1Gi")];
        assert_eq!(fitted(&asked, &spec(), &no).unwrap(), ["20m-2", "16Mi-1Gi"]);
    }

    #[test]
    fn cpu_is_fitted_to_the_limit_range_of_containers() {
        let cpu = |bounds: Value| {
            let item = |(key, value): (&String, &Value)| (key.clone(), json!({"cpu": value}));
            let mut item: Value = bounds.as_object().unwrap().iter().map(item).collect();
            item["type"] = json!("Container");
            let fitted = fitted(&[], &spec(), &limits(&json!([item])))?;
            assert_eq!(fitted[1], "16Mi-128Mi");
            Ok::<_, SkipReason>(fitted[0].clone())
        };
        for (bounds, expected) in [
            (json!({"max": "500m"}), "10m-500m"),
            (json!({"max": "4"}), "10m-1"),
            (json!({"min": "20m"}), "20m-off"),
            (json!({"maxLimitRequestRatio": "10"}), "10m-100m"),
            (json!({"max": "500m", "min": "20m", "maxLimitRequestRatio": "10"}), "20m-200m"),
            // The request is raised rather than the proxy throttled all the time.
            (json!({"maxLimitRequestRatio": "2"}), "50m-100m"),
            (json!({"maxLimitRequestRatio": "1"}), "100m-100m"),
            (json!({"max": "50m", "maxLimitRequestRatio": "1"}), "50m-50m"),
            (json!({"max": "5m"}), "5m-5m"),
            (json!({"min": "200m", "max": "200m"}), "200m-200m"),
            // A limit by default stays, unless it is below the request.
            (json!({"default": "500m", "defaultRequest": "100m"}), "10m-off"),
            (json!({"default": "5m"}), "10m-1"),
        ] {
            assert_eq!(cpu(bounds.clone()).as_deref(), Ok(expected), "{bounds}");
        }
        assert_eq!(cpu(json!({"min": "2", "max": "1"})), Err(SkipReason::LimitRange));
    }

    #[test]
    fn memory_is_fitted_to_the_limit_range_of_containers() {
        let memory = |item: Value| Ok::<_, SkipReason>(fitted(&[], &spec(), &limits(&json!([item])))?[1].clone());
        let item = |key: &str, value: &str| json!({"type": "Container", key: {"memory": value}});
        assert_eq!(memory(item("max", "64Mi")).as_deref(), Ok("16Mi-64Mi"));
        assert_eq!(memory(item("max", "16Mi")).as_deref(), Ok("16Mi-16Mi"));
        assert_eq!(memory(item("max", "15Mi")), Err(SkipReason::LimitRange));
        assert_eq!(memory(item("min", "100M")).as_deref(), Ok("100000000-128Mi"));
        assert_eq!(memory(item("min", "1Gi")).as_deref(), Ok("1Gi-1Gi"));
        assert_eq!(memory(item("maxLimitRequestRatio", "4")).as_deref(), Ok("16Mi-64Mi"));
        assert_eq!(memory(item("maxLimitRequestRatio", "1.5")).as_deref(), Ok("22Mi-33Mi"));
    }

    #[test]
    fn resources_of_annotations_are_fitted() {
        let asked = [("proxy-cpu-request", "2"), ("proxy-cpu-limit", "4")];
        let item = json!({"type": "Container", "max": {"cpu": "1"}});
        assert_eq!(fitted(&asked, &spec(), &limits(&json!([item]))).unwrap()[0], "1-1");
    }

    #[test]
    fn resources_are_fitted_to_the_limit_range_of_pods() {
        // The others request 400m and may use 1200m.
        let cpu = |bounds: Value| {
            let mut item = bounds.clone();
            item["type"] = json!("Pod");
            Ok::<_, SkipReason>(fitted(&[], &spec(), &limits(&json!([item])))?[0].clone())
        };
        assert_eq!(cpu(json!({"max": {"cpu": "2"}})).as_deref(), Ok("10m-800m"));
        assert_eq!(cpu(json!({"max": {"cpu": "1205m"}})).as_deref(), Ok("5m-5m"));
        assert_eq!(cpu(json!({"max": {"cpu": "1200m"}})), Err(SkipReason::LimitRange));
        assert_eq!(cpu(json!({"max": {"cpu": "1"}})).as_deref(), Ok("10m-1"), "they are refused without us, too");
        assert_eq!(cpu(json!({"min": {"cpu": "1"}})).as_deref(), Ok("10m-off"));
        assert_eq!(cpu(json!({"maxLimitRequestRatio": {"cpu": "3"}})).as_deref(), Ok("10m-30m"));
        assert_eq!(cpu(json!({"maxLimitRequestRatio": {"cpu": "1"}})).as_deref(), Ok("10m-1"));
    }

    #[test]
    fn resources_are_fitted_to_quotas() {
        for (hard, expected) in [
            (json!({"limits.cpu": "2"}), Ok("10m-100m")),
            (json!({"limits.cpu": "1250m"}), Ok("10m-50m")),
            (json!({"limits.cpu": "1200m"}), Err(SkipReason::Quota)),
            (json!({"limits.cpu": "1"}), Ok("10m-100m")),
            (json!({"cpu": "1"}), Ok("10m-off")),
            (json!({"requests.cpu": "405m"}), Ok("5m-off")),
            (json!({"requests.cpu": "400m"}), Ok("0-off")),
            (json!({"limits.memory": "1Gi"}), Ok("10m-off")),
        ] {
            let fitted = fitted(&[], &spec(), &quota(&hard));
            assert_eq!(fitted.as_ref().map(|fitted| fitted[0].as_str()), expected.as_ref().copied(), "{hard}");
        }
        assert_eq!(fitted(&[], &spec(), &quota(&json!({"limits.memory": "410Mi"}))), Err(SkipReason::Quota));
        assert_eq!(fitted(&[], &spec(), &quota(&json!({"limits.memory": "432Mi"}))).unwrap()[1], "16Mi-32Mi");
    }

    #[test]
    fn resources_are_fitted_to_pod_level_resources() {
        let with = |resources: Value| {
            let mut spec = spec();
            spec["resources"] = resources;
            fitted(&[], &spec, &ResourceConstraints::default())
        };
        for (resources, expected) in [
            (json!({"requests": {"cpu": "1", "memory": "1Gi"}}), ["10m-off", "16Mi-128Mi"]),
            // The sum of the containers' requests must not be more.
            (json!({"requests": {"cpu": "405m", "memory": "208Mi"}}), ["5m-off", "8Mi-128Mi"]),
            (json!({"requests": {"cpu": "400m", "memory": "200Mi"}}), ["0-off", "0-128Mi"]),
            (json!({"requests": {"cpu": "100m"}}), ["10m-off", "16Mi-128Mi"]),
            // Without a request of the pod's the sum becomes it, and must not be above the limit.
            (json!({"limits": {"cpu": "400m", "memory": "210Mi"}}), ["0-off", "10Mi-128Mi"]),
            // No container may have a higher limit than its pod.
            (json!({"limits": {"memory": "64Mi"}}), ["10m-off", "16Mi-64Mi"]),
        ] {
            assert_eq!(with(resources.clone()), Ok(expected.map(str::to_owned)), "{resources}");
        }
        assert_eq!(with(json!({"limits": {"memory": "12Mi"}})), Err(SkipReason::PodResources));
    }
}
