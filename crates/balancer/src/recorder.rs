//! Records a view of the state once a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::driver::Viewer;
use crate::history::History;
use crate::view::{PodsOf, View};

/// How often a view is recorded: load is level again some ten seconds after a scale event. A view has a sum for each workload, without its
/// pods.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The history of the last hour, and the channel for views of the present.
#[derive(Debug)]
pub struct Recorder {
    viewers: mpsc::Sender<Viewer>,
    history: Mutex<History>,
    start: Instant,
}

impl Recorder {
    /// Returns a recorder without history. `viewers` takes requests for views.
    pub fn new(viewers: mpsc::Sender<Viewer>) -> Self {
        Self { viewers, history: Mutex::default(), start: Instant::now() }
    }

    /// Records until the driver ends.
    pub async fn run(&self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let Some(view) = self.view(PodsOf::Nobody).await else { return };
            let now = self.start.elapsed();
            self.history.lock().unwrap_or_else(PoisonError::into_inner).record(&view, now);
        }
    }

    /// Returns the present state; `None` while the process ends.
    pub async fn view(&self, pods: PodsOf) -> Option<View> {
        let (viewer, view) = oneshot::channel();
        self.viewers.send(Viewer { pods, view: viewer }).await.ok()?;
        view.await.ok()
    }

    /// Returns the result of `read` on the history and the present time.
    pub fn history<T>(&self, read: impl FnOnce(&History, Duration) -> T) -> T {
        read(&self.history.lock().unwrap_or_else(PoisonError::into_inner), self.start.elapsed())
    }
}
