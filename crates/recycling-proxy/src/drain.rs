//! The drain: every response announces, and whoever waits is told when no connection is left.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::connections::Connections;
use crate::liveness::health::Health;
use crate::metrics::StateGauge;
use crate::metrics::label::labels;

/// A drain lasts at least this long: until then, nodes that have not heard of it send new connections.
const SHORTEST: Duration = Duration::from_secs(3);
/// A drain mostly begins within this time of the app's hook, and one of a pod whose app is unwell should be noticed, too.
const USUAL_BEGINNING: Duration = Duration::from_millis(500);
/// An app that shows for so long that it is not well, or nothing at all, is not kept for a drain that has not begun.
const BEGINNING: Duration = Duration::from_secs(2);
/// Nor is one that is well for longer than this: a node that lacks CPU takes seconds to run the command that begins the drain.
const LATEST_BEGINNING: Duration = Duration::from_secs(10);

labels!(
    /// Where the drain stands.
    ///
    /// ```text
    /// Serving ──begin──▶ Draining ──no connection left, or the bound──▶ Drained
    /// ```
    DrainPhase {
        /// No drain has begun.
        Serving = "serving",
        /// Every response announces the end of its connection.
        Draining = "draining",
        /// No connection was left, or the time was up; every response still announces.
        Drained = "drained",
    }
);

/// The drain of the process; begun once, and never taken back.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<DrainPhase>,
    // Read once per request; a watch channel takes a lock.
    announcing: AtomicBool,
    bound: Duration,
    deadline: OnceLock<Instant>,
    answers: AtomicU64,
    refusals: AtomicU64,
}

/// How often the app has shown what.
#[derive(Clone, Copy, Debug)]
struct Signs {
    answers: u64,
    refusals: u64,
}

impl Signs {
    /// It answers, and refuses nobody.
    const fn are_good_since(self, before: Self) -> bool {
        self.answers != before.answers && self.refusals == before.refusals
    }
}

