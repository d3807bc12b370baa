//! Reasons not to inject a workload, although its annotations ask for it.

use std::fmt;

/// Defines the reasons; label and sentence are written once.
macro_rules! reasons {
    ($($variant:ident: $label:literal, $sentence:literal;)+) => {
        /// Why a workload that asked for the proxy does not get it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SkipReason {
            $(#[doc = $sentence] $variant,)+
        }

        impl SkipReason {
            /// Every reason, in the order of the checks.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label in metrics, logs and test names.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// One sentence for its user, without a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

reasons! {
    HostNetwork: "host_network", "the pod uses the node's network, where a redirection would take the node's own ports";
    Windows: "windows", "the pod runs on Windows, and the recycling proxy on Linux alone";
    MeshProxy: "mesh_proxy", "the pod or its namespace asks for a service mesh, whose proxy balances by request already";
    NameClash: "name_clash", "a container or volume of another origin has a name of the recycling proxy's own";
    NoPort: "no_port", "no container declares a port; evenkeel.dev/ports can name the one to take";
    NoTcpPort: "no_tcp_port", "every declared port is UDP or SCTP, and only TCP carries HTTP connections to recycle";
    PortClash: "port_clash", "a port that the proxy needs is used: 15210, 15211 or, for named or probed ports, 15220 to 15299";
    PortOwners: "port_owners", "two containers declare the same TCP port, so it is unclear which of them is the app";
    HostPort: "host_port", "a taken port has a hostPort, by which the node would lead clients past the Service";
    PodSecurity: "pod_security", "the namespace's Pod Security admits no redirect; interception named-port needs no privilege";
    Sandbox: "sandbox", "gVisor (runtimeClassName) cannot redirect; interception named-port works there";
    UnnamedPort: "unnamed_port", "named-port moves the names of ports, and a port to take has none: name it";
    PortNames: "port_names", "named-port moves the names of ports: one is doubled, the proxy's own, or after UDP of its number";
    PodResources: "pod_resources", "the pod's own resources (spec.resources) have no room for the recycling proxy: raise them";
    LimitRange: "limit_range", "with the recycling proxy no pod is within the namespace's LimitRange";
    Quota: "quota", "the namespace's ResourceQuota has no room for one pod with the recycling proxy";
    TooLarge: "too_large", "with the recycling proxy the object would be larger than API servers take";
    NoTemplate: "no_template", "the Rollout has no pod template of its own: annotate the workload that it refers to";
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_metric_labels() {
        let mut labels: Vec<_> = SkipReason::ALL.iter().map(|reason| reason.label()).collect();
        assert!(labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), SkipReason::ALL.len());
    }

    #[test]
    fn sentences_name_the_ports_of_the_contract() {
        let sentence = SkipReason::PortClash.sentence();
        assert!(sentence.contains(&settings::PROXY_PORT.to_string()));
        assert!(sentence.contains(&settings::ADMIN_PORT.to_string()));
        for port in [settings::NAMED_PORTS.start(), settings::NAMED_PORTS.end()] {
            assert!(sentence.contains(&port.to_string()));
        }
    }
}
