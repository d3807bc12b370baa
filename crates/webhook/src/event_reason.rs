//! Why Events are published on workloads.

use labels::labels;

labels!(
    /// Why an Event is published. The labels are those of metrics, the sentences are for users and have no full stop.
    pub EventReason {
        /// the recycling proxy was injected
        Injected = "injected",
        /// an annotation asks for the recycling proxy, but this workload cannot have it
        Skipped = "skipped",
        /// the annotations have faults; nothing was injected or changed
        Invalid = "invalid",
        /// the recycling proxy was injected, and the API server refuses the pods
        Refused = "refused",
        /// the recycling proxy was removed, because no annotation asks for it any more
        Removed = "removed",
        /// a Service bypasses the recycling proxy, or has a port that it does not intercept
        Bypassed = "bypassed",
        /// a Service's session affinity brings retired connections back to the same pod
        Affine = "session_affinity",
        /// the recycling proxy is not injected, or not removed: workloads of this namespace are not reviewed
        OptedOut = "opted_out",
        /// its last change was not reviewed: the webhook did not answer, or the namespace had opted out; run kubectl
        /// rollout restart (scaling is not enough)
        Missed = "missed",
    }
);

impl EventReason {
    /// Returns the `reason` of the Event, which `kubectl get events --field-selector reason=…` finds.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Injected => "ProxyInjected",
            Self::Skipped => "InjectionSkipped",
            Self::Invalid => "InvalidSettings",
            Self::Refused => "PodsRefused",
            Self::Removed => "ProxyRemoved",
            Self::Bypassed => "ServiceBypassesProxy",
            Self::Affine => "SessionAffinity",
            Self::OptedOut => "NamespaceOptedOut",
            Self::Missed => "InjectionMissed",
        }
    }

    /// Returns the `type` of the Event.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Injected | Self::Removed => "Normal",
            Self::Skipped
            | Self::Invalid
            | Self::Refused
            | Self::Bypassed
            | Self::Affine
            | Self::OptedOut
            | Self::Missed => "Warning",
        }
    }
}
