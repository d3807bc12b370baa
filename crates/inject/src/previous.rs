//! What an earlier injection left in a pod template.

use settings::{BalanceKeys, STATUS_KEY};

use crate::balance;
use crate::container::{PROXY_CONTAINER, REDIRECT_CONTAINER};
use crate::empty_form::EmptyForms;
use crate::entry::Origin;
use crate::node::{Node, Unreadable};
use crate::ours;
use crate::pod::string_map;
use crate::port_names::PortNames;
use crate::probe_ports::ProbePorts;
use crate::status::Record;

/// What an earlier injection left in a pod template.
pub(crate) struct PreviousInjection {
    pub(crate) origin: Origin,
    /// `None` if there is none, or it is not readable.
    pub(crate) record: Option<Record>,
    /// The port names that have moved to the proxy.
    pub(crate) names: PortNames,
    /// The ports by which TCP probes bypass the proxy.
    pub(crate) probes: ProbePorts,
    /// The keys by which the proxy knows a balancer.
    pub(crate) balance_keys: Option<BalanceKeys>,
    /// Whether the proxy's container sets its user; true if there was none.
    pub(crate) has_own_user: bool,
    empty_forms: EmptyForms,
}

impl PreviousInjection {
    pub(crate) fn read(template: &Node<'_>) -> Result<Self, Unreadable> {
        let annotations = string_map(&template.path(&["metadata", "annotations"])?)?;
        let status = annotations.get(STATUS_KEY);
        let origin = if status.is_some() { Origin::Recorded } else { Origin::Guessed };
        let record = status.and_then(|status| Record::parse(status));
        let container = |name| ours::container(template, name, origin);
        let names = match &record {
            Some(record) => record.names.clone(),
            None => container(PROXY_CONTAINER)?.map(PortNames::of_proxy).unwrap_or_default(),
        };
        let probes = container(REDIRECT_CONTAINER)?.map(ProbePorts::of_redirect).unwrap_or_default();
        let balance_keys = container(PROXY_CONTAINER)?.and_then(balance::keys_of_proxy);
        let user = container(PROXY_CONTAINER)?.map(|proxy| proxy.pointer("/securityContext/runAsUser").is_some());
        let empty_forms = record.as_ref().map(|record| record.empty_forms.clone()).unwrap_or_default();
        Ok(Self { origin, record, names, probes, balance_keys, has_own_user: user.unwrap_or(true), empty_forms })
    }

    /// Returns the fields that were null or empty rather than absent.
    pub(crate) fn empty_forms(&self) -> &EmptyForms {
        &self.empty_forms
    }
}
