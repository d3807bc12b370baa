//! The threads that serve connections. The thread that accepts is the first of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use settings::Threads;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc;

use crate::app::dial::App;
use crate::connection::{Service, serve};
use crate::memory::Place;

/// An accepted connection with its slot.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) client: TcpStream,
    pub(crate) app: App,
    pub(crate) place: Place,
}

/// Distributes connections over threads, round-robin.
#[derive(Debug)]
pub(crate) struct Workers {
    service: Arc<Service>,
    others: Vec<mpsc::UnboundedSender<Handed>>,
    next: AtomicUsize,
}

/// A connection that is sent to another thread. Its socket is not registered with a runtime.
#[derive(Debug)]
struct Handed {
    client: std::net::TcpStream,
    app: App,
    place: Place,
}

impl Workers {
    /// Starts the threads in addition to the calling one.
    pub(crate) fn start(threads: Threads, service: Arc<Service>) -> io::Result<Self> {
        let others = (1..threads.get()).map(|number| start_thread(number, Arc::clone(&service)));
        Ok(Self { others: others.collect::<io::Result<_>>()?, next: AtomicUsize::new(0), service })
    }

    pub(crate) fn hand(&self, accepted: Accepted) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let place = turn.checked_rem(self.others.len().saturating_add(1)).unwrap_or_default();
        let Some(worker) = self.others.get(place) else {
            spawn(accepted, Arc::clone(&self.service));
            return;
        };
        let Accepted { client, app, place } = accepted;
        // Both fail only if the connection or the process is ending.
        if let Ok(client) = client.into_std() {
            let _ = worker.send(Handed { client, app, place });
        }
    }
}

fn start_thread(number: u8, service: Arc<Service>) -> io::Result<mpsc::UnboundedSender<Handed>> {
    let (sender, mut connections) = mpsc::unbounded_channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(async move {
            while let Some(Handed { client, app, place }) = connections.recv().await {
                if let Ok(client) = TcpStream::from_std(client) {
                    spawn(Accepted { client, app, place }, Arc::clone(&service));
                }
            }
        });
    })?;
    Ok(sender)
}

fn spawn(accepted: Accepted, service: Arc<Service>) {
    let Accepted { client, app, place } = accepted;
    tokio::spawn(serve(client, app, place, service));
}
