//! The reasons for which a workload is not injected although its annotations ask for it.

use labels::labels;

labels!(
    /// Why a workload is not injected although its annotations ask for it, in the order of the checks. The sentences
    /// have no full stop.
    #[derive(PartialOrd, Ord)]
    pub SkipReason {
        /// the pod uses the node's network, where a redirect would intercept the node's own ports
        HostNetwork = "host_network",
        /// the pod runs on Windows, and the recycling proxy on Linux alone
        Windows = "windows",
        /// the pod or its namespace asks for a service mesh, whose proxy balances by request already
        MeshProxy = "mesh_proxy",
        /// a container or volume of another origin has a name of the recycling proxy's own
        NameClash = "name_clash",
        /// no container declares a port; evenkeel.dev/ports can name the one to intercept
        NoPort = "no_port",
        /// every declared port is UDP or SCTP, and only TCP carries HTTP connections to recycle
        NoTcpPort = "no_tcp_port",
        /// a port that the proxy needs is used: 15210, 15211 or, for named or probed ports, 15220 to 15299
        PortClash = "port_clash",
        /// two containers declare the same TCP port, so it is unclear which of them is the app
        PortOwners = "port_owners",
        /// an intercepted port has a hostPort, by which clients would bypass the Service
        HostPort = "host_port",
        /// the namespace's Pod Security admits no redirect; interception named-port needs no privilege
        PodSecurity = "pod_security",
        /// gVisor (runtimeClassName) cannot redirect; interception named-port works there
        Sandbox = "sandbox",
        /// named-port moves the names of ports, and a port to intercept has none: name it
        UnnamedPort = "unnamed_port",
        /// named-port moves the names of ports: one is doubled, the proxy's own, or after UDP of its number
        PortNames = "port_names",
        /// the pod's own resources (spec.resources) have no room for the recycling proxy: raise them
        PodResources = "pod_resources",
        /// with the recycling proxy no pod is within the namespace's LimitRange
        LimitRange = "limit_range",
        /// the namespace's ResourceQuota has no room for one pod with the recycling proxy
        Quota = "quota",
        /// with the recycling proxy the object would be larger than API servers accept
        TooLarge = "too_large",
        /// the Rollout has no pod template of its own: annotate the workload that it refers to
        NoTemplate = "no_template",
    }
);

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
