//! A bound on the memory that parsed objects take at once.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::object::ObjectText;

/// In bytes of memory. Objects that take more are large, and are parsed one at a time. Most Deployments take a quarter
/// of this.
const SMALL: usize = 1 << 20;
/// In bytes: the most that all small objects may take together.
const SMALL_TOGETHER: usize = 8 << 20;
/// Half of the time that API servers wait for a response (`timeoutSeconds` in the chart).
const WAIT: Duration = Duration::from_millis(1500);

/// Bounds the memory of parsed objects: one large object at a time, and small ones beside it up to 8 MiB together.
///
/// So a flood of large objects delays small ones by no more than CPU time.
#[derive(Debug)]
pub(crate) struct ParseBudget {
    largest: usize,
    small: Semaphore,
    large: Semaphore,
}

/// Why an object is not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    /// It would take more memory than one object may.
    #[error("parsed, it would take more than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// It is nested deeper than the parser follows.
    #[error("it is nested too deep")]
    TooDeep,
    /// Too many objects are being parsed.
    #[error("too many objects came at once")]
    Busy,
}

impl ParseBudget {
    /// Returns a budget for objects that take at most `largest` bytes of memory once they are parsed.
    pub(crate) fn new(largest: usize) -> Self {
        Self { largest, small: Semaphore::new(SMALL_TOGETHER), large: Semaphore::new(1) }
    }

    /// Parses `object` as soon as the budget allows it, and returns what `read` returns of it. The parsed object does
    /// not outlive the call, and nothing is awaited while it exists.
    ///
    /// # Errors
    /// The object is too large or too deep, or the budget did not allow it within 1.5 s.
    pub(crate) async fn with_parsed<T>(
        &self,
        object: &ObjectText,
        read: impl FnOnce(&Value) -> T,
    ) -> Result<T, ParseError> {
        let _room = timeout(WAIT, self.room(object.cost())).await.unwrap_or(Err(ParseError::Busy))?;
        object.parse().map(|value| read(&value)).map_err(|_| ParseError::TooDeep)
    }

    async fn room(&self, cost: usize) -> Result<SemaphorePermit<'_>, ParseError> {
        if cost > self.largest {
            return Err(ParseError::TooLarge(self.largest));
        }
        let permit = match u32::try_from(cost).ok().filter(|_| cost <= SMALL) {
            Some(cost) => self.small.acquire_many(cost).await,
            None => self.large.acquire().await,
        };
        permit.map_err(|_| ParseError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Returns an object with so many members.
    fn object(members: usize) -> ObjectText {
        ObjectText::read(format!("{{{}\"a\":0}}", "\"a\":0,".repeat(members - 1)))
    }

    #[tokio::test(start_paused = true)]
    async fn large_objects_take_turns_and_small_ones_do_not_wait_for_them() {
        let budget = ParseBudget::new(24 << 20);
        let (large, small) = (object(10_000), object(100));
        let turn = budget.large.acquire().await.unwrap();
        assert_eq!(budget.with_parsed(&small, Value::is_object).now_or_never(), Some(Ok(true)));
        {
            let mut waiting = Box::pin(budget.with_parsed(&large, Value::is_object));
            assert_eq!(waiting.as_mut().now_or_never(), None);
            drop(turn);
            assert_eq!(waiting.await, Ok(true));
        }
        let _turn = budget.large.acquire().await.unwrap();
        assert_eq!(budget.with_parsed(&large, Value::is_object).await, Err(ParseError::Busy), "nobody waits for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn small_objects_together_are_bounded() {
        let budget = ParseBudget::new(24 << 20);
        let _others = budget.small.acquire_many((SMALL_TOGETHER - SMALL / 2).try_into().unwrap()).await.unwrap();
        assert_eq!(budget.with_parsed(&object(100), Value::is_object).await, Ok(true));
        let nearly_large = object((SMALL - 700) / 250);
        assert!(nearly_large.cost() > SMALL / 2 && nearly_large.cost() <= SMALL);
        assert_eq!(budget.with_parsed(&nearly_large, Value::is_object).await, Err(ParseError::Busy));
    }

    #[tokio::test]
    async fn objects_that_are_too_large_or_too_deep_are_not_parsed() {
        let budget = ParseBudget::new(1 << 20);
        let look = |_: &Value| panic!("not to be looked at");
        assert_eq!(budget.with_parsed(&object(10_000), look).await, Err::<(), _>(ParseError::TooLarge(1 << 20)));
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(budget.with_parsed(&ObjectText::read(deep), look).await, Err::<(), _>(ParseError::TooDeep));
    }
}
