//! The proxy waits for a client that does not read as long as the client's kernel answers, and no longer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::namespace::as_root;
use super::pod::{IPV4, Pod, connect};
use super::running::Running;

/// A port that nothing else in a [`Pod`] uses.
const APP: u16 = 6060;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";

/// More bytes than the sockets on the path hold.
const LONG: usize = 16 * 1024 * 1024;
/// The number of unanswered retransmissions after which the kernel ends a connection: here after about three seconds;
/// by default there are 15, in as many minutes.
const RETRIES: &str = "3";
/// The time within which the connection of a client that has vanished ends.
const CLOSED_WITHIN: Duration = Duration::from_secs(20);
/// Longer than the kernel waits for a client that has vanished.
const PAUSE: Duration = Duration::from_secs(5);

/// Sends until the socket buffers are full.
fn fill(app: &mut TcpStream) {
    app.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = vec![b'x'; 64 * 1024];
    while app.write(&piece).is_ok() {}
    app.set_write_timeout(None).unwrap();
}

#[test]
fn a_client_that_pauses_is_kept_and_one_that_has_vanished_is_closed() {
    as_root(|| {
        let pod = Pod::with_ipv4_alone();
        pod.inside.set("net/ipv4/tcp_retries2", RETRIES);
        let listener = pod.inside.run(|| TcpListener::bind(("127.0.0.1", APP)).unwrap());
        let _proxy = Running::start(&pod, APP, &["--control", "@evenkeel-vanished"]);
        let mut client = connect(&pod.outside, &format!("{IPV4}:{APP}"));
        client.write_all(REQUEST).unwrap();
        let (mut app, _) = listener.accept().unwrap();
        app.read_exact(&mut [0; REQUEST.len()]).unwrap();
        app.write_all(HEAD).unwrap();
        fill(&mut app);
        thread::sleep(PAUSE);
        let mut read = vec![0; LONG];
        thread::scope(|scope| {
            scope.spawn(|| app.write_all(&vec![b'x'; LONG]).unwrap());
            client.read_exact(&mut read).unwrap();
        });
        assert!(read.starts_with(HEAD) && read.ends_with(b"xxxx"));

        fill(&mut app);
        pod.outside.ip(&["link set eth0 down"]);
        app.set_read_timeout(Some(CLOSED_WITHIN)).unwrap();
        let end = app.read(&mut [0]);
        assert!(matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset), "{end:?}");
    });
}
