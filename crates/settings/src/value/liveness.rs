//! The liveness probes of apps, as the proxy reads them.
//!
//! One JSON object has the probe of each container, by the container's name and in the words of Kubernetes: `httpGet`
//! or `tcpSocket`, and `timeoutSeconds`. Members with default values are left out, so that equal probes have equal
//! texts.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::InvalidValue;

const DEFAULT_PATH: &str = "/";
const DEFAULT_SECONDS: u32 = 1;
const PLAIN: &str = "HTTP";
const TLS: &str = "HTTPS";

/// The liveness probes of apps, by the names of their containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Liveness(BTreeMap<String, LivenessProbe>);

/// A container's liveness probe.
///
/// It deserializes from the `livenessProbe` of a pod whose port is a number. Paths that need escaping in a URL, and
/// headers that HTTP does not allow, are rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct LivenessProbe {
    /// The handler.
    pub question: Question,
    /// The timeout: whole seconds, at least 1.
    pub timeout: Duration,
    /// Whether the app expects a PROXY protocol header before the request, if `--proxy-protocol` is on. In JSON it is
    /// `proxyProtocol`, which Kubernetes does not have.
    pub introduced: bool,
}

/// The handler of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The probe succeeds if a GET gets a status from 200 to 399.
    Http(HttpGet),
    /// The probe succeeds if a connection to this port is accepted.
    Tcp(NonZeroU16),
}

/// A GET of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// Where the app listens.
    pub port: NonZeroU16,
    /// Whether to use TLS.
    pub tls: bool,
    /// The path, and the query after it; begins with a slash.
    pub target: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
}

impl Liveness {
    /// Returns the probe of a container.
    pub fn of(&self, container: &str) -> Option<&LivenessProbe> {
        self.0.get(container)
    }
}

impl FromIterator<(String, LivenessProbe)> for Liveness {
    fn from_iter<I: IntoIterator<Item = (String, LivenessProbe)>>(probes: I) -> Self {
        Self(probes.into_iter().collect())
    }
}

impl LivenessProbe {
    /// Returns the port of the handler.
    pub const fn port(&self) -> u16 {
        match &self.question {
            Question::Http(get) => get.port.get(),
            Question::Tcp(port) => port.get(),
        }
    }
}

impl FromStr for Liveness {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected =
            "a JSON object of livenessProbes by container, each with httpGet or tcpSocket and a port's number";
        serde_json::from_str(text).map_err(|_| InvalidValue(expected))
    }
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        // In a pod's environment `$(NAME)` stands for the value of another variable. A dollar is in strings alone.
        f.write_str(&text.replace('$', r"\u0024"))
    }
}

/// A probe as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    http_get: Option<WrittenGet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_socket: Option<WrittenSocket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    proxy_protocol: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenGet {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    port: NonZeroU16,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_headers: Option<Vec<WrittenHeader>>,
}

#[derive(Serialize, Deserialize)]
struct WrittenHeader {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSocket {
    port: NonZeroU16,
}

impl TryFrom<Written> for LivenessProbe {
    type Error = InvalidValue;

    fn try_from(written: Written) -> Result<Self, InvalidValue> {
        let question = match (written.http_get, written.tcp_socket) {
            (Some(get), None) => Question::Http(get.try_into()?),
            (None, Some(socket)) => Question::Tcp(socket.port),
            (Some(_), Some(_)) | (None, None) => return Err(InvalidValue("either httpGet or tcpSocket")),
        };
        // As the API server takes a zero.
        let seconds = written.timeout_seconds.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_SECONDS);
        let timeout = Duration::from_secs(seconds.into());
        Ok(Self { question, timeout, introduced: written.proxy_protocol })
    }
}

impl From<LivenessProbe> for Written {
    fn from(probe: LivenessProbe) -> Self {
        let (http_get, tcp_socket) = match probe.question {
            Question::Http(get) => (Some(get.into()), None),
            Question::Tcp(port) => (None, Some(WrittenSocket { port })),
        };
        let seconds = u32::try_from(probe.timeout.as_secs()).unwrap_or(u32::MAX);
        let timeout_seconds = Some(seconds).filter(|seconds| *seconds != DEFAULT_SECONDS);
        Self { http_get, tcp_socket, timeout_seconds, proxy_protocol: probe.introduced }
    }
}

impl TryFrom<WrittenGet> for HttpGet {
    type Error = InvalidValue;

    fn try_from(written: WrittenGet) -> Result<Self, InvalidValue> {
        let target = target(written.path.unwrap_or_default()).ok_or(InvalidValue("a path that needs no escaping"))?;
        let tls = match written.scheme.as_deref() {
            None | Some("" | PLAIN) => false,
            Some(TLS) => true,
            Some(_) => return Err(InvalidValue("HTTP or HTTPS")),
        };
        let headers = written.http_headers.unwrap_or_default().into_iter();
        let headers: Vec<_> = headers.map(|header| (header.name, header.value.unwrap_or_default())).collect();
        if headers.iter().all(|(name, value)| is_name(name) && is_value(value)) {
            Ok(Self { port: written.port, tls, target, headers })
        } else {
            Err(InvalidValue("headers that HTTP allows"))
        }
    }
}

