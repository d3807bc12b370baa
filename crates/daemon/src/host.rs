//! The name of the machine.

use rustix::system::uname;

/// Returns the name of the machine: in Kubernetes that of the pod. Bytes that are no UTF-8 are replaced.
pub fn host_name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}
