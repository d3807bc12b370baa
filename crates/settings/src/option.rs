//! The options of the recycling proxy's commands: one definition for flags, environment names, help and docs.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;

use crate::annotation::Annotation;
use crate::fault::Fault;
use crate::value::InvalidValue;

/// What a command line, an environment and a page of documentation need to know of an option.
pub trait OptionSpec: Copy + Debug + Ord + 'static {
    /// Every option of the command, in the order in which they are documented.
    const ALL: &'static [Self];

    /// The long flag without its dashes.
    fn flag(self) -> &'static str;
    /// The environment variable.
    fn env(self) -> &'static str;
    /// The word for its value in help texts.
    fn value_name(self) -> &'static str;
    /// The value where none is given.
    fn default(self) -> Option<&'static str>;
    /// One sentence or two for its user.
    fn help(self) -> &'static str;
    /// Whether it takes several values: the flag repeated, or one text with commas.
    fn is_list(self) -> bool;
}

/// Defines an option enum; every fact is written once.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident {
        $($variant:ident: $flag:literal, $env:literal, $value_name:literal, $default:expr, $list:literal, $help:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $help] $variant,)+
        }

        impl OptionSpec for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn flag(self) -> &'static str {
                match self { $(Self::$variant => $flag,)+ }
            }

            fn env(self) -> &'static str {
                match self { $(Self::$variant => $env,)+ }
            }

            fn value_name(self) -> &'static str {
                match self { $(Self::$variant => $value_name,)+ }
            }

            fn default(self) -> Option<&'static str> {
                match self { $(Self::$variant => $default,)+ }
            }

            fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }

            fn is_list(self) -> bool {
                match self { $(Self::$variant => $list,)+ }
            }
        }
    };
}

