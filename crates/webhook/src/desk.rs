//! Room for parsed objects: no more of them at once than there is memory for.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::object::ObjectText;

/// What takes no more than this need not wait for what does. A Deployment takes a quarter of it, mostly.
const SMALL: usize = 1 << 20;
/// For small objects together.
const SMALL_TOGETHER: usize = 8 << 20;
/// Half of the time that an API server waits for an answer, by the chart.
const WAIT: Duration = Duration::from_millis(1500);

/// Where objects are parsed and looked at: large ones one after the other, small ones beside them, many at once.
///
/// So a flood of large objects costs nobody else more than a processor's time, and no memory.
#[derive(Debug)]
pub(crate) struct Desk {
    largest: usize,
    small: Semaphore,
    large: Semaphore,
}

/// Why an object is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unseen {
    /// It would take more memory than one may.
    #[error("parsed, it would take more than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// It cannot be parsed.
    #[error("it is nested too deep")]
    TooDeep,
    /// Too many are being looked at.
    #[error("too many objects came at once")]
    Busy,
}

impl Desk {
    /// For objects that take so many bytes at most once they are parsed.
    pub(crate) fn new(largest: usize) -> Self {
        Self { largest, small: Semaphore::new(SMALL_TOGETHER), large: Semaphore::new(1) }
    }

    /// What `look` makes of `object`, as soon as there is room for it: within 1.5 s, or not at all. The parsed object does not
    /// outlive the call, and nothing is waited for while it is there.
    pub(crate) async fn look_at<T>(&self, object: &ObjectText, look: impl FnOnce(&Value) -> T) -> Result<T, Unseen> {
        let _room = timeout(WAIT, self.room(object.cost())).await.unwrap_or(Err(Unseen::Busy))?;
        object.parse().map(|value| look(&value)).map_err(|_| Unseen::TooDeep)
    }

    async fn room(&self, cost: usize) -> Result<SemaphorePermit<'_>, Unseen> {
        if cost > self.largest {
            return Err(Unseen::TooLarge(self.largest));
        }
        let permit = match u32::try_from(cost).ok().filter(|_| cost <= SMALL) {
            Some(cost) => self.small.acquire_many(cost).await,
            None => self.large.acquire().await,
        };
        permit.map_err(|_| Unseen::Busy)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// An object with so many members.
    fn object(members: usize) -> ObjectText {
        ObjectText::read(format!("{{{}\"a\":0}}", "\"a\":0,".repeat(members - 1)))
    }

    #[tokio::test(start_paused = true)]
    async fn large_objects_take_turns_and_small_ones_do_not_wait_for_them() {
        let desk = Desk::new(24 << 20);
        let (large, small) = (object(10_000), object(100));
        let turn = desk.large.acquire().await.unwrap();
        assert_eq!(desk.look_at(&small, Value::is_object).now_or_never(), Some(Ok(true)));
        {
            let mut waiting = Box::pin(desk.look_at(&large, Value::is_object));
            assert_eq!(waiting.as_mut().now_or_never(), None);
            drop(turn);
            assert_eq!(waiting.await, Ok(true));
        }
        let _turn = desk.large.acquire().await.unwrap();
        assert_eq!(desk.look_at(&large, Value::is_object).await, Err(Unseen::Busy), "nobody waits for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn small_objects_together_are_bounded() {
        let desk = Desk::new(24 << 20);
        let _others = desk.small.acquire_many((SMALL_TOGETHER - SMALL / 2).try_into().unwrap()).await.unwrap();
        assert_eq!(desk.look_at(&object(100), Value::is_object).await, Ok(true));
        let nearly_large = object((SMALL - 700) / 250);
        assert!(nearly_large.cost() > SMALL / 2 && nearly_large.cost() <= SMALL);
        assert_eq!(desk.look_at(&nearly_large, Value::is_object).await, Err(Unseen::Busy));
    }

    #[tokio::test]
    async fn what_is_too_large_or_too_deep_is_not_looked_at() {
        let desk = Desk::new(1 << 20);
        let look = |_: &Value| panic!("not to be looked at");
        assert_eq!(desk.look_at(&object(10_000), look).await, Err::<(), _>(Unseen::TooLarge(1 << 20)));
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(desk.look_at(&ObjectText::read(deep), look).await, Err::<(), _>(Unseen::TooDeep));
    }
}
