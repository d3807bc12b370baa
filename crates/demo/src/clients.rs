//! Keep-alive clients: each holds one connection for as long as the server lets it, as connection pools do.

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

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many clients there are and what they do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Clients, each with one connection.
    pub(crate) clients: u16,
    /// Requests per second of each client.
    pub(crate) rate: u16,
    /// What their first moments and their connections' pods are drawn from.
    pub(crate) seed: u64,
}

impl Load {
    /// Starts all clients; the set ends once each has its last answer, and no request begins after `ends`.
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
    /// Asks at fixed moments. What falls due while an answer is late is asked right after it, and its wait counts.
    async fn run(mut self, first: Instant, period: Duration, ends: Instant) {
        let mut moments = interval_at(first, period);
        loop {
            let due = moments.tick().await;
            if due >= ends {
                return;
            }
            let answered = timeout(PATIENCE, self.ask()).await.unwrap_or_else(|_| Err("no answer in time".into()));
            let event = match answered {
                Ok(pod) => Event::Answered(Answer { pod, at: self.began.elapsed(), took: due.elapsed() }),
                Err(why) => Event::Failed(why),
            };
            // The act that listens outlives its clients; when the demo is interrupted nobody minds the loss.
            _ = self.events.send(event);
        }
    }

    /// One request, never repeated: whatever goes wrong is a failed request. Gives the pod that answered.
    async fn ask(&mut self) -> Result<usize, String> {
        let mut connection = self.connected().await?;
        let request = Request::get("/").header(header::HOST, "web.default.svc").body(Empty::new());
        let request = request.map_err(|error| error.to_string())?;
        let response = connection.send_request(request).await.map_err(|error| format!("{error:?}"))?;
        let pod = self.pod_of(response).await?;
        self.connection = Some(connection);
        Ok(pod)
    }

    /// Returns the connection that is there, or a new one where the last answer announced its end.
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
        // Its errors reach the request that they concern.
        tokio::spawn(driver);
        _ = self.events.send(Event::Connected);
        Ok(connection)
    }

    /// Checks that the answer is whole and the app's own.
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
