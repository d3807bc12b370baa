//! Promise: `evenkeel check` reports why recycling is missing or has no effect, and reports nothing about a sound
//! workload. Each test looks at a faulty workload and at a sound one.

mod broken;
mod installation;
mod live;
mod report;
mod unreviewed;

use anyhow::ensure;
use e2e::{Client, Web, in_namespace, program};

/// `recycling-proxy status` in the container needs only permission to exec.
#[tokio::test]
async fn status_in_the_proxys_container_reports_its_pod() -> anyhow::Result<()> {
    in_namespace("check-exec", |namespace| async move {
        let web = Web::sample()?.replicas(1).annotation("evenkeel.dev/max-requests", "10");
        let mut client = Client::new(namespace.deploy(&web).await?);
        client.get().await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let arguments = ["exec", "deployment/web", "--container=recycling-proxy", "--", "/recycling-proxy", "status"];
        let report = program::run(namespace.name(), "kubectl", &arguments, None)?;
        for line in [
            "port 8080\n  app          listens at every address\n",
            "\n  connections  1 open\n",
            "  limits       10 requests\n",
        ] {
            ensure!(report.contains(line), "{line:?} is not in {report}");
        }
        Ok(())
    })
    .await
}
