//! A connection to the balancer that leads, by the API server's port-forward.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::cluster::said;
use crate::status::balancer::{PORT, replicas};

/// The endpoint by which each replica tells whether it leads.
const LEADS: &str = "/workloads?pods=false";

type Connection = SendRequest<Empty<Bytes>>;

/// Forwards GET to the leader. One request is under way at a time: it is for one page.
pub(super) struct Forward {
    client: Client,
    namespace: String,
    connection: Mutex<Option<Connection>>,
}

#[derive(Deserialize)]
struct Leads {
    leads: bool,
}

impl Forward {
    /// Connects to the leader of the balancer in `namespace`.
    ///
    /// # Errors
    /// There is no balancer, it cannot be reached, or a right is missing.
    pub(super) async fn connect(client: Client, namespace: String) -> anyhow::Result<Self> {
        let forward = Self { client, namespace, connection: Mutex::default() };
        let connection = forward.leader().await?;
        *forward.connection.lock().await = Some(connection);
        Ok(forward)
    }

    /// Returns the leader's answer; after an error, that of the next leader.
    ///
    /// # Errors
    /// No replica can be reached.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Response<Bytes>> {
        let mut held = self.connection.lock().await;
        if let Some(mut connection) = held.take()
            && let Ok(response) = ask(&mut connection, path).await
        {
            // A replica that no longer leads has no workloads. The next request looks for the leader again.
            let leads = serde_json::from_slice::<Leads>(response.body()).is_ok_and(|answer| !answer.leads);
            *held = (!leads).then_some(connection);
            return Ok(response);
        }
        let mut connection = self.leader().await?;
        let response = ask(&mut connection, path).await?;
        *held = Some(connection);
        Ok(response)
    }

    /// Returns a connection to the replica that leads, or to the last one that answers.
    async fn leader(&self) -> anyhow::Result<Connection> {
        let replicas = replicas(&self.client, &self.namespace).await.map_err(said)?;
        let mut found = Err(anyhow::anyhow!("no balancer runs in namespace {} (--namespace)", self.namespace));
        for replica in replicas {
            match self.to(&replica).await {
                Ok((connection, true)) => return Ok(connection),
                Ok((connection, false)) => found = Ok(connection),
                Err(error) if found.is_err() => found = Err(error),
                Err(_) => {}
            }
        }
        found
    }

    /// Returns a connection to a replica, and whether it leads.
    async fn to(&self, replica: &str) -> anyhow::Result<(Connection, bool)> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut forwarder = pods.portforward(replica, &[PORT]).await.map_err(said)?;
        let Some(stream) = forwarder.take_stream(PORT) else { bail!("no stream to port {PORT} of pod {replica}") };
        let (mut connection, running) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // An error is met by the request that it concerns.
            let _ = running.await;
            drop(forwarder);
        });
        let answer = ask(&mut connection, LEADS).await?;
        let answer: Leads = serde_json::from_slice(answer.body())
            .with_context(|| format!("pod {replica} is a balancer of another version"))?;
        Ok((connection, answer.leads))
    }
}

async fn ask(connection: &mut Connection, path: &str) -> anyhow::Result<Response<Bytes>> {
    connection.ready().await?;
    let request = Request::get(path).header(HOST, "evenkeel-balancer").body(Empty::new())?;
    let (mut parts, body) =
        connection.send_request(request).await.context("the balancer does not answer")?.into_parts();
    for of_connection in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        parts.headers.remove(of_connection);
    }
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
}
