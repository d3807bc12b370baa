//! The certificate that is served to API servers.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{CertificateError, Leaf, Validity};

/// Signs a new key for `name`. The key never leaves the process.
pub(super) fn sign(issuer: &Issuer<'_, KeyPair>, name: &str, validity: Validity) -> Result<Leaf, CertificateError> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.not_before = validity.not_before().into();
    params.not_after = validity.not_after().into();
    params.distinguished_name.push(DnType::CommonName, "evenkeel-webhook server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(Leaf::new(vec![certificate.into()], key)?)
}
