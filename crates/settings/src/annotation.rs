//! The annotations: `evenkeel.dev/KEY` on a workload's own metadata or on its pod template.

use std::fmt;

/// What every annotation key of ours begins with.
pub const PREFIX: &str = "evenkeel.dev/";
/// The annotation that the webhook writes: what was injected and moved, so that it can be undone exactly.
pub const STATUS_KEY: &str = "evenkeel.dev/status";

/// The longest name, in bytes, that a known one is looked for by resemblance.
const LONGEST_SLIP: usize = 40;

/// Names from before the first release, each with what it is called now. They are no aliases: a warning gives the name of today.
const RENAMED: &[(&str, Annotation)] = &[("tls-upstream", Annotation::TlsToApp)];

/// Defines the annotations; every fact is written once.
macro_rules! annotations {
    ($($variant:ident: $name:literal, $value:literal, $default:literal, $by_default:literal, $help:literal;)+) => {
        /// An annotation that a user can set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Annotation {
            $(#[doc = $help] $variant,)+
        }

        impl Annotation {
            /// Every annotation, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The key without its prefix.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The whole key.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => concat!("evenkeel.dev/", $name),)+ }
            }

            /// The form of its value, for documentation.
            pub const fn value_form(self) -> &'static str {
                match self { $(Self::$variant => $value,)+ }
            }

            /// Returns the value that holds where it is absent, or a phrase where that is no value of its own.
            pub const fn default_text(self) -> &'static str {
                match self { $(Self::$variant => $default,)+ }
            }

            /// Whether the installation can give a default for it.
            pub const fn takes_installation_default(self) -> bool {
                match self { $(Self::$variant => $by_default,)+ }
            }

            /// What it means.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }
        }
    };
}

annotations! {
    MaxRequests: "max-requests", "1 to 4294967295", "required to opt in, unless balance is on", false,
        "Requests after which a client connection is retired.";
    Balance: "balance", "on or off", "off", true,
        "Retire connections after scale events, until the load of the pods is even; opts in by itself. Without max-requests a connection has no limit while balancing is in force, and 1000 requests while it is not.";
    Jitter: "jitter", "0% to 50%", "10%", true,
        "Each connection's own limit is drawn from [N·(1−jitter), N], so that limits never fall together and never exceed N.";
    MaxAge: "max-age", "a duration, or off", "off", true,
        "Also retire a connection with its first response after this age, jittered alike.";
    MaxTunnelAge: "max-tunnel-age", "a duration, or off", "off", true,
        "Close a tunnel (WebSocket, CONNECT, any protocol but HTTP) after this time, jittered alike.";
    Ports: "ports", "names or numbers, separated by commas", "every declared TCP container port", false,
        "The app ports that pass through the proxy; numbers need not be declared.";
    OpaquePorts: "opaque-ports", "names or numbers, separated by commas", "none", false,
        "App ports whose bytes are forwarded without inspection.";
    Interception: "interception", "redirect or named-port", "redirect", true,
        "How traffic reaches the proxy: redirected by nftables rules in the pod, or, without privileges, by the name of the container port, which moves to the proxy. Where a namespace enforces Pod Security and nothing is set, named-port.";
    DrainTimeout: "drain-timeout", "a duration", "20s", true,
        "The bound on the drain at pod termination, never more than two thirds of the grace period.";
    HoldApp: "hold-app", "on or off", "on", true,
        "An app container without a preStop hook is stopped only after the drain.";
    ForwardedFor: "forwarded-for", "on or off", "off", true,
        "Append the client's address to X-Forwarded-For of each request.";
    ProxyProtocol: "proxy-protocol", "v1, v2 or off", "off", false,
        "Send a PROXY protocol header with the client's address at the start of every connection to the app, which must accept it.";
    TlsSecret: "tls-secret", "the name of a Secret", "none", false,
        "Terminate client TLS in the proxy, with the certificate of this Secret (kubernetes.io/tls, in the workload's namespace).";
    TlsToApp: "tls-to-app", "on or off", "off", false,
        "Where the proxy terminates TLS, re-encrypt to the app, whose certificate is not verified.";
    ProxyImage: "proxy-image", "an image reference", "the installation's", true,
        "The image of the injected containers.";
    ProxyCpuRequest: "proxy-cpu-request", "1m to 64", "10m", true,
        "CPU that the scheduler and the HorizontalPodAutoscaler count for the proxy.";
    ProxyMemoryRequest: "proxy-memory-request", "1Mi to 64Gi", "16Mi", true,
        "Memory that the scheduler counts for the proxy.";
    ProxyCpuLimit: "proxy-cpu-limit", "1m to 64, or off", "off", true,
        "CPU that the proxy can use at most; without it what its threads can use, unless the namespace demands a limit.";
    ProxyMemoryLimit: "proxy-memory-limit", "16Mi to 64Gi", "128Mi", true,
        "Memory that the proxy can use at most; each of its threads after the first needs 3Mi more than the least.";
    ProxyThreads: "proxy-threads", "1 to 64", "1", true,
        "The proxy's worker threads.";
    ProxyLogLevel: "proxy-log-level", "error, warn, info, debug or trace", "info", true,
        "What the proxy logs.";
    Inject: "inject", "enabled or disabled", "enabled where max-requests or balance is there", false,
        "Switches injection off without losing the settings.";
}

