//! Figures that are saved, to be compared and published.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Saves a test's figures as `target/e2e/NAME.json`.
pub fn record(name: &str, figures: &impl Serialize) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e");
    let file = folder.join(name).with_extension("json");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&file, serde_json::to_vec_pretty(figures)?))
        .with_context(|| format!("cannot write {}", file.display()))
}
