//! The TCP sockets of the pod's network namespace: the addresses on which the app listens, and the connections that
//! bypass the proxy.
//!
//! Every process of the namespace can read them without privilege in `/proc/net/tcp` and `/proc/net/tcp6`. They are
//! read before each response with metrics, on a thread of their own, because with ten thousand connections the table
//! has 3 MB.

mod holder;
mod line;
mod seen;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use settings::{AppAddress, ProxySettings, Routes};

use crate::metrics::Value;

pub(crate) use self::holder::Holder;
use self::seen::Seen;
pub(crate) use self::seen::{AppPort, ListenAddress};

/// The tables. The second lists dual-stack sockets, and does not exist without IPv6.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// The sockets of the pod when they were read last.
#[derive(Debug)]
pub(crate) struct Sockets {
    ports: BTreeSet<u16>,
    own: BTreeSet<u16>,
    /// `None` before the first read, and if the tables cannot be read.
    seen: Mutex<Option<Seen>>,
}

impl Sockets {
    /// Returns the sockets of a pod, and registers their metrics.
    pub(crate) fn register(settings: &ProxySettings, registry: &mut Registry) -> Arc<Self> {
        let sockets = Arc::new(Self { ports: ports(settings), own: own_ports(settings), seen: Mutex::default() });
        let help = "1 if a port of the app is listened on, and at which address; while one is not, the pod's other ports that are listened on are there, too";
        registry.register("app_listening", help, Listening(Arc::clone(&sockets)));
        let help = "Open connections of other machines to a port of the app that do not pass through the proxy";
        registry.register("connections_bypassing", help, Bypassing(Arc::clone(&sockets)));
        sockets
    }

    /// Reads the tables again.
    pub(crate) async fn refresh(self: Arc<Self>) {
        let looking = Arc::clone(&self);
        let seen = tokio::task::spawn_blocking(move || looking.read()).await;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen.ok().and_then(Result::ok);
    }

    fn read(&self) -> io::Result<Seen> {
        let mut seen = Seen::of(&self.ports);
        for table in TABLES {
            match File::open(table) {
                Ok(file) => seen.read(BufReader::new(file), &self.own)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    /// Calls `encode` with the result of the last read, if there is one.
    fn show(&self, encode: impl FnOnce(&Seen) -> fmt::Result) -> fmt::Result {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(Ok(()), encode)
    }
}

/// Returns the app's ports on this machine, by the settings.
fn ports(settings: &ProxySettings) -> BTreeSet<u16> {
    let elsewhere: BTreeSet<u16> = match &settings.routes {
        Routes::Fixed(routes) => routes
            .iter()
            .filter_map(|route| match route.app {
                AppAddress::At(address) if !address.ip().is_loopback() => Some(address.port()),
                AppAddress::At(_) | AppAddress::OfPod(_) => None,
            })
            .collect(),
        Routes::OriginalDestination(_) => BTreeSet::new(),
    };
    settings.app_ports().difference(&elsewhere).copied().collect()
}

/// Returns the ports on which the proxy itself listens.
fn own_ports(settings: &ProxySettings) -> BTreeSet<u16> {
    settings.own_addresses().iter().map(std::net::SocketAddr::port).collect()
}

/// The metric of listening ports.
#[derive(Debug)]
struct Listening(Arc<Sockets>);

impl EncodeMetric for Listening {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.show(|seen| {
            let of_app = seen.ports().map(|(port, AppPort { address, .. })| (port, address));
            for (port, address) in of_app.chain(seen.others()) {
                let labels: [(&str, Value); 2] =
                    [("port", port.to_string().into()), ("address", address.label().into())];
                let listens = u64::from(address != ListenAddress::None);
                encoder.encode_family(&labels)?.encode_gauge(&listens)?;
            }
            Ok(())
        })
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// The metric of connections that bypass the proxy.
#[derive(Debug)]
struct Bypassing(Arc<Sockets>);

impl EncodeMetric for Bypassing {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.show(|seen| {
            for (port, AppPort { bypassing, .. }) in seen.ports() {
                encoder.encode_family(&[("port", port.to_string())])?.encode_gauge(&bypassing)?;
            }
            Ok(())
        })
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
