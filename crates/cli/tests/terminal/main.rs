//! The program on a terminal.

mod pty;

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use pty::Terminal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_evenkeel");
const CTRL_C: u8 = 3;
/// What takes a terminal over, and what gives it back (xterm's control sequences).
const TAKEN: &str = "\x1b[?1049h";
const CURSOR_BACK: &str = "\x1b[?25h";
const GIVEN_BACK: &str = "\x1b[?1049l";
const LONG: &str = "3600";

/// An API server with one pod that has the proxy; or one that answers nothing but its version.
async fn api_server(is_silent: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: Request<_>| async move {
                if is_silent && request.uri().path() != "/version" {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(answer(&request))
            });
            let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serving);
        }
    });
    address
}

fn answer<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    let body = match request.uri().path() {
        "/version" => test_support::version_of_api_server().to_string(),
        "/api/v1/namespaces/shop/pods" => {
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod()]}).to_string()
        }
        "/api/v1/namespaces/shop/pods/web-1:15211/proxy/metrics" => {
            "evenkeel_proxy_connections_open{port=\"8080\"} 7\n".to_owned()
        }
        path => panic!("{path} is asked for"),
    };
    Response::new(Full::new(body.into()))
}

fn pod() -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "1", "controller": true});
    let ready = |name: &str| json!([{"name": name, "ready": true, "image": "", "imageID": "", "restartCount": 0}]);
    json!({
        "metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": [owner]},
        "spec": {
            "initContainers": [{"name": "recycling-proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "app"}],
        },
        "status": {
            "phase": "Running",
            "initContainerStatuses": ready("recycling-proxy"),
            "containerStatuses": ready("app"),
        },
    })
}

fn watch(folder: &Path, server: SocketAddr, interval: &str) -> Terminal {
    let kubeconfig = test_support::write_kubeconfig(folder, server, "shop").display().to_string();
    Terminal::start(PROGRAM, &["status", "--watch", "--interval", interval, "--kubeconfig", &kubeconfig], &[])
}

/// Presses Ctrl-C, and looks at what is left of the program.
fn interrupt(mut terminal: Terminal) {
    terminal.press(CTRL_C);
    let status = terminal.end();
    assert!(status.success(), "{status}: {:?}", terminal.written());
    terminal.wait_until("the terminal is given back", |it| it.contains(CURSOR_BACK) && it.contains(GIVEN_BACK));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_status_is_redrawn_in_place_until_ctrl_c() {
    let (folder, server) = (tempfile::tempdir().unwrap(), api_server(false).await);
    let mut terminal = watch(folder.path(), server, "1");
    terminal.wait_until("two tables", |it| it.matches("web-1").count() >= 2);
    assert!(terminal.written().starts_with(TAKEN), "{:?}", terminal.written());
    // Each from the corner on, and nothing scrolls.
    assert!(terminal.written().matches("\x1b[1;1H").count() >= 3, "{:?}", terminal.written());
    interrupt(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_restores_the_terminal_before_the_pods_are_listed() {
    let (folder, server) = (tempfile::tempdir().unwrap(), api_server(true).await);
    let mut terminal = watch(folder.path(), server, LONG);
    terminal.wait_until("the terminal is taken over", |it| it.contains(TAKEN));
    interrupt(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_follows_the_size_of_the_terminal() {
    let (folder, server) = (tempfile::tempdir().unwrap(), api_server(false).await);
    let mut terminal = watch(folder.path(), server, LONG);
    terminal.wait_until("the first text", |it| it.contains("the difference."));
    terminal.resize(24, 12);
    terminal.wait_until("what fits into 12 columns", |it| it.contains("Reading the \x1b[K"));
    interrupt(terminal);
}

#[test]
fn colours_are_for_terminals_without_no_color() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("web.yaml");
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "annotations": {"evenkeel.dev/max-requests": "1000"}},
        "spec": {"template": {"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 8080}]}]}}},
    });
    fs::write(&manifest, object.to_string()).unwrap();
    let file = manifest.display().to_string();
    for (variables, coloured) in [(&[][..], true), (&[("NO_COLOR", "1")], false), (&[("NO_COLOR", "")], true)] {
        let mut terminal = Terminal::start(PROGRAM, &["check", "-f", &file], variables);
        let status = terminal.end();
        terminal.wait_until("the last line", |it| it.contains("1 object"));
        assert!(status.success(), "{:?}", terminal.written());
        assert_eq!(terminal.written().contains("\x1b["), coloured, "{variables:?}: {:?}", terminal.written());
    }
}
