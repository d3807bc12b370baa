//! A certificate authority for one run of the demo.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::RootCertStore;

/// The webhook's certificate, and the authority that its client trusts.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// PEM file with the webhook's certificate.
    pub(crate) certificate: PathBuf,
    /// PEM file with its key.
    pub(crate) key: PathBuf,
    /// Trusts only the authority that signed it.
    pub(crate) trusted: RootCertStore,
}

impl Certificates {
    /// Creates an authority and a certificate for `address`, and writes the webhook's files into `folder`.
    pub(crate) fn make(address: IpAddr, folder: &Path) -> Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages.push(KeyUsagePurpose::KeyCertSign);
        authority.distinguished_name.push(DnType::CommonName, "evenkeel demo");
        let root = authority.self_signed(&authority_key)?;

        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new([address.to_string()])?;
        leaf.distinguished_name.push(DnType::CommonName, "evenkeel-webhook");
        let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key))?;

        let mut trusted = RootCertStore::empty();
        trusted.add(root.der().clone())?;
        let made = Self { certificate: folder.join("tls.crt"), key: folder.join("tls.key"), trusted };
        fs::write(&made.certificate, leaf.pem())?;
        fs::write(&made.key, key.serialize_pem())?;
        Ok(made)
    }
}
