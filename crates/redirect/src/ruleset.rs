//! The rules as one netlink batch: pure, so that the very bytes can be tested.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ops::RangeInclusive;

use settings::RedirectSettings;

use super::error::Step;
use super::expression;
use super::message::{Attributes, Header, Messages};
#[allow(clippy::wildcard_imports, reason = "names of the kernel's headers, unmistakable by their prefixes")]
use super::uapi::*;

/// The name of the table, of family `inet`, that [`apply`](super::apply) owns.
pub const TABLE: &CStr = c"evenkeel";
/// The set of intercepted ports.
const PORTS: &CStr = c"ports";
/// Passed by the first packet of every inbound connection.
const REDIRECT: &CStr = c"redirect";
/// The set of ports that are translated to the app's, for probes.
const PROBES: &CStr = c"probes";
/// Passed by every inbound packet, before it is translated.
const SILENCE: &CStr = c"silence";
/// The chain for every inbound packet.
const INVALID_IN: &CStr = c"invalid_in";
/// The chain for every packet that the pod sends.
const INVALID_OUT: &CStr = c"invalid_out";
/// The identifiers of the sets within the batch, which the kernel requires.
const PORTS_ID: u32 = 1;
const PROBES_ID: u32 = 2;
/// The possible lengths of a TCP header, in words of 32 bits (RFC 9293 §3.1).
const HEADER_WORDS: RangeInclusive<u8> = 5..=15;
/// The most ports in one message: the length of an attribute has 16 bits, and a port takes 16 bytes.
const PORTS_PER_MESSAGE: usize = 1024;

/// A transaction: messages in the kernel's format, and the step of each, in the same order. A message's sequence number
/// is its index.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    steps: Vec<Step>,
}

impl Batch {
    /// Returns the batch that replaces the table by one with the rules of `settings`.
    pub(super) fn of(settings: &RedirectSettings) -> Self {
        let ports: Vec<u16> = settings.ports.iter().copied().collect();
        let mut draft = Draft::default();
        draft.push(Step::Begin, |_| ());
        draft.replace_table();
        draft.create_set(PORTS, PORTS_ID, &ports);
        draft.redirect_to(settings.to);
        if !settings.probes.is_empty() {
            draft.translate_probes(&settings.probes);
        }
        draft.drop_invalid_inbound();
        draft.drop_invalid_outbound(settings.to);
        draft.push(Step::Commit, |_| ());
        Self { bytes: draft.messages.into_bytes(), steps: draft.steps }
    }

