//! `evenkeel dashboard`: the balancer's live page, over a port-forward to the replica that leads.
//!
//! It is a small HTTP proxy, not a tunnel: it forwards only GET, and only with the address that was printed in `Host`,
//! so that no page of another origin can read the answers by a name that it resolves to this machine (DNS rebinding).

mod forward;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use daemon::in_one_sentence;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::Cluster;
use crate::exit::{Blame, OrBlame as _};
use forward::Forward;

/// Open the balancer's live page in a browser, until interrupted.
///
/// It forwards a port of this machine to the leading replica of the balancer, and changes to another when that leads.
/// The page is read-only. It needs the rights to list pods and to create pods/portforward in evenkeel's namespace.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel dashboard
  evenkeel dashboard --port 8081 --no-browser

Exit codes:
  0   it was interrupted
  1   no balancer runs, or a right is missing
  64  the command line cannot be used, names no cluster, or names a port that is in use
  69  the cluster cannot be reached")]
pub(crate) struct Args {
    /// The port on 127.0.0.1; without it, one that is free.
    #[arg(short, long, default_value_t = 0, hide_default_value = true)]
    port: u16,

    /// Print the address, and do not open a browser.
    #[arg(long)]
    no_browser: bool,

    /// The namespace of evenkeel itself.
    #[arg(short, long = "namespace", alias = "evenkeel-namespace", default_value = "evenkeel")]
    namespace: String,

    #[command(flatten)]
    cluster: Cluster,
}

/// Serves the page until Ctrl-C.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, _) = args.cluster.connect().await?;
        let forward = Forward::connect(client, args.namespace.clone()).await?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("--port {address}")).or_blame(Blame::Usage)?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}/");
        writeln!(io::stdout().lock(), "{url}  (Ctrl-C ends it)").context("standard output cannot be written")?;
        if !args.no_browser {
            open(&url);
        }
        tokio::select! {
            () = serve(listener, address, Arc::new(forward)) => Ok(ExitCode::SUCCESS),
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| ExitCode::SUCCESS)?),
        }
    })
}

async fn serve(listener: TcpListener, address: SocketAddr, forward: Arc<Forward>) {
    // An error is of one connection, such as one that is gone before it is accepted.
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, address, Arc::clone(&forward)))),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, forward: Arc<Forward>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let forward = Arc::clone(&forward);
        async move { Ok::<_, Infallible>(answer(&request, address, &forward).await) }
    });
    // A browser that leaves has what it wanted.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: &Request<Incoming>, address: SocketAddr, forward: &Forward) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if let Err((status, said)) = permit(request.method(), host, address.port()) {
        return said_as(status, said.to_owned());
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match forward.get(path).await {
        Ok(response) => response.map(Full::new),
        Err(error) => said_as(StatusCode::BAD_GATEWAY, in_one_sentence(&*error)),
    }
}

fn said_as(status: StatusCode, said: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(said + "\n")));
    *response.status_mut() = status;
    response
}

/// Returns why a request does not pass, if it does not.
fn permit(method: &Method, host: Option<&str>, port: u16) -> Result<(), (StatusCode, &'static str)> {
    let ours = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}"));
    if !host.is_some_and(|host| ours.iter().any(|ours| ours == host)) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "this address serves the page of evenkeel dashboard alone"));
    }
    if method == Method::GET { Ok(()) } else { Err((StatusCode::METHOD_NOT_ALLOWED, "the page is read-only")) }
}

/// Has the desktop open the page. Where there is none, the address has been printed.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _ = Command::new(opener).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboard_forwards_only_get_requests_for_its_own_address() {
        for (method, host, status) in [
            (Method::GET, Some("127.0.0.1:8081"), None),
            (Method::GET, Some("localhost:8081"), None),
            (Method::GET, Some("evil.example:8081"), Some(421)),
            (Method::GET, Some("localhost:80"), Some(421)),
            (Method::GET, Some("127.0.0.1"), Some(421)),
            (Method::GET, None, Some(421)),
            (Method::POST, Some("localhost:8081"), Some(405)),
            (Method::CONNECT, Some("localhost:8081"), Some(405)),
        ] {
            let permitted = permit(&method, host, 8081);
            assert_eq!(permitted.err().map(|(status, _)| status.as_u16()), status, "{method} {host:?}");
        }
    }
}
