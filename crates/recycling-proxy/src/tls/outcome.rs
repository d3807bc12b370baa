//! The results of loading the certificate's files.

use labels::labels;

labels!(
    /// The result of loading the certificate's files, if they have changed or cannot be used.
    pub(crate) CertificateOutcome {
        /// A new certificate is served.
        Served = "served",
        /// A file is missing or cannot be read; the previous certificate stays in use, if there is one.
        Unreadable = "unreadable",
        /// The files hold no certificate with its key; the previous one stays in use, if there is one.
        Unusable = "unusable",
    }
);
