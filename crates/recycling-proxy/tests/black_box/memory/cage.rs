//! A limit of memory around a process.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit, setrlimit};
use test_support::{Failure, TestResult, ensure};

/// Where control groups with a controller for memory are, and the file of their limit.
const HIERARCHIES: [(&str, &str); 2] =
    [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];

/// The process, its limit and its control group, where the test may make one.
pub(super) struct Cage {
    process: u32,
    limit: u64,
    group: Option<PathBuf>,
}

impl Cage {
    pub(super) fn around(process: u32, limit: u64) -> Self {
        let group = HIERARCHIES.iter().find_map(|(root, file)| enclose(Path::new(root), file, process, limit).ok());
        Self { process, limit, group }
    }

    /// The process's own memory is within the limit; what the kernel holds for it is the control group's to judge.
    pub(super) fn keeps(&self) -> TestResult {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).map(str::trim);
        let own = own.and_then(|size| size.strip_suffix(" kB")?.parse::<u64>().ok());
        let own = own.ok_or_else(|| Failure::new("no RssAnon"))? * 1024;
        ensure!(own < self.limit, "{own} bytes of {}", self.limit);
        Ok(())
    }
}

fn enclose(root: &Path, file: &str, process: u32, limit: u64) -> std::io::Result<PathBuf> {
    let group = root.join(format!("recycling-proxy-test-{process}"));
    fs::create_dir(&group)?;
    let enclosed = fs::write(group.join(file), limit.to_string())
        .and_then(|()| fs::write(group.join("cgroup.procs"), process.to_string()));
    if let Err(error) = enclosed {
        fs::remove_dir(&group)?;
        return Err(error);
    }
    Ok(group)
}

impl Drop for Cage {
    fn drop(&mut self) {
        // Not as long as the process is in it: then it is left to the system.
        if let Some(group) = &self.group {
            let back = group.parent().map(|root| fs::write(root.join("cgroup.procs"), self.process.to_string()));
            let _ = (back, fs::remove_dir(group));
        }
    }
}

/// The test has both ends of every connection.
pub(super) fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
