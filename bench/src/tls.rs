//! The certificate of TLS connections over loopback, for both ends.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";
pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";

/// Writes a certificate and its key into a folder.
pub(crate) fn generate(folder: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).context("making a certificate")?;
    fs::write(folder.join(CERTIFICATE), made.cert.pem())?;
    fs::write(folder.join(KEY), made.signing_key.serialize_pem())?;
    Ok(())
}

/// Returns a server configuration with the certificate of a folder, for HTTP/2 and HTTP/1.1.
pub(crate) fn server(folder: &Path) -> Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY)).context("reading the key")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(vec![read(folder)?], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns a client configuration that trusts the certificate of a folder, for one protocol.
pub(crate) fn client(folder: &Path, protocol: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(read(folder)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(config)
}

fn read(folder: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(folder.join(CERTIFICATE)).context("reading the certificate")
}
