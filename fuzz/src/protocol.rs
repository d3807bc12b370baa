//! The protocol by a client's first bytes.

use recycling_proxy::protocol::detect;

/// Long enough for every bound that `detect` has.
const LONGEST: usize = 10 * 1024;
/// Up to here every prefix is tried, beyond only some.
const DENSE: usize = 256;

/// What is said of a prefix is never taken back, and some verdict comes before the bound.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LONGEST)];
    let mut verdict = None;
    for length in (0..=data.len()).filter(|length| *length <= DENSE || length % 97 == 0 || *length == data.len()) {
        let now = detect(&data[..length]);
        assert!(verdict.is_none() || now == verdict, "{verdict:?} became {now:?} after {length} bytes");
        verdict = now;
    }
    assert!(data.len() < LONGEST || verdict.is_some(), "still in doubt after {LONGEST} bytes");
}
