//! How long the certificates of the webhook are valid, and whether API servers trust them.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use x509_parser::pem::Pem;

use super::super::finding::{Finding, FindingId};
use super::InstallationFacts;

/// Certificates that the webhook signs itself last a day, and it renews them after a third of that.
const SOON_SECONDS: f64 = 8.0 * 3600.0;

/// Returns what there is to say about `caBundle` and the served certificate. That they agree, a dry run shows.
pub(super) fn certificates(facts: &InstallationFacts, configuration: &MutatingWebhookConfiguration) -> Vec<Finding> {
    let log = "kubectl --namespace NAMESPACE logs --selector app.kubernetes.io/component=webhook --tail 50";
    let namespace = facts.webhook.as_ref().and_then(|webhook| webhook.metadata.namespace.as_deref());
    let log = log.replace("NAMESPACE", namespace.unwrap_or("evenkeel"));
    [bundle(facts, configuration), served(facts), trusted(facts)]
        .into_iter()
        .flatten()
        .map(|finding| finding.command(&log))
        .collect()
}

fn bundle(facts: &InstallationFacts, configuration: &MutatingWebhookConfiguration) -> Option<Finding> {
    let webhook = configuration.webhooks.iter().flatten().next();
    let bundle =
        webhook.and_then(|webhook| webhook.client_config.ca_bundle.as_ref()).filter(|bundle| !bundle.0.is_empty());
    let Some(bundle) = bundle else {
        return Some(
            FindingId::CaBundle.says("the webhook configuration has no caBundle: API servers do not trust the webhook"),
        );
    };
    let ends: Option<Vec<f64>> = Pem::iter_from_buffer(&bundle.0).map(|pem| end(&pem.ok()?)).collect();
    // The bundle is valid until its last certificate expires: the previous one is kept until no replica serves a
    // certificate from it.
    let last = ends.filter(|ends| !ends.is_empty()).map(|ends| ends.into_iter().fold(0.0, f64::max));
    match last {
        None => Some(
            FindingId::CaBundle.says("the caBundle of the webhook configuration is not a list of certificates in PEM"),
        ),
        Some(end) if end < facts.now => Some(FindingId::CaBundle.says("every certificate in the caBundle has expired")),
        Some(_) => None,
    }
}

/// Returns when a certificate ends, in Unix time.
#[expect(clippy::cast_precision_loss, reason = "seconds of a few thousand years are far below 2⁵²")]
fn end(pem: &Pem) -> Option<f64> {
    Some(pem.parse_x509().ok()?.validity().not_after.timestamp() as f64)
}

fn served(facts: &InstallationFacts) -> Option<Finding> {
    let left = facts.served_until? - facts.now;
    let said = match left {
        ..=0.0 => "the certificate that the webhook serves has expired, or there is none".to_owned(),
        0.0..SOON_SECONDS => format!("the certificate that the webhook serves expires in {:.1} h", left / 3600.0),
        _ => return None,
    };
    Some(FindingId::CertificateExpires.says(said))
}

/// A dry run reaches one replica alone.
fn trusted(facts: &InstallationFacts) -> Option<Finding> {
    let distrusted: Vec<(&String, &String)> =
        facts.trusted.iter().filter_map(|(pod, trusted)| Some((pod, trusted.as_ref().err()?))).collect();
    let said = format!(
        "{} of {} replicas serve a certificate that the caBundle does not verify",
        distrusted.len(),
        facts.trusted.len()
    );
    let lines = distrusted.iter().map(|(pod, why)| format!("{pod}: {why}"));
    let finding = lines.fold(FindingId::ReplicaCertificate.says(said), Finding::detail);
    (!distrusted.is_empty()).then(|| finding.fix("restart that replica, and see its log"))
}

#[cfg(test)]
pub(super) mod tests {
    use k8s_openapi::ByteString;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::super::tests::{found, from};
    use super::*;

    /// 2030-01-01, in Unix time.
    const NOW: f64 = 1_893_456_000.0;

    fn pem(year: i32) -> String {
        let mut parameters = CertificateParams::default();
        parameters.not_after = date_time_ymd(year, 1, 1);
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn with_bundle(facts: &mut InstallationFacts, bundle: &str) {
        let client = serde_json::json!({"clientConfig": {}, "name": "inject", "sideEffects": "None", "admissionReviewVersions": ["v1"]});
        let configuration = facts.configuration.as_mut().unwrap();
        configuration.webhooks = Some(vec![from(client)]);
        let webhook = configuration.webhooks.as_mut().unwrap().first_mut().unwrap();
        webhook.client_config.ca_bundle = Some(ByteString(bundle.as_bytes().to_vec()));
    }

    pub(in super::super) fn make_sound(facts: &mut InstallationFacts) {
        facts.now = NOW;
        facts.served_until = Some(NOW + 86_400.0);
        with_bundle(facts, &pem(2031));
    }

    #[test]
    fn an_unusable_ca_bundle_has_a_finding() {
        assert_eq!(found(|facts| with_bundle(facts, "")), [FindingId::CaBundle]);
        assert_eq!(found(|facts| with_bundle(facts, "no certificate")), [FindingId::CaBundle]);
        assert_eq!(found(|facts| with_bundle(facts, &pem(2029))), [FindingId::CaBundle]);
        assert_eq!(found(|facts| with_bundle(facts, &format!("{}{}", pem(2029), pem(2031)))), []);
    }

    #[test]
    fn a_replica_whose_certificate_is_not_trusted_has_a_finding() {
        let with = |results: [Result<(), String>; 2]| {
            found(|facts| facts.trusted = ["a", "b"].map(str::to_owned).into_iter().zip(results).collect())
        };
        assert_eq!(with([Ok(()), Ok(())]), []);
        assert_eq!(with([Ok(()), Err("UnknownIssuer".to_owned())]), [FindingId::ReplicaCertificate]);
    }

    #[test]
    fn a_certificate_that_expires_soon_has_a_finding() {
        assert_eq!(found(|facts| facts.served_until = Some(NOW + 3600.0)), [FindingId::CertificateExpires]);
        assert_eq!(found(|facts| facts.served_until = Some(0.0)), [FindingId::CertificateExpires]);
        assert_eq!(found(|facts| facts.served_until = None), []);
    }
}
