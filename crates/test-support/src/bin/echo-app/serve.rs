//! Accepting and serving connections.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::answer::App;
use crate::header;

/// Pause after a failed accept: without it an app that is out of descriptors would use a core until one is free.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Serves until `end`, then finishes what is in flight.
///
/// Idle connections are never closed: an app that closes them loses requests without any proxy.
pub(crate) async fn until(listener: TcpListener, app: App, with_header: bool, end: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    tokio::select! {
        never = accept(listener, Arc::new(app), with_header, &connections) => match never {},
        () = end => {}
    }
    connections.shutdown().await;
}

/// Accepts connections until the app is told to stop.
async fn accept(listener: TcpListener, app: Arc<App>, with_header: bool, connections: &GracefulShutdown) -> Infallible {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve(stream, Arc::clone(&app), with_header, connections),
                Err(error) => {
                    eprintln!("echo-app: accept: {error}");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            },
            () = app.told_to_stop_accepting() => break,
        }
    }
    drop(listener);
    pending().await
}

fn serve(mut stream: TcpStream, app: Arc<App>, with_header: bool, connections: &GracefulShutdown) {
    // Without TCP_NODELAY, small responses wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    app.connection_opened();
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.answer(request).await) }
    });
    let mut protocols = auto::Builder::new(TokioExecutor::new());
    // `half_close` keeps serving a client that ends its side after its last request.
    protocols.http1().half_close(true);
    let watcher = connections.watcher();
    tokio::spawn(async move {
        if with_header && header::read(&mut stream).await.is_err() {
            return;
        }
        let connection = watcher.watch(protocols.serve_connection(TokioIo::new(stream), service).into_owned());
        // An error means that the client closed its connection early.
        let _ = connection.await;
    });
}
