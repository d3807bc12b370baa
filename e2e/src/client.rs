//! One keep-alive client on one connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderMap};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// No answer for so long is a failed request.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A client as they are: it keeps its connection alive, opens another one when the server has announced that it
/// closes this one or has closed it while it was idle, and counts everything else as a failed request. It never repeats
/// a request.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
    opened: u32,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    answers: u32,
}

/// What came back for a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The pod that answered.
    pub pod: Arc<str>,
    /// Which of the client's connections carried it, from 1.
    pub connection: u32,
    /// Which answer on that connection it is, from 1.
    pub ordinal: u32,
    /// Whether it says `Connection: close`.
    pub closes: bool,
    /// From the wish to send until the last byte, a new connection included.
    pub latency: Duration,
}

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// At what it failed.
    pub kind: FailureKind,
    /// The error's own words.
    pub detail: String,
}

/// At what a request can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// No connection could be opened.
    Connect,
    /// The connection ended before the answer had begun.
    Answer,
    /// The connection ended in the middle of the answer.
    Body,
    /// The answer was not 200, or the call's status not OK.
    Status,
    /// There was no answer in time.
    Timeout,
}

impl FailureKind {
    /// Returns its name in figures.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Answer => "cut before the answer",
            Self::Body => "cut in the answer",
            Self::Status => "bad status",
            Self::Timeout => "timeout",
        }
    }

    pub(crate) fn because(self, error: &dyn std::error::Error) -> Failure {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            detail = format!("{detail}: {error}");
            cause = error.source();
        }
        Failure { kind: self, detail }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.label(), self.detail)
    }
}

impl Client {
    /// Returns a client of this address, not yet connected.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, opened: 0 }
    }

    /// Connections opened so far.
    pub fn opened(&self) -> u32 {
        self.opened
    }

    /// Sends `GET /` and reads the whole answer.
    pub async fn get(&mut self) -> Result<Answer, Failure> {
        match timeout(PATIENCE, self.exchange()).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(FailureKind::Timeout.because(&elapsed)),
        }
    }

    async fn exchange(&mut self) -> Result<Answer, Failure> {
        let started = Instant::now();
        let mut connection = self.alive().await?;
        let request = Request::get("/").header(HOST, "web").body(Empty::new()).expect("a request of constants");
        let response =
            connection.sender.send_request(request).await.map_err(|error| FailureKind::Answer.because(&error))?;
        connection.answers += 1;
        let mut answer = Answer {
            pod: field(response.headers(), "x-pod").into(),
            connection: self.opened,
            ordinal: connection.answers,
            closes: announces_close(response.headers()),
            latency: Duration::ZERO,
        };
        read(response).await?;
        answer.latency = started.elapsed();
        if !answer.closes {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Returns the connection at hand, or a new one where there is none or the server has closed it since.
    async fn alive(&mut self) -> Result<Connection, Failure> {
        if let Some(mut connection) = self.connection.take()
            && connection.sender.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let stream = TcpStream::connect(self.address).await.map_err(|error| FailureKind::Connect.because(&error))?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| FailureKind::Connect.because(&error))?;
        tokio::spawn(driver);
        self.opened += 1;
        Ok(Connection { sender, answers: 0 })
    }
}

pub(crate) async fn read(response: Response<hyper::body::Incoming>) -> Result<(), Failure> {
    let status = response.status();
    response.into_body().collect().await.map_err(|error| FailureKind::Body.because(&error))?;
    if status == StatusCode::OK {
        Ok(())
    } else {
        Err(Failure { kind: FailureKind::Status, detail: status.to_string() })
    }
}

pub(crate) fn field<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?")
}

fn announces_close(headers: &HeaderMap) -> bool {
    let tokens = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    tokens.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("close"))
}
