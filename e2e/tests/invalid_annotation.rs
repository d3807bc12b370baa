//! Promise: an invalid annotation never blocks a rollout. The workload is admitted unchanged, with a warning that names
//! every fault.

use anyhow::{Context as _, ensure};
use e2e::{Web, in_namespace};

/// Invalid values, and the text that the warnings must contain.
const FAULTS: [(&str, &str); 3] =
    [("evenkeel.dev/max-requests", "many"), ("evenkeel.dev/jitter", "90%"), ("evenkeel.dev/drain-timout", "20s")];

#[tokio::test]
async fn an_invalid_annotation_is_admitted_with_a_warning_for_each_fault() -> anyhow::Result<()> {
    in_namespace("invalid", |namespace| async move {
        let web = FAULTS.iter().fold(Web::sample()?, |web, (key, value)| web.annotation(key, value));
        let (admitted, warnings) = namespace.create(web.deployment()).await?;
        println!("warnings:\n  {}", warnings.join("\n  "));
        for (key, _) in FAULTS {
            ensure!(warnings.iter().any(|warning| warning.contains(key)), "no warning names {key}");
        }
        let pod = admitted.spec.and_then(|spec| spec.template.spec).context("a Deployment has a template")?;
        ensure!(
            pod.init_containers.is_none(),
            "a sidecar was injected in spite of invalid annotations: {:?}",
            pod.init_containers
        );
        ensure!(
            pod.containers.iter().all(|container| container.lifecycle.is_none()),
            "a hook was injected in spite of invalid annotations: {pod:?}"
        );
        namespace.wait_for_rollout("web").await
    })
    .await
}
