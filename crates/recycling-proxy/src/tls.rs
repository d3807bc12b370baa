//! TLS that is ended here for the client, and begun anew towards the app where that is asked for.
//!
//! ```text
//! ClientHello ──▶ what does the client offer? ──▶ what of it does the app speak? ──▶ the handshake
//!                                                  plain app: asked once for HTTP/2
//!                                                  tls-to-app: the app's own choice
//! ```
//!
//! The relays do not translate between HTTP/1 and HTTP/2, so a client is offered what its app speaks and nothing else.

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

/// The time for all of a handshake, that with the app included.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Memory of a connection's TLS: its state, of which an idle one has 11 kB, and what waits for a peer that does not take it.
const OF_TLS: usize = 40 * 1024;

/// Encrypted bytes that wait for a peer that does not take them; two records, so that one is made while the other is sent.
const MOST_UNSENT: usize = 32 * 1024;

/// What handshakes need; one for the process.
#[derive(Debug)]
pub(crate) struct Tls {
    served: Arc<ServedLeaf>,
    to_client: ToClient,
    app: AppSide,
    metrics: Arc<Metrics>,
}

/// How the app is spoken to.
#[derive(Debug)]
enum AppSide {
    /// In plain text; whether in HTTP/2 is found out.
    Plain(PriorKnowledge),
    /// By TLS, in which the app chooses the protocol.
    Tls(ToApp),
}

impl Tls {
    /// # Errors
    /// The system has no randomness for the keys of session tickets.
    pub(crate) fn new(settings: &TlsSettings, metrics: Arc<Metrics>) -> Result<Self, rustls::Error> {
        let served = Arc::new(ServedLeaf::default());
        let app = if settings.towards_app.is_on() {
            AppSide::Tls(ToApp::new()?)
        } else {
            AppSide::Plain(PriorKnowledge::default())
        };
        Ok(Self { to_client: ToClient::new(&served)?, served, app, metrics })
    }

    /// Returns the certificate that is shown to clients.
    pub(crate) const fn served(&self) -> &Arc<ServedLeaf> {
        &self.served
    }

    /// Returns whether there is a certificate to end TLS with; where there is none, TLS passes as it is.
    pub(crate) fn is_ready(&self) -> bool {
        self.served.validity().is_some()
    }

    /// Ends the client's TLS, of which the first bytes have come; `reach` makes another connection to the app on `port`.
    pub(crate) async fn end<F>(
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
            account.keep_more(OF_TLS).await;
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
                // What an app says before a handshake is no TLS.
                let answer =
                    if from_app.is_empty() { to_app.connect(app, &hello).await } else { Err(TlsFault::Garbled) };
                match answer {
                    Ok((app, chosen)) => (Wire::from(TlsStream::from(app)), chosen, Flow::default()),
                    Err(fault) => return Err(Failed { side: Side::App, fault, client: Some(hello.client) }),
                }
            }
        };
        // A signature takes a millisecond, in which nobody else of this thread is served.
        background::handshake_turn().await;
        let client = self.to_client.accept(hello, spoken).await?;
        Ok(Pair { client: Wire::from(TlsStream::from(client)), app, from_client: Flow::default(), from_app })
    }
}
