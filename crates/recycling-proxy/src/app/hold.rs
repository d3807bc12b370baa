//! Holds the `preStop` hook of an app until the drain is over.
//!
//! The kubelet runs the hook when the pod is terminated and when the container alone is restarted, and the hook cannot
//! distinguish them. The app must outlive the drain of its pod, because clients send requests until the end of it. In a
//! restart there is no drain, and waiting for one delays the restart.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::app::health::Health;
use crate::retire::drain::Drain;

/// How long the hook of an app that fails its liveness probe waits for a drain to begin. Most drains begin within this
/// time of the hook.
const FAILING: Duration = Duration::from_millis(500);
/// How long the hook of an app waits that answers no requests, or refuses connections.
const SILENT: Duration = Duration::from_secs(2);
/// How long the hook of a live app waits. A node that is short of CPU takes seconds to run the command that begins the
/// drain.
const ALIVE: Duration = Duration::from_secs(10);

/// Holds hooks until the drain is over, and counts the app's responses.
#[derive(Debug)]
pub(crate) struct Hold {
    drain: Arc<Drain>,
    answers: AtomicU64,
    refusals: AtomicU64,
}

/// The number of the app's responses to clients, and of refused connections.
#[derive(Clone, Copy, Debug)]
struct Activity {
    answers: u64,
    refusals: u64,
}

impl Activity {
    /// Returns whether the app has answered since `before`, and has refused no connection.
    const fn shows_life_since(self, before: Self) -> bool {
        self.answers != before.answers && self.refusals == before.refusals
    }
}

impl Hold {
    /// Returns the hold for this drain.
    pub(crate) const fn new(drain: Arc<Drain>) -> Self {
        Self { drain, answers: AtomicU64::new(0), refusals: AtomicU64::new(0) }
    }

    /// Records that the app has sent bytes to a client: a part of a response, or bytes of a tunnel.
    pub(crate) fn app_answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the app has not accepted a connection.
    pub(crate) fn app_refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    fn activity(&self) -> Activity {
        Activity { answers: self.answers.load(Ordering::Relaxed), refusals: self.refusals.load(Ordering::Relaxed) }
    }

    /// Waits until the drain is over. If none begins in time, the container alone is being restarted, and it returns.
    /// It waits longer for the drain to begin if the app answers its clients, because a restart is unlikely then.
    pub(crate) async fn until_drained(&self) {
        if self.begins_while_active(Instant::now()).await {
            self.drain.done().await;
        }
    }

    /// Waits until the drain is over, for an app whose liveness probe is known. A failed probe means that the container
    /// is being restarted, and a successful one that it is not. `health` returns the result of the probe.
    ///
    /// ```text
    ///                ┌─ alive ───▶ wait 10 s for it to begin ────────────────┐
    /// probe ─────────┼─ dead ────▶ wait 0.5 s for it to begin ───────────────┼──▶ return, or wait for the end of the drain
    ///  (or the drain ├─ slow ────▶ as dead, or as unknown if the app answers │
    ///   begins)      └─ unknown, or no result in 2 s ──▶ wait by activity ───┘
    /// ```
    ///
    /// A slow response to the probe alone does not mean that the app is dead: on a node that is short of CPU, the drain
    /// begins late, too. So an app that has answered clients in the meantime is not dead.
    pub(crate) async fn until_drained_unless_dead(&self, health: impl Future<Output = Health>) {
        let (asked, before) = (Instant::now(), self.activity());
        let mut by_activity = pin!(self.begins_while_active(asked));
        let begins = tokio::select! {
            biased;
            begins = &mut by_activity => begins,
            health = health => {
                tracing::debug!(%health, after = ?asked.elapsed(), "an app is being stopped: its liveness was probed");
                match health {
                    Health::Alive => self.begins_until(asked + ALIVE).await,
                    Health::Slow if self.activity().shows_life_since(before) => by_activity.await,
                    Health::Dead | Health::Slow => self.begins_until(asked + FAILING).await,
                    Health::Unknown => by_activity.await,
                }
            }
        };
        if begins {
            self.drain.done().await;
        }
    }

    /// Returns whether a drain begins within the time that follows from the app's activity.
    async fn begins_while_active(&self, asked: Instant) -> bool {
        let mut before = self.activity();
        while timeout(SILENT, self.drain.begun()).await.is_err() {
            let now = self.activity();
            if !now.shows_life_since(before) || asked.elapsed() >= ALIVE {
                return false;
            }
            before = now;
        }
        true
    }

