//! Why Events are published on workloads.

/// Defines the reasons. Label, name, type and sentence are written once.
macro_rules! event_reasons {
    ($($variant:ident: $label:literal, $reason:literal, $type:literal, $sentence:literal;)+) => {
        /// Why an Event is published.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventReason {
            $(#[doc = $sentence] $variant,)+
        }

        impl EventReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the label in metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// Returns the `reason` of the Event, which `kubectl get events --field-selector reason=…` finds.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $reason,)+ }
            }

            /// Returns the `type` of the Event.
            pub const fn event_type(self) -> &'static str {
                match self { $(Self::$variant => $type,)+ }
            }

            /// Returns one sentence for users, without a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

event_reasons! {
    Injected: "injected", "ProxyInjected", "Normal", "the recycling proxy was injected";
    Skipped: "skipped", "InjectionSkipped", "Warning", "the recycling proxy was asked for, but this workload cannot have it";
    Invalid: "invalid", "InvalidSettings", "Warning", "the annotations have faults; nothing was injected or changed";
    Refused: "refused", "PodsRefused", "Warning", "the recycling proxy was injected, and the API server refuses the pods";
    Removed: "removed", "ProxyRemoved", "Normal", "the recycling proxy was removed, because no annotation asks for it any more";
    Bypassed: "bypassed", "ServiceBypassesProxy", "Warning", "a Service bypasses the recycling proxy, or has a port that it does not intercept";
    Affine: "session_affinity", "SessionAffinity", "Warning", "a Service's session affinity brings retired connections back to the same pod";
    OptedOut: "opted_out", "NamespaceOptedOut", "Warning", "the recycling proxy is not injected, or not removed: workloads of this namespace are not reviewed";
    Missed: "missed", "InjectionMissed", "Warning", "its last change was not reviewed: the webhook did not answer, or the namespace had opted out; run kubectl rollout restart (scaling is not enough)";
}
