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

/// The timeout of a request.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

/// A typical client: it keeps its connection alive, and opens another one if the server has announced close, or has
/// closed it while it was idle. Everything else counts as a failed request. It never retries.
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

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The pod that answered.
    pub pod: Arc<str>,
    /// The number of the client's connection, from 1.
    pub connection: u32,
    /// Its number on that connection, from 1.
    pub ordinal: u32,
    /// Whether it has `Connection: close`.
    pub closes: bool,
    /// The time from the start of the request to the last byte, with the time of a new connection.
    pub latency: Duration,
}

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The text of the error.
    pub detail: String,
}

/// Kinds of failed requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// No connection could be opened.
    Connect,
    /// The connection ended before the response.
    Answer,
    /// The connection ended within the response.
    Body,
    /// The status was not 200, or the status of the call was not OK.
    Status,
    /// The request timed out.
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
    /// Returns a client of this address that is not connected yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, opened: 0 }
    }

    /// Returns how many connections it has opened so far.
    pub fn opened(&self) -> u32 {
        self.opened
    }

    /// Sends `GET /` and reads the whole response.
    pub async fn get(&mut self) -> Result<Answer, Failure> {
        match timeout(TIMEOUT, self.exchange()).await {
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

    /// Returns the open connection, or a new one if there is none or the server has closed it.
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
