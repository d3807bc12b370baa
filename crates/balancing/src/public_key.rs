//! The public keys with which a proxy verifies instructions.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// The DER of an Ed25519 public key before its 32 bytes (`SubjectPublicKeyInfo`, RFC 8410 §4).
const DER_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 8;

/// An Ed25519 public key. As text it is the base64 line of its PEM: `MCowBQYDK2VwAyEA…`, 60 characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

/// Why a text is not a list of Ed25519 public keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// The key at this position, counted from 1, is malformed.
    #[error(
        "key {0} is not an Ed25519 public key: expected the base64 line of its PEM, 60 characters that begin with MCowBQYDK2VwAyEA"
    )]
    Key(usize),
    /// There is no key.
    #[error("expected at least one Ed25519 public key")]
    None,
    /// There are more keys than [`PublicKeys::MOST`].
    #[error("expected at most {most} Ed25519 public keys, found {0}", most = PublicKeys::MOST)]
    TooMany(usize),
}

impl PublicKey {
    pub(crate) const fn of_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns its identifier in logs, metrics and reports.
    pub fn id(&self) -> KeyId {
        let hash = digest(&SHA256, &self.to_der());
        let mut id = [0; ID_BYTES];
        id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        KeyId(id)
    }

    fn to_der(self) -> Vec<u8> {
        [DER_PREFIX.as_slice(), &self.0].concat()
    }

    fn parse(text: &str) -> Option<Self> {
        let der = STANDARD.decode(text).ok()?;
        let key = der.strip_prefix(&DER_PREFIX)?;
        key.try_into().ok().map(Self)
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKeys;

    fn from_str(text: &str) -> Result<Self, InvalidKeys> {
        Self::parse(text.trim()).ok_or(InvalidKeys::Key(1))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.to_der()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The first 8 bytes of the SHA-256 of a public key's DER, as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for KeyId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let digits = text.len() == 2 * ID_BYTES && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| digits);
        number.map(|number| Self(number.to_be_bytes())).ok_or("expected 16 hexadecimal digits")
    }
}

/// The public keys of a proxy: one, or several during a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys(Vec<PublicKey>);

impl PublicKeys {
    /// The most keys of a list. A rotation needs two. An instruction without a valid signature costs one verification
    /// per key.
    pub const MOST: usize = 4;

    /// Returns the list of these keys, without duplicates.
    ///
    /// # Errors
    /// If there is no key, or more than four.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, InvalidKeys> {
        let mut list: Vec<PublicKey> = Vec::new();
        for key in keys {
            if !list.contains(&key) {
                list.push(key);
            }
        }
        match list.len() {
            0 => Err(InvalidKeys::None),
            1..=Self::MOST => Ok(Self(list)),
            more => Err(InvalidKeys::TooMany(more)),
        }
    }

    /// Returns the keys in their order.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// Returns whether `signature` is the signature of `message` by one of the keys.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.iter().any(|key| key.verifies(message, signature))
    }
}

impl FromStr for PublicKeys {
    type Err = InvalidKeys;

    /// Parses keys that are separated by commas or white space.
    fn from_str(text: &str) -> Result<Self, InvalidKeys> {
        let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let keys: Result<Vec<_>, _> =
            (1..).zip(words).map(|(place, word)| PublicKey::parse(word).ok_or(InvalidKeys::Key(place))).collect();
        Self::new(keys?)
    }
}

impl fmt::Display for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().enumerate() {
            write!(f, "{}{key}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey::of_bytes([byte; 32])
    }

    #[test]
    fn a_key_is_written_as_its_pem_without_armor() {
        // RFC 8410 §10.1.
        let text = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        let key: PublicKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(format!("{key:?}"), format!("PublicKey({text})"));
        assert_eq!(KeyId::try_from(key.id().to_string()), Ok(key.id()));
    }

    #[test]
    fn an_unusable_key_is_reported_by_its_position() {
        let good = key(1).to_string();
        // The key type of RSA, a key cut short, one too long, and text.
        for bad in ["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", &good[..56], &format!("{good}AAAA"), "ssh-ed25519"] {
            assert_eq!(format!("{good},{bad}").parse::<PublicKeys>(), Err(InvalidKeys::Key(2)), "{bad}");
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
        for none in ["", " ", ",", "\n"] {
            assert_eq!(none.parse::<PublicKeys>(), Err(InvalidKeys::None));
        }
        let five = (1..=5).map(|byte| key(byte).to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(five.parse::<PublicKeys>(), Err(InvalidKeys::TooMany(5)));
    }

    #[test]
    fn a_list_of_keys_survives_a_round_trip_without_duplicates() {
        let keys = PublicKeys::new([key(1), key(2), key(1)]).unwrap();
        assert_eq!(keys.iter().count(), 2);
        assert_eq!(keys.to_string().parse(), Ok(keys.clone()));
        assert_eq!(format!(" {}\n {},", key(1), key(2)).parse(), Ok(keys));
    }

    #[test]
    fn a_key_id_has_16_digits() {
        for bad in ["", "+123456789abcdef", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0"] {
            assert!(KeyId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert_eq!(KeyId::try_from("00000000000000ff".to_owned()).unwrap().to_string(), "00000000000000ff");
    }
}
