//! Facts about namespaces: read when a review needs them, and cached for two seconds.
//!
//! A review never fails because of them. If a namespace cannot be read, the facts of an earlier read are used; without
//! any, injection uses the workload alone.

mod cache;
mod name;
mod resource_constraints;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use inject::NamespaceFacts;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client};
use projection::Rule;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use self::cache::Cache;
use self::name::is_name;
pub(crate) use self::resource_constraints::RESOURCE_CONSTRAINTS;

/// Long enough for a burst of workloads, and short enough for a new label to take effect soon.
const FRESH: Duration = Duration::from_secs(2);
/// These two are a part of the API server's `timeoutSeconds`, which is three seconds in the chart.
const PERMIT_WITHIN: Duration = Duration::from_millis(200);
const READ_WITHIN: Duration = Duration::from_millis(600);
/// Bounds how many requests reviews can cause at the API server at once.
const READS_AT_ONCE: usize = 8;

/// The parts of a namespace that are read.
pub(crate) static NAMESPACE: Rule = Rule::Members(
    &[
        ("kind", &Rule::Keep),
        ("apiVersion", &Rule::Keep),
        (
            "metadata",
            &Rule::Members(
                &[
                    ("name", &Rule::Keep),
                    ("labels", &Rule::Prefixed(512, &[""], &Rule::Scalar(63))),
                    ("annotations", &Rule::Prefixed(512, &[""], &Rule::Scalar(4096))),
                ],
                &Rule::Drop,
            ),
        ),
    ],
    &Rule::Drop,
);

/// What is known of a namespace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The facts that injection uses.
    pub(crate) facts: NamespaceFacts,
    /// Whether the API server sends reviews of the namespace's workloads.
    pub(crate) is_reviewed: bool,
}

/// Reads the facts of a namespace.
type Read = dyn Fn(String) -> BoxFuture<'static, Result<Known, String>> + Send + Sync;

/// The namespaces of a cluster.
pub struct Namespaces {
    /// `None` without a cluster.
    read: Option<Box<Read>>,
    reads: Semaphore,
    cache: Mutex<Cache>,
}

impl Namespaces {
    /// Returns namespaces of which nothing is known.
    pub fn unknown() -> Self {
        Self { read: None, reads: Semaphore::new(READS_AT_ONCE), cache: Mutex::default() }
    }

    /// Returns the namespaces of a cluster; reviews come from those that `reviewed` selects. It needs `get` on
    /// namespaces. `client` reads the parts in [`NAMESPACE`], and `lists` the parts in [`RESOURCE_CONSTRAINTS`].
    pub(crate) fn of_cluster(client: Client, lists: Client, reviewed: Selector) -> Self {
        let namespaces = Api::<Namespace>::all(client);
        Self::reading(Box::new(move |name| {
            let (namespaces, lists, reviewed) = (namespaces.clone(), lists.clone(), reviewed.clone());
            async move {
                let metadata = async { namespaces.get_metadata(&name).await.map_err(|error| error.to_string()) };
                let (namespace, constraints) = tokio::try_join!(metadata, resource_constraints::read(&lists, &name))?;
                let labels = namespace.metadata.labels.unwrap_or_default();
                let annotations = namespace.metadata.annotations.unwrap_or_default();
                let is_reviewed = reviewed.matches(&labels);
                let facts = NamespaceFacts { constraints, ..NamespaceFacts::of(&labels, annotations) };
                Ok(Known { facts, is_reviewed })
            }
            .boxed()
        }))
    }

    fn reading(read: Box<Read>) -> Self {
        Self { read: Some(read), ..Self::unknown() }
    }

    /// Returns what is known of the namespace `name`, which can be any text.
    pub(crate) async fn get(&self, name: &str) -> Option<Arc<Known>> {
        let read = self.read.as_ref()?;
        // Anybody can send a review, and its namespace becomes part of a URL that is requested with our rights.
        if !is_name(name) {
            debug!(length = name.len(), "the namespace in a review is not a valid name");
            return None;
        }
        let kept = self.cache().get(name);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.read_at.elapsed() < FRESH) {
            return Some(Arc::clone(&kept.known));
        }
        let error = match self.read(read, name).await {
            Ok(known) => return Some(self.cache().insert(name, known, Instant::now())),
            Err(error) => error,
        };
        warn!(namespace = name, error, "the namespace cannot be read");
        kept.map(|kept| kept.known)
    }

    async fn read(&self, read: &Read, name: &str) -> Result<Known, String> {
        let _permit = timeout(PERMIT_WITHIN, self.reads.acquire())
            .await
            .map_err(|_| "too many namespaces are being read".to_owned())?;
        let read = timeout(READ_WITHIN, read(name.to_owned())).await;
        read.unwrap_or_else(|_| Err(format!("no answer within {} ms", READ_WITHIN.as_millis())))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// How a read ends: with a number as an annotation, with an error, or never.
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
                    let facts = NamespaceFacts::of(&BTreeMap::new(), annotations);
                    async move { Ok(Known { facts, is_reviewed: true }) }.boxed()
                }
                Turn::Error => async { Err("no".to_owned()) }.boxed(),
                Turn::Silence => pending().boxed(),
            }
        }))
    }

    async fn turn(namespaces: &Namespaces, name: &str) -> Option<String> {
        Some(namespaces.get(name).await?.facts.annotations["turn"].clone())
    }

    #[tokio::test(start_paused = true)]
    async fn fresh_facts_are_not_read_again() {
        let namespaces = namespaces(vec![Turn::Answer, Turn::Answer, Turn::Answer]);
        assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("0"));
        assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("0"));
        assert_eq!(turn(&namespaces, "b").await.as_deref(), Some("1"));
        tokio::time::advance(FRESH).await;
        assert_eq!(turn(&namespaces, "a").await.as_deref(), Some("2"));
    }

    #[tokio::test(start_paused = true)]
    async fn earlier_facts_are_used_if_a_read_fails() {
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
    async fn invalid_names_are_not_requested() {
        let namespaces = Namespaces::reading(Box::new(|name| panic!("{name} is asked for")));
        for name in ["", "evenkeel/secrets/evenkeel-webhook-ca", "shop?watch=true", "../..", "%2e%2e", "Shop", "a.b"] {
            assert_eq!(namespaces.get(name).await, None, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_reads_are_bounded() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let namespaces = Namespaces::reading(Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            pending().boxed()
        }));
        let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let all = futures_util::future::join_all(names.iter().map(|name| namespaces.get(name)));
        assert!(all.await.iter().all(Option::is_none), "all have given up");
        assert_eq!(asked.load(Ordering::Relaxed), READS_AT_ONCE);
    }

    #[tokio::test]
    async fn without_a_cluster_no_namespace_is_known() {
        assert_eq!(Namespaces::unknown().get("a").await, None);
    }
}
