//! The rules as one netlink batch: pure, so that the very bytes can be tested.

use std::ffi::CStr;

use netlink_bindings::nftables::{Chained, Nfgenmsg};
use settings::RedirectSettings;

use super::error::Step;
use super::expression;

/// The name of the table, of family `inet`, that [`apply`](super::apply) owns.
pub const TABLE: &CStr = c"evenkeel";
/// The set of taken ports.
const PORTS: &CStr = c"ports";
/// The chain that every inbound packet of a new connection passes.
const CHAIN: &CStr = c"prerouting";

/// `NFPROTO_INET`: IPv4 and IPv6 (`linux/netfilter.h`).
const FAMILY_INET: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`, whose batch it is (`linux/netfilter/nfnetlink.h`).
const SUBSYSTEM_NFTABLES: u16 = 10;
/// `NF_INET_PRE_ROUTING` (`linux/netfilter.h`).
const HOOK_PREROUTING: u32 = 0;
/// `NF_IP_PRI_NAT_DST`, which `nft` calls `dstnat` (`linux/netfilter_ipv4.h`).
const PRIORITY_DSTNAT: i32 = -100;
/// How `nft` shows the keys of a set: its type `inet_service`, which the kernel only stores.
const TYPE_INET_SERVICE: u32 = 13;
/// Names the set within the batch, before the kernel has given it a handle.
const SET_ID: u32 = 1;
/// Ports for one message: the length of a netlink attribute has 16 bits, and a port takes 16 bytes of it.
const PORTS_PER_MESSAGE: usize = 1024;

/// A transaction: messages in the kernel's format, and what each of them asks, in the same order. A message's sequence
/// number is its place.
pub(super) struct Batch {
    bytes: Vec<u8>,
    steps: Vec<Step>,
}

impl Batch {
    /// The batch that replaces the table by one with the rules of `settings`.
    pub(super) fn of(settings: &RedirectSettings) -> Self {
        let ports: Vec<u16> = settings.ports.iter().copied().collect();
        let mut draft = Draft { messages: Chained::new(0), steps: Vec::new() };
        draft.begin();
        draft.replace_table();
        draft.create_set();
        for some in ports.chunks(PORTS_PER_MESSAGE) {
            draft.add_ports(some);
        }
        draft.create_chain();
        draft.create_rule(settings.to);
        draft.commit()
    }

    /// What goes to the kernel, in one write.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What each message asks.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// A batch under construction.
struct Draft {
    messages: Chained<'static>,
    steps: Vec<Step>,
}

impl Draft {
    fn begin(&mut self) {
        self.steps.push(Step::Begin);
        self.messages.request().op_batch_begin_do(&batch_header());
    }

    /// Deleting fails where there is nothing to delete, and creating does not fail where there is something: so
    /// creating, deleting and creating leaves an empty table in every case.
    fn replace_table(&mut self) {
        self.steps.extend([Step::EnsureTable, Step::DeleteTable, Step::CreateTable]);
        self.messages.request().set_create().op_newtable_do(&inet_header()).encode().push_name(TABLE);
        self.messages.request().op_deltable_do(&inet_header()).encode().push_name(TABLE);
        self.messages.request().set_create().op_newtable_do(&inet_header()).encode().push_name(TABLE);
    }

    fn create_set(&mut self) {
        self.steps.push(Step::CreateSet);
        self.messages
            .request()
            .set_create()
            .op_newset_do(&inet_header())
            .encode()
            .push_table(TABLE)
            .push_name(PORTS)
            .push_id(SET_ID)
            .push_key_type(TYPE_INET_SERVICE)
            .push_key_len(2);
    }

    fn add_ports(&mut self, ports: &[u16]) {
        self.steps.push(Step::AddPorts);
        let mut message = self.messages.request().set_create().op_newsetelem_do(&inet_header());
        let elements = message.encode().push_table(TABLE).push_set(PORTS).push_set_id(SET_ID).nested_elements();
        ports.iter().fold(elements, |elements, port| {
            elements.nested_elem().nested_key().push_value(&port.to_be_bytes()).end_nested().end_nested()
        });
    }

    fn create_chain(&mut self) {
        self.steps.push(Step::CreateChain);
        self.messages
            .request()
            .set_create()
            .op_newchain_do(&inet_header())
            .encode()
            .push_table(TABLE)
            .push_name(CHAIN)
            .push_type(c"nat")
            .nested_hook()
            .push_num(HOOK_PREROUTING)
            .push_priority(PRIORITY_DSTNAT);
    }

    fn create_rule(&mut self, to: u16) {
        self.steps.push(Step::CreateRule);
        let mut message = self.messages.request().set_create().set_append().op_newrule_do(&inet_header());
        let rule = message.encode().push_table(TABLE).push_chain(CHAIN).nested_expressions();
        let rule = expression::not_over_loopback(rule);
        let rule = expression::tcp_to_port_in(rule, PORTS, SET_ID);
        expression::redirect_to(rule, to);
    }

    fn commit(mut self) -> Batch {
        self.steps.push(Step::Commit);
        self.messages.request().op_batch_end_do(&batch_header());
        Batch { bytes: self.messages.finalize().buf().clone(), steps: self.steps }
    }
}

fn batch_header() -> Nfgenmsg {
    let mut header = Nfgenmsg::new();
    header.set_res_id(SUBSYSTEM_NFTABLES);
    header
}

fn inet_header() -> Nfgenmsg {
    Nfgenmsg { nfgen_family: FAMILY_INET, ..Nfgenmsg::new() }
}

#[cfg(test)]
mod tests {
    use netlink_bindings::builtin::Nlmsghdr;
    use netlink_bindings::nftables::{OpNewruleDo, OpNewsetelemDo};

    use super::*;

    /// The low byte of the types of `enum nf_tables_msg_types`, and of the two messages that frame a batch.
    fn type_of(step: Step) -> u16 {
        match step {
            Step::Begin => 16,
            Step::EnsureTable | Step::CreateTable => 10 << 8,
            Step::DeleteTable => (10 << 8) | 2,
            Step::CreateSet => (10 << 8) | 9,
            Step::AddPorts => (10 << 8) | 12,
            Step::CreateChain => (10 << 8) | 3,
            Step::CreateRule => (10 << 8) | 6,
            Step::Commit => 17,
        }
    }

    fn batch(ports: impl IntoIterator<Item = u16>) -> Batch {
        Batch::of(&RedirectSettings { ports: ports.into_iter().collect(), to: 15210 })
    }

    /// The messages of a batch: type, sequence number and body of each.
    fn messages(mut bytes: &[u8]) -> Vec<(u16, u32, &[u8])> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let header = Nlmsghdr::new_from_slice(&bytes[..Nlmsghdr::len()]).unwrap();
            let (message, rest) = bytes.split_at(header.len as usize);
            messages.push((header.r#type, header.seq, &message[Nlmsghdr::len()..]));
            bytes = rest;
        }
        messages
    }

    fn ports_in(batch: &Batch) -> Vec<u16> {
        let mut ports = Vec::new();
        for (_, _, body) in messages(batch.bytes()).iter().filter(|(kind, ..)| *kind == type_of(Step::AddPorts)) {
            let (_, attributes) = OpNewsetelemDo::decode_request(body);
            for element in attributes.get_elements().unwrap().get_elem() {
                let key = element.get_key().unwrap().get_value().unwrap();
                ports.push(u16::from_be_bytes(key.try_into().unwrap()));
            }
        }
        ports
    }

    #[test]
    fn one_message_for_each_step_in_order() {
        let batch = batch([8080, 9090]);
        let messages = messages(batch.bytes());
        assert_eq!(messages.len(), batch.steps().len());
        for (place, (step, (kind, sequence, _))) in batch.steps().iter().zip(messages).enumerate() {
            assert_eq!((kind, sequence as usize), (type_of(*step), place), "{step:?}");
        }
    }

    #[test]
    fn every_port_is_in_the_set_in_network_order() {
        assert_eq!(ports_in(&batch([9090, 80, 65535, 1])), [1, 80, 9090, 65535]);
        let many = 1..=5000;
        assert_eq!(ports_in(&batch(many.clone())), many.collect::<Vec<_>>(), "over several messages");
    }

    #[test]
    fn the_size_of_the_rule_does_not_depend_on_the_ports() {
        let rule = |batch: &Batch| {
            let messages = messages(batch.bytes());
            let (.., body) = *messages.iter().find(|(kind, ..)| *kind == type_of(Step::CreateRule)).unwrap();
            body.to_vec()
        };
        assert_eq!(rule(&batch([80])), rule(&batch(1..=5000)));
        let body = rule(&batch([80]));
        let (header, attributes) = OpNewruleDo::decode_request(&body);
        assert_eq!(header.nfgen_family, FAMILY_INET);
        assert_eq!((attributes.get_table().unwrap(), attributes.get_chain().unwrap()), (TABLE, CHAIN));
    }
}
