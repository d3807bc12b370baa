//! What takes a minute, on a clock that is the test's own.

use std::task::Waker;

use settings::{Jitter, MaxRequests};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::observer::notes::Notes;
use crate::recycle::Limits;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
/// More than all sockets in between hold.
const MUCH: usize = 32 * 1024 * 1024;

async fn connected() -> (TcpStream, TcpStream, Relay<Notes>) {
    let (client, app, pair) = Pair::with_far_ends().await;
    let limits = Limits::draw(MaxRequests::new(2).unwrap(), None, Jitter::NONE, 0);
    (client, app, Relay::new(pair, Conversation::new(limits, 1024), Notes::default()))
}

/// Sends for as long as it is taken.
async fn pour(into: &mut TcpStream, head: &str) {
    let piece = vec![b'x'; 64 * 1024];
    into.write_all(head.as_bytes()).await.unwrap();
    while into.write_all(&piece).await.is_ok() {}
}

/// Takes nothing for a while, then much, then nothing ever again.
async fn take_a_gulp(from: &mut TcpStream, after: Duration) {
    sleep(after).await;
    from.read_exact(&mut vec![0; MUCH]).await.unwrap();
    std::future::pending::<()>().await;
}

/// How the relay ends, and after what time, when one side pours and the other takes a gulp.
async fn ending(relay: &mut Relay<Notes>, from: &mut TcpStream, head: &str, to: &mut TcpStream) -> (Ending, Duration) {
    let begun = Instant::now();
    let gulp = Duration::from_secs(59);
    let ending = tokio::select! {
        ending = relay.run() => ending,
        () = pour(from, head) => panic!("nobody else ends the connection"),
        () = take_a_gulp(to, gulp) => panic!("it takes no more"),
    };
    (ending, begun.elapsed().saturating_sub(gulp))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_a_minute_is_cut() {
    let (mut client, mut app, mut relay) = connected().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let (ending, after) = ending(&mut relay, &mut app, ANSWER, &mut client).await;
    assert_eq!(ending, Ending::Reset);
    assert!((STALL_TIME..STALL_TIME + Duration::from_secs(1)).contains(&after), "{after:?}");
    assert_eq!(*relay.observer.stalled.borrow(), [Side::Client]);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_takes_nothing_for_a_minute_is_cut() {
    let (mut client, mut app, mut relay) = connected().await;
    let (ending, after) = ending(&mut relay, &mut client, POST, &mut app).await;
    assert_eq!(ending, Ending::Reset);
    assert!((STALL_TIME..STALL_TIME + Duration::from_secs(1)).contains(&after), "{after:?}");
    assert_eq!(*relay.observer.stalled.borrow(), [Side::App]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waits_for_its_turns_arrives_whole() {
    const PIECES: usize = 20;
    let piece = [b'x'; 100];
    let (mut client, mut app, relay) = connected().await;
    let send = async {
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n").await.unwrap();
        for _ in 0..PIECES {
            sleep(Duration::from_secs(10)).await;
            client.write_all(&piece).await.unwrap();
        }
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let echo = async {
        let mut request = [0; 100];
        let mut taken = 0;
        while !request[..taken].ends_with(b"\r\n\r\n") {
            taken += app.read(&mut request[taken..]).await.unwrap();
        }
        app.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n").await.unwrap();
        for _ in 0..PIECES {
            let mut echoed = piece;
            app.read_exact(&mut echoed).await.unwrap();
            app.write_all(&echoed).await.unwrap();
        }
    };
    let (answer, (), ending) = tokio::join!(send, echo, relayed(relay));
    assert_eq!(ending, Ending::Linger);
    assert!(answer.ends_with(&piece.repeat(PIECES)), "{}", answer.escape_ascii());
}

#[tokio::test(start_paused = true)]
async fn a_piece_of_a_long_body_waits_for_its_turn() {
    let (mut client, mut app, mut relay) = connected().await;
    client.write_all(POST.as_bytes()).await.unwrap();
    let mut head = [0; POST.len()];
    tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        read = app.read_exact(&mut head) => assert_eq!(read.unwrap(), POST.len()),
    }
    sleep(Duration::from_secs(2)).await;
    client.write_all(b"piece").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(relay.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // Nobody polls the relay when it is its turn.
    timeout(Duration::from_secs(1), app.peek(&mut [0])).await.unwrap_err();
    let mut piece = [0; 5];
    tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        read = app.read_exact(&mut piece) => assert_eq!(read.unwrap(), piece.len()),
    }
    assert_eq!(&piece, b"piece");
}

/// How the relay ends; both sides are closed then.
async fn relayed(mut relay: Relay<Notes>) -> Ending {
    relay.run().await
}
