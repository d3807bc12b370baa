//! A Service: every node has its own list of endpoints, and learns of changes late.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The nodes on which clients run.
pub(crate) const NODES: usize = 2;
/// The longest delay until a node learns of a change, as with kube-proxy under load. A drain lasts longer than that.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(4);

/// The nodes, with the endpoints that each knows.
#[derive(Debug)]
pub(crate) struct Service {
    nodes: [Arc<Node>; NODES],
}

/// A node, with its endpoints and the changes of which it will learn.
#[derive(Debug)]
pub(crate) struct Node(Mutex<Knowledge>);

#[derive(Debug)]
struct Knowledge {
    endpoints: Vec<SocketAddr>,
    /// The changes of which the node will learn, in order.
    news: VecDeque<(Instant, Vec<SocketAddr>)>,
}

impl Service {
    /// Returns a Service whose endpoints every node knows already.
    pub(crate) fn of(endpoints: &[SocketAddr]) -> Self {
        let knowledge = || Knowledge { endpoints: endpoints.to_vec(), news: VecDeque::new() };
        Self { nodes: [(); NODES].map(|()| Arc::new(Node(Mutex::new(knowledge())))) }
    }

    /// Sets the endpoints. Each node learns of them after a delay of its own.
    pub(crate) fn set_endpoints(&self, endpoints: &[SocketAddr]) {
        for node in &self.nodes {
            let heard = Instant::now() + MAX_DELAY.mul_f64(fastrand::f64());
            node.knowledge().news.push_back((heard, endpoints.to_vec()));
        }
    }

    /// Returns the nodes, for their clients.
    pub(crate) fn nodes(&self) -> &[Arc<Node>; NODES] {
        &self.nodes
    }
}

impl Node {
    /// Returns one of the endpoints that the node knows at this moment. It compares times, so that a busy machine
    /// delays no change.
    pub(crate) fn endpoint(&self) -> Option<SocketAddr> {
        let mut knowledge = self.knowledge();
        while let Some((_, endpoints)) = knowledge.news.pop_front_if(|(heard, _)| *heard <= Instant::now()) {
            knowledge.endpoints = endpoints;
        }
        fastrand::choice(knowledge.endpoints.iter()).copied()
    }

    fn knowledge(&self) -> MutexGuard<'_, Knowledge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_node_learns_of_a_change_in_time() {
        let [old, new] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let service = Service::of(&[old]);
        service.set_endpoints(&[new]);
        assert!(service.nodes().iter().all(|node| node.endpoint() == Some(old)));
        tokio::time::sleep(MAX_DELAY + Duration::from_millis(10)).await;
        assert!(service.nodes().iter().all(|node| node.endpoint() == Some(new)));
    }
}