impl Annotation {
    /// The annotation with this whole key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::of_name(key.strip_prefix(PREFIX)?)
    }

    /// The annotation with this key, which is without its prefix.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|annotation| annotation.name() == name)
    }

    /// The annotation whose key a mistyped one most likely means; `None` where it resembles none.
    ///
    /// A key of any length costs a few microseconds at most.
    pub fn nearest(key: &str) -> Option<Self> {
        let name = key.strip_prefix(PREFIX).unwrap_or(key);
        if let Some((_, renamed)) = RENAMED.iter().find(|(earlier, _)| *earlier == name) {
            return Some(*renamed);
        }
        // The distance takes time by the product of the lengths, and nothing so long is a slip of the finger.
        if name.len() > LONGEST_SLIP {
            return None;
        }
        let distance = |annotation: &Self| strsim::damerau_levenshtein(annotation.name(), name);
        let nearest = Self::ALL.iter().copied().min_by_key(distance)?;
        (distance(&nearest) <= name.chars().count() / 2).then_some(nearest)
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_the_prefix_and_are_found_again() {
        for annotation in Annotation::ALL {
            assert_eq!(annotation.key(), format!("{PREFIX}{}", annotation.name()));
            assert_eq!(Annotation::of_key(annotation.key()), Some(*annotation));
            assert_ne!(annotation.key(), STATUS_KEY);
        }
    }

    #[test]
    fn nearest_is_what_was_meant() {
        for (typed, meant) in [
            ("evenkeel.dev/max-request", Annotation::MaxRequests),
            ("evenkeel.dev/maxrequests", Annotation::MaxRequests),
            ("evenkeel.dev/jiter", Annotation::Jitter),
            ("evenkeel.dev/proxy-memory-limits", Annotation::ProxyMemoryLimit),
            ("evenkeel.dev/port", Annotation::Ports),
            ("evenkeel.dev/tls-upstream", Annotation::TlsToApp),
        ] {
            assert_eq!(Annotation::nearest(typed), Some(meant), "{typed}");
        }
    }

    #[test]
    fn what_resembles_nothing_gets_no_hint() {
        for key in [
            "evenkeel.dev/",
            "evenkeel.dev/x",
            "evenkeel.dev/färgsättning",
            &format!("{PREFIX}{}", "max-requests".repeat(4)),
        ] {
            assert_eq!(Annotation::nearest(key), None, "{key}");
        }
        assert_eq!(Annotation::nearest(&"x".repeat(100 << 20)), None);
    }
}
