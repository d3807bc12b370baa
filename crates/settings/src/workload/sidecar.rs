//! The image of the proxy and its resources.

use crate::fault::Fault;
use crate::layer::Said;
use crate::table::Annotation;
use crate::value::{CpuQuantity, ImageReference, MemoryQuantity, Off, Threads};

/// The least memory limit of the proxy. A container's first process is the runtime's own, which needs some MiB: runc
/// fails up to 4Mi, CRI-O refuses less than 12Mi. The proxy's own needs are smaller, and what is left is for
/// connections.
pub const LEAST_MEMORY_LIMIT: MemoryQuantity = MemoryQuantity::of_mebibytes(16);
/// Stacks and buffers of each thread after the first, in MiB.
const OF_A_THREAD: u32 = 3;

/// The sidecar's image and resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// The image of both injected containers.
    pub image: ImageReference,
    /// CPU request.
    pub cpu_request: CpuQuantity,
    /// Memory request.
    pub memory_request: MemoryQuantity,
    /// CPU limit; never below the request. `None`: the number of its threads bounds what it uses.
    pub cpu_limit: Option<CpuQuantity>,
    /// Memory limit; never below the request, nor below [`LEAST_MEMORY_LIMIT`].
    pub memory_limit: MemoryQuantity,
}

impl Sidecar {
    pub(super) fn parse(said: &Said<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let default_image = concat!("ghcr.io/evenkeel/recycling-proxy:", env!("CARGO_PKG_VERSION"));
        let image = if said.contains(Annotation::ProxyImage) {
            said.last(Annotation::ProxyImage, faults)
        } else {
            default_image.parse().ok()
        };
        let cpu_request = said.one(Annotation::ProxyCpuRequest, faults);
        let memory_request = said.one(Annotation::ProxyMemoryRequest, faults);
        let cpu_limit = said.one::<Off<CpuQuantity>>(Annotation::ProxyCpuLimit, faults);
        let memory_limit = said.one::<MemoryQuantity>(Annotation::ProxyMemoryLimit, faults);
        at_least(Annotation::ProxyCpuLimit, cpu_limit.as_ref().and_then(|limit| limit.0), cpu_request, faults);
        at_least(Annotation::ProxyMemoryLimit, memory_limit, memory_request, faults);
        // A fault of the threads is there already, from the shared settings.
        let threads = said.one(Annotation::ProxyThreads, &mut Vec::new());
        let least = threads.map_or(LEAST_MEMORY_LIMIT, least_memory_limit);
        let memory_limit = match memory_limit {
            // The default is for the default number of threads.
            Some(limit) if !said.contains(Annotation::ProxyMemoryLimit) => Some(limit.max(least)),
            limit => limit,
        };
        if let Some(limit) = memory_limit.filter(|limit| *limit < least) {
            let why = if limit < LEAST_MEMORY_LIMIT { "start" } else { "have room for its threads" };
            let expected = format!("an amount from {least} to 64Gi: with less the proxy does not {why}");
            faults.push(Fault::invalid(Annotation::ProxyMemoryLimit.key(), limit.to_string(), expected));
        }
        Some(Self {
            image: image?,
            cpu_request: cpu_request?,
            memory_request: memory_request?,
            cpu_limit: cpu_limit?.0,
            memory_limit: memory_limit?,
        })
    }
}

/// Returns the least memory limit with which a proxy of so many threads has room for connections.
fn least_memory_limit(threads: Threads) -> MemoryQuantity {
    let further = u32::from(threads.get()).saturating_sub(1);
    MemoryQuantity::of_mebibytes(LEAST_MEMORY_LIMIT.mebibytes() + OF_A_THREAD * further)
}

/// A pod whose limit is below its request is refused by the API server, and with it the rollout.
fn at_least<Q: Ord + ToString>(limit_of: Annotation, limit: Option<Q>, request: Option<Q>, faults: &mut Vec<Fault>) {
    if let (Some(limit), Some(request)) = (limit, request)
        && limit < request
    {
        let expected = format!("at least the request, which is {}", request.to_string());
        faults.push(Fault::invalid(limit_of.key(), limit.to_string(), expected));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fault::Faults;
    use crate::layer::Layer;
    use crate::workload::WorkloadSettings;

    fn sidecar(annotations: &[(&str, &str)]) -> Result<Sidecar, Faults> {
        let own = [("evenkeel.dev/max-requests", "1")].iter().chain(annotations);
        let own: BTreeMap<String, String> = own.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        WorkloadSettings::resolve(&[Layer::Workload(&own)]).map(|settings| settings.unwrap().sidecar)
    }

    #[test]
    fn a_memory_limit_too_small_to_start_is_refused() {
        let resolve = |request: &str, limit: &str| {
            let own = [("evenkeel.dev/proxy-memory-request", request), ("evenkeel.dev/proxy-memory-limit", limit)];
            sidecar(&own).map(|sidecar| sidecar.memory_limit)
        };
        let below = format!("{}Mi", LEAST_MEMORY_LIMIT.mebibytes() - 1);
        assert!(resolve("1Mi", "1Mi").unwrap_err().to_string().contains("with less the proxy does not start"));
        assert_eq!(resolve("1Mi", &below).unwrap_err().iter().count(), 1);
        assert_eq!(resolve("1Mi", &LEAST_MEMORY_LIMIT.to_string()), Ok(LEAST_MEMORY_LIMIT));
        let form = Annotation::ProxyMemoryLimit.value_form();
        assert!(form.starts_with(&format!("{LEAST_MEMORY_LIMIT} to ")), "{form}");
    }

    #[test]
    fn more_threads_require_more_memory() {
        let limit = |own: &[(&str, &str)]| sidecar(own).map(|sidecar| sidecar.memory_limit.to_string());
        let threads = ("evenkeel.dev/proxy-threads", "64");
        assert_eq!(limit(&[threads]).as_deref(), Ok("205Mi"), "the default grows with the threads");
        assert_eq!(limit(&[("evenkeel.dev/proxy-threads", "8")]).as_deref(), Ok("128Mi"));
        assert_eq!(limit(&[threads, ("evenkeel.dev/proxy-memory-limit", "205Mi")]).as_deref(), Ok("205Mi"));
        let faults = limit(&[threads, ("evenkeel.dev/proxy-memory-limit", "204Mi")]).unwrap_err().to_string();
        assert!(
            faults.contains("from 205Mi to 64Gi: with less the proxy does not have room for its threads"),
            "{faults}"
        );
    }

    #[test]
    fn cpu_is_limited_only_on_request() {
        for (limit, expected) in [("off", None), ("500m", Some(500))] {
            let sidecar = sidecar(&[("evenkeel.dev/proxy-cpu-limit", limit)]).unwrap();
            assert_eq!(sidecar.cpu_limit.map(CpuQuantity::millicpus), expected, "{limit}");
        }
        let faults = sidecar(&[("evenkeel.dev/proxy-cpu-limit", "0")]);
        assert!(faults.unwrap_err().to_string().contains("off, or an amount of CPU from 1m to 64"));
    }
}
