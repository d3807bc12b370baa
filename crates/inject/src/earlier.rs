//! What an earlier injection left in a pod template.

use settings::{BalanceKeys, STATUS_KEY};

use crate::balance;
use crate::blank::Blanks;
use crate::container::{PROXY_CONTAINER, REDIRECT_CONTAINER};
use crate::entry::Origin;
use crate::names::PortNames;
use crate::node::{Node, Unreadable};
use crate::ours;
use crate::pod::texts;
use crate::probe_ports::ProbePorts;
use crate::status::Record;

/// What tells ours from the author's.
pub(crate) struct Earlier {
    pub(crate) origin: Origin,
    /// `None` where there is none, or none that can be read.
    pub(crate) record: Option<Record>,
    /// The names of ports that are the proxy's.
    pub(crate) names: PortNames,
    /// The ports that lead TCP probes to the app.
    pub(crate) probes: ProbePorts,
    /// The keys by which the proxy knows a balancer.
    pub(crate) balance_keys: Option<BalanceKeys>,
    /// Whether the proxy had a user of its own; so it has where there was no proxy.
    pub(crate) has_own_user: bool,
    blanks: Blanks,
}

impl Earlier {
    pub(crate) fn read(template: &Node<'_>) -> Result<Self, Unreadable> {
        let annotations = texts(&template.path(&["metadata", "annotations"])?)?;
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
        let blanks = record.as_ref().map(|record| record.blanks.clone()).unwrap_or_default();
        Ok(Self { origin, record, names, probes, balance_keys, has_own_user: user.unwrap_or(true), blanks })
    }

    /// The places that held nothing otherwise than by absence.
    pub(crate) fn blanks(&self) -> &Blanks {
        &self.blanks
    }
}
