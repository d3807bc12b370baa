//! Why Events are published on workloads.

/// Defines the occasions; label, reason and sentence are written once.
macro_rules! occasions {
    ($($variant:ident: $label:literal, $reason:literal, $type:literal, $sentence:literal;)+) => {
        /// Why an Event is published.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Occasion {
            $(#[doc = $sentence] $variant,)+
        }

        impl Occasion {
            /// Every occasion.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label in metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// The reason of the Event, which `kubectl get events --field-selector reason=…` finds.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)+ }
            }

            /// The type of the Event.
            pub const fn event_type(self) -> &'static str {
                match self { $(Self::$variant => $type,)+ }
            }

            /// One sentence for its user, without a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

occasions! {
    Injected: "injected", "ProxyInjected", "Normal", "the recycling proxy was injected";
    Skipped: "skipped", "InjectionSkipped", "Warning", "the recycling proxy was asked for, but this workload cannot have it";
    Invalid: "invalid", "InvalidSettings", "Warning", "the annotations have faults; nothing was injected or changed";
    Refused: "refused", "PodsRefused", "Warning", "the recycling proxy was injected, and the API server refuses the pods, for its sake or another's";
    Removed: "removed", "ProxyRemoved", "Normal", "no annotation asks for the recycling proxy any more, and it was removed";
    Bypassed: "bypassed", "ServiceBypassesProxy", "Warning", "a Service leads past the recycling proxy, or to a port that it does not take";
    Affine: "session_affinity", "SessionAffinity", "Warning", "a Service brings retired connections back to the same pod";
    OptedOut: "opted_out", "NamespaceOptedOut", "Warning", "the recycling proxy is not injected, or not removed: the webhook is not asked about the workload's namespace";
    Missed: "missed", "InjectionMissed", "Warning", "nobody reviewed its last change: the webhook was away, or the namespace had opted out; kubectl rollout restart has it reviewed, scaling does not";
}
