//! The task that owns the state of the balancer. It receives changes of the cluster, answers of proxies, ticks and
//! requests for views.

use std::sync::Arc;
use std::time::Duration;

use balancing::{Report, WorkloadInstruction};
use bytes::Bytes;
use daemon::Clock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info};

use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::planning::{Balancer, Change, ReportOutcome, Round, Target, Uid};
use crate::proxy_client::{ProxyClient, ReportError};
use crate::view::{PodSelection, View};

/// The interval at which the task begins the rounds that are due.
const TICK: Duration = Duration::from_millis(50);
/// How many ticks pass between two updates of gauges: a second.
const TICKS_PER_UPDATE: u32 = 20;
/// The time after which a new leader has the reports of all pods that answer: it polls each at least every 15 s.
const ALL_REPORTED_AFTER: Duration = Duration::from_secs(20);
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
    pub view_requests: mpsc::Receiver<ViewRequest>,
}

/// A request for a view of the workloads.
#[derive(Debug)]
pub struct ViewRequest {
    /// The workloads whose pods the view includes.
    pub pods: PodSelection,
    /// The sender of the response.
    pub response: oneshot::Sender<View>,
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
    proxy_client: ProxyClient,
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
    report: Result<Report, ReportError>,
}

/// Balances until the sender of changes is dropped.
pub async fn run(proxy_client: ProxyClient, clock: Clock, metrics: Arc<Metrics>, mut inputs: Inputs, outputs: Outputs) {
    let (answers, mut answered) = mpsc::channel(ANSWERS);
    let (balancer, start) = (Balancer::default(), Instant::now());
    let mut driver = Driver {
        balancer,
        proxy_client,
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
            Some(answer) = answered.recv() => driver.receive(answer),
            _ = ticks.tick() => {
                driver.set_leads(*inputs.leads.borrow_and_update());
                driver.keys.clone_from(&inputs.keys.borrow_and_update());
                driver.begin_due_rounds();
                tick = (tick + 1) % TICKS_PER_UPDATE;
                if tick == 0 {
                    driver.update_gauges();
                }
            }
            Some(ViewRequest { pods, response }) = inputs.view_requests.recv() => {
                // Sending fails if the receiver has been dropped, and then nobody needs the view.
                let _ = response.send(View::of(&driver.balancer, &pods, driver.leads, driver.now()));
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

    fn set_leads(&mut self, leads: bool) {
        if leads && !self.leads {
            // The reports are from before the time in which another replica, or none, led.
            let now = self.now();
            self.balancer.restart(now);
            self.leads_since = now;
        }
        self.leads = leads;
    }

    fn begin_due_rounds(&mut self) {
        let Some(keys) = self.keys.clone().filter(|_| self.leads && self.balancer.is_complete()) else { return };
        let (now, since_epoch) = (self.now(), self.clock.since_epoch());
        for round in self.balancer.due(now, since_epoch) {
            self.begin_round(round, &keys);
        }
    }

    /// Signs the instruction once for all pods of the workload, and sends the requests of the round.
    fn begin_round(&self, Round { instruction, pods, late }: Round, keys: &Keys) {
        if instruction.is_some() {
            self.metrics.instructed();
            if let Some(late) = late {
                self.metrics.late(late.as_secs_f64());
            }
        }
        let body = instruction.as_ref().map(|instruction| Bytes::from(keys.signing().sign(instruction)));
        for Target { uid, address, is_unresponsive } in pods {
            let (proxy_client, answers, body) = (self.proxy_client.clone(), self.answers.clone(), body.clone());
            tokio::spawn(async move {
                let report = proxy_client.request_report(address, body, is_unresponsive).await;
                // Sending fails while the process ends, and then nobody needs the answer.
                let _ = answers.send(Answer { uid, report }).await;
            });
        }
        if let Some(instruction) = instruction {
            log_instruction(&instruction);
        }
    }

    fn receive(&mut self, Answer { uid, report }: Answer) {
        let now = self.now();
        match report {
            Ok(report) => {
                if let Some(refusal) = report.refused {
                    self.metrics.refused(refusal);
                    debug!(%uid, workload = %report.workload, %refusal, "a proxy refused an instruction");
                }
                let foreign = report.workload.clone();
                match self.balancer.answered(&uid, report, now) {
                    ReportOutcome::Accepted => self.metrics.answered("report"),
                    ReportOutcome::PodGone => {}
                    ReportOutcome::ForeignWorkload => {
                        self.metrics.answered("foreign_workload");
                        debug!(%uid, workload = %foreign, "a pod reported a workload that it does not belong to; the report is ignored");
                    }
                }
            }
            Err(error) => {
                self.metrics.answered(error.label());
                debug!(%uid, %error, "a pod gave no report");
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
        let have_reported = self.leads && self.now().saturating_sub(self.leads_since) >= ALL_REPORTED_AFTER;
        let is_known = have_reported && next.is_some_and(|key| self.balancer.is_known_everywhere(key.id()));
        self.outputs.next_is_known.send_if_modified(|before| std::mem::replace(before, is_known) != is_known);
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

fn log_instruction(instruction: &WorkloadInstruction) {
    debug!(
        workload = %instruction.workload(),
        mean = instruction.rule().mean(),
        sequence = instruction.sequence().get(),
        "sending an instruction"
    );
}
