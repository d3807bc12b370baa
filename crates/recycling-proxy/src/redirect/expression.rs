//! The expressions that rules are made of: each loads something of the packet into a register, compares what is there
//! or acts.

use std::ffi::CStr;

use super::message::Attributes;
#[allow(clippy::wildcard_imports, reason = "names of the kernel's headers, unmistakable by their prefixes")]
use super::uapi::*;

/// `meta iiftype != loopback`: the packet comes from outside of the pod.
pub(super) fn not_over_loopback(rule: &mut Attributes<'_>) {
    load_meta(rule, NFT_META_IIFTYPE);
    // In the machine's own byte order, in which the kernel holds the type of a device.
    compare(rule, NFT_CMP_NEQ, &ARPHRD_LOOPBACK.to_ne_bytes());
}

/// `ct state invalid`: connection tracking cannot place the packet, so addresses are not translated for it.
pub(super) fn invalid(rule: &mut Attributes<'_>) {
    expression(rule, c"ct", |ct| {
        ct.number(NFTA_CT_KEY, NFT_CT_STATE).number(NFTA_CT_DREG, NFT_REG_1);
    });
    // The state is a bit mask in the machine's own byte order.
    expression(rule, c"bitwise", |bitwise| {
        bitwise
            .number(NFTA_BITWISE_SREG, NFT_REG_1)
            .number(NFTA_BITWISE_DREG, NFT_REG_1)
            .number(NFTA_BITWISE_LEN, 4)
            .nested(NFTA_BITWISE_MASK, |mask| value(mask, &NF_CT_STATE_INVALID_BIT.to_ne_bytes()))
            .nested(NFTA_BITWISE_XOR, |xor| value(xor, &[0; 4]));
    });
    compare(rule, NFT_CMP_NEQ, &[0; 4]);
}

/// `tcp dport @set`: the packet goes to one of the ports in the set.
pub(super) fn tcp_to_port_in(rule: &mut Attributes<'_>, set: &CStr) {
    // A TCP header begins with two ports, of which the destination is the second.
    load_tcp_port(rule, 2);
    expression(rule, c"lookup", |lookup| {
        lookup.name(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, NFT_REG_1);
    });
}

/// `tcp sport port`: the packet comes from that port.
pub(super) fn tcp_from_port(rule: &mut Attributes<'_>, port: u16) {
    load_tcp_port(rule, 0);
    compare(rule, NFT_CMP_EQ, &port.to_be_bytes());
}

/// `redirect to :port`: the connection goes to that port, on the address of the interface by which it came.
pub(super) fn redirect_to(rule: &mut Attributes<'_>, port: u16) {
    expression(rule, c"immediate", |immediate| {
        immediate
            .number(NFTA_IMMEDIATE_DREG, NFT_REG_1)
            .nested(NFTA_IMMEDIATE_DATA, |data| value(data, &port.to_be_bytes()));
    });
    expression(rule, c"redir", |redir| {
        redir.number(NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
    });
}

/// `drop`: the packet has never been.
pub(super) fn drop_packet(rule: &mut Attributes<'_>) {
    expression(rule, c"immediate", |immediate| {
        immediate.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).nested(NFTA_IMMEDIATE_DATA, |data| {
            data.nested(NFTA_DATA_VERDICT, |verdict| {
                verdict.number(NFTA_VERDICT_CODE, NF_DROP);
            });
        });
    });
}

fn load_meta(rule: &mut Attributes<'_>, key: u32) {
    expression(rule, c"meta", |meta| {
        meta.number(NFTA_META_KEY, key).number(NFTA_META_DREG, NFT_REG_1);
    });
}

fn load_tcp_port(rule: &mut Attributes<'_>, offset: u32) {
    load_meta(rule, NFT_META_L4PROTO);
    compare(rule, NFT_CMP_EQ, &[IPPROTO_TCP]);
    expression(rule, c"payload", |payload| {
        payload
            .number(NFTA_PAYLOAD_DREG, NFT_REG_1)
            .number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER)
            .number(NFTA_PAYLOAD_OFFSET, offset)
            .number(NFTA_PAYLOAD_LEN, 2);
    });
}

fn compare(rule: &mut Attributes<'_>, operator: u32, with: &[u8]) {
    expression(rule, c"cmp", |cmp| {
        cmp.number(NFTA_CMP_SREG, NFT_REG_1)
            .number(NFTA_CMP_OP, operator)
            .nested(NFTA_CMP_DATA, |data| value(data, with));
    });
}

fn value(data: &mut Attributes<'_>, bytes: &[u8]) {
    data.bytes(NFTA_DATA_VALUE, bytes);
}

fn expression(rule: &mut Attributes<'_>, name: &CStr, data: impl FnOnce(&mut Attributes<'_>)) {
    rule.nested(NFTA_LIST_ELEM, |element| {
        element.name(NFTA_EXPR_NAME, name).nested(NFTA_EXPR_DATA, data);
    });
}
