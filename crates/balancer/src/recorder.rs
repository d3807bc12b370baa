//! Records a view of the state once a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::driver::ViewRequest;
use crate::history::History;
use crate::view::{PodSelection, View};

/// How often a view is recorded. Load levels some ten seconds after a scale event, which a longer interval would not
/// show. The recorded view has no pods, so it costs little.
const INTERVAL: Duration = Duration::from_secs(1);

/// The history of the last hour, and the channel for views of the present.
#[derive(Debug)]
pub struct Recorder {
    view_requests: mpsc::Sender<ViewRequest>,
    history: Mutex<History>,
    start: Instant,
}

impl Recorder {
    /// Returns a recorder without history. `view_requests` leads to the [driver](crate::driver).
    pub fn new(view_requests: mpsc::Sender<ViewRequest>) -> Self {
        Self { view_requests, history: Mutex::default(), start: Instant::now() }
    }

    /// Records until the driver ends.
    pub async fn run(&self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(view) = self.view(PodSelection::None).await else { return };
            let now = self.start.elapsed();
            self.history.lock().unwrap_or_else(PoisonError::into_inner).record(&view, now);
        }
    }

    /// Returns the present state; `None` while the process ends.
    pub async fn view(&self, pods: PodSelection) -> Option<View> {
        let (response, view) = oneshot::channel();
        self.view_requests.send(ViewRequest { pods, response }).await.ok()?;
        view.await.ok()
    }

    /// Returns the result of `read` on the history and the present time.
    pub fn history<T>(&self, read: impl FnOnce(&History, Duration) -> T) -> T {
        read(&self.history.lock().unwrap_or_else(PoisonError::into_inner), self.start.elapsed())
    }
}
