//! The stand-in for a Kubernetes Service.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// Distributes connections as kube-proxy does: each new *connection* goes to a random ready pod and stays there.
///
/// As kube-proxy's rules in the kernel, it is not a hop: it returns the address to which the client connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    ready: Arc<RwLock<Vec<SocketAddr>>>,
}

impl Service {
    /// Adds a pod for connections that are opened from now on. Open connections stay on their pods.
    pub(crate) fn add(&self, pod: SocketAddr) {
        self.ready.write().unwrap_or_else(PoisonError::into_inner).push(pod);
    }

    /// Returns the number of pods that accept connections.
    pub(crate) fn ready(&self) -> usize {
        self.ready.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns the pod of a new connection, or `None` while no pod is ready.
    pub(crate) fn pick(&self, random: &mut fastrand::Rng) -> Option<SocketAddr> {
        let ready = self.ready.read().unwrap_or_else(PoisonError::into_inner);
        random.choice(ready.iter()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_gets_a_random_ready_pod() {
        let mut random = fastrand::Rng::with_seed(7);
        let service = Service::default();
        assert_eq!(service.pick(&mut random), None);
        let pods: Vec<SocketAddr> = (1..=4).map(|n| SocketAddr::from(([127, 1, 0, n], 8080))).collect();
        service.add(pods[0]);
        assert_eq!(service.pick(&mut random), Some(pods[0]));
        pods[1..].iter().for_each(|pod| service.add(*pod));
        let mut counts = [0; 4];
        for _ in 0..4_000 {
            let picked = service.pick(&mut random).unwrap();
            counts[pods.iter().position(|pod| *pod == picked).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
