//! The kinds of workload that carry a pod template.

/// A kind of workload; what differs between kinds is where the pod template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
}

impl WorkloadKind {
    /// The kind of an object with this `apiVersion` and `kind`; `None` where nothing is ever injected.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("apps/v1", "Deployment") => Some(Self::Deployment),
            _ => None,
        }
    }

    /// Where the pod template (an object with `metadata` and `spec`) is.
    pub(crate) const fn template(self) -> &'static [&'static str] {
        match self {
            Self::Deployment => &["spec", "template"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_pod_template() {
        assert_eq!(WorkloadKind::of("apps/v1", "Deployment"), Some(WorkloadKind::Deployment));
        for (api_version, kind) in [("extensions/v1beta1", "Deployment"), ("v1", "Service"), ("", "")] {
            assert_eq!(WorkloadKind::of(api_version, kind), None);
        }
    }
}
