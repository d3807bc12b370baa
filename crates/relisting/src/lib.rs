//! Restarts a watch of the API server with a list if it cannot continue from its last version. Webhook and balancer use
//! it.
//!
//! kube's `watcher` lists again if a running watch ends with 410 Gone. If the API server refuses to start a watch from
//! the last version, `watcher` requests the same version for ever, and the program receives no change until it is
//! restarted. [`relisting`] lists again ([Kubernetes API concepts, "410 Gone responses"][gone]).
//!
//! [gone]: https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses

use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt as _};
use kube::runtime::watcher::Error;

/// Gone, and Timeout for a version that the API server does not know yet, as after its store was restored.
const UNKNOWN_VERSION: [u16; 2] = [410, 504];

/// Returns the items of the watch that `begin` begins, for ever. After an error that says that the API server does not
/// know the version to go on from, they are those of another watch, which lists all objects first.
///
/// The error is passed on before. Pauses between tries are the caller's, such as kube's `default_backoff`.
pub fn relisting<T, S>(begin: impl Fn() -> S) -> impl Stream<Item = Result<T, Error>>
where
    S: Stream<Item = Result<T, Error>>,
{
    let items = Box::pin(begin());
    unfold((begin, items), |(begin, mut items)| async move {
        let item = items.next().await?;
        if item.as_ref().is_err_and(is_unknown_version) {
            items.set(begin());
        }
        Some((item, (begin, items)))
    })
}

fn is_unknown_version(error: &Error) -> bool {
    matches!(error, Error::WatchStartFailed(kube::Error::Api(status)) if UNKNOWN_VERSION.contains(&status.code))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::stream::{self, LocalBoxStream};
    use kube::core::Status;

    use super::*;

    fn refused(code: u16) -> Error {
        let mut status = Status::failure("too old resource version", "Expired");
        status.code = code;
        Error::WatchStartFailed(kube::Error::Api(status.boxed()))
    }

    /// Returns the items of watches of which the first fails with this error after an item, and goes on after it.
    async fn items(error: impl Fn() -> Error) -> Vec<&'static str> {
        let watches = Cell::new(0);
        let begin = || -> LocalBoxStream<'_, Result<&'static str, Error>> {
            watches.set(watches.get() + 1);
            match watches.get() {
                1 => stream::iter([Ok("listed"), Err(error()), Ok("the same watch")]).boxed_local(),
                _ => stream::iter([Ok("listed again")]).boxed_local(),
            }
        };
        relisting(begin).map(|item| item.unwrap_or("error")).collect().await
    }

    #[tokio::test]
    async fn a_watch_with_an_expired_resource_version_lists_again() {
        for code in [410, 504] {
            assert_eq!(items(|| refused(code)).await, ["listed", "error", "listed again"], "{code}");
        }
    }

    #[tokio::test]
    async fn a_watch_resumes_after_other_errors() {
        for code in [403, 429, 500] {
            assert_eq!(items(|| refused(code)).await, ["listed", "error", "the same watch"], "{code}");
        }
        assert_eq!(items(|| Error::NoResourceVersion).await, ["listed", "error", "the same watch"]);
    }
}
