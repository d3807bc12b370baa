//! The private key of the balancer, and the format of signed instructions.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::Pem;
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::instruction::WorkloadInstruction;
use crate::public_key::PublicKey;

/// The header of a signed instruction. Its `typ` keeps signatures of the same key over other data from being taken for
/// instructions (RFC 8725 §3.11). It changes with every version that an older proxy would misread.
pub(crate) const HEADER: &[u8] = br#"{"alg":"EdDSA","typ":"evenkeel-instruction-v1"}"#;

const LABEL: &str = "PRIVATE KEY";

/// An Ed25519 private key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// Why a private key cannot be parsed or generated.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// It is not PEM.
    #[error("expected a private key in PEM: {0}")]
    Pem(#[from] pem::PemError),
    /// It is PEM with another label.
    #[error("expected a PEM with the label {LABEL:?}, found {0:?}")]
    Label(String),
    /// It is not an Ed25519 private key, or is damaged.
    #[error("expected an Ed25519 private key in PKCS #8: {0}")]
    Key(ring::error::KeyRejected),
    /// The operating system returned no random numbers.
    #[error("cannot get random numbers for a key from the operating system")]
    Random,
}

impl SigningKey {
    /// Generates a key, and returns it as PEM.
    ///
    /// # Errors
    /// If the source of random numbers fails.
    pub fn generate(random: &dyn SecureRandom) -> Result<String, SigningKeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(random).map_err(|_| SigningKeyError::Random)?;
        Ok(pem::encode(&Pem::new(LABEL, document.as_ref())))
    }

    /// Parses a key in PEM, as [`generate`](Self::generate) or `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// If it is anything else; the error says what was expected.
    pub fn from_pem(text: &str) -> Result<Self, SigningKeyError> {
        let pem = pem::parse(text)?;
        if pem.tag() != LABEL {
            return Err(SigningKeyError::Label(pem.tag().to_owned()));
        }
        // "Unchecked" means that the public key may be absent, as OpenSSL leaves it out.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem.contents()).map_err(SigningKeyError::Key)?;
        let mut public = [0; 32];
        public.iter_mut().zip(pair.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self { pair, public: PublicKey::of_bytes(public) })
    }

    /// Returns the public key.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the body of `POST /balance`: the instruction and a signature over it, as a JSON Web Signature in compact
    /// form (RFC 7515 §7.1) with Ed25519 (RFC 8037). It is the same for every pod of the workload.
    pub fn sign(&self, instruction: &WorkloadInstruction) -> String {
        let mut text = URL_SAFE_NO_PAD.encode(HEADER);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(instruction.to_payload(), &mut text);
        let signature = self.pair.sign(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        text
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}
