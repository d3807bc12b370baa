//! Keep-alive clients: each keeps one connection until the server closes it, as connection pools do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};

use super::service::Service;
use super::tally::{Answer, Event};

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The number of clients and their load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Clients, each with one connection.
    pub(crate) clients: u16,
    /// Requests per second of each client.
    pub(crate) rate: u16,
    /// The seed for the clients' first requests and the pods of their connections.
    pub(crate) seed: u64,
}

impl Load {
    /// Starts all clients. No request begins after `ends`; the set is empty once each client has its last response.
    pub(crate) fn start(
        &self,
        service: &Service,
        pods: &Arc<[String]>,
        (began, ends): (Instant, Instant),
        events: &UnboundedSender<Event>,
    ) -> JoinSet<()> {
        let mut seeds = fastrand::Rng::with_seed(self.seed);
        let period = Duration::from_secs(1) / u32::from(self.rate);
        let mut running = JoinSet::new();
        for _ in 0..self.clients {
            let mut random = seeds.fork();
            let first = began + period.mul_f64(random.f64());
            let (service, pods, events) = (service.clone(), pods.clone(), events.clone());
            running.spawn(Client { service, pods, random, events, began, connection: None }.run(first, period, ends));
        }
        running
    }
}

struct Client {
    service: Service,
    pods: Arc<[String]>,
    random: fastrand::Rng,
    events: UnboundedSender<Event>,
    began: Instant,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Client {
    /// Sends requests at fixed times. A request that is due while a response is late is sent right after it; the
    /// latency counts from when it was due.
    async fn run(mut self, first: Instant, period: Duration, ends: Instant) {
        let mut moments = interval_at(first, period);
        loop {
            let due = moments.tick().await;
            if due >= ends {
                return;
            }
            let answered = timeout(TIMEOUT, self.request()).await.unwrap_or_else(|_| Err("no answer in time".into()));
            let event = match answered {
                Ok(pod) => Event::Answered(Answer { pod, at: self.began.elapsed(), took: due.elapsed() }),
                Err(why) => Event::Failed(why),
            };
            // Sending fails only if the demo was interrupted: the receiver outlives the clients.
            _ = self.events.send(event);
        }
    }

    /// Sends one request, and never retries it. Returns the pod that answered.
    async fn request(&mut self) -> Result<usize, String> {
        let mut connection = self.connected().await?;
        let request = Request::get("/").header(header::HOST, "web.default.svc").body(Empty::new());
        let request = request.map_err(|error| error.to_string())?;
        let response = connection.send_request(request).await.map_err(|error| format!("{error:?}"))?;
        let pod = self.pod_of(response).await?;
        self.connection = Some(connection);
        Ok(pod)
    }

    /// Returns the open connection, or a new one if the last response announced close.
    async fn connected(&mut self) -> Result<SendRequest<Empty<Bytes>>, String> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let pod = self.service.pick(&mut self.random).ok_or("no pod is ready")?;
        let stream = TcpStream::connect(pod).await.map_err(|error| format!("connect to {pod}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // Errors of the connection are returned by the request that they affect.
        tokio::spawn(driver);
        _ = self.events.send(Event::Connected);
        Ok(connection)
    }

    /// Checks that the response is complete and the app's. Returns its pod.
    async fn pod_of(&self, response: Response<Incoming>) -> Result<usize, String> {
        if response.status() != StatusCode::OK {
            return Err(format!("answered {}", response.status()));
        }
        let name = response.headers().get("x-pod").cloned().ok_or("an answer that no pod signed")?;
        let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        let pod = self.pods.iter().position(|pod| pod.as_bytes() == name.as_bytes());
        pod.filter(|pod| body.strip_suffix(b"\n") == Some(self.pods[*pod].as_bytes()))
            .ok_or_else(|| format!("an answer of another: {name:?}, {body:?}"))
    }
}
