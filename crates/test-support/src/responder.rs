//! An app that answers without a script.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use crate::head::Head;
use crate::peer::Peer;
use crate::scripted_app::ScriptedApp;

/// Answers every request that has no body, on any number of connections, and records the requests of each.
#[derive(Debug)]
pub struct Responder {
    connections: Arc<Mutex<Vec<Vec<Head>>>>,
    task: JoinHandle<()>,
}

/// Returns the same answer to every request.
pub fn answer_everything_with(response: impl AsRef<[u8]>) -> impl Fn(&Head) -> Vec<u8> + Send + Sync + 'static {
    let response = response.as_ref().to_vec();
    move |_| response.clone()
}

impl Responder {
    /// Starts to answer on the caller's runtime. Stops when it is dropped.
    pub fn start(app: ScriptedApp, answer: impl Fn(&Head) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&connections), Arc::new(answer));
        let task = tokio::spawn(async move {
            // Without a timeout: a test may pause for longer than a peer waits.
            loop {
                let Ok(peer) = app.accept().await else { continue };
                tokio::spawn(converse(peer, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        Self { connections, task }
    }

    /// Returns the requests of every connection so far.
    pub fn connections(&self) -> Vec<Vec<Head>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of requests of all connections.
    pub fn requests(&self) -> usize {
        self.connections().iter().map(Vec::len).sum()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(mut peer: Peer, seen: Arc<Mutex<Vec<Vec<Head>>>>, answer: Arc<impl Fn(&Head) -> Vec<u8>>) {
    let number = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(Vec::new());
        seen.len() - 1
    };
    while let Ok(head) = peer.read_head().await {
        let response = answer(&head);
        seen.lock().unwrap_or_else(PoisonError::into_inner)[number].push(head);
        if peer.send(response).await.is_err() {
            return;
        }
    }
}