    async fn begins_until(&self, latest: Instant) -> bool {
        timeout_at(latest, self.drain.begun()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::time::sleep_until;

    use super::*;
    use crate::retire::connections::Connections;
    use crate::retire::drain::{DrainPhase, QUIET};

    fn start(bound: Duration) -> (Arc<Drain>, Hold, Arc<Connections>) {
        let (drain, connections) = (Arc::new(Drain::new(bound)), Arc::new(Connections::default()));
        let (of_task, connections_of_task) = (Arc::clone(&drain), Arc::clone(&connections));
        tokio::spawn(async move { of_task.supervise(&connections_of_task).await });
        (Arc::clone(&drain), Hold::new(drain), connections)
    }

    /// Returns how long the hold waits for a drain that does not begin, while `sign` is called every half second.
    async fn time_until_given_up(sign: impl Fn(&Hold)) -> Duration {
        let (_drain, hold, _connections) = start(Duration::from_secs(20));
        let begun = Instant::now();
        let mut given_up = pin!(hold.until_drained());
        while timeout(Duration::from_millis(500), &mut given_up).await.is_err() {
            sign(&hold);
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_healthy_app_is_held_longer_than_an_inactive_one() {
        for (sign, expected) in [
            (Box::new(|_: &Hold| {}) as Box<dyn Fn(&Hold)>, SILENT),
            (Box::new(Hold::app_refused), SILENT),
            (
                Box::new(|hold: &Hold| {
                    hold.app_answered();
                    hold.app_refused();
                }),
                SILENT,
            ),
            (Box::new(Hold::app_answered), ALIVE),
        ] {
            let took = time_until_given_up(sign).await;
            assert!((expected..expected + Duration::from_millis(10)).contains(&took), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_healthy_app_is_held_for_a_drain_that_begins_late() {
        let (drain, hold, _connections) = start(Duration::from_secs(20));
        let begun = Instant::now();
        let answering = async {
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                hold.app_answered();
            }
            drain.begin();
        };
        tokio::join!(hold.until_drained(), answering);
        assert_eq!(drain.phase(), DrainPhase::Drained);
        assert!(begun.elapsed() >= Duration::from_secs(6) + QUIET);
    }

    /// Returns how long an app is held whose probe has this result after `answer`, and whose drain begins after
    /// `beginning`.
    async fn time_held(health: Health, answer: Duration, beginning: Option<Duration>) -> Duration {
        let (drain, hold, _connections) = start(Duration::from_secs(20));
        let asked = Instant::now();
        let begin = async {
            if let Some(after) = beginning {
                sleep_until(asked + after).await;
                drain.begin();
            }
        };
        let answer = async {
            sleep_until(asked + answer).await;
            health
        };
        let took = async {
            hold.until_drained_unless_dead(answer).await;
            asked.elapsed()
        };
        tokio::join!(took, begin).0
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_is_held_only_if_its_probe_passes() {
        let millis = Duration::from_millis;
        for (health, answer, expected) in [
            (Health::Dead, 0, FAILING),
            (Health::Dead, 499, FAILING),
            (Health::Dead, 1_000, millis(1_000)),
            (Health::Slow, 1_000, millis(1_000)),
            (Health::Alive, 0, ALIVE),
            (Health::Alive, 1_900, ALIVE),
            (Health::Unknown, 0, SILENT),
            // It hangs, and its probe takes long: then its activity counts, too.
            (Health::Alive, 30_000, SILENT),
        ] {
            let held = time_held(health, millis(answer), None).await;
            assert!((expected..expected + millis(10)).contains(&held), "{health}, {answer} ms: {held:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_probe_does_not_fail_an_app_that_answers_clients() {
        let (drain, hold, _connections) = start(Duration::from_secs(20));
        let asked = Instant::now();
        let slow = async {
            sleep_until(asked + Duration::from_secs(1)).await;
            Health::Slow
        };
        let others = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(600)).await;
                hold.app_answered();
            }
            drain.begin();
        };
        tokio::join!(hold.until_drained_unless_dead(slow), others);
        assert_eq!(drain.phase(), DrainPhase::Drained);
        assert!(asked.elapsed() >= Duration::from_secs(6) + QUIET);
    }

    /// The drain begins before, during and after the probe.
    #[tokio::test(start_paused = true)]
    async fn the_hold_waits_for_a_drain_that_begins_around_the_probe() {
        let millis = Duration::from_millis;
        for (health, answer, beginning) in [
            (Health::Dead, 0, 0),
            (Health::Dead, 100, 400),
            (Health::Dead, 900, 800),
            (Health::Alive, 100, 0),
            (Health::Alive, 100, 50),
            (Health::Alive, 100, 9_900),
            (Health::Unknown, 100, 1_900),
        ] {
            let held = time_held(health, millis(answer), Some(millis(beginning))).await;
            let expected = millis(beginning) + QUIET;
            assert!((expected..expected + millis(10)).contains(&held), "{health}, {answer}, {beginning} ms: {held:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_probe_is_sent_once_a_drain_has_begun() {
        let (drain, hold, _connections) = start(Duration::from_secs(20));
        drain.begin();
        let asked = AtomicBool::new(false);
        let ask = async {
            asked.store(true, Ordering::Relaxed);
            Health::Dead
        };
        hold.until_drained_unless_dead(ask).await;
        assert_eq!(drain.phase(), DrainPhase::Drained);
        assert!(!asked.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn the_hold_ends_if_no_drain_begins() {
        let (drain, hold, connections) = start(Duration::from_secs(20));
        let begun = Instant::now();
        hold.until_drained().await;
        assert!((SILENT..SILENT + Duration::from_millis(10)).contains(&begun.elapsed()));
        let _open = connections.open();
        drain.begin();
        hold.until_drained().await;
        assert!(begun.elapsed() >= SILENT + Duration::from_secs(20));
    }
}
