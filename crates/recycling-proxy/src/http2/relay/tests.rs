//! Relaying with hours or milliseconds between frames, mostly on the test's own clock.

use settings::{Jitter, MaxRequests};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::*;
use crate::http2::frame::{ErrorCode, first_goaway, goaway, ping};
use crate::relay::observer::notes::Notes;
use retirement::{Limits, RetireReason};

const OUR_PING: [u8; 8] = *b"evenkeel";
const LAST_PING: [u8; 8] = *b"\x9a\x89\x9a\x91\x94\x9a\x9a\x93";
/// Far longer than the wait for an answer to a PING without progress.
const LONG: Duration = Duration::from_mins(10);
/// A grace period that never ends: the test's clock advances while the kernel moves bytes.
const UNREACHED: Duration = Duration::from_hours(1_000_000);
/// A few times the bound of the last step.
const SHORT_GRACE: Duration = Duration::from_secs(4);
const GRACE: Duration = Duration::from_mins(45);
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Returns a relay between two peers, with a limit of two streams.
async fn connected() -> (TcpStream, TcpStream, Relay<Notes>) {
    connected_with(GRACE).await
}

async fn connected_with(grace: Duration) -> (TcpStream, TcpStream, Relay<Notes>) {
    let (client, app, pair) = Pair::with_far_ends().await;
    let limits = Limits::draw(MaxRequests::new(2).unwrap(), None, Jitter::NONE, 0);
    let session = Session::new(limits, OUR_PING);
    (client, app, Relay::new(pair, session, Notes::default(), grace, std::future::pending()))
}

fn headers(flags: u8, stream: u8) -> Vec<u8> {
    [&[0, 0, 1, 1, flags, 0, 0, 0, stream], &b"\x88"[..]].concat()
}

async fn expect(peer: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    peer.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, expected);
}

/// Sends the preface and two requests to the app, which responds to the first.
async fn open(client: &mut TcpStream, app: &mut TcpStream) {
    let opening = [PREFACE, SETTINGS, &headers(4, 1), &headers(5, 3)].concat();
    client.write_all(&opening).await.unwrap();
    expect(app, &opening).await;
    let answer = [SETTINGS, &headers(4, 1)].concat();
    app.write_all(&answer).await.unwrap();
    expect(client, &answer).await;
}

/// Returns the first GOAWAY and PING, and what follows them.
fn announced(frames: &[u8]) -> Vec<u8> {
    [&first_goaway(), &ping(OUR_PING)[..], frames].concat()
}

/// Returns the last GOAWAY and PING.
fn last_goaway(last: u32) -> Vec<u8> {
    [goaway(last, ErrorCode::NoError), ping(LAST_PING)].concat()
}

/// Stream 1 never ends; with the answer to stream 3 the connection is retired.
#[tokio::test(start_paused = true)]
async fn a_stream_that_never_ends_keeps_the_connection_for_its_grace_period() {
    let (mut client, mut app, mut relay) = connected().await;
    let both = async {
        open(&mut client, &mut app).await;
        app.write_all(&headers(5, 3)).await.unwrap();
        expect(&mut client, &announced(&headers(5, 3))).await;
        let mut answer = ping(OUR_PING);
        answer[4] = 1;
        client.write_all(&answer).await.unwrap();
        let begun = Instant::now();
        let message = [0, 0, 1, 0, 0, 0, 0, 0, 1, b'x'];
        app.write_all(&message).await.unwrap();
        expect(&mut client, &message).await;
        expect(&mut client, &last_goaway(3)).await;
        begun.elapsed()
    };
    let (ending, waited) = tokio::join!(relay.run(), both);
    assert_eq!(ending, Ending::Linger);
    assert!(waited >= GRACE && waited < GRACE + Duration::from_secs(1), "{waited:?}");
    assert_eq!(*relay.observer.retired.borrow(), [RetireReason::MaxRequests]);
    assert_eq!(relay.observer.answers.get(), 3, "two responses, and a message after the GOAWAY");
}

