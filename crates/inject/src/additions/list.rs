//! Adds injected entries to lists of a pod's `spec`, and removes them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::additions::container;
use crate::additions::entry::{Entry, List, Origin};
use crate::additions::plan::Plan;
use crate::additions::update;
use crate::additions::volume;
use crate::json::empty_form::EmptyForms;
use crate::json::named::name;
use crate::status::Record;

impl List {
    /// Returns every entry that injection can add to the list, in their order in it.
    pub(crate) const fn additions(self) -> &'static [Entry] {
        match self {
            Self::InitContainers => container::ADDITIONS,
            Self::Volumes => volume::ADDITIONS,
        }
    }

    /// Returns whether an entry of the list is injected.
    pub(crate) fn is_injected(self, entry: &Value, origin: Origin) -> bool {
        self.additions().iter().any(|addition| addition.is(entry, origin))
    }

    /// Returns the entries for a plan.
    pub(crate) fn wanted(self, plan: &Plan) -> Vec<Value> {
        self.additions().iter().filter_map(|addition| (addition.wanted)(plan)).collect()
    }

    /// Returns the list without injected entries.
    pub(crate) fn restored(self, list: Option<&Value>, empty_forms: &EmptyForms, origin: Origin) -> Option<Value> {
        let entries = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let others: Vec<Value> = entries.iter().filter(|entry| !self.is_injected(entry, origin)).cloned().collect();
        if others.len() == entries.len() {
            return list.cloned();
        }
        if others.is_empty() { empty_forms.form(self.field()).value(others.into()) } else { Some(others.into()) }
    }

    /// Returns the list with the injected entries of a plan; `author` is the list without them.
    ///
    /// Present entries keep their position. New ones are inserted before the next injected one, or at the end. Entries
    /// that the plan does not have are removed.
    pub(crate) fn injected(
        self,
        now: Option<&Value>,
        author: Option<&Value>,
        plan: &Plan,
        origin: Origin,
        record: Option<&Record>,
    ) -> Option<Value> {
        let wanted = self.wanted(plan);
        if wanted.is_empty() {
            return author.cloned();
        }
        let is_injected = |entry: &Value| self.is_injected(entry, origin);
        let mut list = now.and_then(Value::as_array).cloned().unwrap_or_default();
        list.retain(|entry| !is_injected(entry) || wanted.iter().any(|wanted| name(wanted) == name(entry)));
        let followers = self.followers(plan);
        let follows = |entry: &Value| !is_injected(entry) && name(entry).is_some_and(|name| followers.contains(name));
        if list.iter().skip_while(|entry| !follows(entry)).any(is_injected) {
            let (ours, others): (Vec<Value>, Vec<Value>) = list.into_iter().partition(is_injected);
            list = others;
            let first = list.iter().position(follows).unwrap_or(list.len());
            list.splice(first..first, ours);
        }
        let mut next = list.iter().position(follows).unwrap_or(list.len());
        for wanted in wanted.iter().rev() {
            match list.iter().position(|entry| is_injected(entry) && name(entry) == name(wanted)) {
                Some(place) => {
                    list[place] = self.updated(&list[place], wanted, record);
                    next = place;
                }
                None => list.insert(next, wanted.clone()),
            }
        }
        Some(list.into())
    }

    fn updated(self, now: &Value, wanted: &Value, record: Option<&Record>) -> Value {
        match self {
            Self::InitContainers => update::updated(now, wanted, record),
            Self::Volumes => update::updated_volume(now, wanted),
        }
    }

    /// Returns the names of the entries that no injected one may follow.
    ///
    /// A native sidecar that serves an intercepted port must not precede the proxy: its startup probe could not succeed
    /// before the proxy runs.
    fn followers(self, plan: &Plan) -> &BTreeSet<String> {
        const NONE: &BTreeSet<String> = &BTreeSet::new();
        match self {
            Self::InitContainers => &plan.serving_sidecars,
            Self::Volumes => NONE,
        }
    }
}
