//! The connections to a port that are open, and which is closed when there are too many.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;

/// A kubelet and some scrapers need a handful; an app's hook one for each container, for as long as a drain lasts.
const MOST: usize = 64;

/// The open connections, by their arrival.
#[derive(Debug, Default)]
pub(crate) struct Visitors {
    here: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    arrivals: u64,
    by_arrival: BTreeMap<u64, (IpAddr, AbortHandle)>,
}

impl Visitors {
    /// Notes a connection. Where there are too many, the oldest leaves of the address that has the most: whoever floods
    /// the port does not keep the kubelet out, nor cut its hooks off.
    pub(crate) fn enter(&self, from: IpAddr, serving: AbortHandle) {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.by_arrival.retain(|_, (_, serving)| !serving.is_finished());
        here.arrivals = here.arrivals.saturating_add(1);
        let arrival = here.arrivals;
        here.by_arrival.insert(arrival, (from, serving));
        while here.by_arrival.len() > MOST {
            let leaves = leaves(here.by_arrival.iter().map(|(arrival, (from, _))| (*arrival, *from)));
            let Some((_, serving)) = leaves.and_then(|arrival| here.by_arrival.remove(&arrival)) else { return };
            serving.abort();
        }
    }
}

/// Returns the first of the address with the most; of several such addresses, of that which came first.
fn leaves(visitors: impl Iterator<Item = (u64, IpAddr)>) -> Option<u64> {
    let mut addresses: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
    for (arrival, from) in visitors {
        let (count, _) = addresses.entry(from).or_insert((0, arrival));
        *count = count.saturating_add(1);
    }
    let most = addresses.into_values().min_by_key(|(count, first)| (usize::MAX.saturating_sub(*count), *first));
    most.map(|(_, first)| first)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::Ipv4Addr;

    use super::*;

    /// Until tasks that were aborted have ended.
    async fn settle() {
        for _ in 0..4 * MOST {
            tokio::task::yield_now().await;
        }
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn the_oldest_connection_of_the_most_frequent_address_is_evicted() {
        for (visitors, first) in [
            (&[][..], None),
            (&[1, 2, 2], Some(1)),
            (&[1, 2, 3], Some(0)),
            (&[3, 2, 1], Some(0)),
            (&[1, 2, 1, 2, 2], Some(1)),
        ] {
            let visitors = visitors.iter().enumerate().map(|(arrival, last)| (arrival as u64, address(*last)));
            assert_eq!(leaves(visitors), first);
        }
    }

    #[tokio::test]
    async fn a_flood_from_one_address_evicts_no_other_address() {
        let visitors = Visitors::default();
        let kubelet = tokio::spawn(pending::<()>());
        visitors.enter(address(1), kubelet.abort_handle());
        let flood: Vec<_> = (0..2 * MOST).map(|_| tokio::spawn(pending::<()>())).collect();
        for one in &flood {
            visitors.enter(address(2), one.abort_handle());
        }
        settle().await;
        assert!(!kubelet.is_finished());
        assert_eq!(flood.iter().filter(|one| !one.is_finished()).count(), MOST - 1);
        // Who has left takes no room.
        kubelet.abort();
        assert!(kubelet.await.unwrap_err().is_cancelled());
        let scraper = tokio::spawn(pending::<()>());
        visitors.enter(address(3), scraper.abort_handle());
        settle().await;
        assert_eq!(flood.iter().filter(|one| !one.is_finished()).count(), MOST - 1);
    }
}
