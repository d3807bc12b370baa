//! A client that does not read is waited for as long as its kernel answers, and no longer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::namespace::as_root;
use super::pod::{IPV4, Pod, connect};
use super::running::Running;

/// A port that nobody else in a [`Pod`] has.
const APP: u16 = 6060;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";

/// More than all sockets in between hold.
const MUCH: usize = 16 * 1024 * 1024;
/// So few probes may be lost here, within three seconds; by default 15 in as many minutes.
const PROBES: &str = "3";
/// In this time a client that has vanished is let go.
const LET_GO: Duration = Duration::from_secs(20);
/// Longer than it takes to lose the probes.
const PAUSE: Duration = Duration::from_secs(5);

/// Sends until nothing more is taken for a moment.
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
        pod.inside.set("net/ipv4/tcp_retries2", PROBES);
        let listener = pod.inside.run(|| TcpListener::bind(("127.0.0.1", APP)).unwrap());
        let _proxy = Running::start(&pod, APP, &["--control", "@evenkeel-vanished"]);
        let mut client = connect(&pod.outside, &format!("{IPV4}:{APP}"));
        client.write_all(REQUEST).unwrap();
        let (mut app, _) = listener.accept().unwrap();
        app.read_exact(&mut [0; REQUEST.len()]).unwrap();
        app.write_all(HEAD).unwrap();
        fill(&mut app);
        thread::sleep(PAUSE);
        let mut read = vec![0; MUCH];
        thread::scope(|scope| {
            scope.spawn(|| app.write_all(&vec![b'x'; MUCH]).unwrap());
            client.read_exact(&mut read).unwrap();
        });
        assert!(read.starts_with(HEAD) && read.ends_with(b"xxxx"));

        fill(&mut app);
        pod.outside.ip(&["link set eth0 down"]);
        app.set_read_timeout(Some(LET_GO)).unwrap();
        let end = app.read(&mut [0]);
        assert!(matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset), "{end:?}");
    });
}
