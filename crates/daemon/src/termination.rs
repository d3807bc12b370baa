//! The signals that end a process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, by which Kubernetes ends a container, and SIGINT, by which a terminal does.
#[derive(Debug)]
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// Watches for both signals, which no longer end the process by themselves.
    ///
    /// # Errors
    /// A system that refuses to tell of signals.
    ///
    /// # Panics
    /// Panics outside of a tokio runtime.
    pub fn watch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when one of them comes. A second call waits for another one. Cancel safe.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn each_termination_signal_is_delivered_once() {
        let mut termination = Termination::watch().unwrap();
        for number in [Number::TERM, Number::INT] {
            kill_process(getpid(), number).unwrap();
            termination.requested().await;
        }
    }
}
