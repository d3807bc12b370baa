//! A limit of memory around a process.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::outcome::{Failure, TestResult};

/// Control groups with a controller for memory: where they are, and the files of their limit and of the most that was
/// charged to them.
const HIERARCHIES: [Hierarchy; 2] = [
    Hierarchy { root: "/sys/fs/cgroup", limit: "memory.max", peak: "memory.peak" },
    Hierarchy { root: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes" },
];

/// How the names of the groups begin; the process's number follows.
const NAME: &str = "recycling-proxy-test-";
/// The file with the numbers of a group's processes.
const PROCESSES: &str = "cgroup.procs";

#[derive(Debug)]
struct Hierarchy {
    root: &'static str,
    limit: &'static str,
    peak: &'static str,
}

/// A process with a limit: in a control group, where this process may make one. The kernel then kills it for taking more.
#[derive(Debug)]
pub struct MemoryLimit {
    process: u32,
    limit: u64,
    group: Option<Group>,
}

#[derive(Debug)]
struct Group {
    folder: PathBuf,
    peak: &'static str,
}

impl MemoryLimit {
    /// Limits a process to `limit` bytes from now on. Memory that it has already is not counted.
    pub fn around(process: u32, limit: u64) -> Self {
        let group = HIERARCHIES.iter().find_map(|hierarchy| hierarchy.enclose(process, limit).ok());
        Self { process, limit, group }
    }

    /// Checks that the process's own memory is within the limit. What the kernel holds for it is the control group's to judge.
    ///
    /// # Errors
    /// If the process has more, or has ended.
    pub fn check(&self) -> TestResult {
        let own = self.of_status("RssAnon:")?;
        if own >= self.limit {
            return Err(Failure::new(format!("{own} bytes of {}", self.limit)));
        }
        Ok(())
    }

    /// Returns the most resident memory that the process has had, bytes.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn peak_resident(&self) -> TestResult<u64> {
        self.of_status("VmHWM:")
    }

    /// Returns the most memory that was charged to the control group, bytes: what the process has taken since it is in
    /// the group, and what the kernel holds for it. Control groups of version 1 do not count the buffers of sockets. `None` without
    /// a control group.
    pub fn peak_charged(&self) -> Option<u64> {
        let Group { folder, peak } = self.group.as_ref()?;
        fs::read_to_string(folder.join(peak)).ok()?.trim().parse().ok()
    }

    fn of_status(&self, key: &str) -> TestResult<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let size = status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let size = size.and_then(|size| size.strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(size.ok_or_else(|| Failure::new(format!("no {key}")))? * 1024)
    }
}

impl Hierarchy {
    fn enclose(&self, process: u32, limit: u64) -> io::Result<Group> {
        let root = Path::new(self.root);
        remove_leftovers(root);
        let folder = root.join(format!("{NAME}{process}"));
        fs::create_dir(&folder)?;
        let enclosed =
            write(&folder.join(self.limit), limit).and_then(|()| write(&folder.join(PROCESSES), process.into()));
        if let Err(error) = enclosed {
            fs::remove_dir(&folder)?;
            return Err(error);
        }
        Ok(Group { folder, peak: self.peak })
    }
}

/// Writes to a file of a control group. It is not created: `/sys/fs/cgroup` can be an ordinary folder, above one hierarchy for
/// each controller.
fn write(file: &Path, value: u64) -> io::Result<()> {
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

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let Some(Group { folder, .. }) = &self.group else { return };
        // A group with a process in it cannot be removed. If the process has ended, there is none to move.
        if let Some(root) = folder.parent() {
            let _ = write(&root.join(PROCESSES), self.process.into());
        }
        let _ = fs::remove_dir(folder);
    }
}
