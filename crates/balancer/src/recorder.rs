//! Looks at the state once a second, and remembers what it sees.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::driver::Viewer;
use crate::history::History;
use crate::view::{PodsOf, View};

/// How often the state is looked at: a wave is over within ten seconds or so. A look is a sum for each workload, without its pods.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The last hour, and the way to the present.
#[derive(Debug)]
pub struct Recorder {
    viewers: mpsc::Sender<Viewer>,
    history: Mutex<History>,
    start: Instant,
}

impl Recorder {
    /// Returns one that has seen nothing. `viewers` is where the state is asked for.
    pub fn new(viewers: mpsc::Sender<Viewer>) -> Self {
        Self { viewers, history: Mutex::default(), start: Instant::now() }
    }

    /// Records for as long as there is a state.
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

    /// Returns what `read` makes of the last hour and of the present time.
    pub fn history<T>(&self, read: impl FnOnce(&History, Duration) -> T) -> T {
        read(&self.history.lock().unwrap_or_else(PoisonError::into_inner), self.start.elapsed())
    }
}
