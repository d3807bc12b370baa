//! A server in front of the API server that answers a few requests itself, to simulate other clusters.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Serves on a local port until it is dropped. It forwards all requests that it does not answer itself.
#[derive(Debug)]
pub struct Front {
    kubeconfig: NamedTempFile,
    serving: AbortHandle,
}

type Answers = BTreeMap<&'static str, Value>;

impl Front {
    /// Starts it with its responses to GET, by path.
    pub async fn start(
        client: Client,
        answers: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = format!("http://{}", listener.local_addr()?);
        let kubeconfig = NamedTempFile::new()?;
        let written = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "front", "users": [{"name": "front", "user": {}}],
            "contexts": [{"name": "front", "context": {"cluster": "front", "user": "front"}}],
            "clusters": [{"name": "front", "cluster": {"server": server}}],
        });
        std::fs::write(kubeconfig.path(), written.to_string())?;
        let answers = Arc::new(answers.into_iter().collect());
        let serving = tokio::spawn(serve(listener, client, answers)).abort_handle();
        Ok(Self { kubeconfig, serving })
    }

    /// Returns the path of a kubeconfig for it.
    pub fn kubeconfig(&self) -> anyhow::Result<&str> {
        self.kubeconfig.path().to_str().context("a path of UTF-8")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, client: Client, answers: Arc<Answers>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (client, answers) = (client.clone(), Arc::clone(&answers));
        let service = service_fn(move |request| {
            let (client, answers) = (client.clone(), Arc::clone(&answers));
            async move { Ok::<_, Infallible>(answer(request, &client, &answers).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(mut request: Request<Incoming>, client: &Client, answers: &Answers) -> Response<Full<Bytes>> {
    if let Some(own) = answers.get(request.uri().path()) {
        return Response::new(Full::new(own.to_string().into()));
    }
    request.headers_mut().remove(HOST);
    let answered = pass(request, client).await;
    answered.unwrap_or_else(|error| {
        let mut failed = Response::new(Full::new(format!("{error:#}").into()));
        *failed.status_mut() = StatusCode::BAD_GATEWAY;
        failed
    })
}

async fn pass(request: Request<Incoming>, client: &Client) -> anyhow::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = Body::from(body.collect().await?.to_bytes().to_vec());
    let (parts, body) = client.send(Request::from_parts(parts, body)).await?.into_parts();
    Ok(Response::from_parts(parts, Full::new(body.collect().await?.to_bytes())))
}
