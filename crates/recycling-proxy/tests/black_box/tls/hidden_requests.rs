//! The evasions of [`hidden_requests`](crate::hidden_requests), inside TLS.

use settings::ProxyOption;
use test_support::{Cases, TestResult};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::TlsStage;
use crate::hidden_requests::{Evasion, evasions, expect_clients_address, shown};

#[tokio::test]
async fn no_request_reaches_the_app_without_the_clients_address() -> TestResult {
    let stage = TlsStage::with(&[(ProxyOption::ForwardedFor, "on")]).await?;
    let mut running = JoinSet::new();
    for Evasion { pieces, pause } in evasions() {
        let mut client = stage.connect(&[]).await?;
        let mut app = stage.app.accept().await?;
        running.spawn(async move {
            for (n, piece) in pieces.iter().enumerate() {
                if n > 0 {
                    sleep(pause.length()).await;
                }
                // The proxy may have closed the connection already.
                if client.send(piece).await.is_err() {
                    break;
                }
            }
            let _ = client.stream.shutdown().await;
            let outcome = async { expect_clients_address(&app.read_to_end().await?.0) };
            (shown(&pieces), outcome.await)
        });
    }
    let mut cases = Cases::default();
    cases.note_all(running).await?;
    cases.verdict()
}
