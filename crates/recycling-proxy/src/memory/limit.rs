//! The memory limit of the process, by its control groups and the machine.

use std::fs;
use std::path::Path;

/// The files with the limit of a container's own group: cgroup v2 and v1.
const OF_CONTAINER: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Where a container sees what its memory is used for; version 1 does not count the buffers of sockets as memory of the
/// group.
const STATISTICS: &str = "/sys/fs/cgroup/memory.stat";
const OWN_GROUPS: &str = "/proc/self/cgroup";
const MACHINE: &str = "/proc/meminfo";
/// The limit if no file can be read.
const UNKNOWN: u64 = 1 << 30;

/// Returns the least of the limits of the process's control groups; without one, a quarter of the machine's memory.
pub(super) fn of_system() -> u64 {
    let groups = fs::read_to_string(OWN_GROUPS).unwrap_or_default();
    let of_groups = limit_files(&groups);
    let files = OF_CONTAINER.into_iter().map(str::to_owned).chain(of_groups);
    let machine = fs::read_to_string(MACHINE).ok().and_then(|text| total(&text));
    let limits = files.filter_map(|file| fs::read_to_string(Path::new(&file)).ok()).filter_map(|text| limit(&text));
    // Without a limit, version 1 has a number larger than any machine's memory.
    let real = limits.filter(|limit| machine.is_none_or(|machine| *limit < machine));
    real.min().unwrap_or_else(|| machine.map_or(UNKNOWN, |machine| machine / 4))
}

/// Returns the limit files of the groups that `/proc/self/cgroup` names, and of those above them: a process outside of
/// a container's own view of them.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            controllers if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let ancestors = Path::new(group).ancestors().filter_map(Path::to_str);
        files.extend(ancestors.map(|group| format!("{root}{}/{name}", group.trim_end_matches('/'))));
    }
    files
}

/// Returns the memory of socket buffers in bytes; `None` if the kernel does not count it as the container's memory.
pub(super) fn socket_buffers() -> Option<usize> {
    fs::read_to_string(STATISTICS).ok().and_then(|text| sock(&text))
}

fn sock(statistics: &str) -> Option<usize> {
    statistics.lines().find_map(|line| line.strip_prefix("sock "))?.trim().parse().ok()
}

/// Parses a limit; `None` for `max` and malformed numbers.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns `MemTotal` of `/proc/meminfo` in bytes.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_read() {
        assert_eq!(
            limit_files("0::/kubepods/pod1\n"),
            [
                "/sys/fs/cgroup/kubepods/pod1/memory.max",
                "/sys/fs/cgroup/kubepods/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            limit_files("7:cpu,cpuacct:/a\n6:memory:/a\n0::/\n"),
            [
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(limit_files("garbled\n"), Vec::<String>::new());
    }

    #[test]
    fn memory_limits_are_read_as_numbers() {
        for (text, bytes) in [("134217728\n", Some(134_217_728)), ("max\n", None), ("", None), ("-1\n", None)] {
            assert_eq!(limit(text), bytes, "{text:?}");
        }
        assert_eq!(total("MemTotal:       24000000 kB\nMemFree: 1 kB\n"), Some(24_576_000_000));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn socket_memory_is_read_from_memory_stat() {
        assert_eq!(sock("anon 1\nkernel 2\nsock 381222912\nsocket 3\n"), Some(381_222_912));
        assert_eq!(sock("cache 1\nrss 2\n"), None);
    }

    #[test]
    fn the_system_has_a_memory_limit() {
        assert!(of_system() > 0);
    }
}
