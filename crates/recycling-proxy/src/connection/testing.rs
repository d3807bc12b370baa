//! The service of tests in one process.

use std::collections::BTreeSet;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use settings::ProxySettings;

use super::metrics::Metrics;
use super::{Service, Shared};
use crate::app::hold::Hold;
use crate::retire::connections::Connections;
use crate::retire::drain::Drain;

/// A service, and what a test reads of it.
pub(super) struct Parts {
    pub(super) service: Arc<Service>,
    pub(super) connections: Arc<Connections>,
    pub(super) registry: Registry,
}

impl Parts {
    /// Returns a service for one port of the app.
    pub(super) fn new(settings: &ProxySettings, app_port: u16) -> Self {
        let mut registry = crate::metrics::registry();
        let connections = Arc::<Connections>::default();
        let drain = Drain::register(settings.drain_timeout.get(), &mut registry);
        let shared = Shared {
            connections: Arc::clone(&connections),
            hold: Arc::new(Hold::new(Arc::clone(&drain))),
            drain,
            metrics: Metrics::register(&mut registry, [app_port]),
            warnings: Arc::default(),
            instead_of_limit: None,
        };
        let service = Arc::new(Service::new(settings, shared, Arc::default(), None, BTreeSet::new()));
        Self { service, connections, registry }
    }
}
