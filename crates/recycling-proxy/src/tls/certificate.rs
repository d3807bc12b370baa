//! Reloads the served certificate from its files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use server_certificate::{CertificateReloader, FilesError, ServedLeaf};
use settings::TlsSettings;

use super::metrics::Metrics;
use super::outcome::CertificateOutcome;

/// How often the files are read. The kubelet takes about a minute to update a volume after a change of its Secret.
const READ_EVERY: Duration = Duration::from_secs(10);

/// The certificate's files, and the last logged result.
pub(crate) struct Certificate {
    files: CertificateReloader,
    log: ResultLog,
}

impl Certificate {
    /// Reads the files for the first time. The proxy starts even if they cannot be used, because pods always start.
    pub(crate) fn load(settings: &TlsSettings, served: Arc<ServedLeaf>, metrics: Arc<Metrics>) -> Self {
        let [certificate, key] = [&settings.certificate, &settings.key].map(|path| PathBuf::from(path.as_str()));
        let mut files = CertificateReloader::new(certificate, key, Arc::clone(&served));
        let mut log = ResultLog { served, metrics, said: None };
        log.record(files.reload());
        Self { files, log }
    }

    /// Reloads the files every 10 s. Never returns.
    pub(crate) async fn reload(self) {
        let Self { files, mut log } = self;
        files.run(READ_EVERY, move |outcome| log.record(outcome)).await;
    }
}

/// Counts every failure, and logs it once while it lasts.
struct ResultLog {
    served: Arc<ServedLeaf>,
    metrics: Arc<Metrics>,
    said: Option<String>,
}

impl ResultLog {
    fn record(&mut self, outcome: Result<bool, FilesError>) {
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
