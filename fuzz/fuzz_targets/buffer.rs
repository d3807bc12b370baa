//! See [`fuzz::buffer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::buffer::check(data));
