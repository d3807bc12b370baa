//! What must hold of any input, one module for each fuzz target.
//!
//! `fuzz_targets/` hands libFuzzer's bytes to `check` of the module with the same name; `tests/corpus.rs` hands over
//! every file of the committed corpus, without a fuzzer and on the stable toolchain.

pub mod annotations;
pub mod announce;
pub mod buffer;
pub mod chunked;
pub mod conversation;
pub mod exchange;
pub mod head;
pub mod http2;
pub mod inject;
pub mod protocol;
mod wire;
mod workload;