/// A request in flight is not met by a GOAWAY, later frames of the app do not overtake held-back ones, and requests are
/// not delayed.
#[tokio::test(start_paused = true)]
async fn the_announcing_response_and_later_frames_wait_until_the_goaway_may_be_sent() {
    let (mut client, mut app, mut relay) = connected().await;
    let both = async {
        open(&mut client, &mut app).await;
        let begun = Instant::now();
        app.write_all(&[headers(5, 3), headers(5, 1)].concat()).await.unwrap();
        client.write_all(&headers(5, 5)).await.unwrap();
        expect(&mut app, &headers(5, 5)).await;
        app.write_all(&headers(5, 5)).await.unwrap();
        drop(app);
        assert!(begun.elapsed() < Duration::from_millis(5), "{:?}", begun.elapsed());
        expect(&mut client, &announced(&[headers(5, 3), headers(5, 1), headers(5, 5)].concat())).await;
        let waited = begun.elapsed();
        assert_eq!(client.read(&mut [0]).await.unwrap_or_default(), 0);
        waited
    };
    let ((), waited) = tokio::join!(async move { assert_eq!(relay.run().await, Ending::Linger) }, both);
    assert!((Duration::from_millis(5)..Duration::from_millis(7)).contains(&waited), "{waited:?}");
}

/// Returns a response that is longer than the socket buffers of a client that does not read.
fn long_response(stream: u8) -> Vec<u8> {
    [frame_of(0x4000, 0, stream).repeat(40), frame_of(1, 1, stream)].concat()
}

/// Returns a DATA frame of this length, at most 16 KiB.
fn frame_of(length: u16, flags: u8, stream: u8) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    [&[0, high, low, 0, flags, 0, 0, 0, stream][..], &vec![7; usize::from(length)]].concat()
}

fn answer_to(ping_of_ours: [u8; 8]) -> [u8; 17] {
    let mut answer = ping(ping_of_ours);
    answer[4] = 1;
    answer
}

/// The PING follows a response that the client has not read, so the client cannot have answered it.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_does_not_count_as_unresponsive() {
    let (mut client, mut app, mut relay) = connected_with(UNREACHED).await;
    let both = async {
        open(&mut client, &mut app).await;
        let upload = frame_of(1, 1, 1);
        client.write_all(&upload).await.unwrap();
        expect(&mut app, &upload).await;
        let long = long_response(1);
        app.write_all(&[&long[..], &headers(5, 3)].concat()).await.unwrap();
        sleep(LONG).await;
        tokio::time::resume();
        // The client has not read the GOAWAY yet.
        client.write_all(&headers(5, 5)).await.unwrap();
        expect(&mut app, &headers(5, 5)).await;
        app.write_all(&headers(5, 5)).await.unwrap();
        expect(&mut client, &[long, announced(&headers(5, 3)), headers(5, 5)].concat()).await;
        client.write_all(&answer_to(OUR_PING)).await.unwrap();
        expect(&mut client, &last_goaway(5)).await;
        client.write_all(&answer_to(LAST_PING)).await.unwrap();
        Instant::now()
    };
    let (ending, answered) = tokio::join!(relay.run(), both);
    assert_eq!(ending, Ending::Linger);
    assert!(relay.session.has_been_read());
    assert!(answered.elapsed() < Duration::from_secs(2), "{:?}", answered.elapsed());
}

