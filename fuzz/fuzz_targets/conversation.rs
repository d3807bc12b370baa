//! See [`fuzz::conversation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::conversation::check(data));
