//! The API server's part: it sends a review of a Deployment to the webhook, over TLS, and applies the patch.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use json_patch::Patch;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::addresses::Addresses;
use super::certificates::Certificates;
use super::probe;
use super::process::Process;

/// The timeout of a review. `timeoutSeconds` of the webhook configuration is shorter, because a rollout waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);
const UID: &str = "00000000-0000-4000-8000-000000000001";

/// The webhook, which runs as a process.
#[derive(Debug)]
pub(crate) struct Webhook {
    process: Process,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// The response of the webhook, and the patched object.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    /// The object with the patch applied.
    pub(crate) object: Value,
    /// The operations of the patch; empty if there is no patch.
    pub(crate) patch: Patch,
    /// The warnings that kubectl would print.
    pub(crate) warnings: Vec<String>,
    /// The time from the connect to the whole response.
    pub(crate) took: Duration,
}

impl Webhook {
    /// Starts the webhook with a certificate of its own authority and waits until it is ready.
    pub(crate) async fn start(program: &Path, addresses: &Addresses, folder: &Path) -> Result<Self> {
        let (address, admin) = (addresses.control()?, addresses.control()?);
        let made = Certificates::make(address.ip(), folder)?;
        let arguments = [
            ("--listen", address.to_string()),
            ("--admin", admin.to_string()),
            ("--tls", "files".to_owned()),
            ("--tls-cert", made.certificate.display().to_string()),
            ("--tls-key", made.key.display().to_string()),
        ];
        let flags = arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        let args: Vec<String> = ["run".to_owned()].into_iter().chain(flags).collect();
        let mut process = Process::spawn("evenkeel-webhook", program, &args, &[], folder)?;
        probe::until_ready(&mut process, admin, "/readyz").await?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(made.trusted)
            .with_no_client_auth();
        Ok(Self { process, address, tls: Arc::new(tls) })
    }

    /// Sends a review of an update of a Deployment, or of its creation if there is no `old` one.
    pub(crate) async fn review(&self, old: Option<&Value>, new: &Value) -> Result<Review> {
        let began = Instant::now();
        let review = admission_review(old, new);
        let answer = timeout(TIMEOUT, self.post(&review)).await.context("the webhook does not answer")??;
        Review::of(new, &answer, began.elapsed())
    }

    /// Ends the webhook.
    pub(crate) async fn stop(self) -> Result<()> {
        self.process.stop().await
    }

    async fn post(&self, review: &Value) -> Result<Bytes> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await.context("TLS to the webhook")?;
        let (mut connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let request = Request::post("/mutate")
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(review.to_string())))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status == StatusCode::OK, "the webhook answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

/// Returns the review that an API server would send (`admission.k8s.io/v1`).
fn admission_review(old: Option<&Value>, new: &Value) -> Value {
    let resource = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": new["metadata"]["name"],
            "namespace": new["metadata"]["namespace"],
            "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": "demo"},
            "object": new,
            "oldObject": old,
            "dryRun": false,
            "options": null,
        },
    })
}

#[derive(Deserialize)]
struct AnsweredReview {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    uid: String,
    allowed: bool,
    patch: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Review {
    fn of(object: &Value, answer: &[u8], took: Duration) -> Result<Self> {
        let AnsweredReview { response } = serde_json::from_slice(answer).context("the webhook's answer")?;
        ensure!(response.uid == UID, "the webhook answered another question: {}", response.uid);
        if !response.allowed {
            bail!("the webhook refused the Deployment");
        }
        let patch = match &response.patch {
            None => Patch(Vec::new()),
            Some(text) => serde_json::from_slice(&BASE64_STANDARD.decode(text)?).context("the webhook's patch")?,
        };
        let mut object = object.clone();
        json_patch::patch(&mut object, &patch).context("the webhook's patch does not apply")?;
        Ok(Self { object, patch, warnings: response.warnings, took })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: &Value) -> Vec<u8> {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
            .to_string()
            .into_bytes()
    }

    fn review(response: &Value) -> Result<Review> {
        Review::of(&json!({"spec": 1}), &answer(response), Duration::ZERO)
    }

    #[test]
    fn the_patch_of_a_review_is_applied() {
        let patch = BASE64_STANDARD.encode(r#"[{"op": "replace", "path": "/spec", "value": 2}]"#);
        let patched = review(&json!({"uid": UID, "allowed": true, "patchType": "JSONPatch", "patch": patch})).unwrap();
        assert_eq!((patched.object, patched.patch.len()), (json!({"spec": 2}), 1));
    }

    #[test]
    fn a_review_without_a_patch_leaves_the_object() {
        let review = review(&json!({"uid": UID, "allowed": true, "warnings": ["w"]})).unwrap();
        assert_eq!((review.object, review.patch.len()), (json!({"spec": 1}), 0));
        assert_eq!(review.warnings, ["w"]);
    }

    #[test]
    fn unusable_review_responses_are_errors() {
        let unfit = BASE64_STANDARD.encode(r#"[{"op": "remove", "path": "/absent"}]"#);
        for (response, words) in [
            (json!({"uid": "other", "allowed": true}), "another question"),
            (json!({"uid": UID, "allowed": false}), "refused"),
            (json!({"uid": UID, "allowed": true, "patch": unfit}), "does not apply"),
            (json!({}), "the webhook's answer"),
        ] {
            let error = format!("{:#}", review(&response).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }
}
