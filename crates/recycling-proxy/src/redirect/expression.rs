//! The parts that the rule is made of: each loads something of the packet into a register and compares it.

use std::ffi::CStr;

use netlink_bindings::nftables::{CmpOps, MetaKeys, PayloadBase, PushExprListAttrs, Registers};
use netlink_bindings::traits::Pusher;
use netlink_bindings::utils::{finalize_nested_header, push_header, push_nested_header};

/// The one register that is needed.
const REGISTER: u32 = Registers::Reg1 as u32;
/// `ARPHRD_LOOPBACK`: what kind of device `lo` is (`linux/if_arp.h`).
const LOOPBACK_DEVICE: u16 = 772;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// Where a TCP header has the destination port, and the port's length.
const TCP_DESTINATION: (u32, u32) = (2, 2);

/// `NFTA_EXPR_DATA`, the expression's own attributes, and `NFTA_REDIR_REG_PROTO_MIN`, the register that holds the port
/// (`linux/netfilter/nf_tables.h`). The kernel's specification, from which `netlink-bindings` is made, lacks `redir`.
const EXPRESSION_DATA: u16 = 2;
const REDIR_REGISTER: u16 = 1;

/// `meta iiftype != loopback`: what arrives from outside of the pod.
pub(super) fn not_over_loopback<P: Pusher>(rule: PushExprListAttrs<P>) -> PushExprListAttrs<P> {
    let rule = load_meta(rule, MetaKeys::Iftype);
    // The kernel keeps the type of a device in its own byte order.
    compare(rule, CmpOps::Neq, &LOOPBACK_DEVICE.to_ne_bytes())
}

/// `tcp dport @set`.
pub(super) fn tcp_to_port_in<P: Pusher>(rule: PushExprListAttrs<P>, set: &CStr, set_id: u32) -> PushExprListAttrs<P> {
    let rule = load_meta(rule, MetaKeys::L4Proto);
    let rule = compare(rule, CmpOps::Eq, &[TCP]);
    let (offset, length) = TCP_DESTINATION;
    rule.nested_elem()
        .nested_data_payload()
        .push_dreg(REGISTER)
        .push_base(PayloadBase::TransportHeader as u32)
        .push_offset(offset)
        .push_len(length)
        .end_nested()
        .end_nested()
        .nested_elem()
        .nested_data_lookup()
        .push_set(set)
        .push_set_id(set_id)
        .push_sreg(REGISTER)
        .end_nested()
        .end_nested()
}

/// `redirect to :port`: the destination becomes that port on the address of the interface.
pub(super) fn redirect_to<P: Pusher>(rule: PushExprListAttrs<P>, port: u16) -> PushExprListAttrs<P> {
    let mut redirect = rule
        .nested_elem()
        .nested_data_immediate()
        .push_dreg(REGISTER)
        .nested_data()
        .push_value(&port.to_be_bytes())
        .end_nested()
        .end_nested()
        .end_nested()
        .nested_elem()
        .push_name(c"redir");
    let bytes = redirect.as_vec_mut();
    let data = push_nested_header(bytes, EXPRESSION_DATA);
    push_header(bytes, REDIR_REGISTER, 4);
    bytes.extend(REGISTER.to_be_bytes());
    finalize_nested_header(bytes, data);
    redirect.end_nested()
}

fn load_meta<P: Pusher>(rule: PushExprListAttrs<P>, key: MetaKeys) -> PushExprListAttrs<P> {
    rule.nested_elem().nested_data_meta().push_key(key as u32).push_dreg(REGISTER).end_nested().end_nested()
}

fn compare<P: Pusher>(rule: PushExprListAttrs<P>, how: CmpOps, with: &[u8]) -> PushExprListAttrs<P> {
    rule.nested_elem()
        .nested_data_cmp()
        .push_sreg(REGISTER)
        .push_op(how as u32)
        .nested_data()
        .push_value(with)
        .end_nested()
        .end_nested()
        .end_nested()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_is_a_port_in_a_register_and_the_expression_that_takes_it() {
        let mut bytes = Vec::new();
        redirect_to(PushExprListAttrs::new(&mut bytes), 15210).end_nested();
        let last: &[&[u8]] = &[
            // NFTA_LIST_ELEM, nested, 28 bytes: two attributes.
            &28_u16.to_ne_bytes(),
            &0x8001_u16.to_ne_bytes(),
            // NFTA_EXPR_NAME, 10 bytes and two to align.
            &10_u16.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            b"redir\0\0\0",
            // NFTA_EXPR_DATA, nested: NFTA_REDIR_REG_PROTO_MIN with NFT_REG_1.
            &12_u16.to_ne_bytes(),
            &0x8002_u16.to_ne_bytes(),
            &8_u16.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            &[0, 0, 0, 1],
        ];
        assert!(bytes.ends_with(&last.concat()), "{bytes:02x?}");
        assert!(bytes.windows(2).any(|pair| pair == 15210_u16.to_be_bytes()), "{bytes:02x?}");
    }
}
