//! Long bodies, and connections with much work at once, yield to short requests.
//!
//! A thread serves its connections in the order in which they become ready. If pieces of a thousand long bodies arrive
//! at the same time, a short request after them would wait for tens of milliseconds, which does not matter to bodies
//! that take minutes. So long bodies take turns, a few at a time, and between turns the thread serves whatever else is
//! ready. A connection also takes turns once it has moved as much as one turn allows, because a flood of small frames
//! is milliseconds of work per system call.
//!
//! ```text
//!  piece of a long body ──▶ waits ──AT_ONCE──▶ has its turn ──▶ relayed
//!                             ▲                     │
//!                             └── other ready tasks ◀┘
//! ```
//!
//! Each round has turns, so that no body starves. While the thread has nothing else to do, no body waits.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread::{self, LocalKey};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::Instant;

/// The age from which an exchange takes turns.
const LONG: Duration = Duration::from_secs(1);
/// The turns of a round. At 25 µs each, a short request waits for at most 0.2 ms. A round costs two system calls.
const AT_ONCE: usize = 8;

type Turn = oneshot::Sender<()>;

/// The handshakes of a round. A signature takes a millisecond, as long as forty pieces of a body.
const HANDSHAKES_AT_ONCE: usize = 1;

type Waiting = RefCell<Option<mpsc::UnboundedSender<Turn>>>;

thread_local! {
    static BODIES: Waiting = const { RefCell::new(None) };
    static HANDSHAKES: Waiting = const { RefCell::new(None) };
}

/// Waits for the turn of a TLS handshake.
pub(crate) async fn handshake_turn() {
    let _ = wait(&HANDSHAKES, HANDSHAKES_AT_ONCE).await;
}

/// The age of a connection's exchange, and its turn once it is long. It owns no memory without a body.
#[derive(Debug, Default)]
pub(crate) struct Background(Option<Box<Lasting>>);

#[derive(Debug, Default)]
struct Lasting {
    since: Option<(u32, Instant)>,
    turn: Option<oneshot::Receiver<()>>,
}

impl Background {
    /// Records the number of the exchange whose body is open; `None` if there is none.
    pub(crate) fn note(&mut self, exchange: Option<u32>) {
        match (exchange, &mut self.0) {
            (Some(exchange), lasting) => {
                let since = &mut lasting.get_or_insert_default().since;
                if since.is_none_or(|(number, _)| number != exchange) {
                    *since = Some((exchange, Instant::now()));
                }
            }
            (None, Some(lasting)) if lasting.turn.is_some() => lasting.since = None,
            (None, lasting) => *lasting = None,
        }
    }

