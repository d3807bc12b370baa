//! A Service without a balancer: every node has a list of endpoints of its own, and hears of changes late.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// The nodes on which clients run.
pub(crate) const NODES: usize = 2;
/// The latest that a node learns of a change, as kube-proxy does under load; a drain lasts at least three seconds for it.
pub(crate) const LATEST_NEWS: Duration = Duration::from_secs(2);

/// Where the connections of each node go.
#[derive(Debug)]
pub(crate) struct Service {
    news: watch::Sender<Vec<SocketAddr>>,
    nodes: [Arc<Node>; NODES],
}

/// What a node knows.
#[derive(Debug)]
pub(crate) struct Node {
    endpoints: Mutex<Vec<SocketAddr>>,
}

impl Service {
    /// One of which every node knows already. Ends with the runtime.
    pub(crate) fn of(endpoints: Vec<SocketAddr>) -> Self {
        let nodes = [(); NODES].map(|()| Arc::new(Node { endpoints: Mutex::new(endpoints.clone()) }));
        let news = watch::Sender::new(endpoints);
        for node in &nodes {
            tokio::spawn(Arc::clone(node).listen(news.subscribe()));
        }
        Self { news, nodes }
    }

    /// Leads to these endpoints, and to no others, as soon as the nodes hear of it.
    pub(crate) fn lead_to(&self, endpoints: Vec<SocketAddr>) {
        self.news.send_replace(endpoints);
    }

    /// The nodes, for their clients.
    pub(crate) fn nodes(&self) -> &[Arc<Node>; NODES] {
        &self.nodes
    }
}

impl Node {
    /// Any of the endpoints that it knows.
    pub(crate) fn endpoint(&self) -> Option<SocketAddr> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        fastrand::choice(endpoints.iter()).copied()
    }

    async fn listen(self: Arc<Self>, mut news: watch::Receiver<Vec<SocketAddr>>) {
        while news.changed().await.is_ok() {
            sleep(LATEST_NEWS.mul_f64(fastrand::f64())).await;
            let endpoints = news.borrow_and_update().clone();
            *self.endpoints.lock().unwrap_or_else(PoisonError::into_inner) = endpoints;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_node_hears_of_a_change_in_time() {
        let [old, new] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let service = Service::of(vec![old]);
        service.lead_to(vec![new]);
        assert!(service.nodes().iter().all(|node| node.endpoint() == Some(old)));
        sleep(LATEST_NEWS + Duration::from_millis(10)).await;
        assert!(service.nodes().iter().all(|node| node.endpoint() == Some(new)));
    }
}
