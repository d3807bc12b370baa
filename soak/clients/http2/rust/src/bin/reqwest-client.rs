//! reqwest by prior knowledge. Arguments: URL REQUESTS CONCURRENCY.

use anyhow::{Result, ensure};
use soak_http2_clients::{BODY, arguments, run};

#[tokio::main]
async fn main() -> Result<()> {
    let (url, count, concurrency) = arguments()?;
    let client = reqwest::Client::builder().http2_prior_knowledge().build()?;
    run(count, concurrency, move || {
        let request = client.post(&url).body(BODY);
        async move {
            let answer = request.send().await?;
            ensure!(answer.status() == 200, "status {}", answer.status());
            Ok(answer.bytes().await?)
        }
    })
    .await
}
