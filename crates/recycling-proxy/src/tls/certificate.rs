//! Keeps the served certificate to what its files hold.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use server_certificate::{CertificateReloader, FilesError, ServedLeaf};
use settings::TlsSettings;

use super::metrics::Metrics;
use super::outcome::CertificateOutcome;

/// How often the files are read. The kubelet takes a minute or so to bring a changed Secret to a pod.
const READ_EVERY: Duration = Duration::from_secs(10);

/// The certificate's files, and what was last said of them.
pub(crate) struct Certificate {
    files: CertificateReloader,
    teller: Teller,
}

impl Certificate {
    /// Reads the files for the first time. Where they cannot be used the proxy starts all the same: pods always start.
    pub(crate) fn load(settings: &TlsSettings, served: Arc<ServedLeaf>, metrics: Arc<Metrics>) -> Self {
        let [certificate, key] = [&settings.certificate, &settings.key].map(|path| PathBuf::from(path.as_str()));
        let mut files = CertificateReloader::new(certificate, key, Arc::clone(&served));
        let mut teller = Teller { served, metrics, said: None };
        teller.tell(files.reload());
        Self { files, teller }
    }

    /// Reads them again and again, for ever.
    pub(crate) async fn keep(self) {
        let Self { files, mut teller } = self;
        files.run(READ_EVERY, move |outcome| teller.tell(outcome)).await;
    }
}

/// Counts every failure, and logs each once for as long as it lasts.
struct Teller {
    served: Arc<ServedLeaf>,
    metrics: Arc<Metrics>,
    said: Option<String>,
}

impl Teller {
    fn tell(&mut self, outcome: Result<bool, FilesError>) {
        match outcome {
            Ok(false) => self.said = None,
            Ok(true) => {
                self.said = None;
                self.metrics.loaded(CertificateOutcome::Served);
                self.metrics.expires(self.served.validity().map(|validity| validity.not_after()));
                tracing::info!("serving the certificate from the files");
            }
            Err(error) => {
                self.metrics.loaded(match error {
                    FilesError::Read { .. } => CertificateOutcome::Unreadable,
                    FilesError::Unusable { .. } => CertificateOutcome::Unusable,
                });
                let error = error.to_string();
                if self.said.as_ref() == Some(&error) {
                    return;
                }
                if self.served.validity().is_some() {
                    tracing::warn!(%error, "the previous certificate is kept");
                } else {
                    tracing::warn!(%error, "no usable certificate: until there is one, TLS passes through");
                }
                self.said = Some(error);
            }
        }
    }
}
