//! Valid requests and responses, most of them unusual.

use std::fmt::Write as _;

use test_support::{End, Peer, TestResult};

/// A request, its response, and whether the app then closes the connection.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
    pub(crate) ends: Ends,
}

/// What comes after an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The connection stays open.
    Open,
    /// The app closes the connection, which ends its response.
    ByApp,
}

impl Exchange {
    pub(crate) fn new(name: &str, request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) -> Self {
        let (request, response) = (request.as_ref().to_vec(), response.as_ref().to_vec());
        Self { name: name.to_owned(), request, response, ends: Ends::Open }
    }

    fn closing(self) -> Self {
        Self { ends: Ends::ByApp, ..self }
    }

    /// Plays client and app, and checks that each receives exactly the other's bytes.
    pub(crate) async fn play(&self, client: &mut Peer, app: &mut Peer) -> TestResult {
        tokio::try_join!(client.send(&self.request), app.expect(&self.request))?;
        tokio::try_join!(app.send(&self.response), client.expect(&self.response))?;
        if self.ends == Ends::ByApp {
            app.half_close().await?;
            client.expect_end(End::Fin).await?;
            client.half_close().await?;
            app.expect_end(End::Fin).await?;
        }
        Ok(())
    }
}

/// Returns short exchanges: every kind of framing, and fields that proxies tend to change.
pub(crate) fn short() -> Vec<Exchange> {
    let mut all = requests();
    all.extend(responses());
    all.extend(without_a_body());
    all.extend(closing());
    all
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn requests() -> Vec<Exchange> {
    let chunked = "POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![
        Exchange::new("plain", GET, EMPTY),
        Exchange::new(
            "odd fields",
            b"GET / HTTP/1.1\r\nhOsT:a\r\nX-b: 1\r\nx-A:\t two  words \t\r\nX-B:\r\nx-b: \xa0\xff\r\n\r\n",
            EMPTY,
        ),
        Exchange::new(
            "every token character",
            "!#$%&'*+-.^_`|~0Az / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~0Az: x\r\n\r\n",
            EMPTY,
        ),
        Exchange::new("absolute form", "GET http://b/c?d=e HTTP/1.1\r\nHost: b\r\n\r\n", EMPTY),
        Exchange::new("asterisk form", "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", EMPTY),
        Exchange::new("odd target", "GET /%00/../;a?<>\"{}|^` HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", EMPTY),
        Exchange::new(
            "hop-by-hop fields",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, TE, keep-alive\r\nx: y\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\r\n",
            EMPTY,
        ),
        Exchange::new("no length", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", EMPTY),
        Exchange::new("length 0", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", EMPTY),
        Exchange::new("length", "PUT / HTTP/1.1\r\nCONTENT-LENGTH: 0011\r\nHost: a\r\n\r\nGET / \r\n\r\n\0", EMPTY),
        Exchange::new("body of a GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", EMPTY),
        Exchange::new("chunked, no chunk", format!("{chunked}0\r\n\r\n"), EMPTY),
        Exchange::new("chunks", format!("{chunked}5\r\n0\r\n\r\n\r\n000A\r\n0123456789\r\n00\r\n\r\n"), EMPTY),
        Exchange::new("extensions", format!("{chunked}1;a\r\nx\r\n1;a=b;c=\"d;e\\\"\"\r\ny\r\n0;last\r\n\r\n"), EMPTY),
        Exchange::new("trailers", format!("{chunked}1\r\nx\r\n0\r\nX-Sum: 1\r\nx-more:\t2 \r\n\r\n"), EMPTY),
        Exchange::new(
            "gzip, chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunKed\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            EMPTY,
        ),
        Exchange::new(
            "codings on two lines",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            EMPTY,
        ),
        Exchange::new(
            "HTTP/1.0 kept alive",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
        ),
    ]
}

fn responses() -> Vec<Exchange> {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    vec![
        Exchange::new("length", GET, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n\r\n\r\nabc"),
        Exchange::new("no reason", GET, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
        Exchange::new("odd reason", GET, b"HTTP/1.1 299 \tSo  \xe9 so\t \r\nContent-Length: 0\r\n\r\n"),
        Exchange::new("odd fields", GET, b"HTTP/1.1 200 OK\r\nset-COOKIE: a\r\nSet-Cookie:b\r\nX: \t\xfe \t\r\nY:\r\nContent-Length:0 \r\nX: again\r\n\r\n"),
        Exchange::new("connection fields", GET, "HTTP/1.1 200 OK\r\nConnection: keep-alive, X\r\nKeep-Alive: timeout=5, max=9\r\nContent-Length: 0\r\n\r\n"),
        Exchange::new("chunks", GET, format!("{chunked}a;x=\"y\"\r\n0123456789\r\n01\r\n\n\r\n0\r\n\r\n")),
        Exchange::new("trailers", GET, format!("{chunked}1\r\nx\r\n000;e\r\nETag: \"a\"\r\nServer-Timing: b;dur=1\r\n\r\n")),
        Exchange::new("error", GET, "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"),
        Exchange::new("unknown status", GET, "HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n"),
        Exchange::new("HTTP/1.0 length", GET, "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok"),
        Exchange::new("interim responses", GET, format!("{}{EMPTY}", interim(3))),
    ]
}

/// Returns `count` interim responses: 100, 102 and 103 in turn.
pub(crate) fn interim(count: usize) -> String {
    let kinds = [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nX-Done: 10%\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nlink:</b>\r\n\r\n",
    ];
    kinds.iter().cycle().take(count).copied().collect()
}

fn without_a_body() -> Vec<Exchange> {
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    vec![
        Exchange::new("HEAD with a length", head, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        Exchange::new("HEAD with a coding", head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Exchange::new(
            "HEAD with a length and a coding",
            head,
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        Exchange::new(
            "HEAD with two lengths",
            head,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        ),
        Exchange::new(
            "304 with a length and a coding",
            GET,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        Exchange::new(
            "white space behind chunk sizes",
            GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5  \r\nhello\r\n0 \t\r\n\r\n",
        ),
        Exchange::new("HEAD without either", head, "HTTP/1.1 200 OK\r\n\r\n"),
        Exchange::new("204", GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        Exchange::new("304", GET, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
        Exchange::new("304 with a length", GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        Exchange::new("205", GET, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
    ]
}

fn closing() -> Vec<Exchange> {
    let old = "GET / HTTP/1.0\r\n\r\n";
    vec![
        Exchange::new("until close", GET, "HTTP/1.1 200 OK\r\n\r\nall of it").closing(),
        Exchange::new("until close, empty", GET, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").closing(),
        Exchange::new("HTTP/1.0", old, "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nall").closing(),
        Exchange::new("HTTP/1.0 with a length", old, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").closing(),
        Exchange::new("closed by the app", GET, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .closing(),
        Exchange::new(
            "closed by the client, in a list",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-A, cLOSE ,X-B\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        )
        .closing(),
        Exchange::new(
            "closed by the client",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        )
        .closing(),
    ]
}

/// Returns long exchanges: bodies larger than any buffer, heads near their limit, very many chunks.
pub(crate) fn long() -> Vec<Exchange> {
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let with_body = |start: &str| [format!("{start}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let one_chunk = |start: &str| {
        let head = format!("{start}Transfer-Encoding: chunked\r\n\r\n{:X}\r\n", body.len());
        [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
    };
    let small_chunks: String = (0..5_000).fold(String::new(), |mut all, n| {
        let _ = write!(all, "{:x};n={n}\r\n{}\r\n", 1 + n % 17, &"abcdefghijklmnopqrs"[..=n % 17]);
        all
    });
    let fields: String = (0..1_500).fold(String::new(), |mut all, n| {
        let _ = write!(all, "X-Field-{n}: {}\r\n", "v".repeat(n % 100));
        all
    });
    let (request, response) = ("POST / HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 200 OK\r\n");
    vec![
        Exchange::new("long bodies", with_body(request), with_body(response)),
        Exchange::new("long chunks", one_chunk(request), one_chunk(response)),
        Exchange::new(
            "many chunks",
            format!("{request}Transfer-Encoding: chunked\r\n\r\n{small_chunks}0\r\n\r\n"),
            format!("{response}Transfer-Encoding: chunked\r\n\r\n{small_chunks}0\r\n\r\n"),
        ),
        Exchange::new(
            "many fields",
            format!("{request}{fields}Content-Length: 0\r\n\r\n"),
            format!("{response}{fields}Content-Length: 0\r\n\r\n"),
        ),
        Exchange::new(
            "one long field",
            format!("{request}X: {}\r\n\r\n", "x".repeat(100_000)),
            format!("{response}X: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(100_000)),
        ),
        Exchange::new("fifty interim responses", GET, format!("{}{EMPTY}", interim(50))),
        Exchange::new("long until close", GET, [b"HTTP/1.1 200 OK\r\n\r\n", body.as_slice()].concat()).closing(),
    ]
}
