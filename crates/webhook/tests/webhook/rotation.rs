//! No call of an API server fails while authorities rotate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use webhook::certificates::{CertificateController, Lifetimes};
use webhook::review::Handler;
use webhook::server::{Shared, Webhook};

use crate::fake_cluster::FakeCluster;
use crate::running::{Http1, NAME, collect, review_of_deployment, settings};

const ROTATIONS: usize = 1000;
/// The step of the clock. Within a step every API server receives the bundle, and every replica reconciles.
const STEP: Duration = Duration::from_hours(1);
/// The shortest possible: an authority gets a successor right after it has replaced its predecessor, every four steps.
const LIFETIMES: Lifetimes =
    Lifetimes { authority: Duration::from_mins(354), leaf: Duration::from_mins(75), settle: STEP };

/// One replica: its port, and its certificate controller.
struct Replica {
    address: SocketAddr,
    controller: CertificateController<FakeCluster>,
    _end: oneshot::Sender<()>,
}

impl Replica {
    async fn start(cluster: &FakeCluster) -> Self {
        let shared = Shared::new(cluster.clock());
        let Shared { served, health, metrics: _, clock } = shared.clone();
        let controller =
            CertificateController::new(cluster.clone(), NAME.to_owned(), LIFETIMES, clock, served, health.trusted());
        let handler = Handler::with_defaults(std::collections::BTreeMap::new());
        let folder = std::path::Path::new("/nowhere");
        let webhook = Webhook::open(&settings(folder, Duration::ZERO), handler, shared).await.unwrap();
        let (end, shutdown) = oneshot::channel();
        let address = webhook.reviews_address();
        tokio::spawn(webhook.serve(async { _ = shutdown.await }));
        Self { address, controller, _end: end }
    }
}

/// The API servers.
struct Caller {
    cluster: FakeCluster,
    replicas: [SocketAddr; 2],
    review: String,
    answered: AtomicUsize,
    /// Calls on connections of earlier steps.
    kept: AtomicUsize,
}

impl Caller {
    /// Opens a connection to a replica as a client that trusts `bundle`.
    async fn connect(&self, replica: usize, bundle: &str) -> std::io::Result<Http1> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(ClusterTime(self.cluster.clone()));
        let builder = ClientConfig::builder_with_details(provider, time).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.replicas[replica]).await?;
        // As API servers do. With Nagle's algorithm each call would wait 40 ms for an acknowledgement.
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Http1::new(connector.connect(ServerName::try_from(NAME).unwrap(), stream).await?).await)
    }

    /// Makes one call on the connection of an earlier step, and one on a new connection, which replaces it. If the
    /// machine stalled for seconds, the earlier one was closed as idle, which every client must expect.
    async fn call_twice(&self, kept: &mut Option<Http1>, replica: usize, bundle: &str) {
        if let Some(kept) = kept
            && kept.is_open().await
        {
            self.call(kept).await;
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
        let mut connection = self.connect(replica, bundle).await.unwrap();
        self.call(&mut connection).await;
        *kept = Some(connection);
    }

    async fn call(&self, connection: &mut Http1) {
        let response = connection.post(self.review.clone()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let review: Value = serde_json::from_slice(&collect(response).await).unwrap();
        assert_eq!(review["response"]["allowed"], true);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct ClusterTime(FakeCluster);

impl TimeProvider for ClusterTime {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.now().duration_since(std::time::SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_during_a_thousand_rotations_under_load() {
    let cluster = FakeCluster::new();
    let mut replicas = [Replica::start(&cluster).await, Replica::start(&cluster).await];
    let [one, two] = &mut replicas;
    let (first, second) = tokio::join!(one.controller.reconcile(), two.controller.reconcile());
    first.and(second).unwrap();
    let caller = Caller {
        cluster: cluster.clone(),
        replicas: [one.address, two.address],
        review: review_of_deployment(&json!({})).to_string(),
        answered: AtomicUsize::new(0),
        kept: AtomicUsize::new(0),
    };

    let (mut rotations, mut step, mut signer) = (0, 0, newest(&cluster.bundle()));
    // A connection for each kind of call below.
    let mut kept = [None, None, None];
    while rotations < ROTATIONS {
        cluster.advance(STEP);
        step += 1;
        // The replicas alternate, in the opposite order in every second rotation.
        let (replica, other) = ((step + rotations) % 2, (step + rotations + 1) % 2);
        let [meanwhile, unaware, aware] = &mut kept;
        let earlier = cluster.earlier_bundle();
        let [one, two] = &mut replicas;
        if replica == 0 {
            // Both reconcile at once, and are called meanwhile.
            let both = async { tokio::join!(one.controller.reconcile(), two.controller.reconcile()) };
            let ((first, second), ()) = tokio::join!(both, caller.call_twice(meanwhile, replica, &earlier));
            first.and(second).unwrap();
        } else {
            // One reconciles after the other. The second one is called meanwhile by an API server that has the new
            // bundle.
            one.controller.reconcile().await.unwrap();
            caller.call_twice(meanwhile, 1, &cluster.bundle()).await;
            two.controller.reconcile().await.unwrap();
        }
        // Both have reconciled. An API server that has the earlier bundle calls one, or one that has the new bundle
        // calls the other. As a rotation has four steps and this alternates by three, all combinations occur.
        let bundle = cluster.bundle();
        match step % 3 {
            0 => caller.call_twice(unaware, replica, &earlier).await,
            1 => caller.call_twice(aware, other, &bundle).await,
            _ => {}
        }
        let now = newest(&bundle);
        rotations += usize::from(now != signer);
        signer = now;
    }
    let (answered, kept, conflicts) = (caller.answered.into_inner(), caller.kept.into_inner(), cluster.conflicts());
    println!("{rotations} rotations, {conflicts} conflicts, {answered} calls, {kept} of them on kept connections");
    assert!(kept > ROTATIONS, "connections do not outlive rotations");
    assert!(conflicts > 0, "the replicas never conflicted");
}

fn newest(bundle: &str) -> String {
    bundle.split_inclusive("-----END CERTIFICATE-----").next().unwrap().to_owned()
}
