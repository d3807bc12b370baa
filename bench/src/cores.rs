//! The split of the cores: the proxy has one for itself, everything else shares the others.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The split of the cores that this process may use.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    /// The core of the proxy under test; `None` if there is only one core, so that nothing is pinned.
    pub(crate) proxy: Option<usize>,
    /// The cores of load generators and app.
    pub(crate) rest: Vec<usize>,
}

impl Cores {
    /// Reserves the last core for the proxies, and pins this thread and everything that it starts from now on to the
    /// others.
    pub(crate) fn split() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("asking which cores may be used")?;
        let mut rest: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        if rest.len() < 2 {
            return Ok(Self { proxy: None, rest });
        }
        let proxy = rest.pop();
        let mut set = CpuSet::new();
        for core in &rest {
            set.set(*core);
        }
        sched_setaffinity(None, &set).context("leaving the proxy's core")?;
        Ok(Self { proxy, rest })
    }

    /// Returns the cores that the benchmark may use.
    pub(crate) fn all(&self) -> Vec<usize> {
        self.rest.iter().copied().chain(self.proxy).collect()
    }

    /// Returns the number of all cores.
    pub(crate) fn count(&self) -> usize {
        self.rest.len() + usize::from(self.proxy.is_some())
    }

    /// Returns a sentence on the split for the report.
    pub(crate) fn sentence(&self) -> String {
        match self.proxy {
            Some(proxy) => {
                format!("the proxy alone on core {proxy}, load generator and app on core(s) {:?}", self.rest)
            }
            None => "nothing pinned: there is one core only, which all share".to_owned(),
        }
    }
}

/// Raises the priority of this process and of everything that it starts from now on. Returns whether that was allowed.
pub(crate) fn take_precedence() -> bool {
    let own = rustix::process::setpriority_process(None, -20).is_ok();
    // If the kernel groups processes by session (autogroup), a priority counts only within the group, which has one of
    // its own.
    let group = Path::new("/proc/self/autogroup");
    own && (!group.exists() || fs::write(group, "-20").is_ok())
}
