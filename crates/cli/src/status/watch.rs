//! `evenkeel status --watch`.

use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::reading::Reader;
use super::screen::Screen;
use super::{compare, table};

/// Shows the status again and again, until a signal ends it.
///
/// # Errors
/// The cluster cannot be reached, or the terminal cannot be written to.
pub(super) async fn watch(reader: &Reader, interval: Duration) -> anyhow::Result<ExitCode> {
    // Before the terminal is taken over: it is given back however early a signal comes.
    let mut signals = Signals::listen()?;
    let mut screen = Screen::enter()?;
    screen.announce("Reading the pods twice; their figures are the difference.")?;
    let Some(first) = signals.unless_ended(&mut screen, reader.read()).await? else { return Ok(ExitCode::SUCCESS) };
    let (mut before, mut at) = (first?, Instant::now());
    loop {
        let next = async {
            sleep(interval).await;
            reader.read().await
        };
        let Some(after) = signals.unless_ended(&mut screen, next).await? else { return Ok(ExitCode::SUCCESS) };
        let after = after?;
        let status = compare::compare(&before, &after, at.elapsed());
        screen.show(&table::text(&status, table::Width::Narrow), &status.missing)?;
        (before, at) = (after, Instant::now());
    }
}

/// What a terminal sends.
struct Signals {
    ends: [Signal; 3],
    resized: Signal,
}

impl Signals {
    /// Takes them from now on, so that none of them ends the process.
    fn listen() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { ends: [interrupt?, terminate?, hangup?], resized: signal(SignalKind::window_change())? })
    }

    /// Returns the result of `work`; `None` if a signal to end came first. Meanwhile the screen follows the size of the
    /// terminal.
    async fn unless_ended<T>(&mut self, screen: &mut Screen, work: impl Future<Output = T>) -> io::Result<Option<T>> {
        let mut work = pin!(work);
        let [interrupt, terminate, hangup] = &mut self.ends;
        loop {
            tokio::select! {
                done = &mut work => return Ok(Some(done)),
                _ = interrupt.recv() => return Ok(None),
                _ = terminate.recv() => return Ok(None),
                _ = hangup.recv() => return Ok(None),
                _ = self.resized.recv() => screen.draw()?,
            }
        }
    }
}
