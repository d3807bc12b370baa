//! Runs an app's liveness probe as the kubelet does.
//!
//! The kubelet runs a container's `preStop` hook when the pod is terminated and when it restarts the container alone,
//! and the hook cannot distinguish them. It restarts a container because its liveness probe failed. So the proxy runs
//! that probe once more: if it fails, the container is being restarted; if it succeeds, the pod is being terminated.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING, USER_AGENT,
};
use hyper_util::rt::TokioIo;
use settings::{HttpGet, LivenessProbe, ProxyProtocol, Question};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::dial::{App, Dialer};
use crate::app::health::Health;
use crate::app::proxy_protocol::Ends;
use crate::tls::to_probed_app;

/// The `User-Agent`. Apps recognise probes by its prefix.
const AGENT: &str = concat!("kube-probe/evenkeel-", env!("CARGO_PKG_VERSION"));
/// Fields that the kubelet sets itself, whatever the probe's `httpHeaders` say.
const SET_BY_KUBELET: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING];

/// Runs liveness probes.
#[derive(Debug)]
pub(crate) struct Prober {
    dialer: Arc<Dialer>,
    /// The PROXY protocol header with which apps expect connections to begin.
    protocol: ProxyProtocol,
}

impl Prober {
    pub(crate) const fn new(dialer: Arc<Dialer>, protocol: ProxyProtocol) -> Self {
        Self { dialer, protocol }
    }

    /// Probes the `app` once. `ends` are the addresses of the connection of the kubelet's hook, whose destination is
    /// the pod's address.
    pub(crate) async fn ask(&self, probe: &LivenessProbe, app: App, ends: Ends) -> Health {
        let answer = async {
            let connection = match self.dialer.dial(app).await {
                Ok(connection) => connection,
                Err(error) => return Health::of_refusal(&error),
            };
            match &probe.question {
                Question::Tcp(_) => Health::Alive,
                Question::Http(get) => {
                    let ends = Ends { destination: SocketAddr::new(ends.destination.ip(), probe.port()), ..ends };
                    let header = if probe.introduced { ends.header(self.protocol) } else { Vec::new() };
                    match get_answer(get, connection, &header, ends.destination).await {
                        Ok(health) | Err(health) => health,
                    }
                }
            }
        };
        timeout(probe.timeout, answer).await.unwrap_or(Health::Slow)
    }
}

/// Returns the result of an HTTP probe; as `Err` if there is no response.
async fn get_answer(
    get: &HttpGet,
    mut connection: TcpStream,
    header: &[u8],
    pod: SocketAddr,
) -> Result<Health, Health> {
    let request = request(get, pod).ok_or(Health::Unknown)?;
    connection.write_all(header).await.map_err(|_| Health::Dead)?;
    if get.tls {
        answer(request, to_probed_app(connection).await.map_err(Health::of_handshake)?).await
    } else {
        answer(request, connection).await
    }
}

async fn answer<C>(request: Request<Empty<Bytes>>, connection: C) -> Result<Health, Health>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    // The kubelet writes field names so, and some apps compare them case-sensitively.
    http.title_case_headers(true);
    let (mut sender, connection) = http.handshake(TokioIo::new(connection)).await.map_err(|_| Health::Unknown)?;
    // The connection ends with this function, because the body is not needed.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|_| Health::Dead)?;
    Ok(Health::of_status(response.status()))
}

/// Returns the request of a probe; `None` if its path or headers are invalid, which settings exclude.
fn request(get: &HttpGet, pod: SocketAddr) -> Option<Request<Empty<Bytes>>> {
    let mut request = Request::get(&get.target).body(Empty::new()).ok()?;
    let fields = request.headers_mut();
    for (name, value) in &get.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        if !SET_BY_KUBELET.contains(&name) {
            fields.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
    }
    let host = HeaderValue::from_str(&pod.to_string()).ok()?;
    for (name, value) in
        [(HOST, host), (USER_AGENT, HeaderValue::from_static(AGENT)), (ACCEPT, HeaderValue::from_static("*/*"))]
    {
        fields.entry(name).or_insert(value);
    }
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(headers: &[(&str, &str)]) -> HttpGet {
        HttpGet {
            port: 8080.try_into().unwrap(),
            tls: false,
            target: "/a?b=%20".into(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn the_probe_request_is_the_kubelets() {
        let pod = "[fd00::1]:8080".parse().unwrap();
        let plain = request(&get(&[]), pod).unwrap();
        assert_eq!((plain.method().as_str(), plain.uri().to_string()), ("GET", "/a?b=%20".to_owned()));
        let fields = plain.headers();
        assert_eq!([&fields["host"], &fields["accept"]], ["[fd00::1]:8080", "*/*"]);
        assert!(fields["user-agent"].to_str().unwrap().starts_with("kube-probe/"));
        assert_eq!(fields["connection"], "close");

        let by_author =
            get(&[("Host", "web"), ("user-agent", "me"), ("X-A", "1"), ("x-a", ""), ("Content-Length", "7")]);
        let fields = request(&by_author, pod).unwrap().headers().clone();
        assert_eq!([&fields["host"], &fields["user-agent"]], ["web", "me"]);
        assert_eq!(fields.get_all("x-a").iter().collect::<Vec<_>>(), ["1", ""]);
        assert!(!fields.contains_key("content-length"));
    }
}