/// The last response is still in flight when every frame is written. The app's answers to the client's PINGs still pass.
#[tokio::test(start_paused = true)]
async fn the_connection_ends_after_its_last_response_is_read() {
    let (mut client, mut app, mut relay) = connected_with(UNREACHED).await;
    let both = async {
        open(&mut client, &mut app).await;
        client.write_all(&frame_of(1, 1, 1)).await.unwrap();
        expect(&mut app, &frame_of(1, 1, 1)).await;
        app.write_all(&headers(5, 3)).await.unwrap();
        expect(&mut client, &announced(&headers(5, 3))).await;
        client.write_all(&answer_to(OUR_PING)).await.unwrap();
        let long = long_response(1);
        app.write_all(&long).await.unwrap();
        sleep(LONG).await;
        tokio::time::resume();
        client.write_all(&ping(*b"theirown")).await.unwrap();
        expect(&mut app, &ping(*b"theirown")).await;
        app.write_all(&answer_to(*b"theirown")).await.unwrap();
        expect(&mut client, &[&long[..], &last_goaway(3), &answer_to(*b"theirown")].concat()).await;
        client.write_all(&answer_to(LAST_PING)).await.unwrap();
    };
    let (ending, ()) = tokio::join!(relay.run(), both);
    assert_eq!((ending, relay.session.has_been_read()), (Ending::Linger, true));
}

/// The app resets the connection within one response, while another, complete one is in flight to a client that reads
/// slowly. A reset would destroy that one. The first is incomplete without `END_STREAM`.
#[tokio::test]
async fn a_reset_by_the_app_does_not_destroy_complete_responses() {
    let (mut client, mut app, mut relay) = connected_with(UNREACHED).await;
    let long = long_response(1);
    let both = async {
        open(&mut client, &mut app).await;
        client.write_all(&frame_of(1, 1, 1)).await.unwrap();
        expect(&mut app, &frame_of(1, 1, 1)).await;
        app.write_all(&long).await.unwrap();
        expect(&mut client, &long[..1]).await;
        app.set_zero_linger().unwrap();
        drop(app);
    };
    let (ending, ()) = tokio::join!(relay.run(), both);
    assert_eq!(ending, Ending::Linger);
    assert!(relay.session.has_open_streams());
}

/// Returns how long the relay waits after the last response if the client does not answer the last PING. The client sends
/// other frames if `sends` is true.
async fn unanswered(sends: bool) -> Duration {
    let (mut client, mut app, mut relay) = connected_with(SHORT_GRACE).await;
    let begun = Instant::now();
    let both = async {
        open(&mut client, &mut app).await;
        client.write_all(&frame_of(1, 1, 1)).await.unwrap();
        app.write_all(&[frame_of(1, 1, 1), headers(5, 3)].concat()).await.unwrap();
        expect(&mut client, &[frame_of(1, 1, 1), announced(&headers(5, 3))].concat()).await;
        client.write_all(&answer_to(OUR_PING)).await.unwrap();
        loop {
            sleep(Duration::from_millis(500)).await;
            if sends {
                client.write_all(&ping(*b"theirown")).await.unwrap();
            }
        }
    };
    tokio::select! {
        ending = relay.run() => assert_eq!(ending, Ending::Linger),
        () = both => {}
    }
    assert_eq!(relay.session.shutdown(), GracefulShutdown::LastGoawaySent { last: 3, has_read: false });
    begun.elapsed()
}

/// In real time, because the client's kernel delays acknowledgements.
#[tokio::test]
async fn an_unresponsive_client_gets_a_fin_once_it_makes_no_progress() {
    let (silent, sending) = tokio::join!(unanswered(false), unanswered(true));
    assert!(silent >= Duration::from_secs(1) && silent < sending, "{silent:?} and {sending:?}");
    assert!(sending >= SHORT_GRACE, "{sending:?}");
}

/// Stream 3 is never answered.
#[tokio::test(start_paused = true)]
async fn a_drain_that_ends_does_not_wait_for_a_response() {
    let (mut client, mut app, pair) = Pair::with_far_ends().await;
    let limits = Limits::draw(MaxRequests::new(1000).unwrap(), None, Jitter::NONE, 0);
    let begun = Instant::now();
    let draining = async { Instant::now() + Duration::from_secs(15) };
    let mut relay = Relay::new(pair, Session::new(limits, OUR_PING), Notes::default(), GRACE, draining);
    let both = async {
        open(&mut client, &mut app).await;
        expect(&mut client, &announced(b"")).await;
        begun.elapsed()
    };
    let waited = tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        waited = both => waited,
    };
    assert!((Duration::from_secs(15)..Duration::from_secs(16)).contains(&waited), "{waited:?}");
    assert_eq!(*relay.observer.retired.borrow(), [RetireReason::Drain]);
}

