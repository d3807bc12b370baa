//! A limit of memory around a process.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit, setrlimit};
use test_support::{Failure, TestResult, ensure};

/// Where control groups with a controller for memory are, and the file of their limit.
const HIERARCHIES: [(&str, &str); 2] =
    [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];

/// How the names of the groups begin; the process's number follows.
const NAME: &str = "recycling-proxy-test-";
/// The file with the numbers of a group's processes.
const PROCESSES: &str = "cgroup.procs";

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
    remove_leftovers(root);
    let group = root.join(format!("{NAME}{process}"));
    fs::create_dir(&group)?;
    let enclosed = write(&group.join(file), limit).and_then(|()| write(&group.join(PROCESSES), process.into()));
    if let Err(error) = enclosed {
        fs::remove_dir(&group)?;
        return Err(error);
    }
    Ok(group)
}

/// Writes to a file of a control group. It is not created: `/sys/fs/cgroup` can be an ordinary folder, above one hierarchy for
/// each controller.
fn write(file: &Path, value: u64) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(value.to_string().as_bytes())
}

/// Removes the groups that tests have left behind when they were killed: those of processes that have ended.
fn remove_leftovers(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Fails if another test removes it at the same time.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let Some(group) = &self.group else { return };
        // A group with a process in it cannot be removed. If the process has ended, there is none to move.
        if let Some(root) = group.parent() {
            let _ = write(&root.join(PROCESSES), self.process.into());
        }
        let _ = fs::remove_dir(group);
    }
}

/// The test has both ends of every connection.
pub(super) fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
