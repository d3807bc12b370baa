//! See [`fuzz::inject`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::inject::check(data));
