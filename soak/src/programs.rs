//! The paths of the programs of a run.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// How a missing client is installed.
const INSTALL: &str = "soak/install.sh installs it (as root, for Debian packages)";

/// The programs under test, and the paths of the clients.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    workspace: PathBuf,
    /// `recycling-proxy`.
    pub(crate) proxy: PathBuf,
    /// `echo-app`.
    pub(crate) app: PathBuf,
}

impl Programs {
    /// Finds them in `target/static`, where `make static` puts the programs of the images. `proxy` replaces the proxy.
    ///
    /// # Errors
    /// If a program was not built.
    pub(crate) fn find(proxy: Option<PathBuf>) -> Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace around this crate")?;
        let shipped = |name: &str| built(workspace.join("target/static").join(name));
        Ok(Self {
            workspace: workspace.to_owned(),
            proxy: proxy.map_or_else(|| shipped("recycling-proxy"), built)?,
            app: shipped("echo-app")?,
        })
    }

    /// Returns the folder of reports and of what `soak/install.sh` installs.
    pub(crate) fn results(&self) -> PathBuf {
        self.workspace.join("target/soak")
    }

    /// Returns a client that `soak/install.sh` has installed into `target/soak`.
    pub(crate) fn installed(&self, path: &str) -> Result<PathBuf> {
        let program = self.results().join(path);
        ensure!(program.exists(), "target/soak/{path} is missing: {INSTALL}");
        Ok(program)
    }

    /// Returns a file of `soak/clients`.
    pub(crate) fn source(&self, path: &str) -> PathBuf {
        self.workspace.join("soak/clients").join(path)
    }

    /// Returns a program on the PATH.
    pub(crate) fn on_path(name: &str) -> Result<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path).map(|place| place.join(name)).find(|program| program.is_file());
        found.with_context(|| format!("{name} is not installed: {INSTALL}"))
    }
}

fn built(program: PathBuf) -> Result<PathBuf> {
    ensure!(program.is_file(), "{} is missing: `make static` builds it", program.display());
    Ok(program)
}
