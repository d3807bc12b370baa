//! A certificate that somebody else issues, in files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{CertificateError, Leaf, ServedLeaf};

/// Serves the certificate of two files, and what replaces it there.
#[derive(Debug)]
pub struct FilesKeeper {
    certificate: PathBuf,
    key: PathBuf,
    served: Arc<ServedLeaf>,
    seen: Option<Pair>,
}

/// What the two files held.
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
    /// The files hold something else.
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

impl FilesKeeper {
    /// Keeps `served` to what the files hold; nothing is read yet.
    pub fn new(certificate: PathBuf, key: PathBuf, served: Arc<ServedLeaf>) -> Self {
        Self { certificate, key, served, seen: None }
    }

    /// Reads the files and serves what is new in them. Whether anything was.
    ///
    /// On failure what was served before is served on.
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

    /// Reloads for ever, and tells each time what came of it. A failure may be files that are half written: the next
    /// look sees them whole.
    pub async fn run(mut self, every: Duration, mut tell: impl FnMut(Result<bool, FilesError>)) {
        loop {
            tokio::time::sleep(every).await;
            tell(self.reload());
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
    fn what_replaces_the_files_is_served_and_damage_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let served = Arc::new(ServedLeaf::default());
        let mut keeper = FilesKeeper::new(certificate.clone(), key.clone(), Arc::clone(&served));
        assert!(matches!(keeper.reload(), Err(FilesError::Read { .. })));

        let put = |pair: &(String, String)| {
            fs::write(&certificate, &pair.0).unwrap();
            fs::write(&key, &pair.1).unwrap();
        };
        let (first, second) = (issue(480_000), issue(480_100));
        put(&first);
        assert!(keeper.reload().unwrap());
        assert!(!keeper.reload().unwrap(), "nothing is new");
        let before = served.validity().unwrap();

        fs::write(&certificate, &second.0).unwrap();
        assert!(matches!(keeper.reload(), Err(FilesError::Unusable { .. })), "the key is still the old one");
        assert_eq!(served.validity(), Some(before));

        put(&second);
        assert!(keeper.reload().unwrap());
        assert_ne!(served.validity(), Some(before));
    }
}
