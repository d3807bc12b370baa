//! A certificate in files, which another program issues.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{CertificateError, Leaf, ServedLeaf};

/// Serves the certificate in two files, and reloads it when the files change.
#[derive(Debug)]
pub struct CertificateReloader {
    certificate: PathBuf,
    key: PathBuf,
    served: Arc<ServedLeaf>,
    seen: Option<Pair>,
}

/// The content of the two files.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files do not hold a certificate and its key.
    #[error("{} and {} cannot be used: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What was expected.
        source: CertificateError,
    },
}

impl CertificateReloader {
    /// Returns a reloader that puts the certificate into `served`. It has read nothing yet.
    pub fn new(certificate: PathBuf, key: PathBuf, served: Arc<ServedLeaf>) -> Self {
        Self { certificate, key, served, seen: None }
    }

    /// Reads the files, and returns whether they hold a new certificate, which is served from now on.
    ///
    /// # Errors
    /// The files cannot be read or used. The previous certificate is still served.
    pub fn reload(&mut self) -> Result<bool, FilesError> {
        let pair = Pair { certificate: read(&self.certificate)?, key: read(&self.key)? };
        if self.seen.as_ref() == Some(&pair) {
            return Ok(false);
        }
        let leaf = Leaf::from_pem(&pair.certificate, &pair.key).map_err(|source| FilesError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })?;
        self.served.serve(leaf);
        self.seen = Some(pair);
        Ok(true)
    }

    /// Reloads for ever, and passes each result to `report`. A failure can mean that the files are half written; the
    /// next attempt reads them whole.
    pub async fn run(mut self, every: Duration, mut report: impl FnMut(Result<bool, FilesError>)) {
        loop {
            tokio::time::sleep(every).await;
            report(self.reload());
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    fs::read(path).map_err(|source| FilesError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const LIFE: Duration = Duration::from_hours(24);

    fn issue(hours: u64) -> (String, String) {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_hours(hours);
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = begin.into();
        params.not_after = (begin + LIFE).into();
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_changed_certificate_is_served_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let served = Arc::new(ServedLeaf::default());
        let mut reloader = CertificateReloader::new(certificate.clone(), key.clone(), Arc::clone(&served));
        assert!(matches!(reloader.reload(), Err(FilesError::Read { .. })));

        let put = |pair: &(String, String)| {
            fs::write(&certificate, &pair.0).unwrap();
            fs::write(&key, &pair.1).unwrap();
        };
        let (first, second) = (issue(480_000), issue(480_100));
        put(&first);
        assert!(reloader.reload().unwrap());
        assert!(!reloader.reload().unwrap(), "nothing is new");
        let before = served.validity().unwrap();

        fs::write(&certificate, &second.0).unwrap();
        assert!(matches!(reloader.reload(), Err(FilesError::Unusable { .. })), "the key is still the old one");
        assert_eq!(served.validity(), Some(before));

        put(&second);
        assert!(reloader.reload().unwrap());
        assert_ne!(served.validity(), Some(before));
    }
}
