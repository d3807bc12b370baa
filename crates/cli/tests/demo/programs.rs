//! The programs of the workspace, as they are now.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Returns a program of the workspace, built and beside the others.
pub(crate) fn built(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| test_support::build_programs(Path::new(env!("CARGO_BIN_EXE_evenkeel")))).join(name)
}
