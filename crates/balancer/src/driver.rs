//! The one task that owns the state. It receives changes, answers, ticks and requests for views.

use std::sync::Arc;
use std::time::Duration;

use balancing::{Report, WorkloadInstruction};
use bytes::Bytes;
use daemon::Clock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info};

use crate::asking::{Asker, NoReport};
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::planning::{Asked, Balancer, Change, Round, Taken, Uid};
use crate::view::{PodsOf, View};

/// How often the task looks for rounds that are due.
const TICK: Duration = Duration::from_millis(50);
/// How many ticks pass between two updates of gauges: a second.
const TICKS_PER_UPDATE: u32 = 20;
/// The time after which a new leader has the reports of all pods that answer: each is asked every 15 s at least.
const ALL_REPORT_WITHIN: Duration = Duration::from_secs(20);
/// The capacity of the channel of answers.
const ANSWERS: usize = 1024;

/// The inputs of the task.
#[derive(Debug)]
pub struct Inputs {
    /// Changes of the cluster.
    pub changes: mpsc::Receiver<Change>,
    /// Whether this replica leads.
    pub leads: watch::Receiver<bool>,
    /// The keys, once they have been read.
    pub keys: watch::Receiver<Option<Arc<Keys>>>,
    /// Requests for views of the workloads.
    pub viewers: mpsc::Receiver<Viewer>,
}

/// A request for a view of the workloads.
#[derive(Debug)]
pub struct Viewer {
    /// The workloads whose pods the view includes.
    pub pods: PodsOf,
    /// Where the view goes to.
    pub view: oneshot::Sender<View>,
}

/// The outputs of the task.
#[derive(Debug)]
pub struct Outputs {
    /// Whether all Pods and `EndpointSlice`s have been listed.
    pub is_complete: watch::Sender<bool>,
    /// Whether every pod that reports knows the key that is to sign next.
    pub next_is_known: watch::Sender<bool>,
}

/// The task.
#[derive(Debug)]
pub struct Driver {
    balancer: Balancer,
    asker: Asker,
    clock: Clock,
    metrics: Arc<Metrics>,
    start: Instant,
    leads: bool,
    leads_since: Duration,
    keys: Option<Arc<Keys>>,
    answers: mpsc::Sender<Answer>,
    outputs: Outputs,
}

/// The result of a request to a proxy.
#[derive(Debug)]
struct Answer {
    uid: Uid,
    report: Result<Report, NoReport>,
}

/// Balances for as long as there are inputs.
pub async fn run(asker: Asker, clock: Clock, metrics: Arc<Metrics>, mut inputs: Inputs, outputs: Outputs) {
    let (answers, mut answered) = mpsc::channel(ANSWERS);
    let (balancer, start) = (Balancer::default(), Instant::now());
    let mut driver = Driver {
        balancer,
        asker,
        clock,
        metrics,
        start,
        leads: false,
        leads_since: Duration::ZERO,
        keys: None,
        answers,
        outputs,
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = 0;
    loop {
        tokio::select! {
            change = inputs.changes.recv() => match change {
                Some(change) => driver.observe(change),
                None => return,
            },
            Some(answer) = answered.recv() => driver.take(answer),
            _ = ticks.tick() => {
                driver.lead(*inputs.leads.borrow_and_update());
                driver.keys.clone_from(&inputs.keys.borrow_and_update());
                driver.ask_who_is_due();
                tick = (tick + 1) % TICKS_PER_UPDATE;
                if tick == 0 {
                    driver.update_gauges();
                }
            }
            Some(Viewer { pods, view }) = inputs.viewers.recv() => {
                // The receiver may be gone.
                let _ = view.send(View::of(&driver.balancer, &pods, driver.leads, driver.now()));
            }
        }
    }
}

impl Driver {
    fn observe(&mut self, change: Change) {
        self.balancer.observe(change, self.now());
        if self.balancer.is_complete() && !*self.outputs.is_complete.borrow() {
            info!("all labelled Pods and EndpointSlices are known");
            self.outputs.is_complete.send_replace(true);
        }
    }

    fn lead(&mut self, leads: bool) {
        if leads && !self.leads {
            // The reports are from before another leader, or a time without one.
            let now = self.now();
            self.balancer.restart(now);
            self.leads_since = now;
        }
        self.leads = leads;
    }

    fn ask_who_is_due(&mut self) {
        let Some(keys) = self.keys.clone().filter(|_| self.leads && self.balancer.is_complete()) else { return };
        let (now, since_epoch) = (self.now(), self.clock.since_epoch());
        for round in self.balancer.due(now, since_epoch) {
            self.begin(round, &keys);
        }
    }

    /// One signature for all pods of a workload.
    fn begin(&self, Round { instruction, pods, late }: Round, keys: &Keys) {
        if instruction.is_some() {
            self.metrics.instructed();
            if let Some(late) = late {
                self.metrics.late(late.as_secs_f64());
            }
        }
        let body = instruction.as_ref().map(|instruction| Bytes::from(keys.signing().sign(instruction)));
        for Asked { uid, address, is_doubtful } in pods {
            let (asker, answers, body) = (self.asker.clone(), self.answers.clone(), body.clone());
            tokio::spawn(async move {
                let report = asker.ask(address, body, is_doubtful).await;
                // The task may have ended with the process.
                let _ = answers.send(Answer { uid, report }).await;
            });
        }
        if let Some(instruction) = instruction {
            tell(&instruction);
        }
    }

    fn take(&mut self, Answer { uid, report }: Answer) {
        let now = self.now();
        match report {
            Ok(report) => {
                if let Some(refusal) = report.refused {
                    self.metrics.refused(refusal);
                    debug!(%uid, workload = %report.workload, %refusal, "a proxy refuses an instruction");
                }
                let foreign = report.workload.clone();
                match self.balancer.answered(&uid, report, now) {
                    Taken::Report => self.metrics.answered("report"),
                    Taken::Gone => {}
                    Taken::ForeignWorkload => {
                        self.metrics.answered("foreign_workload");
                        debug!(%uid, workload = %foreign, "a pod reports for a workload that is not its own, and does not count");
                    }
                }
            }
            Err(error) => {
                self.metrics.answered(error.label());
                debug!(%uid, %error, "a pod does not report");
                self.balancer.failed(&uid, now);
            }
        }
    }

    fn update_gauges(&self) {
        let (pods, unknown) = self.balancer.count_pods();
        self.metrics.pods(pods, unknown);
        let states = self.balancer.groups().filter_map(|group| group.summary());
        self.metrics.workloads(states.map(|summary| summary.withheld));
        let next = self.keys.as_ref().and_then(|keys| keys.next());
        let have_reported = self.leads && self.now().saturating_sub(self.leads_since) >= ALL_REPORT_WITHIN;
        let is_known = have_reported && next.is_some_and(|key| self.balancer.is_known_everywhere(key.id()));
        self.outputs.next_is_known.send_if_modified(|before| std::mem::replace(before, is_known) != is_known);
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

fn tell(instruction: &WorkloadInstruction) {
    debug!(
        workload = %instruction.workload(),
        mean = instruction.rule().mean(),
        sequence = instruction.sequence().get(),
        "instructed"
    );
}
