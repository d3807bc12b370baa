//! Relaying with minutes or hours between bytes, on the test's own clock.

use std::task::Waker;

use settings::{Jitter, MaxRequests};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::*;
use crate::relay::observer::notes::Notes;
use retirement::Limits;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
/// Several times what all socket buffers in between hold.
const MUCH: usize = 64 * 1024 * 1024;
/// The number of pauses of a peer that reads so much.
const PAUSES: u32 = 4;
/// The length of a pause.
const PAUSE: Duration = Duration::from_hours(1);

async fn connected() -> (TcpStream, TcpStream, Relay<Notes>) {
    let (client, app, pair) = Pair::with_far_ends().await;
    let limits = Limits::draw(MaxRequests::new(2).unwrap(), None, Jitter::NONE, 0);
    (client, app, Relay::new(pair, Conversation::new(limits, 1024), Notes::default()))
}

async fn send(to: &mut TcpStream, start: &str, body: usize) {
    to.write_all(start.as_bytes()).await.unwrap();
    to.write_all(&vec![b'x'; body]).await.unwrap();
}

/// Reads a head and its body in large pieces, with long pauses between them.
async fn read_with_pauses(from: &mut TcpStream, head: &str, body: usize) {
    let mut bytes = vec![0; head.len()];
    from.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, head.as_bytes());
    let mut gulp = vec![0; body / PAUSES as usize];
    for _ in 0..PAUSES {
        sleep(PAUSE).await;
        from.read_exact(&mut gulp).await.unwrap();
        assert!(gulp.iter().all(|byte| *byte == b'x'));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_for_hours_gets_its_whole_response() {
    for length in [format!("Content-Length: {MUCH}\r\n"), "Connection: close\r\n".to_owned()] {
        let (mut client, mut app, relay) = connected().await;
        let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n");
        let exchange = async {
            client.write_all(GET.as_bytes()).await.unwrap();
            app.read_exact(&mut [0; GET.len()]).await.unwrap();
            tokio::join!(send(&mut app, &head, MUCH), read_with_pauses(&mut client, &head, MUCH));
            drop(app);
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        };
        let (ending, ()) = tokio::join!(relayed(relay), exchange);
        assert_eq!(ending, Ending::Linger, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_reads_nothing_for_hours_gets_its_whole_request() {
    let (mut client, mut app, relay) = connected().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {MUCH}\r\n\r\n");
    let exchange = async {
        tokio::join!(send(&mut client, &head, MUCH), read_with_pauses(&mut app, &head, MUCH));
        app.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 204 No Content\r\n\r\n");
    };
    let (ending, ()) = tokio::join!(relayed(relay), exchange);
    assert_eq!(ending, Ending::Linger);
}

const REFUSAL: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.";

/// Lets the app refuse an upload before its end, and close its direction.
async fn refuse(client: &mut TcpStream, app: &mut TcpStream) {
    client.write_all(UPLOAD.as_bytes()).await.unwrap();
    app.read_exact(&mut [0; UPLOAD.len()]).await.unwrap();
    app.write_all(REFUSAL).await.unwrap();
    app.shutdown().await.unwrap();
    let mut refusal = Vec::new();
    client.read_to_end(&mut refusal).await.unwrap();
    assert_eq!(refusal, REFUSAL);
}

#[tokio::test(start_paused = true)]
async fn after_the_apps_fin_the_request_body_is_still_forwarded() {
    let (mut client, mut app, relay) = connected().await;
    let exchange = async {
        refuse(&mut client, &mut app).await;
        sleep(PAUSE).await;
        client.write_all(b"whole").await.unwrap();
        let mut rest = Vec::new();
        app.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"whole");
        drop(client);
    };
    let (ending, ()) = tokio::join!(relayed(relay), exchange);
    assert_eq!(ending, Ending::Linger);
}

/// The relay has the whole request, and the part that the app has not read does not fit into the socket buffers.
#[tokio::test(start_paused = true)]
async fn after_the_apps_fin_an_unread_request_does_not_lose_the_response() {
    const BODY: usize = 200_000;
    let (mut client, mut app, relay) = connected().await;
    SockRef::from(&app).set_recv_buffer_size(1).unwrap();
    SockRef::from(relay.app.socket()).set_send_buffer_size(1).unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n");
    let exchange = async {
        send(&mut client, &head, BODY).await;
        sleep(PAUSE).await;
        app.write_all(REFUSAL).await.unwrap();
        app.shutdown().await.unwrap();
        let mut refusal = Vec::new();
        client.read_to_end(&mut refusal).await.unwrap();
        assert_eq!(refusal, REFUSAL);
        sleep(PAUSE).await;
        let mut request = Vec::new();
        app.read_to_end(&mut request).await.unwrap();
        assert_eq!(request.len(), head.len() + BODY);
        drop(client);
    };
    let (ending, ()) = tokio::join!(relayed(relay), exchange);
    assert_eq!(ending, Ending::Linger);
}

/// The client may never send more, and no app reads, so the relay must not wait.
#[tokio::test(start_paused = true)]
async fn an_app_that_has_closed_its_socket_ends_the_upload() {
    let (mut client, mut app, mut relay) = connected().await;
    let exchange = async {
        refuse(&mut client, &mut app).await;
        // The kernel answers a probe with a reset once it has no record of the connection.
        app.set_zero_linger().unwrap();
        drop(app);
        std::future::pending::<()>().await;
    };
    let ending = timeout(Duration::from_mins(1), async {
        tokio::select! {
            ending = relay.run() => ending,
            () = exchange => panic!("it waits"),
        }
    });
    assert_eq!(ending.await, Ok(Ending::Linger));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_relayed_in_turns_arrives_whole() {
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
async fn a_long_body_waits_for_its_turn() {
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
    // The relay is not polled when its turn comes.
    timeout(Duration::from_secs(1), app.peek(&mut [0])).await.unwrap_err();
    let mut piece = [0; 5];
    tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        read = app.read_exact(&mut piece) => assert_eq!(read.unwrap(), piece.len()),
    }
    assert_eq!(&piece, b"piece");
}

/// This includes responses on connections that do not persist.
#[tokio::test(start_paused = true)]
async fn every_response_shows_that_the_app_is_alive() {
    for (request, response) in [
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (GET, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (GET, "HTTP/1.1 200 OK\r\n\r\n"),
        (GET, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        (GET, "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let (mut client, mut app, mut relay) = connected().await;
        let exchange = async {
            client.write_all(request.as_bytes()).await.unwrap();
            app.read_exact(&mut vec![0; request.len()]).await.unwrap();
            app.write_all(response.as_bytes()).await.unwrap();
            client.read_exact(&mut vec![0; response.len()]).await.unwrap();
            drop(app);
        };
        tokio::join!(relay.run(), exchange);
        assert_eq!(relay.observer.answers.get(), 1, "{response:?} to {request:?}");
    }
}

/// Runs the relay, closes both sides, and returns how it ended.
/// Other tasks of the thread get their turn before the rest of a long body.
#[tokio::test(start_paused = true)]
async fn much_of_a_body_is_relayed_in_several_turns() {
    let (mut client, mut app, mut relay) = connected().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let mut request = [0; GET.len()];
    tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        read = app.read_exact(&mut request) => assert_eq!(read.unwrap(), GET.len()),
    }
    app.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n").as_bytes()).await.unwrap();
    let mut sent = 0;
    while let Ok(count) = app.try_write(&[b'x'; 8192]) {
        sent += count;
    }
    assert!(sent > 3_000_000, "{sent} bytes wait, which is less than a turn may move");
    // Time for the runtime to find the sockets ready.
    sleep(Duration::from_millis(1)).await;
    assert!(poll_fn(|cx| Poll::Ready(relay.poll(cx).is_pending())).await);
    assert!(relay.background.has_yielded());
}

async fn relayed(mut relay: Relay<Notes>) -> Ending {
    relay.run().await
}
