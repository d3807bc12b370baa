//! The context that all scenarios of a run share.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cores::Cores;
use crate::tools::Tools;

/// The programs, the cores, the plan and the folder for files.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) tools: Tools,
    pub(crate) cores: Cores,
    /// Rounds of each measurement.
    pub(crate) rounds: usize,
    /// Rounds of measurements that depend on single interruptions.
    pub(crate) tail_rounds: usize,
    /// Length of one peer's turn in a round, seconds.
    pub(crate) seconds: u16,
    dir: PathBuf,
    dirs: Cell<usize>,
}

impl Bench {
    pub(crate) fn new(
        tools: Tools,
        cores: Cores,
        [rounds, tail_rounds]: [usize; 2],
        seconds: u16,
        dir: PathBuf,
    ) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("clearing {}", dir.display()))?;
        }
        Ok(Self { tools, cores, rounds, tail_rounds, seconds, dir, dirs: Cell::new(0) })
    }

    /// Returns an empty directory that no other process of this run has.
    pub(crate) fn fresh_dir(&self, name: &str) -> Result<PathBuf> {
        let number = self.dirs.get();
        self.dirs.set(number + 1);
        let dir = self.dir.join(format!("{number}-{}", name.replace(' ', "-")));
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }
}
