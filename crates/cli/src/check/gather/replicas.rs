//! Reads the certificate of each replica of the webhook, through the API server's port-forward.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::Api;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Reader;

/// The port on which the chart's webhook answers reviews.
const PORT: u16 = 8443;
/// For a handshake through the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns whether API servers would trust each replica that is ready; if not, why.
pub(super) async fn trusted(
    reader: &mut Reader,
    configuration: &MutatingWebhookConfiguration,
    namespace: &str,
    pods: &[Pod],
) -> Vec<(String, Result<(), String>)> {
    let Some((connector, name)) = verifier(configuration) else { return Vec::new() };
    let api: Api<Pod> = Api::namespaced(reader.client.clone(), namespace);
    let mut trusted = Vec::new();
    for pod in pods.iter().filter(|pod| is_ready(pod)).map(Pod::name_any) {
        match timeout(TIMEOUT, handshake(&api, &pod, &connector, name.clone())).await {
            Ok(Ok(result)) => trusted.push((pod, result)),
            Ok(Err(error)) => {
                reader.not_checked.push(format!("the certificate of {pod}: {}", daemon::in_one_sentence(&*error)));
            }
            Err(_) => {
                let seconds = TIMEOUT.as_secs();
                reader.not_checked.push(format!("the certificate of {pod}: no answer in {seconds} s"));
            }
        }
    }
    trusted
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Returns what checks a certificate as API servers do; `None` if the configuration does not say how, which has a
/// finding of its own.
fn verifier(configuration: &MutatingWebhookConfiguration) -> Option<(TlsConnector, ServerName<'static>)> {
    let client = &configuration.webhooks.as_ref()?.first()?.client_config;
    let service = client.service.as_ref()?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&client.ca_bundle.as_ref()?.0) {
        roots.add(certificate.ok()?).ok()?;
    }
    if roots.is_empty() {
        return None;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(format!("{}.{}.svc", service.name, service.namespace)).ok()?;
    Some((TlsConnector::from(Arc::new(config)), name))
}

/// Returns whether the certificate was trusted.
///
/// # Errors
/// The replica cannot be reached.
async fn handshake(
    pods: &Api<Pod>,
    pod: &str,
    connector: &TlsConnector,
    name: ServerName<'static>,
) -> anyhow::Result<Result<(), String>> {
    let mut forwarder = pods.portforward(pod, &[PORT]).await.context("no port-forward")?;
    let Some(stream) = forwarder.take_stream(PORT) else { bail!("no stream to port {PORT}") };
    match connector.connect(name, stream).await {
        Ok(_) => Ok(Ok(())),
        Err(error) => match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(reason)) => Ok(Err(reason.to_string())),
            _ => Err(error).context("the TLS handshake fails"),
        },
    }
}
