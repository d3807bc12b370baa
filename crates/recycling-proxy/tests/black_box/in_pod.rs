//! The proxy in a pod: network namespaces of the test's own, in which the kernel redirects connections to it.
//!
//! These tests need `ip`, `nft` and `unshare`, and permission to create namespaces.

mod apps;
mod host_network;
#[path = "../../../redirect/tests/redirect/namespace.rs"]
mod namespace;
#[expect(dead_code, reason = "tests of the redirect itself use all of it")]
#[path = "../../../redirect/tests/redirect/pod.rs"]
mod pod;
mod proxy_header;
mod running;
mod sockets;
mod vanished;
