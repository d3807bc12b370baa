//! What a proxy takes of what a balancer, or somebody else, has signed.

use std::time::Duration;

use balancing::{
    Interval, LastSequence, MAX_INSTRUCTION_BYTES, PodChange, PublicKeys, Receiver, Refusal, Sequence, SigningKey,
    WorkloadInstruction,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

const HEADER: &str = r#"{"alg":"EdDSA","typ":"evenkeel-instruction-v1"}"#;

fn key() -> SigningKey {
    SigningKey::from_pem(&SigningKey::generate(&SystemRandom::new()).unwrap()).unwrap()
}

fn receiver(keys: &[&SigningKey]) -> Receiver {
    let keys = PublicKeys::new(keys.iter().map(|key| key.public())).unwrap();
    Receiver::new(keys, "shop/Deployment/web".parse().unwrap())
}

fn instruction(workload: &str, sequence: u64) -> WorkloadInstruction {
    WorkloadInstruction::new(
        workload.parse().unwrap(),
        Sequence::new(sequence).unwrap(),
        [10.5, 0.25],
        PodChange { ago: Duration::from_millis(12_345), pods: 100 },
        Interval::new(Duration::from_secs(1)).unwrap(),
    )
    .unwrap()
}

/// Signs any header and payload, as somebody with the key could.
fn signed(pair: &Ed25519KeyPair, header: &str, payload: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes())))
}

/// Returns a key, once for us and once for ring.
fn raw_key() -> (SigningKey, Ed25519KeyPair) {
    let text = SigningKey::generate(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pem::parse(&text).unwrap().contents()).unwrap();
    (SigningKey::from_pem(&text).unwrap(), pair)
}

#[test]
fn a_signed_instruction_survives_a_round_trip() {
    let key = key();
    let sent = instruction("shop/Deployment/web", 7);
    let (last, received) = receiver(&[&key]).receive(key.sign(&sent).as_bytes(), LastSequence::NONE).unwrap();
    assert_eq!(received, sent);
    assert_eq!(last.get(), Some(sent.sequence()));
    assert!((received.rule().mean() - 10.5).abs() < f64::EPSILON);
    assert!((received.rule().connection_rate() - 0.25).abs() < f64::EPSILON);
    assert_eq!(received.change(), sent.change());
    assert_eq!(received.interval().validity(), Duration::from_secs(3));
}

#[test]
fn replayed_and_older_instructions_are_refused() {
    let key = key();
    let receiver = receiver(&[&key]);
    let at = |sequence| key.sign(&instruction("shop/Deployment/web", sequence));
    let (last, _) = receiver.receive(at(7).as_bytes(), LastSequence::NONE).unwrap();
    for old in [1, 6, 7] {
        assert_eq!(receiver.receive(at(old).as_bytes(), last), Err(Refusal::OldSequence), "{old}");
    }
    assert!(receiver.receive(at(8).as_bytes(), last).is_ok());
}

#[test]
fn an_instruction_signed_by_an_unknown_key_is_refused() {
    let (known, unknown) = (key(), key());
    let body = unknown.sign(&instruction("shop/Deployment/web", 7));
    assert_eq!(receiver(&[&known]).receive(body.as_bytes(), LastSequence::NONE), Err(Refusal::BadSignature));
    assert!(receiver(&[&known, &unknown]).receive(body.as_bytes(), LastSequence::NONE).is_ok());
}

#[test]
fn an_instruction_for_another_workload_is_refused() {
    let key = key();
    for workload in ["shop/Deployment/web2", "shop/StatefulSet/web", "shop2/Deployment/web"] {
        let body = key.sign(&instruction(workload, 7));
        let found = receiver(&[&key]).receive(body.as_bytes(), LastSequence::NONE);
        assert_eq!(found, Err(Refusal::ForeignWorkload), "{workload}");
    }
}

