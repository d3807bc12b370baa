//! The lower bound for a webhook with this server and this TLS library: it reads a review without parsing it, and
//! allows it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;

use crate::review::UID;
use crate::tls;

/// As many threads as the webhook has.
const THREADS: usize = 2;

/// Serves until the process is ended.
pub(crate) fn run(listen: SocketAddr, certificate: &Path) -> Result<Infallible> {
    let config = RustlsConfig::from_config(Arc::new(tls::server(certificate)?));
    let answer = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{UID}","allowed":true}}}}"#
    );
    let mutate = post(move |_: Bytes| async move { ([(CONTENT_TYPE, "application/json")], answer) });
    let routes = Router::new().route("/mutate", mutate).layer(DefaultBodyLimit::disable());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let served = runtime
        .context("starting the runtime")?
        .block_on(async { axum_server::bind_rustls(listen, config).serve(routes.into_make_service()).await });
    served.context("serving")?;
    anyhow::bail!("the bare webhook has ended")
}
