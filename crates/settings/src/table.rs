//! The table of settings: one row for each.
//!
//! - `annotation` rows: name, form of the value, default, whether the installation can give one, help;
//! - `option` rows, of `recycling-proxy run`: flag, variable, word for the value, default, whether it takes a list,
//!   help;
//! - `shared` rows are both. The proxy gets the value as the annotation has it. The row makes the field of
//!   [`SharedSettings`], its parser and its text.
//!
//! Annotations and options are documented in the order of their rows. A value that injection computes from what is
//! asked for, such as ports from their names, has a row of each kind.

use std::str::FromStr;

use crate::fault::Fault;
use crate::option::OptionSpec;
use crate::value::{InvalidValue, Jitter, LogLevel, Off, ProxyProtocol, Span, Switch, Threads};

#[macro_use]
mod macros;

/// Where shared settings are read from: annotations, or options of the proxy.
pub(crate) trait Source {
    /// Returns the value of a setting, or its default; `None`, with a fault, if it cannot be used.
    fn one<T: FromStr<Err = InvalidValue>>(
        &self,
        annotation: Annotation,
        option: ProxyOption,
        faults: &mut Vec<Fault>,
    ) -> Option<T>;
}

settings! {
    option Listen: "listen", "EVENKEEL_LISTEN", "ADDRESS", Some("[::]:15210"), true,
        "Address for clients. `[::]` accepts IPv4 too, and falls back to 0.0.0.0 on a machine without IPv6. May repeat, in pairs with --app.";
    option App: "app", "EVENKEEL_APP", "ADDRESS", None, true,
        "Address of the app, one for each --listen; :PORT is that port at whichever address of this machine the app listens. Without it, every connection goes to the port that it was redirected from (see 'recycling-proxy redirect').";
    annotation MaxRequests: "max-requests", "1 to 4294967295", "required to opt in, unless balance is on", false,
        "Requests after which a client connection is retired.";
    option MaxRequests: "max-requests", "EVENKEEL_MAX_REQUESTS", "N", Some("1000"), false,
        "Requests after which a client connection is retired: 1 to 4294967295.";
    annotation Balance: "balance", "on or off", "off", true,
        "Retire connections after scale events, until the load of the pods is even; opts in by itself. Without max-requests a connection has no limit while balancing is in force, and 1000 requests while it is not.";
    option BalanceKeys: "balance-keys", "EVENKEEL_BALANCE_KEYS", "KEYS", None, false,
        "The public keys of the balancers whose instructions are followed (POST /balance of the admin endpoints): Ed25519, each the base64 line of its PEM, separated by commas. Needs --workload and --namespace. Where --max-requests is left out, requests retire no connection while balancing is in force.";
    option Workload: "workload", "EVENKEEL_WORKLOAD", "KIND/NAME", None, false,
        "The workload of the pod, such as Deployment/web: the proxy follows instructions for this one alone.";
    option Namespace: "namespace", "EVENKEEL_NAMESPACE", "NAME", None, false,
        "The namespace of the pod (metadata.namespace).";
    shared jitter: Jitter, read as Jitter {
        annotation: Jitter, "jitter", true;
        option: Jitter, "jitter", "EVENKEEL_JITTER", "PERCENT";
        value: "0% to 50%", "10%";
        help: "Each connection's own limit is drawn from [N·(1−jitter), N], so that limits never fall together and never exceed N";
    }
    shared max_age: Option<Span>, read as Off<Span> {
        annotation: MaxAge, "max-age", true;
        option: MaxAge, "max-age", "EVENKEEL_MAX_AGE", "DURATION";
        value: "a duration such as 10m, or off", "off";
        help: "Also retire a connection with its first response after this age, jittered alike";
    }
    shared max_tunnel_age: Option<Span>, read as Off<Span> {
        annotation: MaxTunnelAge, "max-tunnel-age", true;
        option: MaxTunnelAge, "max-tunnel-age", "EVENKEEL_MAX_TUNNEL_AGE", "DURATION";
        value: "a duration such as 4h, or off", "off";
        help: "Close a tunnel (WebSocket, CONNECT, any protocol but HTTP) after this time, jittered alike";
    }
    annotation Ports: "ports", "names or numbers, separated by commas", "every declared TCP container port", false,
        "The app ports that pass through the proxy; numbers need not be declared.";
    annotation OpaquePorts: "opaque-ports", "names or numbers, separated by commas", "none", false,
        "App ports whose bytes are forwarded without inspection.";
    option OpaquePorts: "opaque-ports", "EVENKEEL_OPAQUE_PORTS", "PORTS", None, true,
        "App ports whose bytes are forwarded without inspection: numbers, separated by commas.";
    annotation Interception: "interception", "redirect or named-port", "redirect", true,
        "How traffic reaches the proxy: redirected by nftables rules in the pod, or, without privileges, by the name of the container port, which moves to the proxy. Where a namespace enforces Pod Security and nothing is set, named-port.";
    annotation DrainTimeout: "drain-timeout", "a duration", "20s", true,
        "The bound on the drain at pod termination, never more than two thirds of the grace period.";
    annotation HoldApp: "hold-app", "on or off", "on", true,
        "An app container without a preStop hook is stopped only after the drain.";
    shared forwarded_for: Switch, read as Switch {
        annotation: ForwardedFor, "forwarded-for", true;
        option: ForwardedFor, "forwarded-for", "EVENKEEL_FORWARDED_FOR", "SWITCH";
        value: "on or off", "off";
        help: "Append the client's address to X-Forwarded-For of each request";
    }
    shared proxy_protocol: ProxyProtocol, read as ProxyProtocol {
        annotation: ProxyProtocol, "proxy-protocol", false;
        option: ProxyProtocol, "proxy-protocol", "EVENKEEL_PROXY_PROTOCOL", "VERSION";
        value: "v1, v2 or off", "off";
        help: "Send a PROXY protocol header with the client's address at the start of every connection to the app, which must accept it";
    }
    annotation TlsSecret: "tls-secret", "the name of a Secret", "none", false,
        "Terminate client TLS in the proxy, with the certificate of this Secret (kubernetes.io/tls, in the workload's namespace).";
    option TlsCert: "tls-cert", "EVENKEEL_TLS_CERT", "FILE", None, false,
        "Terminate client TLS with this certificate: a chain in PEM, the server's own first. Reloaded every ten seconds. Needs --tls-key. Until the files are usable, and on opaque ports, TLS passes through.";
    option TlsKey: "tls-key", "EVENKEEL_TLS_KEY", "FILE", None, false,
        "The private key of --tls-cert, in PEM.";
    annotation TlsToApp: "tls-to-app", "on or off", "off", false,
        "Where the proxy terminates TLS, re-encrypt to the app, whose certificate is not verified.";
    option TlsToApp: "tls-to-app", "EVENKEEL_TLS_TO_APP", "SWITCH", Some(Annotation::TlsToApp.default_text()), false,
        "Re-encrypt to the app for clients whose TLS is terminated: on or off. The app's certificate is not verified.";
    option Admin: "admin", "EVENKEEL_ADMIN", "ADDRESS", Some("[::]:15211"), false,
        "Where metrics, readiness and /drained are served; read-only.";
    option Liveness: "liveness", "EVENKEEL_LIVENESS", "JSON", Some("{}"), false,
        "The livenessProbes by which /drained/CONTAINER of the admin endpoints tells an app that is restarted from one whose pod ends: an object with the probe of each container, httpGet or tcpSocket with a port's number, and timeoutSeconds.";
    option ProbePorts: "probe-ports", "EVENKEEL_PROBE_PORTS", "PORTS", None, true,
        "App ports that /probe/tcp/PORT of the admin endpoints tries, and no others: numbers, separated by commas. The app ports of --app are always among them.";
    option Hold: "hold", "EVENKEEL_HOLD", "PORTS", None, true,
        "Ports at the address of --admin whose / answers as /drained does or, for PORT=CONTAINER, as /drained/CONTAINER: for injected hooks. Separated by commas.";
    option Control: "control", "EVENKEEL_CONTROL", "SOCKET", Some("@recycling-proxy"), false,
        "The Unix socket for 'recycling-proxy drain': an absolute path, or @NAME in the abstract namespace.";
    annotation ProxyImage: "proxy-image", "an image reference", "the installation's", true,
        "The image of the injected containers.";
    annotation ProxyCpuRequest: "proxy-cpu-request", "1m to 64", "10m", true,
        "CPU that the scheduler and the HorizontalPodAutoscaler count for the proxy.";
    annotation ProxyMemoryRequest: "proxy-memory-request", "1Mi to 64Gi", "16Mi", true,
        "Memory that the scheduler counts for the proxy.";
    annotation ProxyCpuLimit: "proxy-cpu-limit", "1m to 64, or off", "off", true,
        "CPU that the proxy can use at most; without it what its threads can use, unless the namespace demands a limit.";
    annotation ProxyMemoryLimit: "proxy-memory-limit", "16Mi to 64Gi", "128Mi", true,
        "Memory that the proxy can use at most; each of its threads after the first needs 3Mi more than the least.";
    shared threads: Threads, read as Threads {
        annotation: ProxyThreads, "proxy-threads", true;
        option: Threads, "threads", "EVENKEEL_THREADS", "N";
        value: "1 to 64", "1";
        help: "The proxy's worker threads";
    }
    option MaxConnections: "max-connections", "EVENKEEL_MAX_CONNECTIONS", "N", Some("16384"), false,
        "Client connections held at once, as far as memory (16 KiB each, 56 KiB with terminated TLS) and descriptors go; more wait in the kernel's queue: 1 to 1000000.";
    option MemoryLimit: "memory-limit", "EVENKEEL_MEMORY_LIMIT", "SIZE", Some("auto"), false,
        "The memory that the process keeps within: 'auto', which is the limit of its control group, or a quarter of the machine's where there is none; or a smaller size such as 128Mi.";
    option HeadLimit: "head-limit", "EVENKEEL_HEAD_LIMIT", "SIZE", Some("128Ki"), false,
        "The longest request or response head that passes: 1Ki to 1024Ki.";
    option DrainTimeout: "drain-timeout", "EVENKEEL_DRAIN_TIMEOUT", "DURATION", Some(Annotation::DrainTimeout.default_text()), false,
        "How long a drain lasts at most.";
    shared log_level: LogLevel, read as LogLevel {
        annotation: ProxyLogLevel, "proxy-log-level", true;
        option: LogLevel, "log-level", "EVENKEEL_LOG_LEVEL", "LEVEL";
        value: "error, warn, info, debug or trace", "info";
        help: "What the proxy logs to standard error";
    }
    annotation Inject: "inject", "enabled or disabled", "enabled where max-requests or balance is there", false,
        "Switches injection off without losing the settings.";
    option Ports: "ports", "EVENKEEL_PORTS", "PORTS", None, true,
        "The app ports that are redirected, for metrics: their series begin at zero. Numbers, separated by commas. The app ports of --app are always among them.";
    option Probes: "probes", "EVENKEEL_PROBES", "PORT=APP", None, true,
        "The ports for probes of 'recycling-proxy redirect', each with the app's port. Where the pod uses its node's network, nothing is redirected, and the process listens on them itself while the app accepts connections. Pairs such as 15220=8080, separated by commas.";
    option PodIp: "pod-ip", "EVENKEEL_POD_IP", "IP", None, false,
        "The pod's address (status.podIP). Where it is the node's, or where the node's is an address of this network namespace, the pod uses its node's network (hostNetwork): without --app no client connection is then accepted, and probes and hooks alone are answered.";
    option HostIp: "host-ip", "EVENKEEL_HOST_IP", "IP", None, false,
        "The node's address (status.hostIP).";
}

