//! A Service without a balancer: every node has a list of endpoints of its own, and hears of changes late.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The nodes on which clients run.
pub(crate) const NODES: usize = 2;
/// The latest that a node learns of a change, as kube-proxy does under load. A drain lasts longer for it.
pub(crate) const LATEST_NEWS: Duration = Duration::from_secs(4);

/// Where the connections of each node go.
#[derive(Debug)]
pub(crate) struct Service {
    nodes: [Arc<Node>; NODES],
}

/// What a node knows, and what it is about to hear.
#[derive(Debug)]
pub(crate) struct Node(Mutex<Knowledge>);

#[derive(Debug)]
struct Knowledge {
    endpoints: Vec<SocketAddr>,
    /// In order; what is heard of is not forgotten for what was heard of before.
    news: VecDeque<(Instant, Vec<SocketAddr>)>,
}

impl Service {
    /// One of which every node knows already.
    pub(crate) fn of(endpoints: &[SocketAddr]) -> Self {
        let knowledge = || Knowledge { endpoints: endpoints.to_vec(), news: VecDeque::new() };
        Self { nodes: [(); NODES].map(|()| Arc::new(Node(Mutex::new(knowledge())))) }
    }

    /// Leads to these endpoints, and to no others, as soon as the nodes hear of it.
    pub(crate) fn lead_to(&self, endpoints: &[SocketAddr]) {
        for node in &self.nodes {
            let heard = Instant::now() + LATEST_NEWS.mul_f64(fastrand::f64());
            node.knowledge().news.push_back((heard, endpoints.to_vec()));
        }
    }

    /// Returns the nodes, for their clients.
    pub(crate) fn nodes(&self) -> &[Arc<Node>; NODES] {
        &self.nodes
    }
}

impl Node {
    /// Any of the endpoints that it knows at this moment: by the clock, so that a busy machine makes nobody hear later.
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
        service.lead_to(&[new]);
        assert!(service.nodes().iter().all(|node| node.endpoint() == Some(old)));
        tokio::time::sleep(LATEST_NEWS + Duration::from_millis(10)).await;
        assert!(service.nodes().iter().all(|node| node.endpoint() == Some(new)));
    }
}
