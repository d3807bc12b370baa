//! CPU time and memory of a process, as the kernel counts them.

use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Returns the CPU time, user and system, that a process and its children have used so far.
///
/// Its precision is one tick (10 ms) for each process, so that a round must use much more than that.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let mut ticks = 0;
    for pid in family(pid)? {
        let stat = read(&format!("/proc/{pid}/stat"))?;
        ticks +=
            ticks_of(&stat).with_context(|| format!("/proc/{pid}/stat does not have the format of proc(5): {stat}"))?;
    }
    Ok(Duration::from_millis(ticks * 1000 / ticks_per_second))
}

/// Returns the ticks that one thread of a process has used so far.
pub(crate) fn ticks_of_thread(pid: u32, thread: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/task/{thread}/stat");
    ticks_of(&read(&path)?).with_context(|| format!("{path} does not have the format of proc(5)"))
}

/// Returns the ticks that this process and its children, those that have ended, have used so far.
pub(crate) fn ticks_with_ended_children() -> Result<u64> {
    let stat = read("/proc/self/stat")?;
    let fields = fields_of(&stat, 14..=17)
        .with_context(|| format!("/proc/self/stat does not have the format of proc(5): {stat}"))?;
    Ok(fields.iter().sum())
}

/// Returns the resident memory of a process and its children, bytes. Pages that they share are counted for each.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    family(pid)?.into_iter().try_fold(0, |sum, pid| {
        let status = read(&format!("/proc/{pid}/status"))?;
        let kib = kib_of(&status, "VmRSS:").with_context(|| format!("/proc/{pid}/status names no VmRSS"))?;
        Ok(sum + kib * 1024)
    })
}

fn family(pid: u32) -> Result<Vec<u32>> {
    let children = read(&format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_ascii_whitespace().map(|child| child.parse().context("a child's number"));
    std::iter::once(Ok(pid)).chain(children).collect()
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// Returns the sum of `utime` and `stime`, fields 14 and 15.
fn ticks_of(stat: &str) -> Option<u64> {
    fields_of(stat, 14..=15).map(|fields| fields.iter().sum())
}

/// Returns fields by their numbers in proc(5). The second field is a name that may have spaces and parentheses.
fn fields_of(stat: &str, numbers: RangeInclusive<usize>) -> Option<Vec<u64>> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    numbers.map(|number| fields.get(number - 3)?.parse().ok()).collect()
}

fn kib_of(status: &str, key: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_after_a_process_name_with_parentheses() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 700 35 9 9 20 0 1 0 12345 0 0";
        assert_eq!(ticks_of(stat), Some(735));
        assert_eq!(fields_of(stat, 14..=17), Some(vec![700, 35, 9, 9]));
        assert_eq!(ticks_of("42 (short) S 1"), None);
    }

    #[test]
    fn resident_memory_is_read_from_the_status_file() {
        let status = "Name:\tnginx\nVmHWM:\t    9000 kB\nVmRSS:\t    1234 kB\nRssAnon:\t     100 kB\n";
        assert_eq!(kib_of(status, "VmRSS:"), Some(1234));
        assert_eq!(kib_of(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_resident_memory_and_cpu_time() {
        assert!(resident(std::process::id()).unwrap() > 100_000);
        cpu_time(std::process::id()).unwrap();
    }
}