impl SharedSettings {
    /// Returns the text of the setting that this option sets, `None` if it is not a shared one.
    pub(crate) fn text(&self, option: ProxyOption) -> Option<String> {
        let mut texts = Self::KEYS.iter().zip(self.texts());
        texts.find_map(|((_, shared), text)| (*shared == option).then_some(text))
    }
}

options! {
    /// The options of `recycling-proxy redirect`.
    RedirectOption {
        Ports: "ports", "EVENKEEL_PORTS", "PORTS", None, true,
            "The app ports whose new inbound connections go to the proxy: numbers, separated by commas.";
        To: "to", "EVENKEEL_REDIRECT_TO", "PORT", Some("15210"), false,
            "The port on which the proxy listens.";
        Probes: "probes", "EVENKEEL_PROBES", "PORT=APP", None, true,
            "Ports whose new inbound connections go to a port of the app, past the proxy, and carry no data: for probes that only connect. Pairs such as 15220=8080, separated by commas.";
        PodIp: "pod-ip", "EVENKEEL_POD_IP", "IP", None, false,
            "The pod's address (status.podIP). Where it is the node's, or where the node's is an address of this network namespace, the pod uses its node's network (hostNetwork): no rule is written.";
        HostIp: "host-ip", "EVENKEEL_HOST_IP", "IP", None, false,
            "The node's address (status.hostIP).";
    }
}
