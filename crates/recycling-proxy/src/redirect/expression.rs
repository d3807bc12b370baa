//! The expressions that rules are made of: each loads something of the packet into a register, compares what is there
//! or acts.

use std::ffi::CStr;

use super::message::Attributes;
#[expect(clippy::wildcard_imports, reason = "the names of the kernel's headers, unmistakable by their prefixes")]
use super::uapi::*;

/// `meta iiftype != loopback`: the packet comes from outside of the pod.
pub(super) fn not_over_loopback(rule: &mut Attributes<'_>) {
    load_meta(rule, NFT_META_IIFTYPE);
    // In the machine's own byte order, in which the kernel holds the type of a device.
    compare(rule, NFT_CMP_NEQ, &ARPHRD_LOOPBACK.to_ne_bytes());
}

/// `tcp dport @set`: the packet goes to one of the ports in the set.
pub(super) fn tcp_to_port_in(rule: &mut Attributes<'_>, set: &CStr) {
    load_meta(rule, NFT_META_L4PROTO);
    compare(rule, NFT_CMP_EQ, &[IPPROTO_TCP]);
    expression(rule, c"payload", |payload| {
        // A TCP header begins with two ports, of which the destination is the second.
        payload
            .number(NFTA_PAYLOAD_DREG, NFT_REG_1)
            .number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER)
            .number(NFTA_PAYLOAD_OFFSET, 2)
            .number(NFTA_PAYLOAD_LEN, 2);
    });
    expression(rule, c"lookup", |lookup| {
        lookup.name(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, NFT_REG_1);
    });
}

/// `redirect to :port`: the connection goes to that port, on the address of the interface by which it came.
pub(super) fn redirect_to(rule: &mut Attributes<'_>, port: u16) {
    expression(rule, c"immediate", |immediate| {
        immediate.number(NFTA_IMMEDIATE_DREG, NFT_REG_1).nested(NFTA_IMMEDIATE_DATA, |data| {
            data.bytes(NFTA_DATA_VALUE, &port.to_be_bytes());
        });
    });
    expression(rule, c"redir", |redir| {
        redir.number(NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
    });
}

fn load_meta(rule: &mut Attributes<'_>, key: u32) {
    expression(rule, c"meta", |meta| {
        meta.number(NFTA_META_KEY, key).number(NFTA_META_DREG, NFT_REG_1);
    });
}

fn compare(rule: &mut Attributes<'_>, operator: u32, with: &[u8]) {
    expression(rule, c"cmp", |cmp| {
        cmp.number(NFTA_CMP_SREG, NFT_REG_1).number(NFTA_CMP_OP, operator).nested(NFTA_CMP_DATA, |data| {
            data.bytes(NFTA_DATA_VALUE, with);
        });
    });
}

fn expression(rule: &mut Attributes<'_>, name: &CStr, data: impl FnOnce(&mut Attributes<'_>)) {
    rule.nested(NFTA_LIST_ELEM, |element| {
        element.name(NFTA_EXPR_NAME, name).nested(NFTA_EXPR_DATA, data);
    });
}
