//! Terminates clients' TLS, and re-encrypts to the app with `tls-to-app`.
//!
//! ```text
//! ClientHello ──▶ the client's ALPN offers ──▶ which of them the app supports ──▶ the handshake
//!                                               plain app: tried once with HTTP/2
//!                                               tls-to-app: the app's own choice
//! ```
//!
//! The relays do not translate between HTTP/1 and HTTP/2, so the proxy agrees only on a protocol that the app supports.

mod alpn;
mod certificate;
mod failed;
pub(crate) mod fault;
mod hello;
mod metrics;
pub(crate) mod outcome;
mod prior_knowledge;
mod to_app;
mod to_client;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use server_certificate::ServedLeaf;
use settings::TlsSettings;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use self::alpn::Alpn;
use self::failed::Failed;
use self::fault::TlsFault;
use self::hello::Hello;
use self::prior_knowledge::PriorKnowledge;
use self::to_app::ToApp;
use self::to_client::ToClient;
use crate::memory::Account;
use crate::relay::side::Side;
use crate::transport::background;
use crate::transport::flow::Flow;
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;

pub(crate) use self::certificate::Certificate;
pub(crate) use self::metrics::Metrics;
pub(crate) use self::to_app::to_probed_app;

/// The time for a handshake, including that with the app.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The memory that is reserved for a connection's TLS, in bytes: its state, 11 kB if idle, and records for a peer that
/// does not read.
const OF_TLS: usize = 40 * 1024;

/// The most encrypted bytes for a peer that does not read: two records, so that one is encrypted while the other is
/// sent.
const MOST_UNSENT: usize = 32 * 1024;

/// The TLS termination of the process.
#[derive(Debug)]
pub(crate) struct Tls {
    served: Arc<ServedLeaf>,
    to_client: ToClient,
    app: AppSide,
    metrics: Arc<Metrics>,
}

/// The protocol towards the app.
#[derive(Debug)]
enum AppSide {
    /// Plain text; whether the app supports HTTP/2 is detected.
    Plain(PriorKnowledge),
    /// TLS, in which the app chooses the protocol.
    Tls(ToApp),
}

impl Tls {
    /// Returns the TLS termination for these settings.
    ///
    /// # Errors
    /// If the system has no random numbers for the keys of session tickets.
    pub(crate) fn new(settings: &TlsSettings, metrics: Arc<Metrics>) -> Result<Self, rustls::Error> {
        let served = Arc::new(ServedLeaf::default());
        let app = if settings.towards_app.is_on() {
            AppSide::Tls(ToApp::new()?)
        } else {
            AppSide::Plain(PriorKnowledge::default())
        };
        Ok(Self { to_client: ToClient::new(&served)?, served, app, metrics })
    }

    /// Returns the certificate for clients.
    pub(crate) const fn served(&self) -> &Arc<ServedLeaf> {
        &self.served
    }

    /// Returns whether there is a certificate. Without one, TLS connections become tunnels.
    pub(crate) fn is_ready(&self) -> bool {
        self.served.validity().is_some()
    }

    /// Terminates the client's TLS, whose first bytes have been read. `reach` opens another connection to the app on
    /// `port`.
    pub(crate) async fn terminate<F>(
        &self,
        pair: Pair,
        port: u16,
        reach: impl FnOnce() -> F,
        account: &Arc<Account>,
    ) -> Option<Pair>
    where
        F: Future<Output = io::Result<TcpStream>>,
    {
        let handshake = async {
            account.charge_until_end(OF_TLS).await;
            self.shake_hands(pair, port, reach).await
        };
        let failed = match timeout(HANDSHAKE_TIME, handshake).await {
            Ok(Ok(pair)) => {
                self.metrics.completed();
                return Some(pair);
            }
            Ok(Err(failed)) => failed,
            Err(_) => Failed { side: Side::Client, fault: TlsFault::Slow, client: None },
        };
        self.metrics.failed(failed.side, failed.fault);
        tracing::debug!(side = failed.side.label(), fault = failed.fault.label(), "a TLS handshake has failed");
        failed.close().await;
        None
    }

    async fn shake_hands<F>(&self, pair: Pair, port: u16, reach: impl FnOnce() -> F) -> Result<Pair, Failed>
    where
        F: Future<Output = io::Result<TcpStream>>,
    {
        let Pair { client, app, from_client, from_app } = pair;
        let (Wire::Plain(client), Wire::Plain(app)) = (client, app) else {
            return Err(Failed { side: Side::Client, fault: TlsFault::Garbled, client: None });
        };
        let hello = Hello::read(client, from_client.buffer.unexamined()).await?;
        drop(from_client);
        let (app, spoken, from_app) = match &self.app {
            AppSide::Plain(knowledge) => {
                let http2 = hello.offers.contains(&Alpn::Http2) && knowledge.of_app(port, reach).await;
                (Wire::from(app), alpn::of_plain_app(&hello.offers, http2), from_app)
            }
            AppSide::Tls(to_app) => {
                // Bytes that an app sends before a handshake are not TLS.
                let answer =
                    if from_app.is_empty() { to_app.connect(app, &hello).await } else { Err(TlsFault::Garbled) };
                match answer {
                    Ok((app, chosen)) => (Wire::from(TlsStream::from(app)), chosen, Flow::default()),
                    Err(fault) => return Err(Failed { side: Side::App, fault, client: Some(hello.client) }),
                }
            }
        };
        // A signature takes a millisecond, during which the thread serves no other connection.
        background::handshake_turn().await;
        let client = self.to_client.accept(hello, spoken).await?;
        Ok(Pair { client: Wire::from(TlsStream::from(client)), app, from_client: Flow::default(), from_app })
    }
}
