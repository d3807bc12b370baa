//! The requests and limits of containers and pods.

use settings::Sidecar;

use crate::resources::constraints::Constraints;
use crate::resources::quantity::{Quantity, Resource};

/// The resources of an injected container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) cpu: Allocation,
    pub(crate) memory: Allocation,
}

/// The request and limit of an injected container for one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) request: Quantity,
    pub(crate) limit: Option<Quantity>,
}

/// The request and limit that a container or pod has for one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    pub(crate) request: Option<Quantity>,
    pub(crate) limit: Option<Quantity>,
}

impl Requirements {
    /// Returns them with the defaults that the API server and the namespace fill in.
    pub(crate) fn with_defaults(self, constraints: &Constraints) -> Self {
        Self {
            request: self.request.or(self.limit).or(constraints.default_request),
            limit: self.limit.or(constraints.default_limit),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        self.combined(other, Quantity::plus)
    }

    pub(crate) fn max(self, other: Self) -> Self {
        self.combined(other, Quantity::max)
    }

    fn combined(self, other: Self, of: impl Fn(Quantity, Quantity) -> Quantity) -> Self {
        let combined = |one: Option<Quantity>, other: Option<Quantity>| match (one, other) {
            (Some(one), Some(other)) => Some(of(one, other)),
            (one, other) => one.or(other),
        };
        Self { request: combined(self.request, other.request), limit: combined(self.limit, other.limit) }
    }

    /// Returns whether there is a limit, and the request equals it or defaults to it.
    pub(crate) fn is_guaranteed(self) -> bool {
        self.limit.is_some_and(|limit| limit > Quantity::ZERO && self.request.is_none_or(|request| request == limit))
    }
}

impl Allocation {
    pub(crate) fn is_guaranteed(self) -> bool {
        self.limit == Some(self.request)
    }
}

impl Resources {
    /// Returns the resources in the settings.
    pub(crate) fn configured(sidecar: &Sidecar) -> Self {
        Self {
            cpu: Allocation {
                request: Quantity::of_millicpus(sidecar.cpu_request.millicpus()),
                limit: sidecar.cpu_limit.map(|limit| Quantity::of_millicpus(limit.millicpus())),
            },
            memory: Allocation {
                request: Quantity::of_mebibytes(sidecar.memory_request.mebibytes()),
                limit: Some(Quantity::of_mebibytes(sidecar.memory_limit.mebibytes())),
            },
        }
    }

    /// Returns each resource with its allocation.
    pub(crate) fn allocations(&self) -> [(Resource, Allocation); 2] {
        [(Resource::Cpu, self.cpu), (Resource::Memory, self.memory)]
    }
}
