//! Deployments out of a fuzzer's bytes.

use arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};

/// Text that begins with `{` is the object itself; anything else chooses among what Deployments are made of.
pub(crate) fn from(data: &[u8]) -> Value {
    if data.first() == Some(&b'{') {
        return serde_json::from_slice(data).unwrap_or(Value::Null);
    }
    // Where the bytes run out every choice is the first one, so that there always is an object.
    Choices(Unstructured::new(data)).deployment().unwrap_or(Value::Null)
}

struct Choices<'a>(Unstructured<'a>);

/// Builds an object of those fields that are chosen to be there.
macro_rules! object {
    ($choices:ident, { $($key:literal: $value:expr,)* }) => {{
        let mut object = Map::new();
        $(if $choices.0.ratio(1, 2)? {
            let value = $value;
            object.insert($key.to_owned(), $choices.spoilt(value)?);
        })*
        Value::Object(object)
    }};
}

impl Choices<'_> {
    fn deployment(&mut self) -> Result<Value> {
        let annotations = self.annotations()?;
        let template = self.template()?;
        let spec = json!({"replicas": 2, "template": self.spoilt(template)?});
        Ok(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "annotations": annotations},
            "spec": self.spoilt(spec)?,
        }))
    }

    fn template(&mut self) -> Result<Value> {
        let spec = self.pod_spec()?;
        let mut template = json!({"spec": spec});
        if self.0.ratio(1, 2)? {
            let annotations = self.annotations()?;
            template["metadata"] = object!(self, { "labels": json!({"app": "web"}), "annotations": annotations, });
        }
        Ok(template)
    }

    fn annotations(&mut self) -> Result<Value> {
        let mut annotations = Map::new();
        for _ in 0..self.0.int_in_range(0..=5)? {
            let (key, values) = *self.0.choose(ANNOTATIONS)?;
            let value = if self.0.ratio(7, 8)? { *self.0.choose(values)? } else { self.0.arbitrary::<&str>()? };
            annotations.insert(key.to_owned(), Value::from(value));
        }
        self.spoilt(Value::Object(annotations))
    }

    fn pod_spec(&mut self) -> Result<Value> {
        let containers = self.list(1, 3, Self::container)?;
        let mut spec = object!(self, {
            "initContainers": self.list(0, 2, Self::container)?,
            "terminationGracePeriodSeconds": *self.0.choose(&[30, 0, 1, 3600, -1])?,
            "hostNetwork": *self.0.choose(&[false, true])?,
            "os": json!({"name": *self.0.choose(&["linux", "windows"])?}),
            "restartPolicy": "Always",
            "runtimeClassName": *self.0.choose(&["kata", "gvisor"])?,
            "nodeSelector": json!({"kubernetes.io/os": *self.0.choose(&["linux", "windows"])?}),
            "resources": self.resources()?,
            "volumes": json!([{"name": "data", "emptyDir": {}}]),
        });
        spec["containers"] = self.spoilt(containers)?;
        Ok(spec)
    }

    fn container(&mut self) -> Result<Value> {
        let mut container = object!(self, {
            "image": "example/app:1",
            "ports": self.list(0, 3, Self::port)?,
            "readinessProbe": self.probe()?,
            "livenessProbe": self.probe()?,
            "startupProbe": self.probe()?,
            "lifecycle": self.lifecycle()?,
            "restartPolicy": "Always",
            "resources": self.resources()?,
            "x-unknown": json!({"kept": [1, null]}),
        });
        container["name"] = (*self.0.choose(NAMES)?).into();
        Ok(container)
    }

    fn port(&mut self) -> Result<Value> {
        let mut port = object!(self, {
            "name": *self.0.choose(&["http", "metrics", "grpc", ""])?,
            "protocol": *self.0.choose(&["TCP", "UDP", "SCTP"])?,
            "hostPort": *self.0.choose(&[8080, 0])?,
        });
        port["containerPort"] = (*self.0.choose(PORTS)?).into();
        Ok(port)
    }

    fn probe(&mut self) -> Result<Value> {
        let port = match self.0.int_in_range(0..=6)? {
            0 => json!("http"),
            1 => json!("metrics"),
            2 => json!(9090),
            3 => json!("8080"),
            4 => json!(15_220),
            5 => json!(15_211),
            _ => json!(8080),
        };
        Ok(object!(self, {
            "tcpSocket": self.target(&port)?,
            "httpGet": self.target(&port)?,
            "grpc": json!({"port": port}),
            "exec": json!({"command": ["true"]}),
            "periodSeconds": 5,
        }))
    }

    fn target(&mut self, port: &Value) -> Result<Value> {
        let mut target = object!(self, {
            "host": "10.0.0.1",
            "path": *self.0.choose(&["/healthz", "/", "/drained"])?,
            "scheme": *self.0.choose(&["HTTPS", "HTTP"])?,
        });
        target["port"] = port.clone();
        Ok(target)
    }

    fn lifecycle(&mut self) -> Result<Value> {
        Ok(object!(self, {
            "preStop": self.hook()?,
            "postStart": json!({"httpGet": {"port": 8080}}),
            "stopSignal": "SIGINT",
        }))
    }

    /// An author's own, and now and then what might be ours.
    fn hook(&mut self) -> Result<Value> {
        let port = json!(*self.0.choose(&[8080, 15_211, 15_212, 15_219])?);
        Ok(object!(self, {
            "exec": json!({"command": ["sleep", "5"]}),
            "sleep": json!({"seconds": 5}),
            "httpGet": self.target(&port)?,
        }))
    }

    fn resources(&mut self) -> Result<Value> {
        const AMOUNTS: &[&str] = &["1", "10m", "64Mi", "1Gi", "0", "1e3", "-1", "x"];
        Ok(object!(self, {
            "requests": json!({"cpu": *self.0.choose(AMOUNTS)?, "memory": *self.0.choose(AMOUNTS)?}),
            "limits": json!({"cpu": *self.0.choose(AMOUNTS)?, "memory": *self.0.choose(AMOUNTS)?}),
        }))
    }

    fn list(&mut self, least: usize, most: usize, item: fn(&mut Self) -> Result<Value>) -> Result<Value> {
        (0..self.0.int_in_range(least..=most)?).map(|_| item(self).and_then(|item| self.spoilt(item))).collect()
    }

    /// Now and then something else than what belongs there.
    fn spoilt(&mut self, value: impl Into<Value>) -> Result<Value> {
        if self.0.ratio(31, 32)? {
            return Ok(value.into());
        }
        Ok(match self.0.int_in_range(0..=7)? {
            0 => Value::Null,
            1 => json!({}),
            2 => json!([]),
            3 => json!(""),
            4 => json!([null]),
            5 => json!({"": {}, "~0/~1": []}),
            6 => json!(true),
            _ => json!(-1.5e300),
        })
    }
}

