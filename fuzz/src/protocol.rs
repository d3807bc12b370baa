//! The protocol by a client's first bytes, and what the most lenient server could take for a request.

use recycling_proxy::fuzzing::{FirstLine, Reading};
use recycling_proxy::fuzzing::{Protocol, Verdict, detect};

/// Long enough for every bound that `detect` has.
const LONGEST: usize = 10 * 1024;
/// Below every bound of `detect`.
const LONG: usize = 8 * 1024;
/// Up to here every prefix is tried, beyond only some.
const DENSE: usize = 256;

/// A verdict that is certain is never taken back, and one comes before the bound; what begins as no request in use is
/// never waited for later. What is told to be HTTP/1 is what some server could take for a request, however it arrives.
///
/// # Panics
/// Where that does not hold.
pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LONGEST)];
    let mut verdict = Verdict::Likely;
    for length in (0..=data.len()).filter(|length| *length <= DENSE || length % 97 == 0 || *length == data.len()) {
        let now = detect(&data[..length]);
        match verdict {
            Verdict::Likely => {}
            Verdict::Unlikely => assert!(now != Verdict::Likely, "waited for after {length} bytes"),
            Verdict::Certain(_) => assert_eq!(now, verdict, "after {length} bytes"),
        }
        verdict = now;
    }
    assert!(data.len() < LONGEST || matches!(verdict, Verdict::Certain(_)), "still in doubt after {LONGEST} bytes");

    let whole = FirstLine::default().read(data);
    let mut line = FirstLine::default();
    for byte in data {
        line.read(&[*byte]);
    }
    assert_eq!(line.read(&[]), whole, "byte by byte");
    // Its bytes might be another method's, which only that method's own servers know: nobody else takes them.
    let has_method_in_use = data.split(|b| *b == b' ').next().is_some_and(|method| {
        method.iter().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_')) && !method.is_empty()
    });
    if verdict == Verdict::Certain(Protocol::Http1) && has_method_in_use && data.len() < LONG {
        assert_eq!(whole, Reading::Request, "told to be HTTP/1");
    }
}
