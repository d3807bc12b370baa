//! Authorities rotate while API servers call: no call fails.

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
use webhook::certificates::{Keeper, Lifetimes};
use webhook::review::Judge;
use webhook::server::{Shared, Webhook};

use crate::running::{Http1, NAME, collect, review_of_deployment, settings};
use crate::world::World;

const ROTATIONS: usize = 1000;
/// How far the clock goes at once. It is what every API server has heard within, and every replica has acted.
const STEP: Duration = Duration::from_hours(1);
/// As short as they can be: an authority has a successor when it has just replaced its own predecessor, every four steps.
const LIFETIMES: Lifetimes =
    Lifetimes { authority: Duration::from_mins(354), leaf: Duration::from_mins(75), settle: STEP };

/// One replica: its ports, and who looks after its certificate.
struct Replica {
    address: SocketAddr,
    keeper: Keeper<World>,
    _end: oneshot::Sender<()>,
}

impl Replica {
    async fn start(world: &World) -> Self {
        let shared = Shared::new(world.clock());
        let Shared { served, health, metrics: _, clock } = shared.clone();
        let keeper = Keeper::new(world.clone(), NAME.to_owned(), LIFETIMES, clock, served, health.trusted());
        let judge = Judge::with_defaults(std::collections::BTreeMap::new());
        let folder = std::path::Path::new("/nowhere");
        let webhook = Webhook::open(&settings(folder, Duration::ZERO), judge, shared).await.unwrap();
        let (end, told) = oneshot::channel();
        let address = webhook.reviews_address();
        tokio::spawn(webhook.serve(async { _ = told.await }));
        Self { address, keeper, _end: end }
    }
}

/// An API server's side of the world.
struct Caller {
    world: World,
    replicas: [SocketAddr; 2],
    review: String,
    answered: AtomicUsize,
    /// Calls on connections of earlier turns.
    kept: AtomicUsize,
}

impl Caller {
    /// A new connection to a replica by one that trusts `bundle`.
    async fn connect(&self, replica: usize, bundle: &str) -> std::io::Result<Http1> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(WorldTime(self.world.clone()));
        let builder = ClientConfig::builder_with_details(provider, time).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.replicas[replica]).await?;
        // As the API server's; with Nagle's algorithm every call would wait 40 ms for an acknowledgement.
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Http1::new(connector.connect(ServerName::try_from(NAME).unwrap(), stream).await?).await)
    }

    /// A call on a connection of an earlier turn, and one on a new connection, which takes its place. On a machine that stood
    /// still for some seconds the earlier one has been closed as idle, as every client has to expect.
    async fn turn(&self, kept: &mut Option<Http1>, replica: usize, bundle: &str) {
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
struct WorldTime(World);

impl TimeProvider for WorldTime {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.now().duration_since(std::time::SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_rotations_under_load_fail_no_call() {
    let world = World::new();
    let mut replicas = [Replica::start(&world).await, Replica::start(&world).await];
    let [one, two] = &mut replicas;
    let (first, second) = tokio::join!(one.keeper.round(), two.keeper.round());
    first.and(second).unwrap();
    let caller = Caller {
        world: world.clone(),
        replicas: [one.address, two.address],
        review: review_of_deployment(&json!({})).to_string(),
        answered: AtomicUsize::new(0),
        kept: AtomicUsize::new(0),
    };

    let (mut rotations, mut step, mut signer) = (0, 0, newest(&world.bundle()));
    // A connection for each kind of call below.
    let mut kept = [None, None, None];
    while rotations < ROTATIONS {
        world.pass(STEP);
        step += 1;
        // By turns, but in the next rotation the other way round.
        let (replica, other) = ((step + rotations) % 2, (step + rotations + 1) % 2);
        let [meanwhile, unaware, aware] = &mut kept;
        let earlier = world.earlier_bundle();
        let [one, two] = &mut replicas;
        if replica == 0 {
            // At once, and called meanwhile.
            let rounds = async { tokio::join!(one.keeper.round(), two.keeper.round()) };
            let ((first, second), ()) = tokio::join!(rounds, caller.turn(meanwhile, replica, &earlier));
            first.and(second).unwrap();
        } else {
            // One after the other; the one that is behind is called by who has heard of what the other did.
            one.keeper.round().await.unwrap();
            caller.turn(meanwhile, 1, &world.bundle()).await;
            two.keeper.round().await.unwrap();
        }
        // Now that both have acted, either is called by an API server that has heard nothing of it, or all. Not every time: of
        // four steps of a rotation and three turns, each will meet each.
        let bundle = world.bundle();
        match step % 3 {
            0 => caller.turn(unaware, replica, &earlier).await,
            1 => caller.turn(aware, other, &bundle).await,
            _ => {}
        }
        let now = newest(&bundle);
        rotations += usize::from(now != signer);
        signer = now;
    }
    let (answered, kept, conflicts) = (caller.answered.into_inner(), caller.kept.into_inner(), world.conflicts());
    println!("{rotations} rotations, {conflicts} conflicts, {answered} calls, {kept} of them on kept connections");
    assert!(kept > ROTATIONS, "connections do not outlive rotations");
    assert!(conflicts > 0, "the replicas never raced");
}

fn newest(bundle: &str) -> String {
    bundle.split_inclusive("-----END CERTIFICATE-----").next().unwrap().to_owned()
}
