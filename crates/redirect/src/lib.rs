//! `recycling-proxy redirect`: redirects new inbound connections to the proxy, and finds their original destination.
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
//! One table of family `inet` serves IPv4 and IPv6, whether or not the pod has both. Connections over loopback are not
//! redirected: those of the proxy to the app, and those of the other containers of the pod, also when they use the
//! pod's address.
//!
//! # Probes that only connect
//! The proxy's listener would answer a `tcpSocket` probe whether or not the app runs. So such a probe goes to a port
//! (`--probes`) that is translated to the app's, at the same address: it succeeds only if the app accepts it, as
//! without the proxy. These rules are added:
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
//! Every client that reaches the pod reaches these ports. They must not bypass the proxy, because an app may rely on
//! the client's address from it (`--forwarded-for`, `--proxy-protocol`). So a segment with data is dropped, for each
//! length that a TCP header can have: a connection can be opened and closed, but carries no data.
//!
//! # What connection tracking does to connections
//! The kernel redirects by connection tracking, which has three limits:
//!
//! - A packet that it cannot place (`invalid`, for one outside of the window as the kernel sees it) is not translated.
//!   Inbound it would reach the app, which would reset a valid connection; outbound it would reach the client from a
//!   port that it does not know, and the client would reset the connection. Both are dropped like lost packets, and TCP
//!   sends them again. (kube-proxy does so for the same reason.)
//! - A nat chain sees only the first packet of a connection, so established connections do not change with the rules.
//!   There is no match on SYN: if the kernel no longer tracks a connection that the proxy still holds, the client's
//!   next packet is redirected to the proxy again.
//! - The kernel stops tracking a half-closed connection after 60 seconds without a packet; [`keep_tracked`] prevents
//!   that.
//!
//! # The network of a node
//! Injection skips a pod with `hostNetwork`. An author can still set it while the webhook does not answer, and a merge
//! keeps this init container. Then it writes no rule ([`is_host_network`]) and succeeds, since pods always start.
//!
//! The proxy gets the destination of a connection from [`original_destination`].

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
    /// Nothing: the network namespace is the node's ([`is_host_network`]), where the rules would redirect connections
    /// of every pod and of the node itself.
    HostNetwork,
}

/// Redirects new inbound TCP connections for the ports of `settings` to the proxy's port, in the network namespace of
/// the calling thread. It replaces the rules of an earlier call.
///
/// The kernel replaces the whole table in one transaction: the rules are in force without a gap, and after an error the
/// previous ones stay. Blocks for milliseconds, or some hundred if the kernel loads modules first.
///
/// # Errors
/// [`RedirectError`] names what the node or the container lacks.
pub fn apply(settings: &RedirectSettings) -> Result<Applied, RedirectError> {
    if is_host_network(settings.network) {
        return Ok(Applied::HostNetwork);
    }
    kernel::commit(&ruleset::Batch::of(settings))?;
    Ok(Applied::Redirected)
}
