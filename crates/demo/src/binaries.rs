//! The paths of the programs that the demo runs.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The programs, built by this workspace.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) webhook: PathBuf,
    pub(crate) proxy: PathBuf,
    pub(crate) app: PathBuf,
}

impl Binaries {
    /// Looks in the folder of this program, then on the PATH. The error names all programs that are missing.
    pub(crate) fn find() -> Result<Self> {
        let own = env::current_exe().context("the path of this program is unknown")?;
        let beside = own.parent().map(Path::to_path_buf);
        let path = env::var_os("PATH").unwrap_or_default();
        let places: Vec<PathBuf> = beside.into_iter().chain(env::split_paths(&path)).collect();
        Self::find_in(&places)
    }

    fn find_in(places: &[PathBuf]) -> Result<Self> {
        let mut missing = Vec::new();
        let mut find = |name: &'static str| {
            let found = places.iter().map(|place| place.join(name)).find(|file| file.is_file());
            found.unwrap_or_else(|| {
                missing.push(name);
                PathBuf::new()
            })
        };
        let found = Self { webhook: find("evenkeel-webhook"), proxy: find("recycling-proxy"), app: find("echo-app") };
        if missing.is_empty() {
            return Ok(found);
        }
        bail!(
            "the demo runs the real programs, and {} cannot be found beside this one or on the PATH.\n\
             `make demo` builds them in evenkeel's source tree.",
            missing.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named_with_the_command_that_builds_them() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("recycling-proxy"), "").unwrap();
        let error = Binaries::find_in(&[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("evenkeel-webhook, echo-app cannot be found"), "{error}");
        assert!(error.contains("make demo"), "{error}");
    }

    #[test]
    fn the_first_folder_with_a_program_is_used() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&one, &other] {
            for name in ["evenkeel-webhook", "recycling-proxy", "echo-app"] {
                std::fs::write(dir.path().join(name), "").unwrap();
            }
        }
        let found = Binaries::find_in(&[one.path().to_owned(), other.path().to_owned()]).unwrap();
        assert_eq!(found.proxy, one.path().join("recycling-proxy"));
    }
}
