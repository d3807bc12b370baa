//! Peers that stall do not delay others.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::StatusCode;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use webhook::review::LARGEST_BODY;

use crate::running::{Http1, Running, collect, review_of_deployment};

/// More than the webhook has slots for connections.
const SLOW: usize = 600;
/// The webhook's slots for connections.
const SLOTS: usize = 512;
/// How many bodies of the largest size the webhook receives at once.
const MOST_BODIES: usize = 5;
/// `timeoutSeconds` in the chart; less than the timeout of a handshake.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The beginning of a `ClientHello`: a record of 512 bytes is announced, and six of them come.
const HALF_A_CLIENT_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_slow_handshakes_delay_no_review() {
    raise_the_descriptor_limit();
    let webhook = Running::injecting().await;
    let review = review_of_deployment(&json!({})).to_string();
    let mut known = Http1::new(webhook.connect().await).await;
    assert_eq!(ask(&mut known, &review).await, StatusCode::OK);

    let slow = begin(webhook.reviews, HALF_A_CLIENT_HELLO).await;
    let posted = timeout(TIMEOUT, webhook.post(review.clone())).await;
    assert_eq!(posted.expect("a new connection is served in time").0, StatusCode::OK);
    assert_eq!(ask(&mut known, &review).await, StatusCode::OK, "an earlier connection is served");
    assert!(open(&slow) < SLOTS, "{} slow peers are connected", open(&slow));
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_slow_heads_delay_no_probe() {
    raise_the_descriptor_limit();
    let webhook = Running::injecting().await;
    let slow = begin(webhook.admin, b"GET /met").await;
    let probed = timeout(TIMEOUT, webhook.get("/readyz")).await;
    assert_eq!(probed.expect("a probe is served in time").0, StatusCode::OK);
    assert!(open(&slow) < SLOTS, "{} slow peers are connected", open(&slow));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_bodies_are_evicted() {
    raise_the_descriptor_limit();
    let webhook = Running::injecting().await;
    let mut slow = Vec::new();
    for begun in ["POST /mut", "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"] {
        let mut stream = webhook.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let _others = begin(webhook.reviews, HALF_A_CLIENT_HELLO).await;
    for mut stream in slow {
        // A reset is fine, too.
        let closed = timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "they are older than the others and had no response");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_bodies_are_evicted() {
    let webhook = Running::injecting().await;
    let begun = format!("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: {LARGEST_BODY}\r\n\r\n");
    let begun = begun + &" ".repeat(LARGEST_BODY - 1);
    let mut slow = Vec::new();
    for _ in 0..MOST_BODIES * 2 {
        let mut stream = webhook.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let review = review_of_deployment(&json!({})).to_string();
    let large = review.clone() + &" ".repeat(LARGEST_BODY - review.len());
    let posted = timeout(TIMEOUT, webhook.post(large)).await;
    assert_eq!(posted.expect("a large review is served in time").0, StatusCode::OK);
    for stream in &mut slow[..MOST_BODIES] {
        // A reset is fine, too.
        let closed = timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "there is no memory for all of them");
    }
}

/// Opens connections that send `begun` and nothing more.
async fn begin(address: SocketAddr, begun: &[u8]) -> Vec<TcpStream> {
    let mut slow = Vec::with_capacity(SLOW);
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        slow.push(stream);
    }
    slow
}

async fn ask(connection: &mut Http1, review: &str) -> StatusCode {
    let response = connection.post(review.to_owned()).await;
    let status = response.status();
    collect(response).await;
    status
}

/// Returns how many connections the webhook has not closed.
fn open(peers: &[TcpStream]) -> usize {
    let is_open = |peer: &&TcpStream| peer.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    peers.iter().filter(is_open).count()
}

/// Both ends of every connection are in this process.
fn raise_the_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(limit.current.is_none_or(|files| files > 8192), "a process may hold only {limit:?} here");
}