const NAMES: &[&str] =
    &["app", "web", "recycling-proxy", "recycling-proxy-redirect", "istio-proxy", "linkerd-proxy", ""];

const PORTS: &[u32] = &[8080, 9090, 15_210, 15_211, 15_212, 15_219, 15_220, 0, 65_535, 65_536];

/// Keys, each with values that belong there and some that do not.
const ANNOTATIONS: &[(&str, &[&str])] = &[
    ("evenkeel.dev/max-requests", &["1000", "1", "4294967295", "0", "-5", "ten"]),
    ("evenkeel.dev/ports", &["8080", "http", "8080,metrics", "9091", "15210", ""]),
    ("evenkeel.dev/opaque-ports", &["8080", "metrics", "http,http"]),
    ("evenkeel.dev/jitter", &["0%", "50%", "51%"]),
    ("evenkeel.dev/max-age", &["off", "10m", "1ms"]),
    ("evenkeel.dev/drain-timeout", &["20s", "1h", "0s"]),
    ("evenkeel.dev/hold-app", &["on", "off", "yes"]),
    ("evenkeel.dev/interception", &["redirect", "named-port"]),
    ("evenkeel.dev/inject", &["enabled", "disabled", "maybe"]),
    ("evenkeel.dev/proxy-cpu-request", &["10m", "2"]),
    ("evenkeel.dev/proxy-memory-limit", &["128Mi", "1Gi"]),
    ("evenkeel.dev/proxy-image", &["example/proxy:2", "a b"]),
    ("evenkeel.dev/unknown", &["x"]),
    ("evenkeel.dev/status", &["{}", "", "{\"version\":\"0.1.0\"}", "null"]),
    ("app.kubernetes.io/name", &["web"]),
];