impl From<HttpGet> for WrittenGet {
    fn from(get: HttpGet) -> Self {
        let header = |(name, value): (String, String)| WrittenHeader {
            name,
            value: Some(value).filter(|value| !value.is_empty()),
        };
        let headers: Vec<_> = get.headers.into_iter().map(header).collect();
        Self {
            path: Some(get.target).filter(|target| target != DEFAULT_PATH),
            port: get.port,
            scheme: get.tls.then(|| TLS.to_owned()),
            http_headers: Some(headers).filter(|headers| !headers.is_empty()),
        }
    }
}

/// Returns what a request has for this path of a probe; the kubelet puts a missing slash in front of it.
fn target(path: String) -> Option<String> {
    let target = if path.starts_with('/') { path } else { format!("/{path}") };
    // Two slashes begin an authority (RFC 3986 §3).
    let plain = !target.starts_with("//") && target.split('%').enumerate().all(|(index, part)| is_plain(part, index));
    plain.then_some(target)
}

/// Returns whether a part of a target between percent signs needs no escaping (RFC 3986 §2.1, §3.3, §3.4); all but the
/// first begin with two digits of an escaped byte.
fn is_plain(part: &str, index: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte);
    let escaped = index == 0 || part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    escaped && part.bytes().all(allowed)
}

/// RFC 9110 §5.6.2.
fn is_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// RFC 9110 §5.5.
fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &str) -> Option<String> {
        of.parse().ok().map(|liveness: Liveness| liveness.to_string())
    }

    #[test]
    fn explicit_defaults_of_a_probe_change_nothing() {
        for (said, short) in [
            (
                r#"{"httpGet":{"port":80,"path":"/","scheme":"HTTP","host":""},"timeoutSeconds":1}"#,
                r#"{"httpGet":{"port":80}}"#,
            ),
            (r#"{"httpGet":{"port":80,"path":"","scheme":"","httpHeaders":[]}}"#, r#"{"httpGet":{"port":80}}"#),
            (r#"{"httpGet":{"port":80,"path":null,"httpHeaders":null},"exec":null}"#, r#"{"httpGet":{"port":80}}"#),
            (r#"{"tcpSocket":{"port":80},"timeoutSeconds":0,"periodSeconds":3}"#, r#"{"tcpSocket":{"port":80}}"#),
            (
                r#"{"timeoutSeconds":2,"httpGet":{"scheme":"HTTPS","port":80,"path":"healthz?a=%20b","httpHeaders":[{"value":"","name":"A"},{"value":"b c","name":"A"}]}}"#,
                r#"{"httpGet":{"path":"/healthz?a=%20b","port":80,"scheme":"HTTPS","httpHeaders":[{"name":"A"},{"name":"A","value":"b c"}]},"timeoutSeconds":2}"#,
            ),
            (
                r#"{"tcpSocket":{"port":65535},"proxyProtocol":true}"#,
                r#"{"tcpSocket":{"port":65535},"proxyProtocol":true}"#,
            ),
        ] {
            let [said, short] = [said, short].map(|probe| format!(r#"{{"web":{probe}}}"#));
            assert_eq!(text(&said).as_deref(), Some(&*short));
            assert_eq!(text(&short), Some(short));
        }
        assert_eq!(text("{}").as_deref(), Some("{}"));
    }

    #[test]
    fn probes_that_the_proxy_cannot_send_are_refused() {
        for probe in [
            "{}",
            r#"{"httpGet":{"port":80},"tcpSocket":{"port":80}}"#,
            r#"{"httpGet":{"port":0}}"#,
            r#"{"httpGet":{"port":65536}}"#,
            r#"{"httpGet":{"port":"http"}}"#,
            r#"{"httpGet":{"port":80,"scheme":"http"}}"#,
            r#"{"httpGet":{"port":80,"path":"//a"}}"#,
            r#"{"httpGet":{"port":80,"path":"/#a"}}"#,
            r#"{"httpGet":{"port":80,"path":"/a b"}}"#,
            r#"{"httpGet":{"port":80,"path":"/%2"}}"#,
            r#"{"httpGet":{"port":80,"path":"/%%41"}}"#,
            r#"{"httpGet":{"port":80,"path":"/é"}}"#,
            r#"{"httpGet":{"port":80,"path":"/\r\nA: b"}}"#,
            r#"{"httpGet":{"port":80,"httpHeaders":[{"name":""}]}}"#,
            r#"{"httpGet":{"port":80,"httpHeaders":[{"name":"a b"}]}}"#,
            r#"{"httpGet":{"port":80,"httpHeaders":[{"name":"a","value":"b\r\nc: d"}]}}"#,
            r#"{"tcpSocket":{"port":80},"timeoutSeconds":-1}"#,
            r#"{"grpc":{"port":80}}"#,
            r#"{"exec":{"command":["true"]}}"#,
            "null",
        ] {
            assert_eq!(text(&format!(r#"{{"web":{probe}}}"#)), None, "{probe}");
        }
        for other in ["", "[]", "null", "{", &"[".repeat(10_000)] {
            assert_eq!(text(other), None);
        }
    }

    /// The kubelet would put the value of `HOSTNAME` there.
    #[test]
    fn a_written_probe_refers_to_no_variable() {
        let probe = r#"{"web":{"httpGet":{"path":"/$(HOSTNAME)$$","port":80}}}"#;
        let written = text(probe).unwrap();
        assert!(!written.contains('$'), "{written}");
        assert_eq!(written.parse(), probe.parse::<Liveness>());
    }
}