options!(
    /// The options of `recycling-proxy run`.
    ProxyOption {
        Listen: "listen", "EVENKEEL_LISTEN", "ADDRESS", Some("[::]:15210"), true,
            "Where clients connect. `[::]` takes IPv4 too, and falls back to 0.0.0.0 on a machine without IPv6. May repeat, in pairs with --app.";
        App: "app", "EVENKEEL_APP", "ADDRESS", None, true,
            "Where the app listens, one for each --listen; :PORT is that port at whichever address of this machine the app has it. Left out, every connection goes to the port that it was redirected from (see 'recycling-proxy redirect').";
        MaxRequests: "max-requests", "EVENKEEL_MAX_REQUESTS", "N", Some("1000"), false,
            "Requests after which a client connection is retired: 1 to 4294967295.";
        BalanceKeys: "balance-keys", "EVENKEEL_BALANCE_KEYS", "KEYS", None, false,
            "The public keys of the balancers whose instructions are followed (POST /balance of the admin endpoints): Ed25519, each the base64 line of its PEM, separated by commas. Needs --workload and --namespace. Where --max-requests is left out, requests retire no connection while balancing is in force.";
        Workload: "workload", "EVENKEEL_WORKLOAD", "KIND/NAME", None, false,
            "The workload of the pod, such as Deployment/web: the proxy follows instructions for this one alone.";
        Namespace: "namespace", "EVENKEEL_NAMESPACE", "NAME", None, false,
            "The namespace of the pod (metadata.namespace).";
        Jitter: "jitter", "EVENKEEL_JITTER", "PERCENT", Some(Annotation::Jitter.default_text()), false,
            "Each connection's own limit is drawn from [N·(1−jitter), N], so that limits never fall together: 0% to 50%.";
        MaxAge: "max-age", "EVENKEEL_MAX_AGE", "DURATION", Some(Annotation::MaxAge.default_text()), false,
            "Also retire a connection with its first response after this age (jittered alike): 'off', or a duration such as 10m.";
        MaxTunnelAge: "max-tunnel-age", "EVENKEEL_MAX_TUNNEL_AGE", "DURATION", Some(Annotation::MaxTunnelAge.default_text()), false,
            "Close a tunnel (WebSocket, CONNECT, any protocol but HTTP) after this time (jittered alike): 'off', or a duration such as 4h.";
        OpaquePorts: "opaque-ports", "EVENKEEL_OPAQUE_PORTS", "PORTS", None, true,
            "App ports whose bytes are forwarded without inspection: numbers, separated by commas.";
        ForwardedFor: "forwarded-for", "EVENKEEL_FORWARDED_FOR", "SWITCH", Some(Annotation::ForwardedFor.default_text()), false,
            "Append the client's address to X-Forwarded-For of each request: on or off.";
        ProxyProtocol: "proxy-protocol", "EVENKEEL_PROXY_PROTOCOL", "VERSION", Some(Annotation::ProxyProtocol.default_text()), false,
            "Send a PROXY protocol header with the client's address at the start of every connection to the app: v1, v2 or off.";
        TlsCert: "tls-cert", "EVENKEEL_TLS_CERT", "FILE", None, false,
            "Terminate client TLS with this certificate: a chain in PEM, the server's own first. Reloaded every ten seconds. Needs --tls-key. Until the files are usable, and on opaque ports, TLS passes through.";
        TlsKey: "tls-key", "EVENKEEL_TLS_KEY", "FILE", None, false,
            "The private key of --tls-cert, in PEM.";
        TlsToApp: "tls-to-app", "EVENKEEL_TLS_TO_APP", "SWITCH", Some(Annotation::TlsToApp.default_text()), false,
            "Re-encrypt to the app for clients whose TLS is terminated: on or off. The app's certificate is not verified.";
        Admin: "admin", "EVENKEEL_ADMIN", "ADDRESS", Some("[::]:15211"), false,
            "Where metrics, readiness and /drained are served; read-only.";
        Liveness: "liveness", "EVENKEEL_LIVENESS", "JSON", Some("{}"), false,
            "The livenessProbes by which /drained/CONTAINER of the admin endpoints tells an app that is restarted from one whose pod ends: an object with the probe of each container, httpGet or tcpSocket with a port's number, and timeoutSeconds.";
        ProbePorts: "probe-ports", "EVENKEEL_PROBE_PORTS", "PORTS", None, true,
            "App ports that /probe/tcp/PORT of the admin endpoints tries, and no others: numbers, separated by commas. The app ports of --app are always among them.";
        Hold: "hold", "EVENKEEL_HOLD", "PORTS", None, true,
            "Ports at the address of --admin whose / answers as /drained does or, for PORT=CONTAINER, as /drained/CONTAINER: for hooks of which nothing may stay in a merge. Separated by commas.";
        Control: "control", "EVENKEEL_CONTROL", "SOCKET", Some("@recycling-proxy"), false,
            "The Unix socket for 'recycling-proxy drain': an absolute path, or @NAME in the abstract namespace.";
        Threads: "threads", "EVENKEEL_THREADS", "N", Some(Annotation::ProxyThreads.default_text()), false,
            "Worker threads: 1 to 64.";
        MaxConnections: "max-connections", "EVENKEEL_MAX_CONNECTIONS", "N", Some("16384"), false,
            "Client connections held at once, as far as memory (16 KiB each, 56 KiB with TLS that ends here) and descriptors go; more wait in the kernel's queue: 1 to 1000000.";
        MemoryLimit: "memory-limit", "EVENKEEL_MEMORY_LIMIT", "SIZE", Some("auto"), false,
            "The memory that the process keeps within: 'auto', which is the limit of its control group, or a quarter of the machine's where there is none; or a smaller size such as 128Mi.";
        HeadLimit: "head-limit", "EVENKEEL_HEAD_LIMIT", "SIZE", Some("128Ki"), false,
            "The longest request or response head that passes: 1Ki to 1024Ki.";
        DrainTimeout: "drain-timeout", "EVENKEEL_DRAIN_TIMEOUT", "DURATION", Some(Annotation::DrainTimeout.default_text()), false,
            "How long a drain waits for connections to end by themselves.";
        LogLevel: "log-level", "EVENKEEL_LOG_LEVEL", "LEVEL", Some(Annotation::ProxyLogLevel.default_text()), false,
            "What is logged to standard error: error, warn, info, debug or trace.";
        Ports: "ports", "EVENKEEL_PORTS", "PORTS", None, true,
            "The app ports that a redirection takes, for metrics: their series begin at zero. Numbers, separated by commas. The app ports of --app are always among them.";
        Probes: "probes", "EVENKEEL_PROBES", "PORT=APP", None, true,
            "The ports for probes of 'recycling-proxy redirect', each with the app's port. Where the pod uses its node's network, nothing is redirected, and the process listens on them itself while the app accepts connections. Pairs such as 15220=8080, separated by commas.";
        PodIp: "pod-ip", "EVENKEEL_POD_IP", "IP", None, false,
            "The pod's address (status.podIP). Where it is the node's, or where the node's is an address of this network namespace, the pod uses its node's network (hostNetwork): without --app no client connection is then accepted, and probes and hooks alone are answered.";
        HostIp: "host-ip", "EVENKEEL_HOST_IP", "IP", None, false,
            "The node's address (status.hostIP).";
    }
);

