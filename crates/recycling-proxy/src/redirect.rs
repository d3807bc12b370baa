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
//!     chain prerouting {
//!         type nat hook prerouting priority dstnat; policy accept;
//!         meta iiftype != loopback tcp dport @ports redirect to :15210
//!     }
//! }
//! ```
//!
//! One table of family `inet` serves IPv4 and IPv6, whether or not the pod has both. What comes over loopback is left
//! alone: the proxy's own connections to the app, and those of the other containers of the pod, also when they use the
//! pod's address.
//!
//! A nat chain sees the first packet of a connection only, so what is established stays as it is. There is no test for
//! SYN: where connection tracking has forgotten a connection that the proxy still holds (idle for five days), its next
//! packet is led to the proxy again.
//!
//! The proxy learns from [`original_destination`] which address a connection meant.

mod destination;
mod error;
mod expression;
mod kernel;
mod message;
mod ruleset;
mod uapi;

pub use destination::{Destination, original_destination};
pub use error::{RedirectError, Step};
pub use ruleset::TABLE;

use settings::RedirectSettings;

/// Leads new inbound TCP connections to the ports of `settings` to the proxy's port, in the network namespace of the
/// calling thread, in place of whatever an earlier call has set.
///
/// The kernel replaces the whole table in one transaction: no connection meets an interval without rules, and after an
/// error everything is as it was. Blocks for as long as the kernel works: a millisecond or, where it loads a module
/// first, some hundred.
///
/// # Errors
/// [`RedirectError`] says what the node or the container lacks.
pub fn apply(settings: &RedirectSettings) -> Result<(), RedirectError> {
    kernel::commit(&ruleset::Batch::of(settings))
}
