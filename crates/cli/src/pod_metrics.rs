//! The metrics of the pods' proxies, read through the API server: no network path to the pods is needed, and no
//! Prometheus.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hyper::Request;
use kube::Client;
use settings::ADMIN_PORT;
use thiserror::Error;
use tokio::time::timeout;

pub(crate) use exposition::Metrics;

/// How many pods are read at once, so that a large workload does not flood the API server.
const AT_ONCE: usize = 16;
/// A pod that does not answer keeps the API server waiting for half a minute; a person waits less.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the metrics of a pod are not known.
#[derive(Debug, Error)]
pub(crate) enum MetricsError {
    /// The user lacks a right.
    #[error("the right to get pods/proxy is missing: {0}")]
    Forbidden(String),
    /// The API server cannot reach the port.
    #[error("the API server cannot reach port {port} of the pod: {why}")]
    Unreached {
        /// The port.
        port: u16,
        /// What the API server says.
        why: String,
    },
    /// The answer is not from one of evenkeel's programs.
    #[error("port {port} of the pod does not serve metrics: {line}")]
    Unreadable {
        /// The port.
        port: u16,
        /// The first line that is not understood.
        line: String,
    },
    /// The API server does not answer.
    #[error(transparent)]
    Cluster(kube::Error),
}

/// Reads the metrics of the proxies of these pods of a namespace, several at a time.
pub(crate) async fn read_all(
    client: &Client,
    namespace: &str,
    pods: impl IntoIterator<Item = String>,
) -> BTreeMap<String, Result<Metrics, MetricsError>> {
    let readings = pods.into_iter().map(|pod| async move {
        let reading = read(client, namespace, &pod).await;
        (pod, reading)
    });
    stream::iter(readings).buffer_unordered(AT_ONCE).collect().await
}

/// Reads the metrics of one pod's proxy.
///
/// # Errors
/// See [`MetricsError`].
pub(crate) async fn read(client: &Client, namespace: &str, pod: &str) -> Result<Metrics, MetricsError> {
    read_port(client, namespace, pod, ADMIN_PORT).await
}

/// Reads the metrics that a pod serves on a port.
///
/// # Errors
/// See [`MetricsError`].
pub(crate) async fn read_port(client: &Client, namespace: &str, pod: &str, port: u16) -> Result<Metrics, MetricsError> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
    let request =
        Request::get(path).body(Vec::new()).map_err(|error| MetricsError::Cluster(kube::Error::HttpError(error)))?;
    let answer = timeout(TIMEOUT, client.request_text(request)).await;
    let late = || MetricsError::Unreached { port, why: format!("no answer in {} s", TIMEOUT.as_secs()) };
    let text = answer.map_err(|_| late())?.map_err(|error| of_answer(error, port))?;
    Metrics::parse(&text).map_err(|line| MetricsError::Unreadable { port, line })
}

/// The API server answers in a proxy's place if it cannot reach it, and passes on what the proxy answers.
fn of_answer(error: kube::Error, port: u16) -> MetricsError {
    match error {
        kube::Error::Api(status) if status.code == 403 => MetricsError::Forbidden(status.message),
        kube::Error::Api(status) => MetricsError::Unreached { port, why: status.message },
        error => MetricsError::Cluster(error),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn errors_of_the_api_server_say_what_to_mend() {
        let answer = |code| {
            let status = Status { code, message: "why".to_owned(), ..Status::default() };
            of_answer(kube::Error::Api(Box::new(status)), 15_211).to_string()
        };
        assert_eq!(answer(403), "the right to get pods/proxy is missing: why");
        assert_eq!(answer(503), "the API server cannot reach port 15211 of the pod: why");
        assert_eq!(answer(404), "the API server cannot reach port 15211 of the pod: why");
    }
}
