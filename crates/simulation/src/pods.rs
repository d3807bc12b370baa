//! The pods of a workload during scale events and rollouts.

/// A pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pod {
    /// When it became ready, in seconds.
    pub(crate) ready_at: f64,
    /// Whether it is terminating: it takes no new connection, and every response retires one.
    pub(crate) draining: bool,
}

/// All pods of a run, by index. A pod keeps its index after it has terminated.
#[derive(Debug)]
pub(crate) struct Pods {
    all: Vec<Pod>,
    serving: Vec<usize>,
    /// The old pods that a rollout has not replaced yet; it pops the next from the end.
    to_replace: Vec<usize>,
}

impl Pods {
    pub(crate) fn new(count: usize) -> Self {
        let all = vec![Pod { ready_at: f64::NEG_INFINITY, draining: false }; count];
        Self { all, serving: (0..count).collect(), to_replace: Vec::new() }
    }

    pub(crate) fn get(&self, pod: usize) -> Pod {
        self.all[pod]
    }

    pub(crate) const fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the indices of the pods that accept new connections.
    pub(crate) fn serving(&self) -> &[usize] {
        &self.serving
    }

    /// Scales to `count` pods. New pods are ready at once; the newest terminate first, as a ReplicaSet controller
    /// chooses them.
    pub(crate) fn scale(&mut self, count: usize, now: f64) {
        while self.serving.len() < count {
            self.add(now);
        }
        while self.serving.len() > count {
            if let Some(newest) = self.serving.pop() {
                self.all[newest].draining = true;
            }
        }
    }

    pub(crate) fn begin_rollout(&mut self) {
        self.to_replace = self.serving.iter().rev().copied().collect();
    }

    /// Replaces one old pod during a rollout.
    pub(crate) fn replace_one(&mut self, now: f64) {
        while let Some(old) = self.to_replace.pop() {
            if let Some(place) = self.serving.iter().position(|pod| *pod == old) {
                self.serving.remove(place);
                self.all[old].draining = true;
                self.add(now);
                return;
            }
        }
    }

    fn add(&mut self, now: f64) {
        self.serving.push(self.all.len());
        self.all.push(Pod { ready_at: now, draining: false });
    }
}
