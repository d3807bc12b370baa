//! Reads an earlier injection from a pod template.

use std::collections::BTreeSet;

use serde_json::Value;
use settings::{BalanceKeys, HOLD_PORTS, HoldPort, OptionSpec, ProxyOption, STATUS_KEY};

use crate::additions::container::{PROXY_CONTAINER, REDIRECT_CONTAINER};
use crate::additions::entry::{List, Origin};
use crate::json::empty_form::EmptyForms;
use crate::json::named::{self, name};
use crate::json::node::{Node, Unreadable};
use crate::proxy_ports::port_names::PortNames;
use crate::proxy_ports::probe_ports::ProbePorts;
use crate::status::Record;

/// An earlier injection, as found in a pod template.
pub(crate) struct PreviousInjection {
    pub(crate) origin: Origin,
    /// The record; `None` if there is none, or it is not readable.
    pub(crate) record: Option<Record>,
    /// The names of the app's ports that were moved to the proxy.
    pub(crate) names: PortNames,
    /// The ports by which TCP probes bypass the proxy.
    pub(crate) probes: ProbePorts,
    /// The hold ports of the proxy, from its variables. If there is a record but the variables were removed, all
    /// possible hold ports.
    pub(crate) holds: BTreeSet<u16>,
    /// The public keys of the balancer in the proxy's variables.
    pub(crate) balance_keys: Option<BalanceKeys>,
    /// Whether the proxy's container sets its user; true if there was none.
    pub(crate) has_own_user: bool,
    empty_forms: EmptyForms,
}

impl PreviousInjection {
    pub(crate) fn read(template: &Node<'_>) -> Result<Self, Unreadable> {
        let annotations = template.path(&["metadata", "annotations"])?.string_map()?;
        let status = annotations.get(STATUS_KEY);
        let origin = if status.is_some() { Origin::Recorded } else { Origin::Guessed };
        let record = status.and_then(|status| Record::parse(status));
        let container = |name| container(template, name, origin);
        let names = match &record {
            Some(record) => record.names.clone(),
            None => container(PROXY_CONTAINER)?.map(PortNames::of_proxy).unwrap_or_default(),
        };
        let probes = container(REDIRECT_CONTAINER)?.map(ProbePorts::of_redirect).unwrap_or_default();
        let holds = match container(PROXY_CONTAINER)?.filter(|proxy| has_variables(proxy)) {
            Some(proxy) => hold_ports_of_proxy(proxy),
            None if origin == Origin::Recorded => HOLD_PORTS.collect(),
            None => BTreeSet::new(),
        };
        let balance_keys = container(PROXY_CONTAINER)?.and_then(keys_of_proxy);
        let user = container(PROXY_CONTAINER)?.map(|proxy| proxy.pointer("/securityContext/runAsUser").is_some());
        let empty_forms = record.as_ref().map(|record| record.empty_forms.clone()).unwrap_or_default();
        Ok(Self { origin, record, names, probes, holds, balance_keys, has_own_user: user.unwrap_or(true), empty_forms })
    }

    /// Returns the fields that were null or empty instead of absent before the injection.
    pub(crate) fn empty_forms(&self) -> &EmptyForms {
        &self.empty_forms
    }
}

/// Returns the injected container with this name, if the pod template has it.
fn container<'a>(template: &Node<'a>, called: &str, origin: Origin) -> Result<Option<&'a Value>, Unreadable> {
    let list = List::InitContainers;
    let entries = template.path(&["spec", list.field()])?.items()?;
    let is_it = |entry: &&Value| name(entry) == Some(called) && list.is_injected(entry, origin);
    Ok(entries.iter().filter_map(Node::raw).find(is_it))
}

/// Returns the public keys in the variables of the injected `proxy`.
fn keys_of_proxy(proxy: &Value) -> Option<BalanceKeys> {
    named::variable(proxy, ProxyOption::BalanceKeys.env())?.parse().ok()
}

/// Returns the hold ports in the variables of the injected `proxy`.
fn hold_ports_of_proxy(proxy: &Value) -> BTreeSet<u16> {
    let holds = named::variable(proxy, ProxyOption::Hold.env()).unwrap_or_default();
    holds.split(',').filter_map(|hold| hold.parse::<HoldPort>().ok()).map(|hold| hold.port).collect()
}

/// Returns whether a container still has injected variables.
fn has_variables(container: &Value) -> bool {
    container.get("env").and_then(Value::as_array).is_some_and(|env| !env.is_empty())
}
