//! The ports of the proxy in addition to its listener and its admin port.

pub(crate) mod hold_ports;
pub(crate) mod port_names;
pub(crate) mod probe_ports;