    /// Ends the turn of a task that has done much work. The task is woken in one of the next rounds.
    pub(crate) fn yield_turn(&mut self, cx: &mut Context<'_>) {
        self.0.get_or_insert_default().turn.get_or_insert_with(|| wait(&BODIES, AT_ONCE));
        if self.poll_turn(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Returns whether the task waits for its next turn.
    #[cfg(test)]
    pub(crate) fn has_yielded(&self) -> bool {
        self.0.as_ref().is_some_and(|lasting| lasting.turn.is_some())
    }

    /// Returns `Ready` when the exchange may continue: at once, unless it is long or has yielded.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(lasting) = &mut self.0 else { return Poll::Ready(()) };
        let turn = match &mut lasting.turn {
            Some(turn) => turn,
            None if lasting.since.is_some_and(|(_, since)| since.elapsed() >= LONG) => {
                lasting.turn.insert(wait(&BODIES, AT_ONCE))
            }
            None => return Poll::Ready(()),
        };
        // An error means that the runtime is shutting down, and then there is no need to wait.
        let _ = ready!(Pin::new(turn).poll(cx));
        lasting.turn = None;
        Poll::Ready(())
    }
}

/// Returns a turn in one of this thread's next rounds.
fn wait(waiting: &'static LocalKey<Waiting>, at_once: usize) -> oneshot::Receiver<()> {
    let (turn, granted) = oneshot::channel();
    waiting.with_borrow_mut(|waiting| {
        // The channel is closed if its runtime has ended, as that of an earlier test on the same thread.
        let refused = match waiting {
            Some(waiting) => waiting.send(turn).err().map(|refused| refused.0),
            None => Some(turn),
        };
        if let Some(turn) = refused {
            let (sender, receiver) = mpsc::unbounded_channel();
            let _ = sender.send(turn);
            tokio::spawn(run_rounds(receiver, at_once));
            *waiting = Some(sender);
        }
    });
    granted
}

async fn run_rounds(mut waiting: mpsc::UnboundedReceiver<Turn>, at_once: usize) {
    let mut round = Vec::with_capacity(at_once);
    while waiting.recv_many(&mut round, at_once).await > 0 {
        for turn in round.drain(..) {
            // Sending fails if the connection has ended, and then it needs no turn.
            let _ = turn.send(());
        }
        // Woken tasks run now, then those whose sockets are ready, then this task again.
        yield_now().await;
        // The app may share this core, and has just been sent requests.
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::advance;

    use super::*;

    const ROUNDS: usize = 5;
    const ALMOST_LONG: Duration = LONG.saturating_sub(Duration::from_millis(1));

    /// Returns an exchange that is long, so that it takes turns.
    async fn long() -> Background {
        let mut background = Background::default();
        background.note(Some(1));
        advance(LONG).await;
        background
    }

    async fn turn(mut background: Background) {
        poll_fn(|cx| background.poll_turn(cx)).await;
    }

    fn is_at_once(background: &mut Background) -> bool {
        background.poll_turn(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn only_long_exchanges_wait_for_turns() {
        let mut background = Background::default();
        assert!(is_at_once(&mut background));
        background.note(Some(1));
        advance(ALMOST_LONG).await;
        background.note(Some(1));
        assert!(is_at_once(&mut background), "one millisecond before it counts as long");
        advance(Duration::from_millis(1)).await;
        background.note(Some(1));
        assert!(!is_at_once(&mut background), "as soon as it is long");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_exchange_does_not_wait_for_turns() {
        for next in [Some(2), None] {
            let mut background = long().await;
            background.note(next);
            assert!(is_at_once(&mut background), "{next:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn asking_again_does_not_lose_the_turn() {
        let mut background = long().await;
        assert!(!is_at_once(&mut background));
        assert!(!is_at_once(&mut background));
        turn(background).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_exchange_waits_for_at_most_one_round() {
        let had_turns = Arc::new(AtomicUsize::new(0));
        let mut due = Vec::new();
        for _ in 0..ROUNDS * AT_ONCE {
            due.push(long().await);
        }
        let mut waiting = JoinSet::new();
        for background in due {
            let had_turns = Arc::clone(&had_turns);
            waiting.spawn(async move {
                turn(background).await;
                had_turns.fetch_add(1, Ordering::Relaxed);
            });
        }
        let mut seen = vec![0];
        while !seen.ends_with(&[ROUNDS * AT_ONCE]) {
            yield_now().await;
            seen.push(had_turns.load(Ordering::Relaxed));
        }
        assert!(seen.windows(2).all(|step| step[1] - step[0] <= AT_ONCE), "{seen:?}");
        waiting.join_all().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_yields_has_its_turn_in_the_next_round() {
        let mut background = Background::default();
        poll_fn(|cx| {
            background.yield_turn(cx);
            Poll::Ready(())
        })
        .await;
        assert!(!is_at_once(&mut background));
        turn(background).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_does_not_delay_others() {
        for _ in 0..ROUNDS * AT_ONCE {
            let mut background = long().await;
            assert!(!is_at_once(&mut background));
        }
        turn(long().await).await;
    }

    #[test]
    fn turns_are_given_on_a_second_runtime_of_the_thread() {
        for _ in 0..2 {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async { turn(long().await).await });
        }
    }
}
