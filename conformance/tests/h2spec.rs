//! h2spec 2.2.1 with its strict cases. It tests HTTP/2 frame by frame, mostly by breaking its rules. Every case has the
//! same verdict directly and through the proxy: the proxy adds no fault and hides none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use conformance::junit::{Case, Verdict, verdicts};
use conformance::{proxy_in_front_of, run, tool};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use settings::ProxyOption;
use test_support::{LoopbackHost, Process};
use tokio::net::TcpListener;

/// More than the suite opens on any connection.
const UNREACHED: &str = "1000000";
/// What the suite has; fewer are a suite that broke off.
const CASES: usize = 146;
/// Many times what the suite takes.
const TIMEOUT: Duration = Duration::from_mins(3);
/// How often a section is judged again where the verdicts differ.
///
/// Some hang on a race that the suite runs with the app: whether it reads the app's GOAWAY or the reset behind it.
const RETAKES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn h2spec_has_the_same_verdicts_on_gos_net_http_through_the_proxy() -> anyhow::Result<()> {
    let host = LoopbackHost::reserve()?;
    let address = host.port(8080);
    let mut command = tool("h2app")?;
    command.args(["--listen", &address.to_string()]);
    let mut app = Process::spawn("h2app", command)?;
    app.line_with("listening").await?;
    same_verdicts(address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn h2spec_has_the_same_verdicts_on_hyper_through_the_proxy() -> anyhow::Result<()> {
    let host = LoopbackHost::reserve()?;
    let address = host.port(8080);
    let listener = TcpListener::bind(address).await?;
    let app = tokio::spawn(serve(listener));
    same_verdicts(address).await?;
    app.abort();
    Ok(())
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    request.into_body().collect().await?;
    Ok(Response::new(Full::new(Bytes::from_static(b"answered"))))
}

async fn same_verdicts(app: SocketAddr) -> anyhow::Result<()> {
    let proxy = proxy_in_front_of(app, &[(ProxyOption::MaxRequests, UNREACHED)]).await?;
    let (direct, through) = tokio::try_join!(judge(app, None), judge(proxy.address(), None))?;
    ensure!(direct.len() == CASES, "h2spec reports {} cases, expected {CASES}", direct.len());
    let passed = direct.values().filter(|verdict| **verdict == Verdict::Passed).count();
    println!("h2spec: {passed} of {CASES} cases pass directly");
    ensure!(passed > CASES / 2, "only {passed} of {CASES} cases pass directly: does the app speak HTTP/2?");
    for section in differing(&direct, &through) {
        agree_on(&section, app, proxy.address()).await?;
    }
    Ok(())
}

/// Judges a section again, in which verdicts differed once.
async fn agree_on(section: &str, app: SocketAddr, proxy: SocketAddr) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    for _ in 0..RETAKES {
        let (direct, through) = (judge(app, Some(section)).await?, judge(proxy, Some(section)).await?);
        if direct == through {
            println!("h2spec: {section} has the same verdicts in a second run");
            return Ok(());
        }
        seen.push((direct, through));
    }
    anyhow::bail!("{section}: verdicts differ, directly and through the proxy: {seen:#?}")
}

type Verdicts = BTreeMap<Case, Verdict>;

async fn judge(server: SocketAddr, section: Option<&str>) -> anyhow::Result<Verdicts> {
    let directory = tempfile::tempdir()?;
    let report = directory.path().join("report.xml");
    let mut command = tool("h2spec")?;
    command.args(["--strict", "--host", &server.ip().to_string(), "--port", &server.port().to_string()]);
    command.arg("--junit-report").arg(&report).args(section);
    // It fails with its first case that does; which do is in the report.
    let ended = run(command, TIMEOUT).await?;
    ensure!(report.is_file(), "h2spec has made no report: {}{}", ended.output, ended.errors);
    verdicts(&std::fs::read_to_string(report)?)
}

fn differing(direct: &Verdicts, through: &Verdicts) -> BTreeSet<String> {
    let cases = direct.keys().chain(through.keys());
    cases.filter(|case| direct.get(case) != through.get(case)).map(|case| case.section.clone()).collect()
}
