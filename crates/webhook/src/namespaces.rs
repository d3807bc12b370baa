//! What is known of namespaces: read when a review needs it, and kept for a moment.
//!
//! A review never fails for want of it. What was read before stands in for what cannot be read now, and where there is nothing,
//! nothing is known: injection then keeps to what the workload has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use inject::NamespaceFacts;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::time::{Instant, timeout};
use tracing::warn;

/// Workloads come in bursts, and a label that has just been set should count soon.
const FRESH: Duration = Duration::from_secs(2);
/// A part of the API server's patience with us, which is three seconds in the chart.
const READ_WITHIN: Duration = Duration::from_millis(800);
/// Some hundred KiB at most; clusters have fewer namespaces, mostly.
const MOST_KEPT: usize = 1024;

/// Reads the facts of a namespace, or says why not.
type Read = dyn Fn(String) -> BoxFuture<'static, Result<NamespaceFacts, String>> + Send + Sync;

/// The namespaces of a cluster.
pub struct Namespaces {
    /// `None` where there is no cluster to ask.
    read: Option<Box<Read>>,
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Clone)]
struct Kept {
    facts: Arc<NamespaceFacts>,
    read_at: Instant,
}

impl Namespaces {
    /// Nothing is known of any namespace.
    pub fn unknown() -> Self {
        Self { read: None, kept: Mutex::default() }
    }

    /// The metadata of the cluster's namespaces; it needs `get` on them.
    pub fn of_cluster(client: Client) -> Self {
        let namespaces = Api::<Namespace>::all(client);
        Self::reading(Box::new(move |name| {
            let namespaces = namespaces.clone();
            async move {
                let namespace = namespaces.get_metadata(&name).await.map_err(|error| error.to_string())?;
                let metadata = namespace.metadata;
                Ok(NamespaceFacts::of(&metadata.labels.unwrap_or_default(), metadata.annotations.unwrap_or_default()))
            }
            .boxed()
        }))
    }

    fn reading(read: Box<Read>) -> Self {
        Self { read: Some(read), kept: Mutex::default() }
    }

    /// What is known of the namespace `name`.
    pub async fn facts(&self, name: &str) -> Option<Arc<NamespaceFacts>> {
        let read = self.read.as_ref()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.read_at.elapsed() < FRESH) {
            return Some(Arc::clone(&kept.facts));
        }
        match timeout(READ_WITHIN, read(name.to_owned())).await {
            Ok(Ok(facts)) => Some(self.keep(name, facts)),
            Ok(Err(error)) => {
                warn!(namespace = name.escape_debug().to_string(), error, "the namespace cannot be read");
                kept.map(|kept| kept.facts)
            }
            Err(_) => {
                warn!(
                    namespace = name.escape_debug().to_string(),
                    "the API server does not tell of the namespace in time"
                );
                kept.map(|kept| kept.facts)
            }
        }
    }

    fn keep(&self, name: &str, facts: NamespaceFacts) -> Arc<NamespaceFacts> {
        let facts = Arc::new(facts);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(name.to_owned(), Kept { facts: Arc::clone(&facts), read_at: Instant::now() });
        facts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers in turn as the test says: with a number as an annotation, with an error, or never.
    enum Turn {
        Answer,
        Error,
        Silence,
    }

    fn namespaces(turns: Vec<Turn>) -> Namespaces {
        let turn = AtomicUsize::new(0);
        Namespaces::reading(Box::new(move |_| {
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            match turns[turn] {
                Turn::Answer => {
                    let annotations = BTreeMap::from([("turn".to_owned(), turn.to_string())]);
                    async move { Ok(NamespaceFacts::of(&BTreeMap::new(), annotations)) }.boxed()
                }
                Turn::Error => async { Err("no".to_owned()) }.boxed(),
                Turn::Silence => pending().boxed(),
            }
        }))
    }

    async fn turn(namespaces: &Namespaces, name: &str) -> Option<String> {
        Some(namespaces.facts(name).await?.annotations["turn"].clone())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_fresh_is_not_read_again() {
        let namespaces = namespaces(vec![Turn::Answer, Turn::Answer, Turn::Answer]);
        assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("0"));
        assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("0"));
        assert_eq!(turn(&namespaces, "b").await.as_deref(), Some("1"));
        tokio::time::advance(FRESH).await;
        assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("2"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_is_as_it_was() {
        let namespaces = namespaces(vec![Turn::Error, Turn::Silence, Turn::Answer, Turn::Error, Turn::Silence]);
        assert_eq!(turn(&namespaces, "a").await, None);
        assert_eq!(turn(&namespaces, "a").await, None);
        assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("2"));
        for _ in 0..2 {
            tokio::time::advance(FRESH).await;
            assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("2"));
        }
    }

    #[tokio::test]
    async fn no_number_of_names_is_kept_for_ever() {
        let namespaces = namespaces((0..=MOST_KEPT).map(|_| Turn::Answer).collect());
        for number in 0..=MOST_KEPT {
            namespaces.facts(&number.to_string()).await.unwrap();
        }
        assert_eq!(namespaces.kept.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn without_a_cluster_nothing_is_known() {
        assert_eq!(Namespaces::unknown().facts("a").await, None);
    }
}