#[test]
fn a_signed_text_that_is_no_instruction_is_malformed() {
    let (key, pair) = raw_key();
    let receiver = receiver(&[&key]);
    let good = r#"{"workload":"shop/Deployment/web","sequence":1,"mean":2.5,"connectionRate":0.5,"sinceChangeMilliseconds":0,"intervalMilliseconds":1000}"#;
    assert!(receiver.receive(signed(&pair, HEADER, good).as_bytes(), LastSequence::NONE).is_ok());
    for (from, to) in [
        ("2.5", "-1"),
        ("2.5", "1e308"),
        ("2.5", "1e999"),
        ("2.5", "NaN"),
        ("2.5", "null"),
        ("\"sequence\":1", "\"sequence\":0"),
        ("\"sequence\":1", "\"sequence\":9007199254740992"),
        ("\"sequence\":1", "\"sequence\":1,\"sequence\":2"),
        ("1000", "0"),
        ("1000", "99"),
        ("1000", "60001"),
        ("1000", "18446744073709551615"),
        ("\"sinceChangeMilliseconds\":0", "\"sinceChangeMilliseconds\":-1"),
        ("shop/Deployment/web", "shop/web"),
        ("}", ""),
        ("{", "[{"),
    ] {
        let body = signed(&pair, HEADER, &good.replacen(from, to, 1));
        assert_eq!(receiver.receive(body.as_bytes(), LastSequence::NONE), Err(Refusal::Malformed), "{from} -> {to}");
    }
    for header in ["", "{}", r#"{"alg":"none"}"#, &HEADER.replace("v1", "v2"), &HEADER.replace("EdDSA", "HS256")] {
        let body = signed(&pair, header, good);
        assert_eq!(receiver.receive(body.as_bytes(), LastSequence::NONE), Err(Refusal::Malformed), "{header}");
    }
    let later = signed(&pair, HEADER, &good.replacen('{', "{\"more\":1,", 1));
    assert!(receiver.receive(later.as_bytes(), LastSequence::NONE).is_ok(), "a later balancer may say more");
}

#[test]
fn a_body_that_is_no_signed_text_is_malformed() {
    let key = key();
    let receiver = receiver(&[&key]);
    let body = key.sign(&instruction("shop/Deployment/web", 7));
    let (signed, signature) = body.rsplit_once('.').unwrap();
    let longest = "a".repeat(MAX_INSTRUCTION_BYTES + 1);
    for text in ["", ".", "..", "...", signed, signature, &format!("{body}="), &format!("{body}\n"), &longest] {
        assert_eq!(receiver.receive(text.as_bytes(), LastSequence::NONE), Err(Refusal::Malformed), "{text}");
    }
    assert_eq!(receiver.receive(&[0xff; 10], LastSequence::NONE), Err(Refusal::Malformed));
    let unsigned = format!("{signed}.");
    assert_eq!(receiver.receive(unsigned.as_bytes(), LastSequence::NONE), Err(Refusal::BadSignature));
}

#[test]
fn the_longest_instruction_is_within_the_limit_of_its_size() {
    let key = key();
    let workload = format!("{}/{}/{}", "a".repeat(63), "K".repeat(63), "a".repeat(253));
    assert!(key.sign(&instruction(&workload, (1 << 53) - 1)).len() < MAX_INSTRUCTION_BYTES / 2);
}

#[test]
fn a_private_key_of_openssl_is_read() {
    // RFC 8410 §10.3, without attributes: what `openssl genpkey -algorithm ed25519` writes.
    let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let key = SigningKey::from_pem(text).unwrap();
    assert_eq!(key.public().to_string(), "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
    assert!(
        receiver(&[&key])
            .receive(key.sign(&instruction("shop/Deployment/web", 7)).as_bytes(), LastSequence::NONE)
            .is_ok()
    );
}

#[test]
fn the_error_says_why_a_private_key_is_unusable() {
    for (text, part) in [
        ("", "PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "PRIVATE KEY"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "Ed25519"),
    ] {
        let error = SigningKey::from_pem(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(!format!("{:?}", key()).contains("PRIVATE"));
}

proptest! {
    #[test]
    fn an_instruction_with_a_changed_byte_is_refused(position: prop::sample::Index, change in 1u8..) {
        let key = key();
        let mut body = key.sign(&instruction("shop/Deployment/web", 7)).into_bytes();
        let position = position.index(body.len());
        body[position] ^= change;
        prop_assert!(receiver(&[&key]).receive(&body, LastSequence::NONE).is_err());
    }

    #[test]
    fn the_last_sequence_number_never_falls(numbers in proptest::collection::vec(1u64..20, 1..40)) {
        let mut last = LastSequence::NONE;
        for number in numbers {
            let sequence = Sequence::new(number).unwrap();
            match last.advance(sequence) {
                Ok(next) => {
                    prop_assert!(last.get().is_none_or(|last| last < sequence));
                    last = next;
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal, Refusal::OldSequence);
                    prop_assert!(last.get() >= Some(sequence));
                }
            }
        }
    }
}
