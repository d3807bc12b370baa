//! Who is asked to leave first when there is no room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shortage;
use super::account::Account;

/// Who has moved no byte for so long may be asked to leave. Servers end idle connections after such a time by default
/// (Apache httpd and Node.js: 5 s).
pub(super) const STILL: Duration = Duration::from_secs(5);

/// A connection has this time to say something useful, however short places are.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Every connection, in the order in which they would be asked to leave.
#[derive(Debug, Default)]
pub(super) struct EvictionIndex {
    numbers: u64,
    /// Those that were refused, and whose clients read why.
    lingering: BTreeMap<u64, Arc<Account>>,
    /// By their arrival: those that have said nothing useful yet.
    new: BTreeMap<u64, Arc<Account>>,
    /// By the time at which the message began that needs memory.
    unfinished: BTreeMap<u64, Arc<Account>>,
    /// The keys of those in `unfinished`, by connection.
    begun: BTreeMap<u64, u64>,
    all: BTreeMap<u64, Progress>,
}

/// When a connection was last seen to make progress.
#[derive(Debug)]
struct Progress {
    account: Arc<Account>,
    arrived: Instant,
    moved: u32,
    /// `None` before the first look.
    since: Option<Instant>,
}

impl EvictionIndex {
    pub(super) const fn next_number(&mut self) -> u64 {
        self.numbers = self.numbers.saturating_add(1);
        self.numbers
    }

    pub(super) fn insert(&mut self, account: &Arc<Account>, now: Instant) {
        self.new.insert(account.number(), Arc::clone(account));
        let progress = Progress { account: Arc::clone(account), arrived: now, moved: 0, since: None };
        self.all.insert(account.number(), progress);
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.is_useful(number);
        self.lingering.remove(&number);
        self.all.remove(&number);
    }

    /// Nothing useful will come of it any more.
    pub(super) fn lingers(&mut self, account: &Arc<Account>) {
        self.is_useful(account.number());
        if self.all.contains_key(&account.number()) {
            self.lingering.insert(account.number(), Arc::clone(account));
        }
    }

    pub(super) fn begin_message(&mut self, account: &Arc<Account>) {
        if !self.begun.contains_key(&account.number()) && self.all.contains_key(&account.number()) {
            let key = self.next_number();
            self.begun.insert(account.number(), key);
            self.unfinished.insert(key, Arc::clone(account));
        }
    }

    pub(super) fn is_useful(&mut self, number: u64) {
        self.new.remove(&number);
        if let Some(key) = self.begun.remove(&number) {
            self.unfinished.remove(&key);
        }
    }

    /// Who lingers; else the oldest that has said nothing useful, and has had the time to; else whose message is unfinished; else who has stood still for the longest
    /// time, and for [`STILL`] at least. It is not named again before it has said something.
    pub(super) fn least_useful(&mut self, now: Instant) -> Option<(Arc<Account>, Shortage)> {
        if let Some((_, account)) = self.lingering.pop_first() {
            return Some((account, Shortage::Lingering));
        }
        if let Some(account) = self.oldest_new(now) {
            return Some((account, Shortage::Silent));
        }
        if let Some(account) = self.oldest_unfinished() {
            return Some((account, Shortage::Unfinished));
        }
        self.look(now);
        let still = self.all.values_mut().filter_map(|progress| Some((progress.since?, progress)));
        let (since, progress) = still.min_by_key(|(since, _)| *since)?;
        if now.duration_since(since) < STILL {
            return None;
        }
        progress.since = Some(now);
        Some((Arc::clone(&progress.account), Shortage::Still))
    }

    fn oldest_new(&mut self, now: Instant) -> Option<Arc<Account>> {
        let number = *self.new.first_key_value()?.0;
        let had_time = self.all.get(&number).is_none_or(|progress| now.duration_since(progress.arrived) >= GRACE);
        if had_time { self.new.remove(&number) } else { None }
    }

    pub(super) fn oldest_unfinished(&mut self) -> Option<Arc<Account>> {
        self.unfinished.pop_first().map(|(_, account)| account)
    }

    /// Notes who has made progress since the last look.
    pub(super) fn look(&mut self, now: Instant) {
        for progress in self.all.values_mut() {
            let moved = progress.account.moved();
            if progress.since.is_none() || moved != progress.moved {
                (progress.moved, progress.since) = (moved, Some(now));
            }
        }
    }
}