    /// Returns what goes to the kernel, in one write.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what each message asks.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// A batch under construction.
#[derive(Debug, Default)]
struct Draft {
    messages: Messages,
    steps: Vec<Step>,
}

impl Draft {
    fn push(&mut self, step: Step, body: impl FnOnce(&mut Attributes<'_>)) {
        self.steps.push(step);
        self.messages.push(header(step), body);
    }

    /// Makes an empty table: creates, deletes and creates it. Deleting fails if there is no table, but creating does not
    /// fail if there is one.
    fn replace_table(&mut self) {
        for step in [Step::EnsureTable, Step::DeleteTable, Step::CreateTable] {
            self.push(step, |table| {
                table.name(NFTA_TABLE_NAME, TABLE);
            });
        }
    }

    fn create_set(&mut self, name: &CStr, id: u32, ports: &[u16]) {
        self.push(Step::CreateSet, |set| {
            set.name(NFTA_SET_TABLE, TABLE)
                .name(NFTA_SET_NAME, name)
                .number(NFTA_SET_ID, id)
                .number(NFTA_SET_KEY_TYPE, TYPE_INET_SERVICE)
                .number(NFTA_SET_KEY_LEN, 2);
        });
        for some in ports.chunks(PORTS_PER_MESSAGE) {
            self.add_ports(name, some);
        }
    }

    fn add_ports(&mut self, set: &CStr, ports: &[u16]) {
        self.push(Step::AddPorts, |list| {
            list.name(NFTA_SET_ELEM_LIST_TABLE, TABLE).name(NFTA_SET_ELEM_LIST_SET, set);
            list.nested(NFTA_SET_ELEM_LIST_ELEMENTS, |elements| {
                for port in ports {
                    elements.nested(NFTA_LIST_ELEM, |element| {
                        element.nested(NFTA_SET_ELEM_KEY, |key| {
                            key.bytes(NFTA_DATA_VALUE, &port.to_be_bytes());
                        });
                    });
                }
            });
        });
    }

    fn redirect_to(&mut self, port: u16) {
        self.create_chain(Step::CreateNatChain, REDIRECT, c"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST);
        self.create_rule(Step::CreateRedirectRule, REDIRECT, |rule| {
            // Present kernels do not evaluate this rule for connections from within the pod. The comparison guarantees
            // that they are not redirected, at one comparison per connection.
            expression::not_over_loopback(rule);
            expression::tcp_to_port_in(rule, PORTS);
            expression::redirect_to(rule, port);
        });
    }

    /// Probes that only connect reach the app at their own address, as without the proxy. Every client can connect to
    /// their ports, so these connections carry no data: only the proxy forwards data to the app.
    fn translate_probes(&mut self, probes: &BTreeMap<u16, u16>) {
        for (port, app) in probes {
            for family in [NFPROTO_IPV4, NFPROTO_IPV6] {
                self.create_rule(Step::CreateProbeRule, REDIRECT, |rule| {
                    expression::not_over_loopback(rule);
                    expression::tcp_to_port(rule, *port);
                    expression::translate_port_to(rule, family, *app);
                });
            }
        }
        let ports: Vec<u16> = probes.keys().copied().collect();
        self.create_set(PROBES, PROBES_ID, &ports);
        self.create_chain(Step::CreateFilterChain, SILENCE, c"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE);
        for words in HEADER_WORDS {
            self.create_rule(Step::CreateSilenceRule, SILENCE, |rule| {
                expression::not_over_loopback(rule);
                expression::tcp_to_port_in(rule, PROBES);
                expression::with_data_after_header_of(rule, words);
                expression::drop_packet(rule);
            });
        }
    }

    fn drop_invalid_inbound(&mut self) {
        self.create_chain(Step::CreateFilterChain, INVALID_IN, c"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_FILTER);
        self.create_rule(Step::CreateDropRule, INVALID_IN, |rule| {
            expression::invalid(rule);
            expression::not_over_loopback(rule);
            expression::tcp_to_port_in(rule, PORTS);
            expression::drop_packet(rule);
        });
    }

    fn drop_invalid_outbound(&mut self, from: u16) {
        self.create_chain(Step::CreateFilterChain, INVALID_OUT, c"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER);
        self.create_rule(Step::CreateDropRule, INVALID_OUT, |rule| {
            expression::invalid(rule);
            expression::tcp_from_port(rule, from);
            expression::drop_packet(rule);
        });
    }

    fn create_chain(&mut self, step: Step, name: &CStr, kind: &CStr, hook: u32, priority: i32) {
        self.push(step, |chain| {
            chain.name(NFTA_CHAIN_TABLE, TABLE).name(NFTA_CHAIN_NAME, name).name(NFTA_CHAIN_TYPE, kind);
            chain.nested(NFTA_CHAIN_HOOK, |at| {
                at.number(NFTA_HOOK_HOOKNUM, hook).bytes(NFTA_HOOK_PRIORITY, &priority.to_be_bytes());
            });
        });
    }

    fn create_rule(&mut self, step: Step, chain: &CStr, expressions: impl FnOnce(&mut Attributes<'_>)) {
        self.push(step, |rule| {
            rule.name(NFTA_RULE_TABLE, TABLE).name(NFTA_RULE_CHAIN, chain).nested(NFTA_RULE_EXPRESSIONS, expressions);
        });
    }
}

fn header(step: Step) -> Header {
    let frame = |kind| Header { kind, flags: NLM_F_REQUEST, family: NFPROTO_UNSPEC, resource: NFNL_SUBSYS_NFTABLES };
    let message = |kind, flags| Header {
        kind: (NFNL_SUBSYS_NFTABLES << 8) | kind,
        flags: NLM_F_REQUEST | NLM_F_ACK | flags,
        family: NFPROTO_INET,
        resource: 0,
    };
    match step {
        Step::Begin => frame(NFNL_MSG_BATCH_BEGIN),
        Step::EnsureTable | Step::CreateTable => message(NFT_MSG_NEWTABLE, NLM_F_CREATE),
        Step::DeleteTable => message(NFT_MSG_DELTABLE, 0),
        Step::CreateSet => message(NFT_MSG_NEWSET, NLM_F_CREATE),
        Step::AddPorts => message(NFT_MSG_NEWSETELEM, NLM_F_CREATE),
        Step::CreateNatChain | Step::CreateFilterChain => message(NFT_MSG_NEWCHAIN, NLM_F_CREATE),
        Step::CreateRedirectRule | Step::CreateProbeRule | Step::CreateDropRule | Step::CreateSilenceRule => {
            message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND)
        }
        Step::Commit => frame(NFNL_MSG_BATCH_END),
    }
}

#[cfg(test)]
mod tests {
    use settings::PodNetwork;

    use super::super::message::messages;
    use super::*;

    fn batch(ports: impl IntoIterator<Item = u16>) -> Batch {
        Batch::of(&RedirectSettings {
            ports: ports.into_iter().collect(),
            to: 15210,
            probes: BTreeMap::new(),
            network: PodNetwork::default(),
        })
    }

    /// Returns the bodies of the messages that ask for this.
    fn bodies(batch: &Batch, step: Step) -> Vec<&[u8]> {
        let asked = batch.steps().iter().zip(messages(batch.bytes()));
        asked.filter(|(asked, _)| **asked == step).map(|(_, message)| message.body).collect()
    }

    #[test]
    fn each_step_has_one_message_numbered_by_its_position() {
        let batch = batch([8080, 9090]);
        let messages: Vec<_> = messages(batch.bytes()).map(|message| (message.kind, message.sequence)).collect();
        let steps: Vec<_> = (0..).zip(batch.steps()).map(|(place, step)| (header(*step).kind, place)).collect();
        assert_eq!(messages, steps);
    }

    #[test]
    fn the_table_is_replaced_in_one_batch() {
        let expected = [
            Step::Begin,
            Step::EnsureTable,
            Step::DeleteTable,
            Step::CreateTable,
            Step::CreateSet,
            Step::AddPorts,
            Step::CreateNatChain,
            Step::CreateRedirectRule,
            Step::CreateFilterChain,
            Step::CreateDropRule,
            Step::CreateFilterChain,
            Step::CreateDropRule,
            Step::Commit,
        ];
        assert_eq!(batch([8080]).steps(), expected);
    }

    #[test]
    fn each_probe_port_has_a_rule_for_each_family() {
        let probes = BTreeMap::from([(15_220, 8080), (15_221, 9090)]);
        let batch =
            Batch::of(&RedirectSettings { ports: [8080].into(), to: 15210, probes, network: PodNetwork::default() });
        let count = |step| bodies(&batch, step).len();
        assert_eq!((count(Step::CreateProbeRule), count(Step::CreateSilenceRule)), (4, 11));
    }

    #[test]
    fn every_port_is_in_the_set_in_network_byte_order() {
        let ports = [1, 80, 8080, 65535].into_iter().chain(20_000..25_000);
        let batch = batch(ports.clone());
        let mut found = Vec::new();
        for body in bodies(&batch, Step::AddPorts) {
            // struct nfgenmsg, the names of table and set, and the header of the list come first.
            let elements = &body[4 + 16 + 12 + 4..];
            found.extend(elements.chunks(16).map(|element| u16::from_be_bytes([element[12], element[13]])));
        }
        let mut expected: Vec<u16> = ports.collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_rules_do_not_depend_on_the_number_of_ports() {
        for step in [Step::CreateRedirectRule, Step::CreateDropRule] {
            assert_eq!(bodies(&batch([80]), step), bodies(&batch(1..=5000), step));
        }
    }
}
