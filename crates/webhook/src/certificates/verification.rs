//! Verifies a leaf as an API server does, for tests.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Leaf, Validity};

/// Returns whether a client that trusts `bundle_pem` accepts `leaf` for the server name `name` at `time`.
pub(super) fn is_trusted(leaf: &Leaf, bundle_pem: &str, name: &str, time: SystemTime) -> bool {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle_pem.as_bytes()).map(Result::unwrap) {
        // As in Go, a root counts in its own time alone; rustls does not look.
        if Validity::of_certificate(&root).unwrap().is_valid(time) {
            roots.add(root).unwrap();
        }
    }
    if roots.is_empty() {
        return false;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let time = UnixTime::since_unix_epoch(time.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name).unwrap();
    verifier.verify_server_cert(&leaf.certified_key().cert[0], &[], &name, &[], time).is_ok()
}
