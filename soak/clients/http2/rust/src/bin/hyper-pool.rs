//! hyper with hyper-util's connection pool and prior knowledge. Arguments: URL REQUESTS CONCURRENCY.

use anyhow::{Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use soak_http2_clients::{BODY, arguments, run};

#[tokio::main]
async fn main() -> Result<()> {
    let (url, count, concurrency) = arguments()?;
    let uri: Uri = url.parse()?;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    run(count, concurrency, move || {
        let (client, uri) = (client.clone(), uri.clone());
        async move {
            let answer = client.request(Request::post(uri).body(Full::new(BODY))?).await?;
            ensure!(answer.status() == 200, "status {}", answer.status());
            Ok(answer.into_body().collect().await?.to_bytes())
        }
    })
    .await
}
