//! The leader's clock is wrong. State, requests and signatures are the program's; the clock is the test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use balancer::driver::{self, Inputs, Outputs};
use balancer::keys::Keys;
use balancer::metrics::Metrics;
use balancer::planning::{Change, Pod, Slice};
use balancer::proxy_client::ProxyClient;
use balancing::{Refusal, SigningKey};
use daemon::Clock;
use ring::rand::SystemRandom;
use settings::ADMIN_PORT;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::real_pods::RealPods;
use crate::running::until;

const HOUR: i64 = 3600;
const NAMES: [&str; 3] = ["web-1", "web-2", "web-3"];

/// By how many seconds the clock of the first leader is ahead.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn wrong_clock() -> SystemTime {
    let seconds = AHEAD.load(Ordering::Relaxed);
    let (now, ahead) = (Clock::system().now(), Duration::from_secs(seconds.unsigned_abs()));
    if seconds < 0 { now - ahead } else { now + ahead }
}

fn milliseconds(clock: Duration) -> u64 {
    u64::try_from(clock.as_millis()).unwrap()
}

/// A replica that leads until it is told otherwise.
struct Leader {
    leads: watch::Sender<bool>,
    metrics: Arc<Metrics>,
    running: JoinHandle<()>,
    _cluster: mpsc::Sender<Change>,
}

impl Leader {
    async fn start(pods: &RealPods, key: &str, clock: Clock) -> Self {
        let (cluster, changes) = mpsc::channel(4);
        let (leads, leading) = watch::channel(true);
        let keys = Arc::new(Keys::new(SigningKey::from_pem(key).unwrap(), None));
        let (_, keys) = watch::channel(Some(keys));
        let (_, view_requests) = mpsc::channel(1);
        let inputs = Inputs { changes, leads: leading, keys, view_requests };
        let outputs = Outputs { is_complete: watch::Sender::new(false), next_is_known: watch::Sender::new(false) };
        let metrics = Arc::new(Metrics::new());
        let running =
            tokio::spawn(driver::run(ProxyClient::new(ADMIN_PORT), clock, Arc::clone(&metrics), inputs, outputs));
        let uid = |name: &str| format!("uid-{name}").into();
        let pod = |(name, proxy): (&String, &test_support::RecyclingProxy)| Pod {
            uid: uid(name),
            namespace: "shop".into(),
            name: name.as_str().into(),
            controller: None,
            address: Some(proxy.admin_address().ip()),
            is_ready: true,
        };
        cluster.send(Change::Pods(pods.proxies.iter().map(pod).collect())).await.unwrap();
        let ready = pods.proxies.keys().map(|name| uid(name)).collect();
        let slice = Slice { namespace: "shop".into(), name: "web".into(), ready };
        cluster.send(Change::Slices(vec![slice])).await.unwrap();
        Self { leads, metrics, running, _cluster: cluster }
    }

    fn count_instructions(&self) -> u64 {
        let text = self.metrics.expose(None).unwrap().text;
        let count = text.lines().find_map(|line| line.strip_prefix("evenkeel_balancer_instructions_total "));
        count.unwrap().parse().unwrap()
    }

    /// Waits until it has given three more instructions.
    async fn instructs(&self) {
        let before = self.count_instructions();
        until(|| (self.count_instructions() >= before + 3).then_some(())).await;
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_an_hour_stops_no_instruction() {
    let mut pods = RealPods::none().await;
    let key = SigningKey::generate(&SystemRandom::new()).unwrap();
    let public = SigningKey::from_pem(&key).unwrap().public().to_string();
    pods.add(&NAMES, &public).await;
    let first = Leader::start(&pods, &key, Clock::new(wrong_clock)).await;
    let mut told = pods.told_above(&NAMES, milliseconds(Clock::system().since_epoch()) - 60_000).await;
    for ahead in [-HOUR, HOUR, 0] {
        AHEAD.store(ahead, Ordering::Relaxed);
        for _ in 0..2 {
            told = pods.told_above(&NAMES, told).await;
        }
    }
    let an_hour_ahead = milliseconds(Clock::system().since_epoch()) + 3_000_000;
    assert!(told > an_hour_ahead, "numbers never fall");
    for name in NAMES {
        assert_eq!(pods.refused(name, Refusal::ALL).await, 0, "{name}");
    }

    // Another leader with the right clock knows of these numbers by the reports alone.
    first.leads.send_replace(false);
    let second = Leader::start(&pods, &key, Clock::system()).await;
    second.instructs().await;
    told = pods.told_above(&NAMES, told).await;

    // Both lead, an hour apart.
    AHEAD.store(HOUR, Ordering::Relaxed);
    first.leads.send_replace(true);
    first.instructs().await;
    second.instructs().await;
    for _ in 0..2 {
        told = pods.told_above(&NAMES, told).await;
    }
    let others = [Refusal::Malformed, Refusal::BadSignature, Refusal::ForeignWorkload];
    for name in NAMES {
        assert_eq!(pods.refused(name, &others).await, 0, "{name}: the number alone may be old");
    }
}
