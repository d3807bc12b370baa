//! Fits the sidecar's resources into what its pod and namespace allow.
//!
//! A sidecar that asks for too little, for too much or for nothing makes the API server refuse every pod of its workload. What
//! the settings ask for is therefore moved as little as it takes to be admitted; where nothing fits, the workload is skipped,
//! for pods must start.

use settings::{LEAST_MEMORY_LIMIT, Sidecar};

use crate::amount::{Amount, Resource};
use crate::demands::{Bounds, Demand, Demands, Quota};
use crate::pod::Pod;
use crate::report::Note;
use crate::skip::SkipReason;

/// The resources of an injected container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) cpu: Share,
    pub(crate) memory: Share,
}

/// What a container asks for of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) request: Amount,
    pub(crate) limit: Option<Amount>,
}

/// What a container or pod says of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) request: Option<Amount>,
    pub(crate) limit: Option<Amount>,
}

impl Said {
    /// With what API servers and the namespace's defaults make of it.
    pub(crate) fn completed(self, demand: &Demand) -> Self {
        Self {
            request: self.request.or(self.limit).or(demand.default_request),
            limit: self.limit.or(demand.default_limit),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        self.merged(other, Amount::plus)
    }

    pub(crate) fn or_larger(self, other: Self) -> Self {
        self.merged(other, Amount::max)
    }

    fn merged(self, other: Self, of: impl Fn(Amount, Amount) -> Amount) -> Self {
        let merged = |one: Option<Amount>, other: Option<Amount>| match (one, other) {
            (Some(one), Some(other)) => Some(of(one, other)),
            (one, other) => one.or(other),
        };
        Self { request: merged(self.request, other.request), limit: merged(self.limit, other.limit) }
    }

    /// A limit, and a request that is the same or left to be the same.
    pub(crate) fn is_guaranteed(self) -> bool {
        self.limit.is_some_and(|limit| limit > Amount::ZERO && self.request.is_none_or(|request| request == limit))
    }
}

impl Share {
    pub(crate) fn is_guaranteed(self) -> bool {
        self.limit == Some(self.request)
    }
}

/// Limits where the settings give none, and where there is a choice.
struct Measures {
    /// With less it does not run.
    least: Amount,
    /// A limit that the request is rather raised for than to go below it.
    fair: Amount,
    /// The limit where one is demanded.
    usual: Amount,
    /// The limit where a quota counts limits.
    frugal: Amount,
}

/// Everything that bears on one resource of one pod.
struct Place<'a> {
    resource: Resource,
    measures: Measures,
    demand: &'a Demand,
    /// The sums of the containers of others.
    others: Said,
    /// The resources of the pod as a whole.
    pod: Said,
}

impl Resources {
    /// What the settings ask for.
    fn asked(sidecar: &Sidecar) -> Self {
        Self {
            cpu: Share {
                request: Amount::of_millicpus(sidecar.cpu_request.millicpus()),
                limit: sidecar.cpu_limit.map(|limit| Amount::of_millicpus(limit.millicpus())),
            },
            memory: Share {
                request: Amount::of_mebibytes(sidecar.memory_request.mebibytes()),
                limit: Some(Amount::of_mebibytes(sidecar.memory_limit.mebibytes())),
            },
        }
    }

    /// What the settings ask for, fitted into what is allowed.
    pub(crate) fn fitted(
        sidecar: &Sidecar,
        pod: &Pod,
        demands: &Demands,
        notes: &mut Vec<Note>,
    ) -> Result<Self, SkipReason> {
        let asked = Self::asked(sidecar);
        let mut fit = |resource, asked: Share| {
            let share = Place::of(resource, pod, demands).fitted(asked)?;
            if share != asked {
                notes.push(Note::Fitted { resource, request: share.request, limit: share.limit });
            }
            Ok(share)
        };
        Ok(Self { cpu: fit(Resource::Cpu, asked.cpu)?, memory: fit(Resource::Memory, asked.memory)? })
    }

    /// Each resource and what is asked for of it.
    pub(crate) fn shares(&self) -> [(Resource, Share); 2] {
        [(Resource::Cpu, self.cpu), (Resource::Memory, self.memory)]
    }
}

