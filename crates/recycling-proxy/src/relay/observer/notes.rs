//! An observer of tests.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::Observer;
use crate::relay::broken::Broken;
use crate::relay::side::Side;
use crate::relay::source::Source;
use retirement::{ConnectionState, RetireReason};

/// The events that a relay has reported.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) retired: RefCell<Vec<RetireReason>>,
    pub(crate) answers: Cell<u32>,
    pub(crate) client_timeouts: Cell<u32>,
    pub(crate) broken: RefCell<Vec<Broken>>,
}

impl Observer for Notes {
    fn state(&self) -> ConnectionState {
        ConnectionState { age: Duration::ZERO, draining: false, marked: false, uncounted: 0 }
    }

    fn app_answered(&self) {
        self.answers.set(self.answers.get() + 1);
    }

    fn request_started(&self, _number: u32, _source: Option<Source>) {}

    fn charge_streams(&self, _: usize) -> bool {
        true
    }

    fn retired(&self, reason: RetireReason) {
        self.retired.borrow_mut().push(reason);
    }

    fn faulted(&self, _side: Side, _fault: &'static str) {}

    fn broken(&self, broken: Broken, _retired: bool) {
        self.broken.borrow_mut().push(broken);
    }

    fn client_timed_out(&self) {
        self.client_timeouts.set(self.client_timeouts.get() + 1);
    }
}
