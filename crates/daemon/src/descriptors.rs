//! The limit of open files.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard limit, for this process and those that it starts.
///
/// Many systems start a process with a soft limit of 1024. Where the system refuses, the limit stays as it is.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Returns how many files the process may have open; `None` if there is no limit.
pub fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_descriptors_is_raised_to_the_hard_limit() {
        raise_descriptor_limit();
        assert_eq!(descriptor_limit(), getrlimit(Resource::Nofile).maximum);
    }
}
