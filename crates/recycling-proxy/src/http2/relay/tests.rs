//! What takes an hour, on a clock that does not.

use settings::{Jitter, MaxRequests};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::http2::frame::{ErrorCode, first_goaway, goaway, ping};
use crate::metrics::Side;
use crate::recycle::{Limits, Moment, RetireReason};

const OUR_PING: [u8; 8] = *b"evenkeel";
const GRACE: Duration = Duration::from_mins(45);
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Nobody listens.
struct Silent;

impl Observer for Silent {
    fn moment(&self) -> Moment {
        Moment { age: Duration::ZERO, draining: false, marked: false }
    }

    fn request_started(&self) {}
    fn retired(&self, _reason: RetireReason) {}
    fn faulted(&self, _side: Side, _fault: AnyFault) {}
}

async fn connection() -> (TcpStream, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (far.unwrap(), Wire::Plain(near.unwrap().0))
}

fn headers(flags: u8, stream: u8) -> Vec<u8> {
    [&[0, 0, 1, 1, flags, 0, 0, 0, stream], &b"\x88"[..]].concat()
}

async fn expect(peer: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    peer.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, expected);
}

/// Stream 1 never ends; with the answer to stream 3 the connection is retired.
#[tokio::test(start_paused = true)]
async fn a_stream_that_never_ends_is_borne_for_its_grace() {
    let ((mut client, to_client), (mut app, to_app)) = tokio::join!(connection(), connection());
    let limits = Limits::draw(MaxRequests::new(2).unwrap(), None, Jitter::NONE, 0);
    let (from_client, from_app) = (Flow::default(), Flow::default());
    let pair = Pair { client: to_client, app: to_app, from_client, from_app };
    let session = Session::new(limits, OUR_PING);
    let mut relay = Relay::new(pair, session, Silent, GRACE, std::future::pending());

    let both = async {
        let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SETTINGS, &headers(4, 1), &headers(5, 3)].concat();
        client.write_all(&opening).await.unwrap();
        expect(&mut app, &opening).await;
        app.write_all(&[SETTINGS, &headers(4, 1), &headers(5, 3)].concat()).await.unwrap();
        expect(&mut client, &[SETTINGS, &headers(4, 1), &first_goaway(), &ping(OUR_PING), &headers(5, 3)].concat())
            .await;
        let mut answer = ping(OUR_PING);
        answer[4] = 1;
        client.write_all(&answer).await.unwrap();
        let begun = Instant::now();
        expect(&mut client, &goaway(3, ErrorCode::NoError)).await;
        begun.elapsed()
    };
    let (ending, waited) = tokio::join!(relay.run(), both);
    assert_eq!(ending, Ending::Linger);
    assert!(waited >= GRACE && waited < GRACE + Duration::from_secs(1), "{waited:?}");
}
