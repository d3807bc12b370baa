//! The expressions of rules. Each loads a part of the packet into a register, compares a register, or acts on the packet.

use std::ffi::CStr;

use super::message::Attributes;
#[allow(clippy::wildcard_imports, reason = "names of the kernel's headers, unmistakable by their prefixes")]
use super::uapi::*;

/// The offsets of fields in a TCP header (RFC 9293 §3.1), in bytes.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
const DATA_OFFSET: u32 = 12;

/// `meta iiftype != loopback`: the packet comes from outside of the pod.
pub(super) fn not_over_loopback(rule: &mut Attributes<'_>) {
    load_meta(rule, NFT_META_IIFTYPE);
    // The kernel has the type of a device in the byte order of the machine.
    compare(rule, NFT_CMP_NEQ, &ARPHRD_LOOPBACK.to_ne_bytes());
}

/// `ct state invalid`: connection tracking cannot place the packet, so addresses are not translated for it.
pub(super) fn invalid(rule: &mut Attributes<'_>) {
    expression(rule, c"ct", |ct| {
        ct.number(NFTA_CT_KEY, NFT_CT_STATE).number(NFTA_CT_DREG, NFT_REG_1);
    });
    // The state is a bit mask in the machine's own byte order.
    mask(rule, &NF_CT_STATE_INVALID_BIT.to_ne_bytes());
    compare(rule, NFT_CMP_NEQ, &[0; 4]);
}

/// `tcp dport @set`: the packet goes to one of the ports in the set.
pub(super) fn tcp_to_port_in(rule: &mut Attributes<'_>, set: &CStr) {
    load_tcp_port(rule, DESTINATION_PORT);
    expression(rule, c"lookup", |lookup| {
        lookup.name(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, NFT_REG_1);
    });
}

/// `tcp dport port`: the packet goes to that port.
pub(super) fn tcp_to_port(rule: &mut Attributes<'_>, port: u16) {
    load_tcp_port(rule, DESTINATION_PORT);
    compare(rule, NFT_CMP_EQ, &port.to_be_bytes());
}

/// `tcp sport port`: the packet comes from that port.
pub(super) fn tcp_from_port(rule: &mut Attributes<'_>, port: u16) {
    load_tcp_port(rule, SOURCE_PORT);
    compare(rule, NFT_CMP_EQ, &port.to_be_bytes());
}

/// `tcp doff words @th,32·words,8 >= 0`: the TCP header has this many words of 32 bits, and a byte follows it. A missing
/// byte cannot be compared, so segments without data do not match.
pub(super) fn with_data_after_header_of(rule: &mut Attributes<'_>, words: u8) {
    load_tcp_header(rule, DATA_OFFSET, 1);
    mask(rule, &[0xf0]);
    compare(rule, NFT_CMP_EQ, &[words << 4]);
    load_tcp_header(rule, u32::from(words) * 4, 1);
    compare(rule, NFT_CMP_GTE, &[0]);
}

/// `redirect to :port`: redirects the connection to that port, on the address of the interface that received it.
pub(super) fn redirect_to(rule: &mut Attributes<'_>, port: u16) {
    load_port(rule, port);
    expression(rule, c"redir", |redir| {
        redir.number(NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
    });
}

/// `dnat FAMILY to :port`: translates the port of a connection of that family, and keeps the address. Kernels before
/// 5.14 have no such rule for both families.
pub(super) fn translate_port_to(rule: &mut Attributes<'_>, family: u8, port: u16) {
    load_port(rule, port);
    expression(rule, c"nat", |nat| {
        nat.number(NFTA_NAT_TYPE, NFT_NAT_DNAT)
            .number(NFTA_NAT_FAMILY, family.into())
            .number(NFTA_NAT_REG_PROTO_MIN, NFT_REG_1);
    });
}

/// `drop`: drops the packet.
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
    load_tcp_header(rule, offset, 2);
}

/// Loads bytes at an offset from the beginning of the TCP header; the data follow the header.
fn load_tcp_header(rule: &mut Attributes<'_>, offset: u32, length: u32) {
    expression(rule, c"payload", |payload| {
        payload
            .number(NFTA_PAYLOAD_DREG, NFT_REG_1)
            .number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER)
            .number(NFTA_PAYLOAD_OFFSET, offset)
            .number(NFTA_PAYLOAD_LEN, length);
    });
}

fn load_port(rule: &mut Attributes<'_>, port: u16) {
    expression(rule, c"immediate", |immediate| {
        immediate
            .number(NFTA_IMMEDIATE_DREG, NFT_REG_1)
            .nested(NFTA_IMMEDIATE_DATA, |data| value(data, &port.to_be_bytes()));
    });
}

fn mask(rule: &mut Attributes<'_>, bits: &[u8]) {
    expression(rule, c"bitwise", |bitwise| {
        bitwise
            .number(NFTA_BITWISE_SREG, NFT_REG_1)
            .number(NFTA_BITWISE_DREG, NFT_REG_1)
            .number(NFTA_BITWISE_LEN, u32::try_from(bits.len()).unwrap_or(u32::MAX))
            .nested(NFTA_BITWISE_MASK, |mask| value(mask, bits))
            .nested(NFTA_BITWISE_XOR, |xor| value(xor, &vec![0; bits.len()]));
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
