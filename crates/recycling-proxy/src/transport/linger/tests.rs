//! The lingering close over real sockets, on the test's own clock. That clock may advance far while the kernel
//! acknowledges. So the tests check lower bounds; an upper bound is that a test ends.

use std::io::ErrorKind;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::*;
use crate::transport::pair::Pair;

/// Longer than any of the bounds.
const LONG: Duration = Duration::from_mins(10);

/// Returns a client, the proxy's end of its connection, and the number of bytes in flight between them.
async fn with_much_on_its_way() -> (TcpStream, Wire, usize) {
    let (client, _app, pair) = Pair::with_far_ends().await;
    let mut written = 0;
    while let Ok(count) = pair.client.socket().try_write(&[b'x'; 8192]) {
        written += count;
    }
    (client, pair.client, written)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pauses_gets_its_whole_response() {
    let (mut client, ours, written) = with_much_on_its_way().await;
    let reads = async {
        sleep(LONG).await;
        // A closed socket would answer this with a reset, and the bytes in flight would be lost.
        client.write_all(b"a frame").await.unwrap();
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.map(|_| came.len())
    };
    let (dropped, came) = tokio::join!(linger(ours), reads);
    assert_eq!((dropped, came.map_err(|error| error.kind())), (7, Ok(written)));
}

/// The client has sent everything, and has not read yet.
#[tokio::test(start_paused = true)]
async fn a_half_closed_client_gets_its_whole_response() {
    let (mut client, ours, written) = with_much_on_its_way().await;
    client.shutdown().await.unwrap();
    let lingering = tokio::spawn(linger(ours));
    sleep(LONG).await;
    assert!(!lingering.is_finished(), "the lingering close has ended");
    let mut came = Vec::new();
    client.read_to_end(&mut came).await.unwrap();
    assert_eq!((lingering.await.unwrap(), came.len()), (0, written));
}

/// The client sends more than the limit, and has not read yet. The proxy stops reading, and no byte of the response is
/// lost.
#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_sending_gets_its_whole_response() {
    let (client, ours, written) = with_much_on_its_way().await;
    let (mut reading, mut writing) = client.into_split();
    let writes = async {
        let piece = [b'y'; 8192];
        let mut sent = 0;
        while sent < 64 * MOST_BYTES {
            match writing.write(&piece).await {
                Ok(count) => sent += count,
                Err(error) => return error.kind(),
            }
        }
        panic!("all of it was taken in")
    };
    let reads = async {
        sleep(LONG).await;
        let mut came = Vec::new();
        // The bytes can be read before the reset that ends the flood.
        let _ = reading.read_to_end(&mut came).await;
        came.len()
    };
    let (_, came, error) = tokio::join!(linger(ours), reads, writes);
    assert_eq!(came, written);
    assert!(matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_connection_closes_once_the_client_has_everything() {
    let (_client, _app, pair) = Pair::with_far_ends().await;
    let begun = Instant::now();
    assert_eq!(linger(pair.client).await, 0);
    assert!(begun.elapsed() >= SILENCE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_trickles_bytes_is_closed_at_the_bound() {
    let (mut client, _app, pair) = Pair::with_far_ends().await;
    let begun = Instant::now();
    let drips = async {
        while client.write_all(b"x").await.is_ok() {
            sleep(SILENCE / 2).await;
        }
    };
    tokio::select! {
        _ = linger(pair.client) => {}
        () = drips => panic!("a socket that is open takes bytes"),
    }
    assert!(begun.elapsed() >= ALTOGETHER, "{:?}", begun.elapsed());
}

/// Its kernel has acknowledged everything, but it has not shown that it has read it.
#[tokio::test(start_paused = true)]
async fn a_client_that_sends_while_it_reads_is_kept_until_it_closes() {
    let (mut client, _app, pair) = Pair::with_far_ends().await;
    let begun = Instant::now();
    let reads = async {
        for _ in 0..3 {
            sleep(LONG).await;
            client.write_all(b"a frame").await.unwrap();
        }
        drop(client);
    };
    tokio::join!(linger_until_read(pair.client, 4 * LONG), reads);
    assert!(begun.elapsed() >= 3 * LONG, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_is_kept_for_its_grace_period() {
    let (_client, _app, pair) = Pair::with_far_ends().await;
    let begun = Instant::now();
    linger_until_read(pair.client, LONG).await;
    assert!(begun.elapsed() >= LONG, "{:?}", begun.elapsed());
}