impl Drain {
    /// No drain yet; one will last `bound` at most.
    pub fn new(bound: Duration) -> Self {
        Self {
            phase: watch::Sender::new(DrainPhase::Serving),
            announcing: AtomicBool::new(false),
            bound,
            deadline: OnceLock::new(),
            answers: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    /// Has `registry` show the phase.
    pub(crate) fn register(self: &Arc<Self>, registry: &mut Registry) {
        let drain = Arc::clone(self);
        let phases = DrainPhase::ALL.iter().map(|phase| phase.label());
        let help = "The phase of the drain: 1 for the current one, 0 for the others";
        StateGauge::register(registry, "drain_phase", help, "phase", phases, move || drain.phase().label());
    }

    /// The app has said something that it owes to its clients: a part of a response, or bytes of a tunnel.
    pub fn app_answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// The app has not accepted a connection.
    pub fn app_refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    fn signs(&self) -> Signs {
        Signs { answers: self.answers.load(Ordering::Relaxed), refusals: self.refusals.load(Ordering::Relaxed) }
    }

    /// Whether every response announces.
    pub fn is_announcing(&self) -> bool {
        self.announcing.load(Ordering::Relaxed)
    }

    /// Where it stands.
    pub fn phase(&self) -> DrainPhase {
        *self.phase.borrow()
    }

    /// Begins; a drain that has begun goes on as it is.
    pub fn begin(&self) {
        self.deadline.get_or_init(|| Instant::now() + self.bound);
        self.announcing.store(true, Ordering::Relaxed);
        self.phase.send_if_modified(|phase| match phase {
            DrainPhase::Serving => {
                *phase = DrainPhase::Draining;
                true
            }
            DrainPhase::Draining | DrainPhase::Drained => false,
        });
    }

    /// Sees the drain through once it has begun; runs in one task of the process.
    pub async fn supervise(&self, connections: &Connections) {
        self.begun().await;
        let begun = Instant::now();
        tracing::info!(connections = connections.count(), bound = ?self.bound, "draining: every response announces");
        let deadline = self.deadline().unwrap_or(begun + self.bound);
        sleep_until(deadline.min(begun + SHORTEST)).await;
        let left = match timeout_at(deadline, connections.none_left()).await {
            Ok(()) => 0,
            Err(_) => connections.count(),
        };
        tracing::info!(connections_left = left, after = ?begun.elapsed(), "drained");
        self.phase.send_replace(DrainPhase::Drained);
    }

    /// When the drain is over at the latest; `None` before it has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// Waits until a drain begins.
    pub async fn begun(&self) {
        self.reach(DrainPhase::Draining).await;
    }

    /// Waits until the drain is over.
    pub async fn done(&self) {
        self.reach(DrainPhase::Drained).await;
    }

    /// Waits until the drain is over, but not for one that does not begin: then the app is being restarted alone. As long
    /// as the app is well, that is not likely, and the drain is given more time.
    pub async fn done_if_begun(&self) {
        if self.begins_by_signs(Instant::now()).await {
            self.done().await;
        }
    }

    /// The same for an app that can be asked for its `health`: one that is dead is being restarted, and one that is alive is not,
    /// whatever else it shows.
    ///
    /// ```text
    ///                ┌─ alive ───▶ until it begins, 10 s at most ─────┐
    /// asked ─────────┼─ dead ────▶ until it begins, 0.5 s at most ────┼──▶ answer, or wait for the end of what has begun
    ///  (a drain that ├─ slow ────▶ dead, or by signs if they are good │
    ///   begins wins) └─ unknown, or not a word in 2 s ──▶ by signs ───┘
    /// ```
    ///
    /// A slow answer to a probe alone says little on a node without CPU to spare, where the drain begins late, too: an app that
    /// has answered others meanwhile is not dead.
    pub async fn done_unless_dead(&self, health: impl Future<Output = Health>) {
        let (asked, before) = (Instant::now(), self.signs());
        let mut by_signs = pin!(self.begins_by_signs(asked));
        let begins = tokio::select! {
            biased;
            begins = &mut by_signs => begins,
            health = health => {
                tracing::debug!(%health, after = ?asked.elapsed(), "an app is to stop and was asked whether it is alive");
                match health {
                    Health::Alive => self.begins_until(asked + LATEST_BEGINNING).await,
                    Health::Slow if self.signs().are_good_since(before) => by_signs.await,
                    Health::Dead | Health::Slow => self.begins_until(asked + USUAL_BEGINNING).await,
                    Health::Unknown => by_signs.await,
                }
            }
        };
        if begins {
            self.done().await;
        }
    }

    /// Whether a drain begins before the app shows that it is not well, or shows nothing.
    async fn begins_by_signs(&self, asked: Instant) -> bool {
        let mut before = self.signs();
        while timeout(BEGINNING, self.begun()).await.is_err() {
            let now = self.signs();
            if !now.are_good_since(before) || asked.elapsed() >= LATEST_BEGINNING {
                return false;
            }
            before = now;
        }
        true
    }

    async fn begins_until(&self, latest: Instant) -> bool {
        timeout_at(latest, self.begun()).await.is_ok()
    }

    async fn reach(&self, phase: DrainPhase) {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = phases.wait_for(|now| *now == phase || *now == DrainPhase::Drained).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(bound: Duration) -> (Arc<Drain>, Arc<Connections>) {
        let (drain, connections) = (Arc::new(Drain::new(bound)), Arc::new(Connections::default()));
        let (of_task, connections_of_task) = (Arc::clone(&drain), Arc::clone(&connections));
        tokio::spawn(async move { of_task.supervise(&connections_of_task).await });
        (drain, connections)
    }

    async fn time_until_done(drain: &Drain) -> Duration {
        let begun = Instant::now();
        drain.done().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn lasts_the_shortest_time_where_there_is_no_connection() {
        let (drain, _connections) = start(Duration::from_secs(20));
        assert!(!drain.is_announcing());
        drain.begin();
        assert!(drain.is_announcing());
        let took = time_until_done(&drain).await;
        assert!((SHORTEST..SHORTEST + Duration::from_millis(10)).contains(&took), "{took:?}");
        assert!(drain.is_announcing(), "connections that come late are told, too");
    }

    #[tokio::test(start_paused = true)]
    async fn ends_with_the_last_connection() {
        let (drain, connections) = start(Duration::from_secs(20));
        let open = connections.open();
        drain.begin();
        drain.begin();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            drop(open);
        });
        let took = time_until_done(&drain).await;
        assert!((Duration::from_secs(7)..Duration::from_millis(7_010)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn is_bounded() {
        for bound in [Duration::from_secs(20), Duration::from_millis(500)] {
            let (drain, connections) = start(bound);
            let _open = connections.open();
            drain.begin();
            let took = time_until_done(&drain).await;
            assert!((bound..bound + Duration::from_millis(10)).contains(&took), "{took:?}");
        }
    }

    /// How long is waited for a drain that does not begin, while `sign` is shown every half a second.
    async fn time_until_given_up(sign: impl Fn(&Drain)) -> Duration {
        let (drain, _connections) = start(Duration::from_secs(20));
        let begun = Instant::now();
        let mut given_up = pin!(drain.done_if_begun());
        while timeout(Duration::from_millis(500), &mut given_up).await.is_err() {
            sign(&drain);
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_is_given_more_time_while_the_app_is_well() {
        for (sign, expected) in [
            (Box::new(|_: &Drain| {}) as Box<dyn Fn(&Drain)>, BEGINNING),
            (Box::new(Drain::app_refused), BEGINNING),
            (
                Box::new(|drain: &Drain| {
                    drain.app_answered();
                    drain.app_refused();
                }),
                BEGINNING,
            ),
            (Box::new(Drain::app_answered), LATEST_BEGINNING),
        ] {
            let took = time_until_given_up(sign).await;
            assert!((expected..expected + Duration::from_millis(10)).contains(&took), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_begins_late_is_waited_for_while_the_app_is_well() {
        let (drain, _connections) = start(Duration::from_secs(20));
        let begun = Instant::now();
        let answering = async {
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                drain.app_answered();
            }
            drain.begin();
        };
        tokio::join!(drain.done_if_begun(), answering);
        assert_eq!(drain.phase(), DrainPhase::Drained);
        assert!(begun.elapsed() >= Duration::from_secs(6) + SHORTEST);
    }

    /// How long an app of this health is held, where it says so after `answer`, and a drain begins after `beginning`.
    async fn time_held(health: Health, answer: Duration, beginning: Option<Duration>) -> Duration {
        let (drain, _connections) = start(Duration::from_secs(20));
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
        let held = async {
            drain.done_unless_dead(answer).await;
            asked.elapsed()
        };
        tokio::join!(held, begin).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_app_is_not_kept_and_one_that_is_alive_is() {
        let millis = Duration::from_millis;
        for (health, answer, expected) in [
            (Health::Dead, 0, USUAL_BEGINNING),
            (Health::Dead, 499, USUAL_BEGINNING),
            (Health::Dead, 1_000, millis(1_000)),
            (Health::Slow, 1_000, millis(1_000)),
            (Health::Alive, 0, LATEST_BEGINNING),
            (Health::Alive, 1_900, LATEST_BEGINNING),
            (Health::Unknown, 0, BEGINNING),
            // It hangs, and its probe may take long: then it is by signs, too.
            (Health::Alive, 30_000, BEGINNING),
        ] {
            let held = time_held(health, millis(answer), None).await;
            assert!((expected..expected + millis(10)).contains(&held), "{health}, {answer} ms: {held:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_app_that_answers_others_is_not_dead() {
        let (drain, _connections) = start(Duration::from_secs(20));
        let asked = Instant::now();
        let slow = async {
            sleep_until(asked + Duration::from_secs(1)).await;
            Health::Slow
        };
        let others = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(600)).await;
                drain.app_answered();
            }
            drain.begin();
        };
        tokio::join!(drain.done_unless_dead(slow), others);
        assert_eq!(drain.phase(), DrainPhase::Drained);
        assert!(asked.elapsed() >= Duration::from_secs(6) + SHORTEST);
    }

    /// Before the app is asked, while it is, and after its answer.
    #[tokio::test(start_paused = true)]
    async fn a_drain_that_begins_is_waited_for() {
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
            let expected = millis(beginning) + SHORTEST;
            assert!((expected..expected + millis(10)).contains(&held), "{health}, {answer}, {beginning} ms: {held:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_once_a_drain_has_begun() {
        let (drain, _connections) = start(Duration::from_secs(20));
        drain.begin();
        let asked = AtomicBool::new(false);
        let ask = async {
            asked.store(true, Ordering::Relaxed);
            Health::Dead
        };
        drain.done_unless_dead(ask).await;
        assert_eq!(drain.phase(), DrainPhase::Drained);
        assert!(!asked.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_drain_that_does_not_begin() {
        let (drain, connections) = start(Duration::from_secs(20));
        let begun = Instant::now();
        drain.done_if_begun().await;
        assert!((BEGINNING..BEGINNING + Duration::from_millis(10)).contains(&begun.elapsed()));
        let _open = connections.open();
        drain.begin();
        drain.done_if_begun().await;
        assert!(begun.elapsed() >= BEGINNING + Duration::from_secs(20));
    }
}
