//! `recycling-proxy redirect`: leads new inbound connections to the proxy, and tells the proxy where they were going.
//!
//! An init container runs [`apply`] once, before the app starts. It writes one `nf_tables` table into the pod's own
//! network namespace, straight over netlink: the image has neither a shell nor `nft`. As `nft list ruleset` shows it:
//!
//! ```text
//! table inet evenkeel {
//!     set ports {
//!         type inet_service
//!         elements = { 8080, 9090 }
//!     }
//!
//!     chain redirect {
//!         type nat hook prerouting priority dstnat; policy accept;
//!         meta iiftype != loopback tcp dport @ports redirect to :15210
//!     }
//!
//!     chain invalid_in {
//!         type filter hook prerouting priority filter; policy accept;
//!         ct state invalid meta iiftype != loopback tcp dport @ports drop
//!     }
//!
//!     chain invalid_out {
//!         type filter hook output priority filter; policy accept;
//!         ct state invalid tcp sport 15210 drop
//!     }
//! }
//! ```
//!
//! One table of family `inet` serves IPv4 and IPv6, whether or not the pod has both. What comes over loopback is left
//! alone: the proxy's own connections to the app, and those of the other containers of the pod, also when they use the
//! pod's address.
//!
//! # Probes that only connect
//! The proxy's listener would answer a `tcpSocket` probe whether or not the app lives. So such a probe goes to a port of ours
//! (`--probes`), which leads to the app itself, at the address that was meant: it finds the app, or nobody, as without the proxy. These
//! rules come to the others:
//!
//! ```text
//!     set probes {
//!         type inet_service
//!         elements = { 15220 }
//!     }
//!
//!     chain redirect {
//!         …
//!         meta iiftype != loopback tcp dport 15220 dnat ip to :8080
//!         meta iiftype != loopback tcp dport 15220 dnat ip6 to :8080
//!     }
//!
//!     chain silence {
//!         type filter hook prerouting priority mangle; policy accept;
//!         meta iiftype != loopback tcp dport @probes tcp doff 5 @th,160,8 >= 0x0 drop
//!         …
//!     }
//! ```
//!
//! Everybody who reaches the pod reaches these ports. They must be no way around the proxy, whose word on the client an app may
//! rely on (`--forwarded-for`, `--proxy-protocol`): a segment with data is dropped, for each length that a TCP header can have, so
//! that a connection can be opened and closed and nothing be said on it.
//!
//! # What connection tracking does to connections
//! The kernel redirects by tracking connections, and what it cannot follow breaks. Three cures:
//!
//! - A packet that it cannot place (`invalid`, for one outside of the window as the kernel sees it) is not translated.
//!   Inbound it would reach the app, which would reset a connection that is in order; outbound it would reach the
//!   client from a port that it has never talked to, and the reset would come back. Both are dropped, as if lost on the
//!   way, and TCP repairs the loss. (kube-proxy does so for the same reason.)
//! - A nat chain sees the first packet of a connection only, so what is established stays as it is when rules change.
//!   There is no test for SYN: where the kernel has forgotten a connection that the proxy still holds, the client's next
//!   packet is led to the proxy again.
//! - The kernel forgets a half-closed connection after 60 seconds of silence; [`keep_tracked`] breaks the silence.
//!
//! # The network of a node
//! A pod with `hostNetwork` is skipped by injection. An author can still ask for it while no webhook is asked, and the merge keeps this init
//! container. Then it writes nothing ([`is_host_network`]) and succeeds, since pods always start.
//!
//! The proxy learns from [`original_destination`] which address a connection meant.

mod destination;
mod error;
mod expression;
mod host_network;
mod kernel;
mod message;
mod ruleset;
mod tracking;
mod uapi;

pub use destination::{Destination, original_destination};
pub use error::{RedirectError, Step};
pub use host_network::is_host_network;
pub use ruleset::TABLE;
pub use tracking::{KEEP_TRACKED_EVERY, keep_tracked};

use settings::RedirectSettings;

/// What [`apply`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The rules are in force.
    Redirected,
    /// Nothing: the network namespace is the node's ([`is_host_network`]), where the rules would take connections of every pod and of
    /// the node itself.
    HostNetwork,
}

/// Leads new inbound TCP connections to the ports of `settings` to the proxy's port, in the network namespace of the
/// calling thread, in place of whatever an earlier call has set.
///
/// The kernel replaces the whole table in one transaction: no connection meets an interval without rules, and after an
/// error everything is as it was. Blocks for as long as the kernel works: milliseconds or, where it loads modules first,
/// some hundred.
///
/// # Errors
/// [`RedirectError`] says what the node or the container lacks.
pub fn apply(settings: &RedirectSettings) -> Result<Applied, RedirectError> {
    if is_host_network(settings.network) {
        return Ok(Applied::HostNetwork);
    }
    kernel::commit(&ruleset::Batch::of(settings))?;
    Ok(Applied::Redirected)
}
