//! The threads that serve connections. The thread that accepts is the first of them.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use settings::Threads;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc;

use crate::app::dial::App;
use crate::connection::{Held, Service, serve};
use crate::memory::Slot;

/// An accepted connection with its slot.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) client: TcpStream,
    pub(crate) app: App,
    pub(crate) slot: Slot,
}

/// Distributes connections over threads, round-robin.
#[derive(Debug)]
pub(crate) struct Workers {
    service: Arc<Service>,
    others: Vec<mpsc::UnboundedSender<Handed>>,
    next: AtomicUsize,
}

/// A connection that is sent to another thread. Its socket is not registered with a runtime. It counts as open on its
/// way, so that a process that exits after its last connection waits for it.
#[derive(Debug)]
struct Handed {
    client: std::net::TcpStream,
    app: App,
    held: Held,
}

impl Workers {
    /// Starts the threads in addition to the calling one.
    pub(crate) fn start(threads: Threads, service: Arc<Service>) -> io::Result<Self> {
        let others = (1..threads.get()).map(|number| start_thread(number, Arc::clone(&service)));
        Ok(Self { others: others.collect::<io::Result<_>>()?, next: AtomicUsize::new(0), service })
    }

    pub(crate) fn hand(&self, accepted: Accepted) {
        let Accepted { client, app, slot } = accepted;
        let held = self.service.hold(app.port(), slot);
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let thread = turn.checked_rem(self.others.len().saturating_add(1)).unwrap_or_default();
        let Some(worker) = self.others.get(thread) else {
            tokio::spawn(serve(client, app, held, Arc::clone(&self.service)));
            return;
        };
        // A failure of the first concerns this connection alone. The second fails only if the thread has panicked.
        if let Ok(client) = client.into_std() {
            let _ = worker.send(Handed { client, app, held });
        }
    }
}

fn start_thread(number: u8, service: Arc<Service>) -> io::Result<mpsc::UnboundedSender<Handed>> {
    let (sender, mut connections) = mpsc::unbounded_channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(async move {
            while let Some(Handed { client, app, held }) = connections.recv().await {
                if let Ok(client) = TcpStream::from_std(client) {
                    tokio::spawn(serve(client, app, held, Arc::clone(&service)));
                }
            }
            // No further connection will come. The open ones end with the runtime, so it runs until the process exits.
            pending::<()>().await;
        });
    })?;
    Ok(sender)
}
