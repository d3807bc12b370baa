//! One act: clients send requests to pods, and pods are added meanwhile.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, interval, sleep_until};

use super::addresses::Addresses;
use super::bars::Frame;
use super::binaries::Binaries;
use super::clients::Load;
use super::pod_spec::PodSpec;
use super::pods::Pod;
use super::screen::Screen;
use super::service::Service;
use super::tally::{Shares, Tally};

/// The timing of an act, which is the same for all acts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    /// Pods at the beginning.
    pub(crate) before: u8,
    /// Pods at the end.
    pub(crate) after: u8,
    /// The time from the first request to the last.
    pub(crate) length: Duration,
}

impl Script {
    /// Pods are added after the first third.
    pub(crate) fn scales_at(&self) -> Duration {
        self.length / 3
    }

    /// Shares are measured in the last third, after as long a time to settle.
    pub(crate) fn measured(&self) -> Range<Duration> {
        self.length * 2 / 3..self.length
    }
}

/// The context of both acts.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) script: Script,
    pub(crate) load: Load,
    pub(crate) addresses: &'a Addresses,
    pub(crate) binaries: &'a Binaries,
    /// The folder for the programs' logs.
    pub(crate) logs: &'a Path,
}

/// The result of an act.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) script: Script,
    pub(crate) clients: u16,
    pub(crate) tally: Tally,
}

impl Outcome {
    /// Returns each pod's requests within the measured time.
    pub(crate) fn shares(&self) -> Shares {
        self.tally.shares(self.script.after.into(), &self.script.measured())
    }

    /// Connections that a client opened after its first, on average.
    pub(crate) fn reconnects_per_connection(&self) -> f64 {
        let clients = u32::from(self.clients);
        f64::from(self.tally.connects().saturating_sub(clients)) / f64::from(clients)
    }
}

impl Stage<'_> {
    /// Plays an act with pods of this kind.
    pub(crate) async fn play(&self, spec: &PodSpec, screen: &mut Screen) -> Result<Outcome> {
        let Script { before, after, length } = self.script;
        let names: Arc<[String]> = (1..=after).map(|n| format!("web-{n}")).collect();
        let (mut pods, service) = (Vec::new(), Service::default());
        self.add_pods(spec, &names, before, &mut pods, &service).await?;

        let began = Instant::now();
        let (events, mut reports) = unbounded_channel();
        let mut clients = self.load.start(&service, &names, (began, began + length), &events);
        // The channel closes with the last client.
        drop(events);
        let mut tally = Tally::default();
        let mut moments = interval(screen.period());
        loop {
            tokio::select! {
                report = reports.recv() => match report {
                    Some(event) => tally.note(event),
                    None => break,
                },
                () = sleep_until(began + self.script.scales_at()), if pods.len() < usize::from(after) => {
                    self.add_pods(spec, &names, after, &mut pods, &service).await?;
                }
                _ = moments.tick() => {
                    screen.show(&self.frame(&tally, &names, &service, began.elapsed()))?;
                }
            }
        }
        while let Some(client) = clients.join_next().await {
            client?;
        }
        for mut pod in pods {
            pod.check()?;
            pod.stop().await?;
        }
        Ok(Outcome { script: self.script, clients: self.load.clients, tally })
    }

    /// Starts pods until there are `wanted`, each in the Service once it is ready.
    async fn add_pods(
        &self,
        spec: &PodSpec,
        names: &[String],
        wanted: u8,
        pods: &mut Vec<Pod>,
        service: &Service,
    ) -> Result<()> {
        for (number, name) in (0..wanted).zip(names).skip(pods.len()) {
            let pod = Pod::start(spec, name, self.addresses.pod(number), self.binaries, self.logs).await?;
            service.add(pod.entry);
            pods.push(pod);
        }
        Ok(())
    }

    fn frame<'a>(&self, tally: &Tally, pods: &'a [String], service: &Service, at: Duration) -> Frame<'a> {
        let second = at.saturating_sub(Duration::from_secs(1))..at;
        Frame {
            at,
            pods,
            ready: service.ready(),
            before: self.script.before.into(),
            shares: tally.shares(pods.len(), &second),
            failed: tally.failures().len(),
        }
    }
}