/// Other tasks of the thread get their turn before the rest of a large batch of frames.
#[tokio::test(start_paused = true)]
async fn a_flood_of_small_frames_is_relayed_in_several_turns() {
    let (mut client, mut app, mut relay) = connected().await;
    tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        () = open(&mut client, &mut app) => {}
    }
    let flood = ping(*b"theirown").repeat(100_000);
    let sent = client.try_write(&flood).unwrap();
    assert!(sent > 500_000, "{sent} bytes wait");
    // Time for the runtime to find the sockets ready.
    sleep(Duration::from_millis(1)).await;
    assert!(poll_fn(|cx| Poll::Ready(relay.poll(cx).is_pending())).await);
    assert!(relay.background.has_yielded());
    let mut passed = vec![0; sent];
    let moved = app.read(&mut passed).await.unwrap();
    assert!(moved < 256 * 1024, "{moved} bytes in one turn");
    tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        rest = app.read_exact(&mut passed[moved..]) => assert_eq!(rest.unwrap(), sent - moved),
    }
    assert!(passed == flood[..sent], "the frames have changed");
}

/// A client may leave unread what its flow-control window allows, for as long as it wants.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_for_hours_gets_its_whole_response() {
    const FRAMES: usize = 4096;
    let (mut client, mut app, mut relay) = connected().await;
    tokio::select! {
        _ = relay.run() => panic!("the relay has ended"),
        () = open(&mut client, &mut app) => {}
    }
    let frame = [&[0, 0x40, 0, 0, 0, 0, 0, 0, 1][..], &[0; 0x4000]].concat();
    let read = async {
        for number in 0..FRAMES {
            if number.is_multiple_of(FRAMES / 4) {
                sleep(Duration::from_hours(1)).await;
            }
            expect(&mut client, &frame).await;
        }
    };
    let send = async {
        for _ in 0..FRAMES {
            app.write_all(&frame).await.unwrap();
        }
    };
    tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        ((), ()) = async { tokio::join!(send, read) } => {}
    }
}

/// httpx fails a response that it reads together with a GOAWAY and a frame after it.
#[tokio::test(start_paused = true)]
async fn after_a_response_nothing_follows_the_goaway_for_100_ms() {
    let (mut client, mut app, mut relay) = connected().await;
    let h2 = [1, 2, 4, 5, 3, 6].map(|identifier| [0, identifier, 0, 1, 0, 0]).concat();
    let opening = [PREFACE, &[0, 0, 36, 4, 0, 0, 0, 0, 0], &h2, &headers(5, 1)].concat();
    let both = async {
        client.write_all(&opening).await.unwrap();
        expect(&mut app, &opening).await;
        app.write_all(&[SETTINGS, &headers(5, 1)].concat()).await.unwrap();
        expect(&mut client, &[SETTINGS, &headers(5, 1)].concat()).await;
        client.write_all(&headers(5, 3)).await.unwrap();
        expect(&mut app, &headers(5, 3)).await;
        app.write_all(&headers(5, 3)).await.unwrap();
        expect(&mut client, &[headers(5, 3), first_goaway().to_vec()].concat()).await;
        let announced_at = Instant::now();
        expect(&mut client, &ping(OUR_PING)).await;
        announced_at.elapsed()
    };
    let waited = tokio::select! {
        ending = relay.run() => panic!("{ending:?}"),
        waited = both => waited,
    };
    assert!((Duration::from_millis(99)..Duration::from_millis(102)).contains(&waited), "{waited:?}");
    assert_eq!(*relay.observer.retired.borrow(), [RetireReason::MaxRequests]);
}
