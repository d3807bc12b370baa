//! The private key of the balancer, and the form of what it signs.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::Pem;
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::instruction::WorkloadInstruction;
use crate::public_key::PublicKey;

/// The header of a signed instruction. A signature by the same key over anything else is no instruction (RFC 8725 §3.11),
/// and the name changes with every version that an older proxy would misread.
pub(crate) const HEADER: &[u8] = br#"{"alg":"EdDSA","typ":"evenkeel-instruction-v1"}"#;

const LABEL: &str = "PRIVATE KEY";

/// An Ed25519 private key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// A private key that cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// It is no PEM.
    #[error("expected a private key in PEM: {0}")]
    Pem(#[from] pem::PemError),
    /// It is another PEM.
    #[error("expected a PEM with the label {LABEL:?}, found {0:?}")]
    Label(String),
    /// It is another kind of key, or damaged.
    #[error("expected an Ed25519 private key in PKCS #8: {0}")]
    Key(ring::error::KeyRejected),
    /// The operating system gave no random numbers.
    #[error("the system has no random numbers for a key")]
    Random,
}

impl SigningKey {
    /// Makes a key, and returns it as PEM.
    ///
    /// # Errors
    /// A source of random numbers that fails.
    pub fn generate(random: &dyn SecureRandom) -> Result<String, SigningKeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(random).map_err(|_| SigningKeyError::Random)?;
        Ok(pem::encode(&Pem::new(LABEL, document.as_ref())))
    }

    /// Reads a key in PEM, as [`generate`](Self::generate) or `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    /// Anything else, with what was expected.
    pub fn from_pem(text: &str) -> Result<Self, SigningKeyError> {
        let pem = pem::parse(text)?;
        if pem.tag() != LABEL {
            return Err(SigningKeyError::Label(pem.tag().to_owned()));
        }
        // Unchecked: OpenSSL leaves the public half out.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem.contents()).map_err(SigningKeyError::Key)?;
        let mut public = [0; 32];
        public.iter_mut().zip(pair.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self { pair, public: PublicKey::of_bytes(public) })
    }

    /// Returns the public half.
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