options!(
    /// The options of `recycling-proxy redirect`.
    RedirectOption {
        Ports: "ports", "EVENKEEL_PORTS", "PORTS", None, true,
            "The app ports whose new inbound connections go to the proxy: numbers, separated by commas.";
        To: "to", "EVENKEEL_REDIRECT_TO", "PORT", Some("15210"), false,
            "The port on which the proxy listens.";
        Probes: "probes", "EVENKEEL_PROBES", "PORT=APP", None, true,
            "Ports whose new inbound connections go to a port of the app, past the proxy, and can say nothing there: for probes that only connect. Pairs such as 15220=8080, separated by commas.";
        PodIp: "pod-ip", "EVENKEEL_POD_IP", "IP", None, false,
            "The pod's address (status.podIP). Where it is the node's, or where the node's is an address of this network namespace, the pod uses its node's network (hostNetwork): no rule is written.";
        HostIp: "host-ip", "EVENKEEL_HOST_IP", "IP", None, false,
            "The node's address (status.hostIP).";
    }
);

/// What was given on a command line or in an environment, before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOptions<O> {
    given: BTreeMap<O, Given>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    key: String,
    values: Vec<String>,
}

impl<O: OptionSpec> Default for RawOptions<O> {
    fn default() -> Self {
        Self { given: BTreeMap::new() }
    }
}

impl<O: OptionSpec> RawOptions<O> {
    /// Notes the values of an option and the key under which its author gave them.
    pub fn give(&mut self, option: O, key: impl Into<String>, values: impl IntoIterator<Item = String>) {
        self.given.insert(option, Given { key: key.into(), values: values.into_iter().collect() });
    }

    /// Reads an environment, given as a look-up; empty variables count as absent, as in a pod template that leaves one blank.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut raw = Self::default();
        for option in O::ALL {
            if let Some(value) = variable(option.env()).filter(|value| !value.is_empty()) {
                raw.give(*option, option.env(), [value]);
            }
        }
        raw
    }

    pub(crate) fn key(&self, option: O) -> String {
        self.given
            .get(&option)
            .map_or_else(|| format!("--{} ({})", option.flag(), option.env()), |given| given.key.clone())
    }

    /// Whether somebody gave the option a value, whatever it is.
    pub(crate) fn is_given(&self, option: O) -> bool {
        self.given.contains_key(&option)
    }

    /// The items of a list option, commas taken apart.
    pub(crate) fn list<T: FromStr<Err = InvalidValue>>(&self, option: O, faults: &mut Vec<Fault>) -> Vec<T> {
        let given = self.given.get(&option).map(|given| given.values.join(","));
        let Some(text) = given.or_else(|| option.default().map(str::to_owned)) else { return Vec::new() };
        text.split(',').filter_map(|item| self.parse(option, item, faults)).collect()
    }

    /// The value of an option that has a default.
    pub(crate) fn one<T: FromStr<Err = InvalidValue>>(&self, option: O, faults: &mut Vec<Fault>) -> Option<T> {
        let given = self.given.get(&option).and_then(|given| given.values.last()).map(String::as_str);
        self.parse(option, given.or_else(|| option.default())?, faults)
    }

    fn parse<T: FromStr<Err = InvalidValue>>(&self, option: O, text: &str, faults: &mut Vec<Fault>) -> Option<T> {
        let parsed = text.trim().parse();
        parsed.map_err(|InvalidValue(expected)| faults.push(Fault::invalid(self.key(option), text, expected))).ok()
    }
}