/// Quotas that have less left than so many replicas of a pod need for their proxies.
pub(crate) fn short_quotas<'a>(
    resources: &Resources,
    pod: &'a Pod,
    demands: &'a Demands,
    replicas: u64,
) -> impl Iterator<Item = Note> + use<'a> {
    resources.shares().into_iter().flat_map(move |(resource, share)| {
        let (demand, of_pod) = (demands.of(resource), pod.resources(resource));
        let requests = counted(of_pod.request, demand.requests.as_ref()).zip(Some(share.request));
        let limits = counted(of_pod.limit, demand.limits.as_ref()).zip(share.limit);
        let short = move |(name, quota): (&str, Option<(&Quota, Amount)>)| {
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

impl<'a> Place<'a> {
    fn of(resource: Resource, pod: &Pod, demands: &'a Demands) -> Self {
        let measures = match resource {
            Resource::Cpu => Measures {
                least: Amount::of_millicpus(1),
                fair: Amount::of_millicpus(100),
                usual: Amount::of_millicpus(1000),
                frugal: Amount::of_millicpus(100),
            },
            Resource::Memory => Measures {
                least: Amount::of_mebibytes(LEAST_MEMORY_LIMIT.mebibytes()),
                fair: Amount::of_mebibytes(32),
                usual: Amount::of_mebibytes(128),
                frugal: Amount::of_mebibytes(64),
            },
        };
        let demand = demands.of(resource);
        Self { resource, measures, demand, others: pod.sums(resource, demand), pod: pod.resources(resource) }
    }

    fn fitted(&self, asked: Share) -> Result<Share, SkipReason> {
        let (least, most_requested, most) = (self.least(), self.most_requested(), self.most());
        let below = |amount: Amount, ceiling: &Option<Ceiling>| {
            ceiling.as_ref().map_or(amount, |ceiling| amount.min(ceiling.amount))
        };
        let highest = |request| below(below(request, &most_requested), &most);
        let mut request = highest(asked.request.max(least));
        let limit = asked.limit.or_else(|| self.demanded(request)).map(|limit| below(limit.max(least), &most));
        let limit = limit.map(|asked| {
            if let Some(ratio) = self.demand.container.ratio {
                let fair = self.measures.fair.min(asked);
                if request.times(ratio) < fair {
                    request = highest(fair.divided(ratio).rounded_up(self.resource));
                }
            }
            self.in_proportion(asked, request).max(request)
        });
        let short = |ceiling: Option<Ceiling>| Err(ceiling.map_or(SkipReason::LimitRange, |ceiling| ceiling.reason));
        if request < least {
            let ceiling = [most_requested, most].into_iter().flatten().min_by_key(|ceiling| ceiling.amount);
            return short(ceiling);
        }
        if limit
            .is_some_and(|limit| limit < self.measures.least.max(least) || self.in_proportion(limit, request) < limit)
        {
            return short(most);
        }
        Ok(Share { request, limit })
    }

    /// The least that a container may request.
    fn least(&self) -> Amount {
        let Bounds { min, ratio, .. } = self.demand.container;
        // A limit is not measured by a request of nothing.
        let positive = ratio.map_or(Amount::ZERO, |_| self.resource.unit());
        min.unwrap_or_default().max(positive)
    }

    /// The most that we may request.
    fn most_requested(&self) -> Option<Ceiling> {
        // A pod without a request of its own is given the sum of its containers', which its limit must not be below.
        let of_pod = self.pod.request.or(self.pod.limit);
        lowest([
            Ceiling::beside(of_pod, self.others.request, SkipReason::PodResources),
            Ceiling::beside(
                counted(self.pod.request, self.demand.pod.max),
                self.others.request,
                SkipReason::LimitRange,
            ),
            Ceiling::beside(
                counted(self.pod.request, hard(self.demand.requests.as_ref())),
                self.others.request,
                SkipReason::Quota,
            ),
        ])
    }

    /// The most that our limit may be.
    fn most(&self) -> Option<Ceiling> {
        lowest([
            Ceiling::beside(self.demand.container.max, None, SkipReason::LimitRange),
            // A container with a higher limit than its pod's cannot be started.
            Ceiling::beside(self.pod.limit, None, SkipReason::PodResources),
            Ceiling::beside(counted(self.pod.limit, self.demand.pod.max), self.others.limit, SkipReason::LimitRange),
            Ceiling::beside(
                counted(self.pod.limit, hard(self.demand.limits.as_ref())),
                self.others.limit,
                SkipReason::Quota,
            ),
        ])
    }

    /// The limit, lowered to what the ratios allow beside this request.
    fn in_proportion(&self, limit: Amount, request: Amount) -> Amount {
        let of_container = self.demand.container.ratio.map(|ratio| request.times(ratio));
        let of_pod = counted(self.pod.request.or(self.pod.limit), self.demand.pod.ratio).and_then(|ratio| {
            let all = |request: Amount| self.others.request.unwrap_or_default().plus(request).times(ratio);
            let limits = self.others.limit.unwrap_or_default();
            // Pods that are refused without us are refused with us.
            (limits <= all(Amount::ZERO)).then(|| all(request).minus(limits))
        });
        let most = [of_container, of_pod].into_iter().flatten().min();
        most.map_or(limit, |most| if most < limit { most.rounded_down(self.resource) } else { limit })
    }

    /// The limit where the settings leave it open and there must be one.
    fn demanded(&self, request: Amount) -> Option<Amount> {
        let Demand { container, pod, default_limit, limits, .. } = self.demand;
        let pod = counted(self.pod.limit, Some(pod));
        let is_bounded =
            [Some(container), pod].into_iter().flatten().any(|bounds| bounds.max.is_some() || bounds.ratio.is_some());
        // The limit that a container without one is given.
        let is_below_request = default_limit.is_some_and(|limit| limit < request);
        if limits.is_some() {
            Some(self.measures.frugal)
        } else {
            (is_bounded || is_below_request).then_some(self.measures.usual)
        }
    }
}

/// An amount that must not be passed, and why.
struct Ceiling {
    amount: Amount,
    reason: SkipReason,
}

impl Ceiling {
    /// What `most` leaves beside `others`; none where they are above it already: such pods are refused without us, too.
    fn beside(most: Option<Amount>, others: Option<Amount>, reason: SkipReason) -> Option<Self> {
        let (most, others) = (most?, others.unwrap_or_default());
        (others <= most).then(|| Self { amount: most.minus(others), reason })
    }
}

fn lowest(ceilings: impl IntoIterator<Item = Option<Ceiling>>) -> Option<Ceiling> {
    ceilings.into_iter().flatten().min_by_key(|ceiling| ceiling.amount)
}

/// What bounds the sum of all containers; an amount of the pod as a whole takes the place of the sum.
fn counted<T>(of_pod: Option<Amount>, bound: Option<T>) -> Option<T> {
    bound.filter(|_| of_pod.is_none())
}

fn hard(quota: Option<&Quota>) -> Option<Amount> {
    quota?.hard
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use settings::{Layer, WorkloadSettings};

    use super::*;
    use crate::entry::Origin;
    use crate::names::PortNames;
    use crate::node::Node;

    /// A pod with two containers and an init container.
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

    /// The fitted requests and limits, as in a manifest: `10m-1`.
    fn fitted(annotations: &[(&str, &str)], spec: &Value, demands: &Demands) -> Result<[String; 2], SkipReason> {
        let own = [("max-requests", "1")].iter().chain(annotations);
        let own = own.map(|(name, value)| (format!("evenkeel.dev/{name}"), (*value).to_owned())).collect();
        let settings = WorkloadSettings::resolve(&[Layer::Workload(&own)]).unwrap().unwrap();
        let mut notes = Vec::new();
        let resources = Resources::fitted(&settings.sidecar, &pod(spec), demands, &mut notes)?;
        let unchanged = resources == Resources::asked(&settings.sidecar);
        assert_eq!(notes.is_empty(), unchanged, "{notes:?}");
        Ok(resources.shares().map(|(resource, share)| {
            let limit = share.limit.map_or_else(|| "off".to_owned(), |limit| limit.written(resource));
            format!("{}-{limit}", share.request.written(resource))
        }))
    }

    fn limits(items: &Value) -> Demands {
        Demands::read([&json!({"spec": {"limits": items}})], [])
    }

    fn quota(hard: &Value) -> Demands {
        Demands::read([], [&json!({"spec": {"hard": hard}})])
    }

    #[test]
    fn where_nothing_is_demanded_it_gets_what_it_asks_for() {
        let no = Demands::default();
        assert_eq!(fitted(&[], &spec(), &no).unwrap(), ["10m-off", "16Mi-128Mi"]);
        let asked = [("proxy-cpu-request", "20m"), ("proxy-cpu-limit", "2"), ("proxy-memory-limit", "1Gi")];
        assert_eq!(fitted(&asked, &spec(), &no).unwrap(), ["20m-2", "16Mi-1Gi"]);
    }

    #[test]
    fn within_the_bounds_of_a_container() {
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
            // The request is rather raised than that the proxy is stopped all the time.
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
    fn memory_within_the_bounds_of_a_container() {
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
    fn what_annotations_ask_for_is_fitted_too() {
        let asked = [("proxy-cpu-request", "2"), ("proxy-cpu-limit", "4")];
        let item = json!({"type": "Container", "max": {"cpu": "1"}});
        assert_eq!(fitted(&asked, &spec(), &limits(&json!([item]))).unwrap()[0], "1-1");
    }

    #[test]
    fn within_the_bounds_of_a_pod() {
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
    fn within_quotas() {
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
    fn a_quota_that_is_nearly_used_up_is_told_of() {
        let quota = json!({
            "spec": {"hard": {"limits.cpu": "6", "requests.memory": "1Gi"}},
            "status": {"used": {"limits.cpu": "5750m", "requests.memory": "500Mi"}},
        });
        let demands = Demands::read([], [&quota]);
        let short = |replicas, spec: &Value| {
            let pod = pod(spec);
            let own = [("evenkeel.dev/max-requests".to_owned(), "1".to_owned())].into();
            let sidecar = WorkloadSettings::resolve(&[Layer::Workload(&own)]).unwrap().unwrap().sidecar;
            let resources = Resources::fitted(&sidecar, &pod, &demands, &mut Vec::new()).unwrap();
            short_quotas(&resources, &pod, &demands, replicas).collect::<Vec<_>>()
        };
        assert_eq!(short(2, &spec()), []);
        let [needed, left] = ["300m", "250m"].map(str::to_owned);
        assert_eq!(short(3, &spec()), [Note::QuotaShort { quota: "limits.cpu".to_owned(), needed, left }]);
        assert_eq!(short(u64::MAX, &spec()).len(), 2);
        let mut as_a_whole = spec();
        as_a_whole["resources"] = json!({"limits": {"cpu": "2"}, "requests": {"memory": "1Gi"}});
        assert_eq!(short(1000, &as_a_whole), [], "the containers of such a pod are not counted");
    }

    #[test]
    fn within_the_resources_of_the_pod_as_a_whole() {
        let with = |resources: Value| {
            let mut spec = spec();
            spec["resources"] = resources;
            fitted(&[], &spec, &Demands::default())
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

    #[test]
    fn the_sum_counts_sidecars_and_the_largest_init_container() {
        let container = |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = container("log", "50m");
        sidecar["restartPolicy"] = json!("Always");
        let init = |big: &str| {
            json!({
                "containers": [container("web", "100m"), {"name": "none"}],
                "initContainers": [container("first", "400m"), sidecar, container("big", big)],
            })
        };
        let sum = |spec: &Value| pod(spec).sums(Resource::Cpu, &Demand::default());
        let cpu = |text: &str| Said { request: Amount::of(&json!(text)), limit: None };
        assert_eq!(sum(&init("200m")), cpu("400m"));
        assert_eq!(sum(&init("600m")), cpu("650m"));
        let by_default = Demand { default_request: Amount::of(&json!("1")), ..Demand::default() };
        assert_eq!(pod(&init("200m")).sums(Resource::Cpu, &by_default).request, Amount::of(&json!("1150m")));
    }
}
